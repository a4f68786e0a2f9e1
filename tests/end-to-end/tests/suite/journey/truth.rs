//! What is true of every key while storage moves, and so what a reader may be told.
//!
//! A file's bytes follow from its key, so each answer can be judged alone. Judges only; asks
//! nobody.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant};

use crate::kept::harness::{Random, noise};

/// How long an outage may be felt after it has ended: a failure is shared for a second, and a
/// breaker tries after one.
const AFTERMATH: Duration = Duration::from_secs(4);
/// As many failures are kept for the report.
const MOST_FAILURES: usize = 20;

/// One end of the journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Old,
    New,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It must be answered.
    Live,
    /// It is being deleted.
    Going,
    /// The application has deleted it where it uploads to; copies may still be answered with.
    Deleted,
    /// It has a tombstone.
    Buried,
}

/// What is known of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    pub(super) life: Life,
    /// Where it certainly is.
    pub(super) at: [bool; 2],
    /// It was there before the journey began, or came on the way.
    pub(super) is_upload: bool,
}

impl File {
    pub(super) fn is_at(self, side: Side) -> bool {
        self.at[side as usize]
    }
}

/// What goes wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Outage(Side),
    /// The gateway is killed or restarted.
    Gateway,
    /// The migration is killed.
    Migration,
}

/// When it went wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incident {
    pub(super) trouble: Trouble,
    pub(super) from: Instant,
    pub(super) to: Option<Instant>,
}

impl Incident {
    /// Whether it can be felt between these two.
    pub(super) fn touches(&self, from: Instant, to: Instant) -> bool {
        self.from <= to && self.to.is_none_or(|end| from <= end)
    }
}

/// An answer, as far as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// 0 where the connection ended without an answer.
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// The body ended cleanly.
    pub(super) whole: bool,
    /// It says when to come again, and that nobody may keep it.
    pub(super) is_for_now: bool,
    /// Where it came from.
    pub(super) origin: String,
}

/// The truth, as the test makes it.
#[derive(Debug, Default)]
pub(super) struct Truth {
    files: Mutex<BTreeMap<String, File>>,
    incidents: Mutex<Vec<Incident>>,
    failures: Mutex<Vec<String>>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that follows from a key (Fowler, Noll and Vo's FNV-1a).
pub(super) fn number(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// How long a file is.
pub(super) fn length(key: &str) -> usize {
    let seed = number(key) >> 8;
    let length = match seed % 16 {
        0 => 1_200_000 + seed % 700_000,
        1..=3 => 100_000 + seed % 100_000,
        _ => 1_000 + seed % 30_000,
    };
    usize::try_from(length).expect("it is small")
}

/// The bytes of a file.
pub(super) fn content(key: &str) -> Vec<u8> {
    noise(number(key), length(key))
}

impl Truth {
    pub(super) fn file(&self, key: &str) -> File {
        held(&self.files)[key]
    }

    /// A file that has come.
    pub(super) fn add(&self, key: &str, side: Side, is_upload: bool) {
        let mut at = [false; 2];
        at[side as usize] = true;
        let life = Life::Live;
        let file = File {
            life,
            at,
            is_upload,
        };
        held(&self.files).insert(key.to_owned(), file);
    }

    pub(super) fn becomes(&self, key: &str, life: Life) {
        held(&self.files).get_mut(key).unwrap().life = life;
    }

    /// All that lives at one side is at the other one as well.
    pub(super) fn is_copied(&self, from: Side, to: Side) {
        for file in held(&self.files).values_mut() {
            file.at[to as usize] |= file.life == Life::Live && file.is_at(from);
        }
    }

    /// That side is no more.
    pub(super) fn is_erased(&self, side: Side) {
        for file in held(&self.files).values_mut() {
            file.at[side as usize] = false;
        }
    }

    /// The keys of which this is so.
    pub(super) fn keys(&self, is_so: impl Fn(&str, File) -> bool) -> Vec<String> {
        let files = held(&self.files);
        let so = files.iter().filter(|(key, file)| is_so(key, **file));
        so.map(|(key, _)| key.clone()).collect()
    }

    /// One of those, by chance.
    pub(super) fn any(
        &self,
        random: &mut Random,
        is_so: impl Fn(&str, File) -> bool,
    ) -> Option<String> {
        let mut keys = self.keys(is_so);
        if keys.is_empty() {
            return None;
        }
        let n = random.below(keys.len() as u64);
        Some(keys.swap_remove(usize::try_from(n).unwrap()))
    }

    /// It goes wrong from now on; the number ends it.
    pub(super) fn begins(&self, trouble: Trouble) -> usize {
        let mut incidents = held(&self.incidents);
        incidents.push(Incident {
            trouble,
            from: Instant::now(),
            to: None,
        });
        incidents.len() - 1
    }

    pub(super) fn ends(&self, number: usize) {
        held(&self.incidents)[number].to = Some(Instant::now());
    }

    pub(super) fn incidents(&self) -> Vec<Incident> {
        held(&self.incidents).clone()
    }

    fn was(&self, trouble: Trouble, from: Instant, to: Instant) -> bool {
        let incidents = held(&self.incidents);
        let mut such = incidents.iter().filter(|one| one.trouble == trouble);
        such.any(|one| one.touches(from, to))
    }

    /// Whether nobody who certainly has it could be asked all the time.
    fn was_out_of_reach(&self, file: File, from: Instant, to: Instant) -> bool {
        let from = from.checked_sub(AFTERMATH).unwrap_or(from);
        let mut homes = [Side::Old, Side::New].into_iter();
        homes.all(|side| !file.is_at(side) || self.was(Trouble::Outage(side), from, to))
    }

    /// Judges what a reader was told who asked for these bytes of a file between two moments.
    pub(super) fn judge(
        &self,
        key: &str,
        range: Option<(usize, usize)>,
        before: File,
        began: Instant,
        told: &Told,
    ) {
        let (now, after) = (Instant::now(), self.file(key));
        let whole = content(key);
        let wanted = match range {
            Some((first, last)) => &whole[first..=last.min(whole.len() - 1)],
            None => &whole[..],
        };
        let found = if range.is_some() { 206 } else { 200 };
        let lived = before.life == Life::Live && after.life == Life::Live;
        let was_killed = self.was(Trouble::Gateway, began, now);
        let wrong = match told.status {
            0 if was_killed => None,
            0 => Some("no answer"),
            status if status == found => {
                if before.life == Life::Buried {
                    Some("it was deleted for good")
                } else if !wanted.starts_with(&told.body) {
                    Some("other bytes")
                } else if told.whole && told.body.len() < wanted.len() {
                    Some("it ended as if it were complete")
                } else if told.whole
                    || was_killed
                    || !lived
                    || self.was_out_of_reach(before, began, now)
                {
                    None
                } else {
                    Some("it was cut off while somebody could bring the rest")
                }
            }
            410 if before.life != Life::Live || after.life != Life::Live => None,
            404 if before.life != Life::Buried && !lived => None,
            503 if !told.is_for_now => Some("it does not say when to come again"),
            503 if before.life == Life::Buried => Some("a tombstone asks no origin"),
            503 if !lived || self.was_out_of_reach(before, began, now) => None,
            503 => Some("somebody has it and could be asked"),
            _ => Some("no such answer is due"),
        };
        if let Some(what) = wrong {
            let took = now - began;
            let (status, bytes) = (told.status, told.body.len());
            self.failed(format!(
                "{key} ({before:?}, then {after:?}): {status} from {:?}, {bytes} of {} bytes, whole: {}, \
                 after {took:?}: {what}",
                told.origin,
                wanted.len(),
                told.whole,
            ));
        }
    }

    pub(super) fn failed(&self, what: String) {
        let mut failures = held(&self.failures);
        if failures.len() < MOST_FAILURES {
            failures.push(what);
        }
    }

    /// Nobody was told anything that is not due.
    pub(super) fn holds(&self, seed: u64, log: &str) {
        let failures = held(&self.failures);
        assert!(
            failures.is_empty(),
            "seed {seed}: {}\n{log}",
            failures.join("\n")
        );
    }
}
