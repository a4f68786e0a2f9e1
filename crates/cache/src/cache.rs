//! The way to an object: memory, whoever uses it at this moment, the disk, and then the origins,
//! once for all who want it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use object::{Extent, ObjectKey, Part};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{Answer, Copied};
use crate::brief::{Absent, Brief, Passes};
use crate::disk::{Disk, DiskError, DiskSettings, Purge, Purged, Sourced, Usage, Verified};
use crate::held::{Held, Passing, Served};
use crate::lift::Lifts;
use crate::live::Live;
use crate::memory::Memory;
use crate::observer::{CacheObserver, Tier};
use crate::opening::{Settled, SettledAs};
use crate::openings::{Claim, Openings, Turn};
use crate::parts::{Clock, PERMIT_BYTES, Parts};
use crate::place::Place;
use crate::segment::first_part;
use crate::slice::SLICE_BYTES;
use crate::source::{Found, Opened, Opening, Source};
use crate::version::Version;

/// A failure is shared with those who ask within this time, and no longer.
const SHARE_FAILURES: Duration = Duration::from_secs(1);

/// Purges at one time: the disk remembers each until it is swept, and drops everything where it
/// cannot remember them all.
const PURGED_TOGETHER: usize = 1000;

/// How long slices that are being kept are waited for at the end.
const KEPT_WITHIN: Duration = Duration::from_secs(2);

/// How the cache is set up.
#[derive(Clone)]
pub struct Settings {
    /// The disk.
    pub disk: DiskSettings,
    /// Bytes of memory for objects.
    pub memory_bytes: u64,
    /// Bytes of memory for downloads under way.
    pub fill_memory_bytes: u64,
    /// How long a copy is used without asking again.
    pub found: Duration,
    /// How long *missing* is remembered.
    pub missing: Duration,
    /// The time of day.
    pub clock: Clock,
}

impl Settings {
    /// The clock of this machine.
    pub fn system_clock() -> Clock {
        Arc::new(SystemTime::now)
    }
}

/// Copies of what was served, and the downloads that fill them.
#[derive(Clone)]
pub struct Cache {
    pub(crate) parts: Arc<Parts>,
    openings: Arc<Openings<(u64, Place), Settled>>,
}

impl Cache {
    /// An empty memory over whatever the disk holds. Does not wait for the disk. Tasks run on
    /// `tasks`; `stop` ends those that do not end by themselves.
    pub fn new(
        settings: Settings,
        observer: Arc<dyn CacheObserver>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let permits = (settings.fill_memory_bytes / PERMIT_BYTES)
            .max(SLICE_BYTES / PERMIT_BYTES)
            .min(Semaphore::MAX_PERMITS as u64);
        let parts = Parts {
            memory: Memory::new(settings.memory_bytes),
            disk: Disk::start(settings.disk, Arc::clone(&observer), tasks, stop.clone()),
            live: Live::new(),
            brief: Brief::new(settings.missing),
            fill_memory: Arc::new(Semaphore::new(usize::try_from(permits).unwrap_or(1))),
            lifts: Lifts::default(),
            observer,
            tasks: tasks.clone(),
            keeping: TaskTracker::new(),
            clock: settings.clock,
            found: settings.found,
        };
        Self {
            parts: Arc::new(parts),
            openings: Arc::new(Openings::new()),
        }
    }

    /// Waits until the disk was opened for the first time.
    ///
    /// # Errors
    /// It cannot be used; the message carries the remedy. The cache works without it, and goes on
    /// trying.
    pub async fn first_attempt(&self) -> Result<(), DiskError> {
        self.parts.disk.first_attempt().await
    }

    /// Answers a request for a part of an object.
    pub async fn open(
        &self,
        space: &Arc<str>,
        key: &ObjectKey,
        source: &Arc<dyn Source>,
        wanted: Part,
    ) -> Answer {
        let place = Place {
            space: Arc::clone(space),
            key: key.clone(),
        };
        if let Some(mut entry) = self
            .parts
            .at_hand(&place)
            .filter(|entry| !entry.version.is_gone())
        {
            let mut tier = Tier::Memory;
            if entry.bytes.is_none() {
                entry.bytes = self.parts.bring(&entry.version).await;
                if entry.bytes.is_some() {
                    tier = Tier::Disk;
                }
            }
            return self.hit(entry, tier, source);
        }
        if let Some((absent, trail)) = self.parts.brief.is_absent(source.list(), &place) {
            return absently(absent, trail);
        }
        // Nothing of it would be kept: what is asked for need not begin with a slice.
        if !source.keeps() {
            return self.ask_alone(&place, source, wanted).await;
        }
        let name = (source.list(), place);
        loop {
            let (follow, collapsed) = match self.openings.join(&name) {
                Turn::Lead(claim) => {
                    if let Some((entry, tier)) = self.parts.known(&name.1).await {
                        claim.settle(SettledAs::Known(entry.clone()).without_trail());
                        return self.hit(entry, tier, source);
                    }
                    let follow = claim.follow();
                    self.lead(claim, &name.1, source, wanted);
                    (follow, false)
                }
                Turn::Follow(follow) => {
                    self.parts.observer.follower();
                    (follow, true)
                }
            };
            if let Some(settled) = follow.outcome().await {
                return self
                    .answer(settled, &name.1, source, wanted, collapsed)
                    .await;
            }
        }
    }

    /// Opens on a task of its own, so that a leader whose client goes away holds up nobody.
    fn lead(
        &self,
        claim: Claim<(u64, Place), Settled>,
        place: &Place,
        source: &Arc<dyn Source>,
        wanted: Part,
    ) {
        let (parts, place, source) = (Arc::clone(&self.parts), place.clone(), Arc::clone(source));
        self.parts.tasks.spawn(async move {
            let number = parts.disk.next_number();
            // What could not be kept is asked for as it is wanted, and looked at again: it may come
            // from another origin this time.
            let part = match parts.brief.passing(&place) {
                Some(Passes::InPieces) => wanted,
                Some(Passes::AtOnce) if wanted != Part::Whole => wanted,
                _ => first_part(wanted, parts.disk.is_up()),
            };
            let Opened { outcome, trail } = source.open(&place.key, part).await;
            let result = parts
                .settle(number, &place, &source, wanted, outcome, &trail)
                .await;
            let failed = matches!(result, SettledAs::Unknown(_));
            let shared = claim.settle(Settled { result, trail });
            if failed {
                tokio::time::sleep(SHARE_FAILURES).await;
            }
            drop(shared);
        });
    }

    async fn answer(
        &self,
        settled: Settled,
        place: &Place,
        source: &Arc<dyn Source>,
        wanted: Part,
        collapsed: bool,
    ) -> Answer {
        let Settled { result, trail } = settled;
        match result {
            SettledAs::Known(entry) => self.hit(entry, Tier::Memory, source),
            SettledAs::Version(version, lease) => Answer::Held(Box::new(Held {
                parts: Arc::clone(&self.parts),
                source: Arc::clone(source),
                version,
                bytes: None,
                served: Served::Miss,
                collapsed,
                lease,
                trail: (!collapsed).then_some(trail),
            })),
            SettledAs::Passing(part, found) => {
                let found = found.lock().take().filter(|_| part == wanted);
                match found {
                    Some(found) => self.pass(found, place, trail),
                    None => self.ask_alone(place, source, wanted).await,
                }
            }
            SettledAs::Unsatisfiable(total, origin) => Answer::Unsatisfiable {
                total,
                origin,
                trail,
            },
            SettledAs::Absent(absent) => absently(absent, trail),
            SettledAs::Withheld => Answer::Withheld { trail },
            SettledAs::Unknown(retry_after) => Answer::Unknown { retry_after, trail },
        }
    }

    /// What cannot be kept cannot be shared either.
    async fn ask_alone(&self, place: &Place, source: &Arc<dyn Source>, wanted: Part) -> Answer {
        let Opened { outcome, trail } = source.open(&place.key, wanted).await;
        match outcome {
            Opening::Found(found) if found.extent == Extent::Unsatisfiable => {
                let total = found.head.length.unwrap_or(0);
                let origin = Arc::clone(&found.origin);
                Answer::Unsatisfiable {
                    total,
                    origin,
                    trail,
                }
            }
            Opening::Found(found) => self.pass(found, place, trail),
            Opening::Missing { .. } => Answer::Missing { trail },
            Opening::Withdrawn => Answer::Withdrawn { trail },
            Opening::Withheld => Answer::Withheld { trail },
            Opening::Unknown { retry_after } => Answer::Unknown { retry_after, trail },
        }
    }

    fn pass(&self, found: Box<Found>, place: &Place, trail: Arc<str>) -> Answer {
        Answer::Passing(Box::new(Passing {
            found,
            life: self.parts.live.pass(place),
            trail,
        }))
    }

    /// Drops what matches. From the moment of the call nothing of it is answered with any more,
    /// and no late download brings it back. The future, which must be polled, resolves when that
    /// is durable. Running responses go on.
    pub fn purge(&self, what: Purge) -> impl Future<Output = Purged> + Send + use<> {
        let Parts {
            disk,
            live,
            memory,
            brief,
            ..
        } = &*self.parts;
        let number = disk.next_number();
        let purged = disk.purge(what.clone());
        if let Purge::Key { space, key } = what {
            let place = Place { space, key };
            live.retire(&place);
            memory.drop_place(&place);
            brief.changed(&place, number);
        } else {
            let matches = |place: &Place| what.takes(&place.space, &place.key);
            live.retire_matching(matches);
            memory.drop_matching(matches);
            brief.clear();
        }
        purged
    }

    /// Drops all that matches any of these.
    pub async fn purge_all(&self, what: &[Purge]) -> Purged {
        let mut all = Purged::NOTHING;
        for some in what.chunks(PURGED_TOGETHER) {
            let purges = some.iter().map(|what| self.purge(what.clone()));
            join_all(purges)
                .await
                .into_iter()
                .for_each(|purged| all.add(purged));
        }
        all
    }

    /// Drops keys everywhere. What is being sent of them, of any of them, is cut before the first
    /// of them is waited for.
    pub async fn erase(&self, keys: &[(Arc<str>, ObjectKey)]) -> Purged {
        let places: Vec<_> = keys
            .iter()
            .map(|(space, key)| Place {
                space: Arc::clone(space),
                key: key.clone(),
            })
            .collect();
        let cut = |places: &[Place]| places.iter().for_each(|place| self.parts.live.cut(place));
        cut(&places);
        let mut erased = Purged::NOTHING;
        for some in places.chunks(PURGED_TOGETHER) {
            let purges: Vec<_> = some
                .iter()
                .cloned()
                .map(|Place { space, key }| self.purge(Purge::Key { space, key }))
                .collect();
            // What was opened between the two is found by now.
            cut(some);
            join_all(purges)
                .await
                .into_iter()
                .for_each(|purged| erased.add(purged));
        }
        erased
    }

    /// Cuts what is being sent of all keys that match, and uses none of their copies in memory any
    /// more.
    pub fn cut(&self, matches: impl Fn(&str, &ObjectKey) -> bool) {
        let matches = |place: &Place| matches(&place.space, &place.key);
        self.parts.memory.drop_matching(matches);
        self.parts.live.cut_matching(matches);
    }

    /// Shares no failure any more, as after a second.
    #[cfg(test)]
    pub(crate) fn forget_failures(&self) {
        self.openings.clear();
    }

    /// Forgets what is remembered for seconds, as time does.
    #[cfg(test)]
    pub(crate) fn forget_moments(&self) {
        self.parts.brief.clear();
    }

    /// What is held of an object, for whoever only wants to know.
    pub async fn look(&self, space: &Arc<str>, key: &ObjectKey) -> Option<Copied> {
        let place = Place {
            space: Arc::clone(space),
            key: key.clone(),
        };
        let version = if let Some(entry) = self.parts.at_hand(&place) {
            entry.version
        } else {
            let row = self.parts.disk.find(&place.space, &place.key).await?;
            Arc::new(Version::of_row(row, &self.parts.live))
        };
        let age_seconds = self.parts.now().saturating_sub(version.checked());
        Some(Copied {
            origin: (&*version.origin()).into(),
            length: version.total,
            age_seconds,
            is_old: Duration::from_secs(age_seconds) > self.parts.found,
            is_gone: version.is_gone(),
        })
    }

    /// Of which keys there is a copy on the disk that this origin gave, or confirmed last, some
    /// at a time.
    ///
    /// # Errors
    /// The disk cannot be used.
    pub async fn sourced(
        &self,
        origin: &str,
        after: Option<Vec<u8>>,
    ) -> Result<Sourced, DiskError> {
        self.parts.disk.sourced(origin, after).await
    }

    /// What lies on the disk.
    pub fn usage(&self) -> Usage {
        self.parts.disk.usage()
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> u64 {
        self.parts.memory.bytes()
    }

    /// Reads every copy on the disk again, checks it, and removes what is damaged.
    ///
    /// # Errors
    /// The disk cannot be used.
    pub async fn verify(&self) -> Result<Verified, DiskError> {
        self.parts.disk.verify().await
    }

    /// Whether the disk can be used.
    pub fn is_up(&self) -> bool {
        self.parts.disk.is_up()
    }

    /// Writes down what waits, slices that have just arrived whole too, and marks the cache as
    /// cleanly closed.
    pub async fn close(&self) {
        self.parts.keeping.close();
        // A disk that is so slow is not waited for.
        let _ = timeout(KEPT_WITHIN, self.parts.keeping.wait()).await;
        self.parts.disk.close().await;
    }
}

fn absently(absent: Absent, trail: Arc<str>) -> Answer {
    match absent {
        Absent::Missing => Answer::Missing { trail },
        Absent::Withdrawn => Answer::Withdrawn { trail },
    }
}
