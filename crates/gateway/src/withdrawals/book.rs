//! What the ledger knows of keys, for those who must not wait for its disk.
//!
//! Asked off the runtime and within a deadline; what was noted a moment ago is known before it is
//! durable. An answer that does not come in time is none: then nobody may act on it. Decides
//! nothing.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use object::ObjectKey;
use quick_cache::sync::Cache;
use state::{Entry, Ledger, Withdrawn};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// Keys of which it is remembered what was noted last; far more than are noted before the ledger
/// has written them.
const RECENT: usize = 20_000;
/// Questions to the ledger at one time.
const PERMITS: usize = 16;
/// How long one may take, its turn included.
const WITHIN: Duration = Duration::from_millis(250);
/// A ledger that did not answer in time is not asked for so long.
const REST: Duration = Duration::from_secs(5);
/// How often that is said.
const SAY_EVERY: Duration = Duration::from_mins(1);

/// The ledger, and what was noted in it lately.
pub(crate) struct Book {
    ledger: Arc<Ledger>,
    // Keyed by a seeded hash of origin and key.
    recent: Cache<u64, Known>,
    seed: RandomState,
    permits: Arc<Semaphore>,
    silence: Mutex<Silence>,
    turn: Mutex<()>,
    /// Origins whose name means another place, until the ledger has forgotten the old one's keys.
    moving: RwLock<Box<[Box<str>]>>,
}

/// What is known of a key at an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It was never verified there.
    Never,
    /// It was there when it was last asked for.
    There {
        /// Seconds since 1970.
        verified: u64,
    },
    /// It was there, and is missing now.
    Gone(Withdrawn),
}

/// The ledger does not say anything, so nothing may be concluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ledger cannot be asked at the moment")]
pub(crate) struct Silent;

#[derive(Default)]
struct Silence {
    until: Option<Instant>,
    said_at: Option<Instant>,
}

impl Book {
    pub(crate) fn new(ledger: Arc<Ledger>) -> Self {
        Self {
            ledger,
            recent: Cache::new(RECENT),
            seed: RandomState::new(),
            permits: Arc::new(Semaphore::new(PERMITS)),
            silence: Mutex::default(),
            turn: Mutex::new(()),
            moving: RwLock::default(),
        }
    }

    /// A new book for the same ledger: of the keys that it has of these origins nothing follows
    /// until [`Self::has_moved`].
    pub(crate) fn moving(&self, origins: &[Box<str>]) -> Self {
        Self {
            moving: RwLock::new(origins.into()),
            ..Self::new(Arc::clone(&self.ledger))
        }
    }

    /// The ledger has forgotten them.
    pub(crate) fn has_moved(&self) {
        *self.moving.write().unwrap_or_else(PoisonError::into_inner) = Box::default();
    }

    /// Whether what the ledger has of an origin is of another place.
    pub(crate) fn is_moving(&self, origin: &str) -> bool {
        let moving = self.moving.read().unwrap_or_else(PoisonError::into_inner);
        moving.iter().any(|name| **name == *origin)
    }

    /// What is known of a key at each of these origins, in their order.
    ///
    /// # Errors
    /// The ledger is down or slow.
    pub(crate) async fn look(
        &self,
        origins: &Arc<[Box<str>]>,
        key: &ObjectKey,
    ) -> Result<Vec<Known>, Silent> {
        let recent: Vec<_> = origins
            .iter()
            .map(|origin| self.recent(origin, key))
            .collect();
        if let Some(known) = recent.iter().copied().collect() {
            return Ok(known);
        }
        let (origins, key) = (Arc::clone(origins), key.clone());
        let all = move |ledger: &Ledger| {
            let each = origins.iter().zip(recent);
            let known = each.map(|(origin, recent)| {
                recent.unwrap_or_else(|| Known::from(ledger.get(origin, &key)))
            });
            let known: Vec<_> = known.collect();
            // Afterwards: one that has failed meanwhile has told nothing.
            ledger.is_up().then_some(known).ok_or(Silent)
        };
        self.ask(all).await
    }

    /// What was noted of a key at an origin lately.
    pub(crate) fn recent(&self, origin: &str, key: &ObjectKey) -> Option<Known> {
        self.recent.get(&self.seed.hash_one((origin, key)))
    }

    /// When deletions of an origin's keys were followed, from a time on, in seconds since 1970.
    /// Reads all that the ledger has of the origin, on a thread that may block.
    ///
    /// # Errors
    /// The ledger is down.
    pub(crate) async fn followed_since(&self, origin: &str, from: u64) -> Result<Vec<u64>, Silent> {
        let (ledger, origin) = (Arc::clone(&self.ledger), origin.to_owned());
        let read = tokio::task::spawn_blocking(move || {
            let times = ledger.iter(&origin).filter_map(|row| match row {
                Ok((_, entry)) => entry.withdrawn?.followed.filter(|at| *at >= from).map(Ok),
                Err(_) => Some(Err(Silent)),
            });
            times.collect()
        });
        read.await.unwrap_or(Err(Silent))
    }

    /// The ledger itself, for those who may block.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Notes that a key is at an origin.
    pub(crate) fn verified(&self, origin: &str, key: &ObjectKey, entry: Entry) {
        if self.ledger.verified(origin, key, entry) {
            self.remember(origin, key, Known::from(Some(entry)));
        }
    }

    /// Notes that a key is missing where it was verified; whether there was room to note it.
    pub(crate) fn withdrawn(&self, origin: &str, key: &ObjectKey, since: u64) -> bool {
        let noted = self.ledger.withdrawn(origin, key, since);
        if noted {
            self.remember(origin, key, Known::Gone(Withdrawn::since(since)));
        }
        noted
    }

    /// Notes that a withdrawn key is served from nowhere else; whether there was room.
    pub(crate) fn followed(
        &self,
        origin: &str,
        key: &ObjectKey,
        withdrawn: Withdrawn,
        at: u64,
    ) -> bool {
        let noted = self.ledger.followed(origin, key, at);
        if noted {
            let followed = Some(at);
            let withdrawn = Withdrawn {
                followed,
                ..withdrawn
            };
            self.remember(origin, key, Known::Gone(withdrawn));
        }
        noted
    }

    /// One at a time may look at what is recent and note what follows from it.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, origin: &str, key: &ObjectKey, known: Known) {
        self.recent.insert(self.seed.hash_one((origin, key)), known);
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Ledger) -> Result<T, Silent> + Send + 'static,
    ) -> Result<T, Silent> {
        let now = Instant::now();
        if self.silence().until.is_some_and(|until| now < until) {
            return Err(Silent);
        }
        let (ledger, permits) = (Arc::clone(&self.ledger), Arc::clone(&self.permits));
        let answer = async move {
            let permit = permits.acquire_owned().await.map_err(|_| Silent)?;
            let asked = tokio::task::spawn_blocking(move || {
                let answer = question(&ledger);
                // The work's, not the asker's: a disk that hangs keeps what it was given.
                drop(permit);
                answer
            });
            asked.await.unwrap_or(Err(Silent))
        };
        timeout(WITHIN, answer).await.unwrap_or_else(|_| {
            self.fell_silent(now);
            Err(Silent)
        })
    }

    fn fell_silent(&self, now: Instant) {
        let mut silence = self.silence();
        silence.until = Some(now + REST);
        let due = |at| now.saturating_duration_since(at) >= SAY_EVERY;
        if silence.said_at.is_none_or(due) {
            silence.said_at = Some(now);
            tracing::warn!(
                "the ledger does not answer in time: what the application deletes is not noticed meanwhile; look at the disk of state.directory"
            );
        }
    }

    fn silence(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Option<Entry>> for Known {
    fn from(entry: Option<Entry>) -> Self {
        match entry {
            None => Self::Never,
            Some(entry) => entry.withdrawn.map_or(
                Self::There {
                    verified: entry.verified,
                },
                Self::Gone,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use state::{By, StateDirectory};

    use super::*;

    const ENTRY: Entry = Entry {
        length: 5,
        digest: None,
        verified: 1000,
        by: By::Serving,
        withdrawn: None,
    };

    fn places() -> Arc<[Box<str>]> {
        ["current".into(), "old".into()].into()
    }

    fn key(text: &str) -> ObjectKey {
        ObjectKey::parse(text).unwrap()
    }

    #[tokio::test]
    async fn what_was_noted_is_known_at_once_and_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let open = || StateDirectory::open(directory.path(), ["media"]).unwrap();
        let state = open();
        let book = Book::new(Arc::clone(state.ledger()));
        let look = async |book: &Book| book.look(&places(), &key("a")).await.unwrap();
        assert_eq!(look(&book).await, [Known::Never, Known::Never]);
        book.verified("current", &key("a"), ENTRY);
        let there = Known::There { verified: 1000 };
        assert_eq!(look(&book).await, [there, Known::Never]);
        assert!(book.withdrawn("current", &key("a"), 2000));
        let gone = Known::Gone(Withdrawn::since(2000));
        assert_eq!(look(&book).await, [gone, Known::Never]);
        assert!(book.followed("current", &key("a"), Withdrawn::since(2000), 2001));
        let followed = Known::Gone(Withdrawn {
            since: 2000,
            followed: Some(2001),
        });
        assert_eq!(look(&book).await, [followed, Known::Never]);
        drop((book, state));
        let state = open();
        let book = Book::new(Arc::clone(state.ledger()));
        assert_eq!(look(&book).await, [followed, Known::Never]);
        let times = async |from| book.followed_since("current", from).await.unwrap();
        assert_eq!(times(2001).await, [2001]);
        assert_eq!(times(2002).await, [0; 0]);
    }

    #[tokio::test]
    async fn a_ledger_that_hangs_is_waited_for_once_and_then_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(directory.path(), ["media"]).unwrap();
        let book = Book::new(Arc::clone(state.ledger()));
        let (release, hangs) = channel::<()>();
        let hanging = book.ask(move |_| {
            let _ = hangs.recv();
            Ok(())
        });
        assert_eq!(hanging.await, Err(Silent));
        let began = Instant::now();
        for _ in 0..1000 {
            assert_eq!(book.look(&places(), &key("a")).await, Err(Silent));
        }
        assert!(began.elapsed() < WITHIN * 2, "{:?}", began.elapsed());
        // What was noted is still known.
        for origin in ["current", "old"] {
            book.verified(origin, &key("a"), ENTRY);
        }
        let there = Known::There { verified: 1000 };
        assert_eq!(book.look(&places(), &key("a")).await, Ok(vec![there; 2]));
        drop(release);
    }
}
