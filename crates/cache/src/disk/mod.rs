//! The disk: what was served, kept over restarts. DISK-FORMAT.md says how it lies there.
//!
//! Always there to be asked, whether the disk can be used or not: whatever is wrong with it is
//! counted, and to whoever asks it is a miss. Knows nothing of fills, readers and origins.

mod batch;
mod change;
mod changes;
mod choice;
mod coding;
mod common;
mod complaint;
mod content;
mod error;
mod eviction;
mod facts;
mod generation;
mod hands;
mod index;
mod keeper;
mod lock;
mod meter;
mod numbers;
mod offline;
mod opening;
mod pending;
mod pins;
mod purges;
mod purging;
mod queue;
mod reading;
mod recent;
mod rows;
mod settings;
mod sheet;
mod sourced;
mod stat;
mod sweeping;
mod tables;
mod touched;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use object::ObjectKey;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::slice::Slice;
use crate::{CacheError, CacheObserver, Evicted};

pub(crate) use content::OpenSlice;
pub use error::DiskError;
pub(crate) use facts::{FirstBytes, Row, RowChange, SliceAt, SliceRow, VersionFacts};
pub use facts::{Purge, Purged, Usage};
pub use offline::{purge_offline, sourced, stat, verify};
pub(crate) use pins::{Pin, Pins};
pub use settings::DiskSettings;
pub use sourced::Sourced;
pub use stat::{SpaceStat, Stat};
pub use verify::{Verified, VerifyProgress};

use change::{Change, Owner};
use choice::Limits;
use common::{Common, now_hour};
use error::{Broken, Kind};
use generation::Generation;
pub(crate) use generation::WHOLE_FIRST_BYTES;
use hands::{Hands, READING, Trip, WRITING};
use opening::Create;

/// How long a caller waits for something to become durable.
const DURABLE_WITHIN: Duration = Duration::from_secs(30);

/// How long closing may take; what stops a process often gives it ten seconds.
const CLOSED_WITHIN: Duration = Duration::from_secs(8);
const CLOSED_LOOK: Duration = Duration::from_millis(2);

/// One disk cache, whether it can be used at the moment or not.
pub(crate) struct Disk {
    common: Arc<Common>,
    trip: Arc<Trip>,
    reading: Hands,
    writing: Hands,
    current: RwLock<Option<Arc<Generation>>>,
    open: AtomicBool,
    attempted: watch::Sender<Option<Result<(), DiskError>>>,
    tasks: TaskTracker,
}

impl Disk {
    /// Never fails and never waits: the directory is opened on a blocking thread, again and again
    /// if need be.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "whoever starts it hands over its own"
    )]
    pub(crate) fn start(
        settings: DiskSettings,
        observer: Arc<dyn CacheObserver>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Self::start_with(settings, &observer, tasks, &stop, opening::plain())
    }

    fn start_with(
        settings: DiskSettings,
        observer: &Arc<dyn CacheObserver>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        create: Create,
    ) -> Arc<Self> {
        let trip = Arc::<Trip>::default();
        let hands = |patience| Hands::new(patience, Arc::clone(&trip), Arc::clone(observer));
        let limits = Limits {
            max_size: settings.max_size_bytes,
            min_free: settings.min_free_bytes,
            max_files: settings.max_files,
        };
        let disk = Arc::new(Self {
            reading: hands(READING),
            writing: hands(WRITING),
            trip: Arc::clone(&trip),
            common: Arc::new(Common::new(
                settings.directory,
                limits,
                settings.rows_bytes,
                settings.inactive,
                Arc::clone(observer),
                stop.child_token(),
            )),
            current: RwLock::new(None),
            open: AtomicBool::new(false),
            attempted: watch::Sender::new(None),
            tasks: tasks.clone(),
        });
        tasks.spawn(keeper::keep_open(Arc::clone(&disk), create));
        disk
    }

    /// Waits until the directory was opened, or could not be, for the first time.
    pub(crate) async fn first_attempt(&self) -> Result<(), DiskError> {
        let mut attempted = self.attempted.subscribe();
        let result = attempted.wait_for(Option::is_some).await;
        result
            .ok()
            .and_then(|result| result.clone())
            .unwrap_or(Ok(()))
    }

    /// Whether the disk is used.
    pub(crate) fn is_up(&self) -> bool {
        self.open.load(Ordering::Acquire) && !self.trip.is_tripped()
    }

    /// The opened index, while the disk is used.
    fn current(&self) -> Option<Arc<Generation>> {
        self.current_if(self.is_up())
    }

    fn current_if(&self, wanted: bool) -> Option<Arc<Generation>> {
        let current = || self.current.read().unwrap_or_else(PoisonError::into_inner);
        wanted.then(|| current().clone()).flatten()
    }

    /// A number for a new version. Grows over restarts; while the disk has never been up, it is
    /// one that is never stored.
    pub(crate) fn next_number(&self) -> u64 {
        self.common.numbers.next()
    }

    /// The row of a key; `None` where it is absent, or where the disk does not say it in time.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "the row alone, where no bytes are wanted")
    )]
    pub(crate) async fn find(&self, space: &str, key: &ObjectKey) -> Option<Row> {
        let (space, key) = (Box::<str>::from(space), key.clone());
        self.look(move |generation, common| generation.find(common, &space, &key))
            .await
    }

    /// The row of a key and, in the same turn, the first bytes of slice 0: all of them up to 256
    /// KiB, else two chunks. `None` in the second place where they are absent.
    pub(crate) async fn find_with_first(
        &self,
        space: &str,
        key: &ObjectKey,
    ) -> Option<(Row, Option<FirstBytes>)> {
        let (space, key) = (Box::<str>::from(space), key.clone());
        self.look(move |generation, common| generation.find_with_first(common, &space, &key))
            .await
    }

    /// The row of a slice from the second on.
    pub(crate) async fn slice_row(&self, number: u64, n: u32) -> Option<SliceRow> {
        self.look(move |generation, common| {
            generation.believe(common, generation.index.slice(number, n))?
        })
        .await
    }

    /// The first slice of a range, from the second of the object on, that has no row. Where the
    /// disk does not say it in time, that is the first of the range.
    pub(crate) async fn first_absent(&self, number: u64, n: Range<u32>) -> Option<u32> {
        let first = (!n.is_empty()).then_some(n.start);
        self.look(move |generation, common| {
            generation.believe(common, generation.index.first_absent(number, n))
        })
        .await
        .unwrap_or(first)
    }

    /// The first slice of a range, from the second of the object on, that has a row.
    pub(crate) async fn next_held(&self, number: u64, n: Range<u32>) -> Option<u32> {
        self.look(move |generation, common| {
            generation.believe(common, generation.index.next_held(number, n))?
        })
        .await
    }

    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Generation, &Common) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let generation = self.current()?;
        let common = Arc::clone(&self.common);
        let work = move || work(&generation, &common);
        self.reading.in_time(work).await.flatten()
    }

    /// Writes a slice's file and queues its row. Returns the row once the file is in place; `None`
    /// where it is not kept.
    pub(crate) async fn keep(
        &self,
        version: &VersionFacts,
        n: u32,
        slice: &Slice,
    ) -> Option<SliceRow> {
        let refused = version.number >= numbers::UNSTORABLE
            || version.total > self.common.limits.max_size / 10
            || self.common.is_full()
            || self.is_purged(&version.space, &version.key, version.number);
        if refused {
            return None;
        }
        let generation = self.current()?;
        let Some(slot) = generation.queue.reserve() else {
            self.common.observer.error(CacheError::Queue);
            return None;
        };
        let (common, facts, slice) = (Arc::clone(&self.common), version.clone(), slice.clone());
        let work = move || generation.keep(&common, facts, n, &slice, slot);
        self.writing.in_time(work).await.flatten()
    }

    /// Queues a change of a row.
    pub(crate) fn update(&self, space: &str, key: &ObjectKey, number: u64, change: RowChange) {
        let owner = owner(space, key);
        self.ask(Change::Update {
            owner,
            number,
            change,
        });
    }

    /// Notes a use, once an hour; the second use makes a version dearer. Where the writer has much
    /// to do, it is not noted.
    pub(crate) fn touch(&self, space: &str, key: &ObjectKey, number: u64) {
        let hour = now_hour();
        if number >= numbers::UNSTORABLE || !self.common.touched.first(number, hour) {
            return;
        }
        let slot = self
            .current()
            .and_then(|generation| generation.queue.reserve_spare());
        match slot {
            Some(slot) => slot.send(Change::Touch {
                owner: owner(space, key),
                number,
                hour,
            }),
            None => self.common.touched.forget(number),
        }
    }

    /// Queues the removal of a version, read or not.
    pub(crate) fn remove(&self, space: &str, key: &ObjectKey, number: u64, why: Evicted) {
        self.ask(Change::Remove {
            owner: owner(space, key),
            number,
            why,
            spare_readers: false,
        });
    }

    /// Queues the removal of a version whose place was taken. What is read of it stays until its
    /// last reader is done.
    pub(crate) fn replace(&self, space: &str, key: &ObjectKey, number: u64) {
        self.ask(Change::Remove {
            owner: owner(space, key),
            number,
            why: Evicted::Replaced,
            spare_readers: true,
        });
    }

    fn ask(&self, change: Change) {
        if let Some(generation) = self.current() {
            generation.ask(&self.common, change);
        }
    }

    /// Everything of before that matches is dead when this returns. The future, which need not be
    /// waited for but must be polled, resolves when that is durable, and the files are gone or
    /// five seconds have passed; the count is that of the index before.
    pub(crate) fn purge(
        self: &Arc<Self>,
        what: Purge,
    ) -> impl Future<Output = Purged> + Send + use<> {
        let moment = self.common.numbers.moment();
        self.common.purges.add(&what, moment);
        purging::make_last(Arc::clone(self), what, moment)
    }

    /// Whether a version was purged.
    pub(crate) fn is_purged(&self, space: &str, key: &ObjectKey, number: u64) -> bool {
        self.common.purges.is_dead(space, key, number)
    }

    /// What lies on the disk.
    pub(crate) fn usage(&self) -> Usage {
        self.common.meter.usage()
    }

    /// Counts what lies on the disk, by space; reads every row.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "for the command that asks a gateway")
    )]
    pub(crate) async fn stat(&self) -> Result<Stat, DiskError> {
        self.patiently(stat::count).await
    }

    /// Reads everything on the disk and compares it with its sha-256, one file after the other.
    /// What is damaged is removed.
    pub(crate) async fn verify(&self) -> Result<Verified, DiskError> {
        self.patiently(|common, generation| {
            verify::run(common, generation, |_| !common.closing.is_cancelled())
        })
        .await
    }

    /// Of which keys there is a copy that this origin gave, or confirmed last, some at a time.
    pub(crate) async fn sourced(
        &self,
        origin: &str,
        after: Option<Vec<u8>>,
    ) -> Result<Sourced, DiskError> {
        let origin = Box::<str>::from(origin);
        self.patiently(move |common, generation| {
            // What waits to be written is a copy too.
            if after.is_none()
                && let Some(done) = generation.flushed()
            {
                let _ = done.recv_timeout(DURABLE_WITHIN);
            }
            sourced::page(common, generation, &origin, after.as_deref())
        })
        .await
    }

    /// Work that somebody looks at, on a thread that is not one of those for viewers.
    async fn patiently<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Common, &Generation) -> Result<T, Broken> + Send + 'static,
    ) -> Result<T, DiskError> {
        let down = || Broken::new(Kind::Io, "it is not open at the moment");
        let done = match self.current() {
            None => Err(down()),
            Some(generation) => {
                let common = Arc::clone(&self.common);
                let work = move || work(&common, &generation);
                spawn_blocking(work).await.unwrap_or_else(|_| Err(down()))
            }
        };
        done.map_err(|broken| DiskError::new(&self.common.directory, &broken))
    }

    /// Keeps a version from being evicted.
    pub(crate) fn pin(&self, number: u64) -> Pin {
        self.common.pins.pin(number)
    }

    /// The versions that somebody reads.
    pub(crate) fn pins(&self) -> &Arc<Pins> {
        &self.common.pins
    }

    /// Whether nothing goes for having been inactive, because nobody knows what the origins have.
    pub(crate) fn rest_inactivity(&self, rests: bool) {
        self.common.rests.store(rests, Ordering::Release);
    }

    /// Everything queued is durable, or thirty seconds have passed. Returns whether it is.
    #[cfg_attr(not(test), allow(dead_code, reason = "closing does the same"))]
    pub(crate) async fn flush(&self) -> bool {
        let Some(generation) = self.current() else {
            return false;
        };
        spawn_blocking(move || {
            let done = generation.flushed();
            done.is_some_and(|done| done.recv_timeout(DURABLE_WITHIN).is_ok())
        })
        .await
        .unwrap_or(false)
    }

    /// Writes what waits and closes the index in order, within eight seconds. Nothing is found or
    /// kept from here on.
    pub(crate) async fn close(&self) {
        self.common.closing.cancel();
        self.open.store(false, Ordering::Release);
        let current = self
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(generation) = current {
            generation.queue.close();
            let ended = generation.ended.clone();
            // The writer waits until it is the last.
            drop(generation);
            let waits = spawn_blocking(move || {
                let began = Instant::now();
                while !ended.is_cancelled() && began.elapsed() < CLOSED_WITHIN {
                    std::thread::sleep(CLOSED_LOOK);
                }
                ended.is_cancelled()
            });
            if !waits.await.unwrap_or(false) {
                tracing::warn!("the disk cache was not closed in order: the disk does not answer");
            }
        }
        self.attempted.send_if_modified(|attempted| {
            let waits = attempted.is_none();
            if waits {
                *attempted = Some(Ok(()));
            }
            waits
        });
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever forgets to close it still gets an index that was closed in order, if the process
        // lives long enough.
        if let Some(generation) = self.current_if(true) {
            generation.queue.close();
        }
    }
}

fn owner(space: &str, key: &ObjectKey) -> Owner {
    Owner {
        space: space.into(),
        key: key.clone(),
    }
}
