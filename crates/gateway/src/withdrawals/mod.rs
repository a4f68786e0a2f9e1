//! Keys that the application has deleted: verified at a route's upload origin once, missing now.
//!
//! Notices them when a walk is told so, remembers them in the ledger, and says what that means
//! under the route's `deletes`. A missing that may not make a 404 makes nothing withdrawn, and a
//! ledger that does not answer neither: then older origins answer as if nothing had happened.

mod book;
mod brake;
mod glance;
mod listing;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache::Cache;
use object::{ObjectHead, ObjectKey};
use origin_resolver::{Resolver, TrailStep, VerdictLabel};
use state::{By, Entry, Withdrawn};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::clock::unix_now;
use crate::config::{self, Deletes, Rate};
use crate::metrics::RouteMetrics;

pub(crate) use book::{Book, Known, Silent};
use brake::{Brake, Turn};
use glance::Glances;
pub(crate) use listing::{Listed, Page};

/// Places where it is remembered that an upload origin was asked beside the walk.
pub(crate) const GLANCES: usize = glance::PLACES;

/// How long a deleted key's upload origin may take to say that it is there again.
const ASK_WITHIN: Duration = Duration::from_secs(2);
/// How long the first deletion after a start waits to know what was followed before it.
const PRIME_WITHIN: Duration = Duration::from_secs(2);
/// How long an answer waits until copies are gone for good; they are out of use at once.
const DROP_WITHIN: Duration = Duration::from_secs(2);

/// The withdrawn keys of one route.
pub(crate) struct Withdrawals {
    route: Box<str>,
    space: Arc<str>,
    /// The upload origin, then every other origin of the route, retired ones too: what was
    /// deleted where the application wrote before is deleted.
    places: Arc<[Box<str>]>,
    deletes: Deletes,
    rate: Rate,
    brake: Arc<OnceCell<Mutex<Brake>>>,
    glances: Glances,
    resolver: Resolver,
    book: Arc<Book>,
    cache: Cache,
    tasks: TaskTracker,
    metrics: Arc<RouteMetrics>,
}

/// A withdrawn key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Withdrawal {
    /// Where it was and is missing.
    pub(crate) origin: Box<str>,
    /// Since when, and whether that is followed.
    pub(crate) withdrawn: Withdrawn,
}

/// What a walk comes to, once it is known what the application has deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// What the walk says, as far as is known.
    AsWalked,
    /// What the walk says; but the application has deleted it, and nothing may copy it.
    Held,
    /// 410.
    Followed,
}

impl Withdrawals {
    pub(crate) fn new(
        route: &config::Route,
        resolver: Resolver,
        book: Arc<Book>,
        cache: Cache,
        tasks: TaskTracker,
        metrics: Arc<RouteMetrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            route: route.name.clone(),
            space: (&*route.cache_space).into(),
            places: places(route),
            deletes: route.deletes,
            rate: route.deletes_brake,
            brake: Arc::default(),
            glances: Glances::new(),
            resolver,
            book,
            cache,
            tasks,
            metrics,
        })
    }

    /// The same for a route that was configured otherwise before. What it followed counts.
    #[must_use]
    pub(crate) fn after(mut self: Arc<Self>, before: &Self) -> Arc<Self> {
        let is_same = self.rate == before.rate && self.uploads_to() == before.uploads_to();
        if is_same && let Some(new) = Arc::get_mut(&mut self) {
            new.brake = Arc::clone(&before.brake);
        }
        self
    }

    /// The withdrawal of a key, if the application has deleted it: then it must not be copied to
    /// any origin, and no copy may outlive the origins that have it.
    ///
    /// # Errors
    /// Nobody can say: then it must not be copied either.
    pub(crate) async fn find(&self, key: &ObjectKey) -> Result<Option<Withdrawal>, Silent> {
        let known = self.book.look(&self.places, key).await?;
        Ok(self.withdrawal(&known))
    }

    /// What is known of a key at each of the route's [`places`].
    ///
    /// # Errors
    /// Nobody can say.
    pub(crate) async fn known(&self, key: &ObjectKey) -> Result<Vec<Known>, Silent> {
        self.book.look(&self.places, key).await
    }

    /// When a key was last verified at the upload origin, in seconds since 1970, if the ledger
    /// knows it there.
    ///
    /// # Errors
    /// Nobody can say.
    pub(crate) async fn verified(&self, key: &ObjectKey) -> Result<Option<u64>, Silent> {
        let known = self.book.look(&self.places, key).await?;
        Ok(match known.first() {
            Some(Known::There { verified }) => Some(*verified),
            _ => None,
        })
    }

    /// Before a walk: whether the key stays gone, and what was said of it then. Only the upload
    /// origin is asked, and it alone can bring the key back.
    pub(crate) async fn stays_gone(&self, key: &ObjectKey) -> Option<String> {
        if self.deletes != Deletes::Follow {
            return None;
        }
        self.find(key).await.ok()??.withdrawn.followed?;
        let origin = self.uploads_to();
        let asked = timeout(ASK_WITHIN, self.resolver.ask_alone(origin, key)).await;
        let said = asked.map_or(VerdictLabel::Unknown, |said| said.label());
        let is_there = matches!(said, VerdictLabel::Found | VerdictLabel::Withheld);
        (!is_there).then(|| format!("{origin}={} withdrawn", said.label()))
    }

    /// After a walk: what it comes to. `found` where some origin had the key.
    pub(crate) async fn walked(
        self: &Arc<Self>,
        key: &ObjectKey,
        trail: &[TrailStep],
        found: bool,
    ) -> Ruling {
        let said = trail.iter().find(|step| *step.origin == *self.uploads_to());
        match said.map(|step| step.verdict) {
            Some(VerdictLabel::Missing) => self.missing(key).await,
            None if found => {
                let (me, key) = (Arc::clone(self), key.clone());
                self.tasks.spawn(async move { me.glance(&key).await });
                Ruling::AsWalked
            }
            _ => Ruling::AsWalked,
        }
    }

    /// A key was found at an origin.
    pub(crate) fn found_at(&self, origin: &str, key: &ObjectKey, head: &ObjectHead) {
        let Some(length) = head.length.filter(|_| origin == self.uploads_to()) else {
            return;
        };
        let entry = Entry {
            length,
            digest: head.proofs.own.or(head.proofs.checksum),
            verified: unix_now(),
            by: By::Serving,
            withdrawn: None,
        };
        self.book.verified(origin, key, entry);
    }

    /// A key was copied to an origin and verified there.
    pub(crate) fn copied_to(&self, origin: &str, key: &ObjectKey, entry: Entry) {
        self.book.verified(origin, key, entry);
    }

    /// Tells the metrics what depends on the time.
    pub(crate) fn refresh(&self) {
        let brake = self.brake.get().map(locked);
        let on = brake.is_some_and(|brake| brake.is_on(unix_now()));
        self.metrics.withdrawn_brake.set(i64::from(on));
    }

    /// The upload origin has said that it does not have a key.
    async fn missing(self: &Arc<Self>, key: &ObjectKey) -> Ruling {
        let Ok(known) = self.book.look(&self.places, key).await else {
            return Ruling::AsWalked;
        };
        let withdrawal = self.withdrawal(&known);
        let follows = self.deletes == Deletes::Follow;
        if withdrawal.is_none() && self.book.is_moving(self.uploads_to()) {
            return Ruling::AsWalked;
        }
        match &withdrawal {
            None if !matches!(known.first(), Some(Known::There { .. })) => {
                return Ruling::AsWalked;
            }
            Some(one) if follows && one.withdrawn.followed.is_some() => return Ruling::Followed,
            Some(_) if !follows => {
                self.resolver.forget_hint(key);
                return Ruling::Held;
            }
            _ => {}
        }
        // A walk that has found the key elsewhere has not asked the canaries.
        if !self.resolver.is_believed(self.uploads_to()).await {
            return withdrawal.map_or(Ruling::AsWalked, |_| Ruling::Held);
        }
        if follows {
            self.prime().await;
        }
        // The next walk asks the upload origin in its turn, so that a new upload is noticed.
        self.resolver.forget_hint(key);
        let (ruling, is_new) = self.decide(key, withdrawal.as_ref());
        if is_new {
            self.drop_copies(key).await;
        }
        ruling
    }

    /// Notes what was deleted and whether that is followed; whether it is since now.
    fn decide(&self, key: &ObjectKey, withdrawal: Option<&Withdrawal>) -> (Ruling, bool) {
        let _turn = self.book.turn();
        let now = unix_now();
        let origin = withdrawal.map_or(self.uploads_to(), |known| &known.origin);
        // Another walk for the same key may have been quicker.
        let noted = match self.book.recent(origin, key) {
            Some(Known::Gone(withdrawn)) => Some(withdrawn),
            _ => withdrawal.map(|known| known.withdrawn),
        };
        let withdrawn = match noted {
            Some(withdrawn) => withdrawn,
            None if self.book.withdrawn(origin, key, now) => {
                self.metrics.withdrawn.inc();
                tracing::info!(
                    route = &*self.route,
                    origin,
                    key = key.as_str(),
                    "withdrawn: it was verified there and is missing now, so the application has deleted it"
                );
                Withdrawn::since(now)
            }
            None => return (Ruling::AsWalked, false),
        };
        if self.deletes == Deletes::Hold {
            return (Ruling::Held, false);
        }
        if withdrawn.followed.is_some() {
            return (Ruling::Followed, false);
        }
        let Some(mut brake) = self.brake.get().map(locked) else {
            return (Ruling::Held, false);
        };
        match brake.turn(now) {
            Turn::Go if self.book.followed(origin, key, withdrawn, now) => (Ruling::Followed, true),
            Turn::Go => (Ruling::Held, false),
            Turn::Hold { say } => {
                if say {
                    self.say_that_it_holds();
                }
                (Ruling::Held, false)
            }
        }
    }

    /// Learns when deletions were followed before the start; at most once.
    async fn prime(self: &Arc<Self>) {
        if self.brake.initialized() {
            return;
        }
        let me = Arc::clone(self);
        let primed = self.tasks.spawn(async move {
            let prime = async || {
                let from = unix_now().saturating_sub(me.rate.per.as_secs());
                let times = me.book.followed_since(me.uploads_to(), from).await?;
                Ok::<_, Silent>(Mutex::new(Brake::new(me.rate, times)))
            };
            me.brake.get_or_try_init(prime).await.is_ok()
        });
        // It goes on behind that; until it is there, everything is held.
        let _ = timeout(PRIME_WITHIN, primed).await;
    }

    /// As for a tombstone: nothing is answered with it any more, and what is sent is cut.
    async fn drop_copies(&self, key: &ObjectKey) {
        let (cache, place) = (self.cache.clone(), (Arc::clone(&self.space), key.clone()));
        let dropped = self.tasks.spawn(async move { cache.erase(&[place]).await });
        let _ = timeout(DROP_WITHIN, dropped).await;
    }

    fn say_that_it_holds(&self) {
        tracing::warn!(
            route = &*self.route,
            origin = self.uploads_to(),
            followed = self.rate.count,
            within = ?self.rate.per,
            "more keys are missing at the upload origin than deletes_brake lets follow: the others are held, and still served from older origins. Look at GET /api/withdrawn: if the application has deleted them, raise deletes_brake or wait; if the origin has lost them, set deletes = \"hold\" and put them back"
        );
    }

    fn withdrawal(&self, known: &[Known]) -> Option<Withdrawal> {
        latest(known).map(|(index, withdrawn)| Withdrawal {
            origin: self.places[index].clone(),
            withdrawn,
        })
    }

    fn uploads_to(&self) -> &str {
        &self.places[0]
    }
}

/// Where a route's keys may have been deleted: the upload origin, then every other origin, retired
/// ones too.
pub(crate) fn places(route: &config::Route) -> Arc<[Box<str>]> {
    let others = route.origins.iter().chain(&route.retired);
    let others = others.filter(|name| **name != route.uploads_to);
    std::iter::once(&route.uploads_to)
        .chain(others)
        .cloned()
        .collect()
}

/// The latest word on a key, of what is known of it at each of its [`places`]: withdrawn where the
/// application writes, or where it wrote before and not seen where it writes since.
pub(crate) fn latest(known: &[Known]) -> Option<(usize, Withdrawn)> {
    let (first, others) = known.split_first()?;
    let verified = match first {
        Known::Gone(withdrawn) => return Some((0, *withdrawn)),
        Known::There { verified } => Some(*verified),
        Known::Never => None,
    };
    let earlier = (1..).zip(others).filter_map(|(index, known)| match known {
        Known::Gone(withdrawn) => Some((index, *withdrawn)),
        Known::There { .. } | Known::Never => None,
    });
    let counts = |since| verified.is_none_or(|verified| verified < since);
    earlier
        .filter(|(_, withdrawn)| counts(withdrawn.since))
        .max_by_key(|(_, withdrawn)| (withdrawn.followed.is_some(), withdrawn.since))
}

fn locked(brake: &Mutex<Brake>) -> MutexGuard<'_, Brake> {
    brake.lock().unwrap_or_else(PoisonError::into_inner)
}
