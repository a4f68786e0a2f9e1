//! Everything a request needs, put together once from the configuration.
//!
//! The only constructor. Contacts nothing: the gateway starts with every origin, DNS and the
//! network down.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use cache::{Answer, Cache, DiskSettings, Settings, Source};
use http::HeaderValue;
use object::{ObjectKey, Part};
use origin_resolver::{
    Bandwidth, BuildError, GuardedOrigin, Names, OriginObserver, Resolver, build,
};
use state::StateDirectory;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{self, CacheTier, Config};
use crate::lending::Allowances;
use crate::located::Located;
use crate::metrics::{Metrics, RouteMetrics};
use crate::promotion::Promotions;
use crate::routes::Routes;
use crate::source::RouteSource;
use crate::withdrawals::{Book, Withdrawals};

/// Places remembered per route; 40 bytes each.
pub(crate) const HINTS: usize = 100_000;
/// Repaired types remembered.
const REPAIRED_TYPES: usize = 10_000;

/// The gateway's inside.
pub(crate) struct App {
    pub(crate) table: Routes,
    pub(crate) routes: Vec<Arc<Route>>,
    pub(crate) origins: Vec<Arc<GuardedOrigin>>,
    pub(crate) metrics: Metrics,
    pub(crate) keeping: Option<Keeping>,
    /// `None` where no route promotes.
    pub(crate) promotions: Option<Promotions>,
    /// What may be read in the background, of the origins with `max_egress`.
    pub(crate) allowances: Arc<Allowances>,
    /// Bodies being sent at one time.
    pub(crate) bodies: Arc<Semaphore>,
    /// Types found by looking at an object's first bytes, so that a HEAD or a range does not read
    /// them again. Keyed by a seeded hash of route, key and version.
    pub(crate) repaired: quick_cache::sync::Cache<u64, HeaderValue>,
    pub(crate) seed: RandomState,
    pub(crate) origin_header: bool,
}

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
}

/// What keeps and forgets; commands that only look have none of it.
pub(crate) struct Keeping {
    pub(crate) cache: Cache,
    pub(crate) state: Arc<StateDirectory>,
}

/// Why there is nothing to answer with.
pub(crate) enum Unlocated {
    /// The object has none of the bytes that were asked for.
    Beyond { total: u64, origin: Arc<str> },
    /// No origin has it for the public.
    Missing,
    /// The application has deleted it.
    Gone,
    /// Nobody can say.
    Unknown { retry_after: Option<Duration> },
}

impl App {
    /// Builds what a configuration describes; `connections` is the number of open ones.
    ///
    /// # Errors
    /// An origin cannot exist as it is configured.
    pub(crate) fn new(
        config: &Config,
        connections: Arc<AtomicUsize>,
        state: Arc<StateDirectory>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Arc<Self>, BuildError> {
        let metrics = Metrics::new(connections);
        let cache = Cache::new(
            cache_settings(&config.cache),
            metrics.cache_observer(),
            tasks,
            stop,
        );
        Self::build(config, metrics, tasks, Some(Keeping { cache, state }))
    }

    /// For commands that only look: nothing is counted, kept or remembered.
    ///
    /// # Errors
    /// An origin cannot exist as it is configured.
    pub(crate) fn for_looking(config: &Config) -> Result<Arc<Self>, BuildError> {
        let metrics = Metrics::new(Arc::default());
        Self::build(config, metrics, &TaskTracker::new(), None)
    }

    fn build(
        config: &Config,
        metrics: Metrics,
        tasks: &TaskTracker,
        keeping: Option<Keeping>,
    ) -> Result<Arc<Self>, BuildError> {
        let spent = keeping.as_ref().map(|keeping| keeping.state.egress());
        let allowances = Arc::new(Allowances::new(config, spent.unwrap_or_default()));
        let origins = guard_origins(config, tasks, |name| {
            metrics.origin(name, allowances.get(name).cloned())
        })?;
        let seed = RandomState::new();
        let book = keeping
            .as_ref()
            .map(|keeping| Arc::new(Book::new(Arc::clone(keeping.state.ledger()))));
        let routes = config
            .routes
            .iter()
            .map(|route| {
                let resolver = resolver(route, &origins);
                let metrics = Arc::new(metrics.route(&route.name, &route.origins));
                let withdrawals = keeping.as_ref().zip(book.as_ref()).map(|(keeping, book)| {
                    Withdrawals::new(
                        route,
                        resolver.clone(),
                        Arc::clone(book),
                        keeping.cache.clone(),
                        tasks.clone(),
                        Arc::clone(&metrics),
                    )
                });
                let source = RouteSource {
                    resolver: resolver.clone(),
                    list: seed.hash_one(&route.origins),
                    keep: tiers(config, route),
                    metrics: Arc::clone(&metrics),
                    ledger: keeping
                        .as_ref()
                        .map(|keeping| Arc::clone(keeping.state.ledger())),
                    withdrawals: withdrawals.clone(),
                };
                Arc::new(Route {
                    resolver,
                    metrics,
                    space: (&*route.cache_space).into(),
                    withdrawals,
                    promote_bandwidth: route.promote_bandwidth.map(Bandwidth::new),
                    source: Arc::new(source),
                    config: route.clone(),
                })
            })
            .collect();
        let mut targets = config.routes.iter().flat_map(|route| &route.promote_to);
        let promotions = match (&keeping, targets.next()) {
            (Some(_), Some(first)) => {
                std::iter::once(first)
                    .chain(targets)
                    .for_each(|target| metrics.promotes_to(target));
                Some(Promotions::new())
            }
            _ => None,
        };
        Ok(Arc::new(Self {
            table: Routes::new(&config.routes),
            routes,
            origins,
            metrics,
            keeping,
            promotions,
            allowances,
            bodies: Arc::new(Semaphore::new(config.server.limits.bodies)),
            repaired: quick_cache::sync::Cache::new(REPAIRED_TYPES),
            seed,
            origin_header: config.server.origin_header,
        }))
    }

    /// Finds an object in the cache or at the origins, and what the origins said where they were
    /// asked for it.
    pub(crate) async fn open(
        &self,
        route: &Arc<Route>,
        key: &ObjectKey,
        part: Part,
    ) -> (Result<Located, Unlocated>, Option<Arc<str>>) {
        let Some(keeping) = &self.keeping else {
            return (Err(Unlocated::Unknown { retry_after: None }), None);
        };
        let cache = &keeping.cache;
        match cache.open(&route.space, key, &route.source, part).await {
            Answer::Held(held) => {
                if let (Some(promotions), Some(target), true) = (
                    &self.promotions,
                    &route.config.promote_to,
                    part != Part::Head,
                ) && *held.origin() != **target
                {
                    promotions.offer(self, route, key);
                }
                let trail = held.trail().map(Into::into);
                (Ok(Located::Held(held)), trail)
            }
            Answer::Passing(passing) => {
                let trail = passing.trail().into();
                (Ok(Located::Passing(passing)), Some(trail))
            }
            Answer::Unsatisfiable {
                total,
                origin,
                trail,
            } => (Err(Unlocated::Beyond { total, origin }), Some(trail)),
            Answer::Withdrawn { trail } => (Err(Unlocated::Gone), Some(trail)),
            Answer::Missing { trail } | Answer::Withheld { trail } => {
                (Err(Unlocated::Missing), Some(trail))
            }
            Answer::Unknown { retry_after, trail } => {
                (Err(Unlocated::Unknown { retry_after }), Some(trail))
            }
        }
    }

    /// Whether a key must stay gone for the routes of a cache space.
    pub(crate) fn is_gone(&self, space: &str, key: &ObjectKey) -> bool {
        self.keeping.as_ref().is_some_and(|keeping| {
            let tombstones = keeping.state.tombstones();
            tombstones.contains(space, key.as_str().as_bytes())
        })
    }

    /// Tells the metrics what depends on the moment.
    pub(crate) fn refresh_metrics(&self) {
        for (name, bytes) in self.allowances.left() {
            self.metrics.budget_left(name, bytes);
        }
        if let Some(promotions) = &self.promotions {
            self.metrics.waiting(promotions.waiting());
        }
        for withdrawals in self
            .routes
            .iter()
            .filter_map(|route| route.withdrawals.as_ref())
        {
            withdrawals.refresh();
        }
    }

    /// The canaries that each origin has learned.
    pub(crate) fn learned_canaries(&self) -> BTreeMap<String, Vec<ObjectKey>> {
        self.origins
            .iter()
            .map(|origin| (origin.name().to_owned(), origin.learned_canaries()))
            .filter(|(_, keys)| !keys.is_empty())
            .collect()
    }

    /// Gives back what was learned in an earlier life.
    pub(crate) fn restore_canaries(&self, mut canaries: BTreeMap<String, Vec<ObjectKey>>) {
        for origin in &self.origins {
            if let Some(keys) = canaries.remove(origin.name()) {
                origin.restore_canaries(keys);
            }
        }
    }

    /// A seeded hash of one version of one object.
    pub(crate) fn version_hash(&self, version: impl std::hash::Hash) -> u64 {
        self.seed.hash_one(version)
    }
}

/// Every origin of a configuration that is not retired.
pub(crate) fn guard_origins(
    config: &Config,
    tasks: &TaskTracker,
    observer: impl Fn(&str) -> Arc<dyn OriginObserver>,
) -> Result<Vec<Arc<GuardedOrigin>>, BuildError> {
    let names = Names::new();
    config
        .origin_settings()
        .map(|settings| {
            let origin = build(settings, &names)?;
            let observer = observer(&settings.name);
            Ok(GuardedOrigin::new(
                settings.clone(),
                origin,
                observer,
                tasks.clone(),
            ))
        })
        .collect()
}

fn cache_settings(config: &config::Cache) -> Settings {
    Settings {
        disk: DiskSettings {
            directory: config.directory.clone(),
            max_size_bytes: config.max_size_bytes,
            min_free_bytes: config.min_free_bytes,
            inactive: config.inactive,
            max_files: None,
        },
        memory_bytes: config.memory_bytes,
        fill_memory_bytes: config.fill_memory_bytes,
        found: config.found,
        missing: config.missing,
        clock: Settings::system_clock(),
    }
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
