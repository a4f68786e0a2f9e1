//! What outlives an opened index: numbers, purges, pins, the meter, and who is told.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::choice::Limits;
use super::complaint::Complaint;
use super::meter::Meter;
use super::numbers::Numbers;
use super::pins::Pins;
use super::purges::Purges;
use super::recent::Recent;
use super::touched::Touched;
use crate::CacheObserver;

/// Shared by everything on one disk.
pub(super) struct Common {
    pub(super) directory: PathBuf,
    pub(super) limits: Limits,
    pub(super) recent: Recent,
    pub(super) inactive: Duration,
    pub(super) observer: Arc<dyn CacheObserver>,
    pub(super) numbers: Numbers,
    pub(super) purges: Purges,
    pub(super) pins: Arc<Pins>,
    pub(super) meter: Arc<Meter>,
    pub(super) touched: Touched,
    /// Eviction has something to do.
    pub(super) pressed: Notify,
    /// Bytes to free beyond the limits, because the disk was full.
    pub(super) pressure: AtomicU64,
    /// Whether `inactive` rests.
    pub(super) rests: AtomicBool,
    /// One purge at a time works on the disk: a script may ask for thousands, and each would take
    /// a thread.
    pub(super) purging: Arc<Semaphore>,
    /// Work in the background ends.
    pub(super) closing: CancellationToken,
    pub(super) complaints: Complaints,
    losses: AtomicU64,
    firsts: Mutex<HashSet<u64>>,
    full: Mutex<Full>,
}

/// What goes wrong with files, and is not to fill a log.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    pub(super) damaged: Complaint,
    pub(super) unread: Complaint,
    pub(super) unwritten: Complaint,
    pub(super) unremoved: Complaint,
}

/// How long nothing is written after the disk was full.
#[derive(Debug, Default)]
struct Full {
    until: Option<Instant>,
    pause: Duration,
}

/// The shortest and the longest time between two attempts, of anything that failed.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// The most first slices that a sweep remembers, 8 bytes each.
const MOST_FIRSTS: usize = 1_000_000;

impl Common {
    pub(super) fn new(
        directory: PathBuf,
        limits: Limits,
        rows_bytes: u64,
        inactive: Duration,
        observer: Arc<dyn CacheObserver>,
        closing: CancellationToken,
    ) -> Self {
        Self {
            directory,
            limits,
            recent: Recent::new(rows_bytes),
            inactive,
            observer,
            numbers: Numbers::default(),
            purges: Purges::default(),
            pins: Arc::default(),
            meter: Arc::default(),
            touched: Touched::default(),
            pressed: Notify::new(),
            pressure: AtomicU64::new(0),
            rests: AtomicBool::new(false),
            purging: Arc::new(Semaphore::new(1)),
            closing,
            complaints: Complaints::default(),
            losses: AtomicU64::new(0),
            firsts: Mutex::default(),
            full: Mutex::default(),
        }
    }

    /// A first slice has no file; only the version's number is known.
    pub(super) fn first_is_missing(&self, number: u64) {
        let mut firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        if firsts.len() < MOST_FIRSTS {
            firsts.insert(number);
        }
    }

    /// The versions whose first slices were found missing since the last call.
    pub(super) fn missing_firsts(&self) -> HashSet<u64> {
        std::mem::take(&mut *self.firsts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The disk was full: write nothing for a while, and free `bytes`.
    pub(super) fn was_full(&self, bytes: u64) {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        full.pause = (full.pause * 2).clamp(PAUSES.0, PAUSES.1);
        full.until = Some(Instant::now() + full.pause);
        drop(full);
        self.pressure.fetch_max(bytes, Ordering::AcqRel);
        self.pressed.notify_one();
    }

    /// Something was written.
    pub(super) fn had_room(&self) {
        *self.full.lock().unwrap_or_else(PoisonError::into_inner) = Full::default();
    }

    /// Whether the disk was full a moment ago.
    pub(super) fn is_full(&self) -> bool {
        let full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        full.until.is_some_and(|until| Instant::now() < until)
    }

    /// A slice was lost of which the class is not known, so bytes by class are to be added up.
    pub(super) fn unattributed(&self) {
        self.losses.fetch_add(1, Ordering::AcqRel);
    }

    /// How many were lost since the last call.
    pub(super) fn losses(&self) -> u64 {
        self.losses.swap(0, Ordering::AcqRel)
    }
}

/// Seconds since 1970.
pub(super) fn now_seconds() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Hours since 1970.
pub(super) fn now_hour() -> u32 {
    u32::try_from(now_seconds() / 3600).unwrap_or(u32::MAX)
}
