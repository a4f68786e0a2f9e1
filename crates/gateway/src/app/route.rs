//! One route as requests meet it, made from the configuration or taken over from the one before.
//!
//! A route of which nothing has changed stays the very same, with all that it remembers.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arc_swap::ArcSwap;
use cache::Source;
use origin_resolver::{Bandwidth, GuardedOrigin, Resolver};
use state::Ledger;

use super::{App, HINTS, Lasting};
use crate::config::{self, CacheTier, Config};
use crate::metrics::RouteMetrics;
use crate::source::RouteSource;
use crate::withdrawals::Withdrawals;

/// One route, ready to answer.
pub(crate) struct Route {
    pub(crate) config: config::Route,
    pub(crate) resolver: Resolver,
    pub(crate) metrics: Arc<RouteMetrics>,
    pub(crate) space: Arc<str>,
    /// `None` for commands that only look.
    pub(crate) withdrawals: Option<Arc<Withdrawals>>,
    /// How fast copies are written.
    pub(crate) promote_bandwidth: Option<Arc<Bandwidth>>,
    pub(crate) source: Arc<dyn Source>,
    /// The origins that its downloads ask for more.
    newest: Arc<ArcSwap<Resolver>>,
    tiers: Vec<(Box<str>, CacheTier)>,
}

impl Route {
    pub(super) fn new(
        config: &Config,
        route: &config::Route,
        lasting: &Lasting,
        origins: &[Arc<GuardedOrigin>],
        before: Option<&App>,
    ) -> Arc<Self> {
        let was = before.and_then(|before| {
            let mut routes = before.routes.iter();
            routes.find(|was| was.config.name == route.name)
        });
        let (resolver, tiers) = (resolver(route, origins), tiers(config, route));
        if let (Some(was), Some(before)) = (was, before)
            && was.is_still(route, &resolver, &tiers)
            && lasting.has_same_book(&before.lasting)
        {
            return Arc::clone(was);
        }
        let resolver = match was {
            Some(was) => resolver.after(&was.resolver),
            None => resolver,
        };
        let metrics = Arc::new(lasting.metrics.route(&route.name, &route.origins));
        let withdrawals = lasting.withdrawals(route, &resolver, &metrics);
        let withdrawals = match was.and_then(|was| was.withdrawals.as_ref()) {
            Some(was) => withdrawals.map(|now| now.after(was)),
            None => withdrawals,
        };
        let newest = match was {
            Some(was) => Arc::clone(&was.newest),
            None => Arc::new(ArcSwap::from_pointee(resolver.clone())),
        };
        let source = RouteSource {
            resolver: resolver.clone(),
            newest: Arc::clone(&newest),
            list: list(&lasting.seed, &resolver),
            keep: tiers.clone(),
            metrics: Arc::clone(&metrics),
            ledger: lasting.ledger(),
            withdrawals: withdrawals.clone(),
        };
        let bandwidth = route.promote_bandwidth;
        let promote_bandwidth = match was {
            Some(was) if was.config.promote_bandwidth == bandwidth => was.promote_bandwidth.clone(),
            _ => bandwidth.map(Bandwidth::new),
        };
        Arc::new(Self {
            resolver,
            metrics,
            space: (&*route.cache_space).into(),
            withdrawals,
            promote_bandwidth,
            source: Arc::new(source),
            newest,
            tiers,
            config: route.clone(),
        })
    }

    /// Whether nothing of it has changed.
    fn is_still(
        &self,
        route: &config::Route,
        resolver: &Resolver,
        tiers: &[(Box<str>, CacheTier)],
    ) -> bool {
        let (now, then) = (resolver.origins(), self.resolver.origins());
        self.config == *route
            && self.tiers == tiers
            && now.len() == then.len()
            && now.iter().zip(then).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// From now on this is what its name means: downloads that go on ask these origins.
    pub(crate) fn begin(&self) {
        self.newest.store(Arc::new(self.resolver.clone()));
    }
}

impl Lasting {
    fn ledger(&self) -> Option<Arc<Ledger>> {
        let keeping = self.keeping.as_ref()?;
        Some(Arc::clone(keeping.state.ledger()))
    }

    fn withdrawals(
        &self,
        route: &config::Route,
        resolver: &Resolver,
        metrics: &Arc<RouteMetrics>,
    ) -> Option<Arc<Withdrawals>> {
        Some(Withdrawals::new(
            route,
            resolver.clone(),
            Arc::clone(self.book.as_ref()?),
            self.keeping.as_ref()?.cache.clone(),
            self.tasks.clone(),
            Arc::clone(metrics),
        ))
    }

    fn has_same_book(&self, other: &Self) -> bool {
        match (&self.book, &other.book) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

/// Stands for the places whose answers together make an absence. A name alone does not: it may
/// come to mean another place.
fn list(seed: &RandomState, resolver: &Resolver) -> u64 {
    let origins = resolver.origins().iter();
    let places: Vec<_> = origins
        .map(|origin| format!("{:?}", origin.settings()))
        .collect();
    seed.hash_one(places)
}

/// Where copies of what each origin of a route gives may lie.
fn tiers(config: &Config, route: &config::Route) -> Vec<(Box<str>, CacheTier)> {
    let of_route = |origin: &&config::Origin| route.origins.contains(&origin.settings.name);
    config
        .origins
        .iter()
        .filter(of_route)
        .map(|origin| (origin.settings.name.clone(), origin.cache))
        .collect()
}

fn resolver(route: &config::Route, origins: &[Arc<GuardedOrigin>]) -> Resolver {
    let of_route: Vec<_> = route
        .origins
        .iter()
        .filter_map(|name| origins.iter().find(|origin| origin.name() == &**name))
        .cloned()
        .collect();
    Resolver::new(&of_route, HINTS)
}
