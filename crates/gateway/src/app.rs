//! Everything a request needs, put together once from the configuration.
//!
//! The only constructor. Contacts nothing: the gateway starts with every origin, DNS and the
//! network down.

mod route;
mod succession;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cache::{Answer, Cache, DiskSettings, Held, Settings};
use http::HeaderValue;
use object::{ObjectKey, Part};
use origin_resolver::{BuildError, GuardedOrigin, Names, OriginObserver, build};
use state::StateDirectory;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::clock::unix_now;
use crate::config::{self, Config};
use crate::edge::Edge;
use crate::fleet::Fleet;
use crate::http::respond::Refusal;
use crate::lending::Allowances;
use crate::located::Located;
use crate::metrics::Metrics;
use crate::promotion::Promotions;
use crate::routes::{Routes, is_published};
use crate::tls::Shown;
use crate::withdrawals::Book;

pub(crate) use route::Route;

/// Places remembered per route; 40 bytes each.
pub(crate) const HINTS: usize = 100_000;
/// Repaired types remembered.
const REPAIRED_TYPES: usize = 10_000;

/// The gateway's inside.
pub(crate) struct App {
    pub(crate) table: Routes,
    pub(crate) routes: Vec<Arc<Route>>,
    pub(crate) origins: Vec<Arc<GuardedOrigin>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) keeping: Option<Keeping>,
    /// `None` where no route promotes.
    pub(crate) promotions: Option<Arc<Promotions>>,
    /// What may be read in the background, of the origins with `max_egress`.
    pub(crate) allowances: Arc<Allowances>,
    /// Bodies being sent at one time.
    pub(crate) bodies: Arc<Semaphore>,
    most_bodies: usize,
    /// Types found by looking at an object's first bytes, so that a HEAD or a range does not read
    /// them again. Keyed by a seeded hash of route, key and version.
    pub(crate) repaired: Arc<RepairedTypes>,
    pub(crate) seed: RandomState,
    pub(crate) origin_header: bool,
    pub(crate) client_addresses: config::ClientAddresses,
    pub(crate) access: Arc<Access>,
    pub(crate) edge: Edge,
    pub(crate) lasting: Lasting,
    /// What a changed configuration has put in its place.
    pub(crate) successor: OnceLock<Arc<App>>,
}

/// Types found by looking at an object's first bytes.
pub(crate) type RepairedTypes = quick_cache::sync::Cache<u64, HeaderValue>;

/// What a change of the configuration leaves as it is.
#[derive(Clone)]
pub(crate) struct Lasting {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) keeping: Option<Keeping>,
    /// The other gateways that are told what is gone.
    pub(crate) fleet: Option<Arc<Fleet>>,
    pub(crate) tasks: TaskTracker,
    pub(crate) names: Names,
    pub(crate) book: Option<Arc<Book>>,
    /// Where TLS ends here.
    pub(crate) tls: Option<EndOfTls>,
    repaired: Arc<RepairedTypes>,
    seed: RandomState,
}

/// Where TLS ends.
#[derive(Clone)]
pub(crate) struct EndOfTls {
    pub(crate) shown: Arc<Shown>,
    /// The port of the first listener.
    pub(crate) port: u16,
}

/// What keeps and forgets; commands that only look have none of it.
#[derive(Clone)]
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
        tls: Option<EndOfTls>,
    ) -> Result<Arc<Self>, BuildError> {
        let metrics = Metrics::new(connections);
        let cache = Cache::new(
            cache_settings(&config.cache),
            metrics.cache_observer(),
            tasks,
            stop,
        );
        Self::first(config, metrics, tasks, Some(Keeping { cache, state }), tls)
    }

    /// For commands that only look: nothing is counted, kept or remembered.
    ///
    /// # Errors
    /// An origin cannot exist as it is configured.
    pub(crate) fn for_looking(config: &Config) -> Result<Arc<Self>, BuildError> {
        let metrics = Metrics::new(Arc::default());
        Self::first(config, metrics, &TaskTracker::new(), None, None)
    }

    fn first(
        config: &Config,
        metrics: Metrics,
        tasks: &TaskTracker,
        keeping: Option<Keeping>,
        tls: Option<EndOfTls>,
    ) -> Result<Arc<Self>, BuildError> {
        let spent = keeping.as_ref().map(|keeping| keeping.state.egress());
        let book = keeping
            .as_ref()
            .map(|keeping| Arc::new(Book::new(Arc::clone(keeping.state.ledger()))));
        let allowances = Arc::new(Allowances::new(config, spent.unwrap_or_default()));
        let names = Names::new();
        let origins = guard_origins(config, &names, tasks, |name| {
            metrics.origin(name, allowances.get(name).cloned())
        })?;
        let fleet = keeping.as_ref().zip(config.fleet.clone());
        let fleet = fleet
            .map(|(keeping, fleet)| Fleet::new(fleet, Arc::clone(&keeping.state), metrics.fleet()));
        let lasting = Lasting {
            metrics: Arc::new(metrics),
            fleet,
            keeping,
            tasks: tasks.clone(),
            names,
            book,
            tls,
            repaired: Arc::new(quick_cache::sync::Cache::new(REPAIRED_TYPES)),
            seed: RandomState::new(),
        };
        Ok(Self::build(config, lasting, allowances, origins, None))
    }

    /// Puts everything together; routes that `before` had as they are now are taken from it.
    pub(crate) fn build(
        config: &Config,
        lasting: Lasting,
        allowances: Arc<Allowances>,
        origins: Vec<Arc<GuardedOrigin>>,
        before: Option<&Self>,
    ) -> Arc<Self> {
        let routes = config
            .routes
            .iter()
            .map(|route| Route::new(config, route, &lasting, &origins, before))
            .collect();
        Arc::new(Self {
            table: Routes::new(&config.routes),
            routes,
            origins,
            promotions: promotions(config, &lasting, before),
            metrics: Arc::clone(&lasting.metrics),
            keeping: lasting.keeping.clone(),
            allowances,
            bodies: match before {
                Some(before) if before.most_bodies == config.server.limits.bodies => {
                    Arc::clone(&before.bodies)
                }
                _ => Arc::new(Semaphore::new(config.server.limits.bodies)),
            },
            most_bodies: config.server.limits.bodies,
            repaired: Arc::clone(&lasting.repaired),
            seed: lasting.seed.clone(),
            origin_header: config.server.origin_header,
            client_addresses: config.log.client_addresses,
            access: Access::new(config.log.access),
            edge: Edge::new(&config.server, lasting.tls.as_ref().map(|tls| tls.port)),
            lasting,
            successor: OnceLock::new(),
        })
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
                self.offer(route, key, part, &held);
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
            Answer::Unknown { retry_after, trail } => match self.heir_of(route, key) {
                // An origin that has left may be all that kept this one from an answer.
                Some((next, route)) => Box::pin(next.open(route, key, part)).await,
                None => (Err(Unlocated::Unknown { retry_after }), Some(trail)),
            },
        }
    }

    /// The right to send one more body.
    pub(crate) fn permit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let permit = Arc::clone(&self.bodies).try_acquire_owned();
        permit.map_err(|_| Refusal::TooManyBodies)
    }

    /// What is answered with is copied to where its route promotes, if it is not there.
    pub(crate) fn offer(&self, route: &Arc<Route>, key: &ObjectKey, part: Part, held: &Held) {
        if let (Some(promotions), Some(target), true) = (
            &self.promotions,
            &route.config.promote_to,
            part != Part::Head,
        ) && *held.origin() != **target
        {
            promotions.offer(self, route, key);
        }
    }

    /// Where a key of a route is answered by now, if that has changed.
    fn heir_of(&self, route: &Route, key: &ObjectKey) -> Option<(&Self, &Arc<Route>)> {
        let next = self.successor.get()?;
        let is_it = |other: &&Arc<Route>| other.config.name == route.config.name;
        let route = next.routes.iter().find(is_it)?;
        is_published(&route.config, key).then_some((next, route))
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
        if let Some(tls) = &self.lasting.tls {
            let now = i64::try_from(unix_now()).unwrap_or(i64::MAX);
            let shown = tls.shown.now();
            let left = shown.iter().map(|one| (&*one.name, one.not_after - now));
            self.metrics.certificates(left);
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

fn promotions(config: &Config, lasting: &Lasting, before: Option<&App>) -> Option<Arc<Promotions>> {
    lasting.keeping.as_ref()?;
    let mut promotes = false;
    for target in config.routes.iter().flat_map(|route| &route.promote_to) {
        lasting.metrics.promotes_to(target);
        promotes = true;
    }
    let known = before.and_then(|before| before.promotions.clone());
    known.or_else(|| promotes.then(|| Arc::new(Promotions::new())))
}

/// Every origin of a configuration that is not retired.
pub(crate) fn guard_origins(
    config: &Config,
    names: &Names,
    tasks: &TaskTracker,
    observer: impl Fn(&str) -> Arc<dyn OriginObserver>,
) -> Result<Vec<Arc<GuardedOrigin>>, BuildError> {
    config
        .origin_settings()
        .map(|settings| {
            let origin = build(settings, names)?;
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
            rows_bytes: cache::rows_bytes(config.memory_bytes),
        },
        memory_bytes: config.memory_bytes,
        fill_memory_bytes: config.fill_memory_bytes,
        found: config.found,
        missing: config.missing,
        clock: Settings::system_clock(),
    }
}
