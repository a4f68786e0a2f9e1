//! Copies what was served from elsewhere to a route's `promote_to` origin, behind the answers.
//!
//! Keys wait in a queue of fixed length; what finds no room comes again with its next viewer. No
//! answer waits for any of it. What may be copied, and how, is in `copying`.

mod copying;
mod outcome;

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use object::ObjectKey;
use quick_cache::sync::Cache;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Route};
use crate::live::Live;
use copying::Copying;
pub(crate) use outcome::Outcome;

/// Keys that wait; about 200 bytes each.
const WAITING: usize = 4096;
/// Keys that were tried lately and are not tried again at once; 40 bytes each.
const TRIED: usize = 100_000;
/// What all of it takes at most; two objects of up to 64 MiB are held to be sent, where their
/// origin does not tell their MD5 beforehand.
pub(crate) const PROMOTION_BYTES: u64 = (WAITING * 200 + TRIED * 40) as u64 + 2 * 64 * 1024 * 1024;

/// A key that waits is not offered again.
const WHILE_WAITING: Duration = Duration::from_hours(1);

/// The keys that wait to be copied.
pub(crate) struct Promotions {
    offered: mpsc::Sender<Job>,
    /// Taken by whoever copies.
    jobs: Mutex<Option<mpsc::Receiver<Job>>>,
    /// When a key may be tried again.
    tried: Cache<u64, Instant>,
    seed: RandomState,
}

struct Job {
    route: Arc<Route>,
    key: ObjectKey,
}

impl Promotions {
    pub(crate) fn new() -> Self {
        let (offered, jobs) = mpsc::channel(WAITING);
        Self {
            offered,
            jobs: Mutex::new(Some(jobs)),
            tried: Cache::new(TRIED),
            seed: RandomState::new(),
        }
    }

    /// A key of a route with `promote_to` was served from another origin. Never waits.
    pub(crate) fn offer(&self, app: &App, route: &Arc<Route>, key: &ObjectKey) {
        let name = self.name(route, key);
        let now = Instant::now();
        if self.tried.get(&name).is_some_and(|again| now < again) {
            return;
        }
        self.tried.insert(name, now + WHILE_WAITING);
        let job = Job {
            route: Arc::clone(route),
            key: key.clone(),
        };
        if self.offered.try_send(job).is_err() {
            self.tried.remove(&name);
            if let Some(to) = &route.config.promote_to {
                app.metrics.promoted(to, Outcome::Crowded);
            }
        }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        WAITING - self.offered.capacity()
    }

    fn name(&self, route: &Route, key: &ObjectKey) -> u64 {
        self.seed.hash_one((&route.config.name, key))
    }
}

/// Copies what waits until `stop`; what is half copied then is taken back.
pub(crate) async fn run(live: &Live, stop: CancellationToken) {
    let Some(Some(promotions)) = stop.run_until_cancelled(begun(live)).await else {
        return;
    };
    let taken = promotions.jobs.lock();
    let taken = taken.unwrap_or_else(PoisonError::into_inner).take();
    let Some(jobs) = taken else {
        return;
    };
    let jobs = tokio::sync::Mutex::new(jobs);
    // Two at one time: a large one does not hold up all others.
    let one = Box::pin(work(live, &promotions, &jobs));
    let other = Box::pin(work(live, &promotions, &jobs));
    let all = stop.run_until_cancelled(futures_util::future::join(one, other));
    all.await;
}

/// Waits for a configuration in which a route promotes.
async fn begun(live: &Live) -> Option<Arc<Promotions>> {
    let mut changes = live.changes();
    loop {
        if let Some(promotions) = &live.app().promotions {
            return Some(Arc::clone(promotions));
        }
        changes.changed().await.ok()?;
    }
}

async fn work(
    live: &Live,
    promotions: &Promotions,
    jobs: &tokio::sync::Mutex<mpsc::Receiver<Job>>,
) {
    loop {
        let next = jobs.lock().await.recv().await;
        let Some(job) = next else {
            return;
        };
        let outcome = promote(&live.app(), &job).await;
        let name = promotions.name(&job.route, &job.key);
        let again = Instant::now() + outcome.again_after();
        promotions.tried.insert(name, again);
    }
}

/// By what the route is now, not by what it was when the key was offered.
async fn promote(app: &Arc<App>, job: &Job) -> Outcome {
    let mut routes = app.routes.iter();
    let Some(route) = routes.find(|route| route.config.name == job.route.config.name) else {
        return Outcome::Failed;
    };
    let Some(copying) = Copying::of(app, route, &job.key) else {
        return Outcome::Failed;
    };
    let outcome = copying.run().await;
    app.metrics.promoted(copying.to.name(), outcome);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn app() -> Arc<App> {
        let text = "[origins.old]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n\
                    [origins.disk]\nkind = \"filesystem\"\nroot = \"/nowhere\"\nwritable = true\n\
                    [[routes]]\nurl = \"/\"\norigins = [\"disk\", \"old\"]\npromote_to = \"disk\"\n";
        App::for_looking(&Config::parse("test.toml", text, []).unwrap().config).unwrap()
    }

    fn crowded(app: &App) -> String {
        let text = app.metrics.text(None);
        let line = "promotions_total{origin=\"disk\",result=\"crowded\"}";
        let line = text.lines().find(|one| one.contains(line));
        line.and_then(|line| line.split(' ').nth(1))
            .unwrap_or("0")
            .to_owned()
    }

    #[tokio::test]
    async fn what_finds_no_room_is_counted_and_waits_once_its_next_viewer_finds_some() {
        let (app, promotions) = (app(), Promotions::new());
        let offer = |n: usize| {
            let key = ObjectKey::parse(&format!("k/{n}")).unwrap();
            promotions.offer(&app, &app.routes[0], &key);
        };
        (0..WAITING).for_each(offer);
        // Again: what waits is not offered twice.
        (0..WAITING).for_each(offer);
        assert_eq!((promotions.waiting(), &*crowded(&app)), (WAITING, "0"));
        offer(WAITING);
        offer(WAITING);
        assert_eq!((promotions.waiting(), &*crowded(&app)), (WAITING, "2"));
        let jobs = promotions.jobs.lock().unwrap().take();
        let mut jobs = jobs.unwrap();
        assert_eq!(jobs.recv().await.unwrap().key.as_str(), "k/0");
        assert_eq!(promotions.waiting(), WAITING - 1);
        offer(WAITING);
        assert_eq!((promotions.waiting(), &*crowded(&app)), (WAITING, "2"));
    }
}
