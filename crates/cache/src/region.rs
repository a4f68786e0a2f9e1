//! What one download of a stretch of a version has brought, and who reads from it.
//!
//! Readers pull: each looks at its own place, and waits where nothing has arrived yet. Nobody is
//! sent anything, so a slow reader holds up nobody. Performs no I/O; `fill` feeds it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::segment::{Plan, slice_length, slice_of, slice_start};
use crate::slice::{SLICE_BYTES, Slice, SliceBuilder};
use crate::sync::Mutex;

/// A stretch of a version that is being downloaded, from a slice's boundary on.
pub(crate) struct Region {
    start: u64,
    total: u64,
    inner: Mutex<Inner>,
    /// Bytes have come, gone elsewhere, or will not come.
    changed: Notify,
    /// The first answer, the last byte, the end: those who wait for these wait through every byte
    /// in between.
    settled: Notify,
    /// One past the furthest byte that a reader has asked for.
    demand: AtomicU64,
    advanced: Notify,
    readers: AtomicUsize,
}

struct Inner {
    answered: bool,
    /// One past the last byte that is on its way.
    goal: u64,
    /// Nothing will be asked for behind that.
    closed: bool,
    received: u64,
    /// Complete slices that are not kept anywhere else yet.
    waiting: VecDeque<(u32, Slice)>,
    current: SliceBuilder,
    end: Option<End>,
    plan: Plan,
}

/// How a download ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It brought what it was to bring, or nobody wanted more.
    Done,
    /// No origin had the same version any more.
    Changed,
    /// No origin could bring more.
    Failed {
        /// When it makes sense to ask again.
        retry_after: Option<Duration>,
    },
}

/// What a reader finds at its place.
#[derive(Debug)]
pub(crate) enum Look {
    /// Bytes.
    Bytes(Bytes),
    /// Nothing yet.
    Pending,
    /// It has left the window, or never was in it: look elsewhere.
    Elsewhere,
    /// Nothing will come here.
    Ended(End),
}

impl Inner {
    fn may_go_on_at(&self, at: u64) -> bool {
        at == self.goal && !self.closed && self.end.is_none()
    }
}

impl Region {
    /// A region that begins at a slice's boundary and is to bring the bytes up to `goal`.
    pub(crate) fn new(start: u64, goal: u64, total: u64, plan: Plan) -> Arc<Self> {
        Arc::new(Self {
            start,
            total,
            inner: Mutex::new(Inner {
                answered: false,
                goal,
                closed: false,
                received: start,
                waiting: VecDeque::new(),
                current: SliceBuilder::default(),
                end: None,
                plan,
            }),
            changed: Notify::new(),
            settled: Notify::new(),
            demand: AtomicU64::new(start),
            advanced: Notify::new(),
            readers: AtomicUsize::new(0),
        })
    }

    /// An origin has answered with the right version.
    pub(crate) fn answered(&self) {
        self.inner.lock().answered = true;
        self.settled.notify_waiters();
    }

    /// The next segment is on its way, and how it would go on then.
    pub(crate) fn extend(&self, goal: u64, plan: Plan) {
        let mut inner = self.inner.lock();
        inner.goal = goal;
        inner.plan = plan;
    }

    /// How it goes on, for whoever begins where it ended.
    pub(crate) fn plan(&self) -> Plan {
        self.inner.lock().plan
    }

    /// There is no next segment: who waits for its first byte looks elsewhere.
    pub(crate) fn close(&self) {
        self.inner.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// Bytes have arrived. Takes no more than to the end of a slice; returns how many, and the
    /// slice if that completes it.
    pub(crate) fn push(&self, bytes: &[u8]) -> (usize, Option<(u32, Slice)>) {
        let mut inner = self.inner.lock();
        let n = slice_of(inner.received);
        let room = slice_length(n, self.total) - inner.current.length() as u64;
        let taken = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
        inner.current.push(&bytes[..taken]);
        inner.received += taken as u64;
        let complete = (taken as u64 == room).then(|| {
            let slice = std::mem::take(&mut inner.current).finish();
            inner.waiting.push_back((n, slice.clone()));
            (n, slice)
        });
        let is_whole = inner.received >= self.total;
        drop(inner);
        self.changed.notify_waiters();
        if is_whole {
            self.settled.notify_waiters();
        }
        (taken, complete)
    }

    /// A slice is kept elsewhere, or nowhere: it leaves the window.
    pub(crate) fn forget(&self, n: u32) {
        let mut inner = self.inner.lock();
        inner.waiting.retain(|(waiting, _)| *waiting != n);
        drop(inner);
        self.changed.notify_waiters();
    }

    /// The download is over. The first end counts.
    pub(crate) fn finish(&self, end: End) {
        self.inner.lock().end.get_or_insert(end);
        self.changed.notify_waiters();
        self.settled.notify_waiters();
    }

    /// One past the last byte that has arrived.
    pub(crate) fn received(&self) -> u64 {
        self.inner.lock().received
    }

    /// One past the last byte that is on its way.
    pub(crate) fn goal(&self) -> u64 {
        self.inner.lock().goal
    }

    /// Whether a byte belongs here, also when the download is over; or may belong here, because
    /// the next segment is not decided upon.
    pub(crate) fn is_at(&self, at: u64) -> bool {
        let inner = self.inner.lock();
        self.start <= at && (at < inner.goal || inner.may_go_on_at(at))
    }

    /// Whether a byte has arrived here or is on its way.
    pub(crate) fn covers(&self, at: u64) -> bool {
        let inner = self.inner.lock();
        inner.end.is_none() && self.start <= at && at < inner.goal
    }

    /// The same, where an origin has already answered with the right version.
    pub(crate) fn has_answered_for(&self, at: u64) -> bool {
        self.inner.lock().answered && self.covers(at)
    }

    /// The first slice at or behind `at`, a slice's boundary, that has arrived here and is not kept
    /// elsewhere yet, or that is on its way.
    pub(crate) fn first_from(&self, at: u64) -> Option<u64> {
        let inner = self.inner.lock();
        let here = inner
            .waiting
            .iter()
            .map(|(n, _)| u64::from(*n) * SLICE_BYTES);
        let coming = slice_start(inner.received).max(self.start);
        let coming = (coming < inner.goal).then_some(coming.max(at));
        let open = inner.end.is_none() && at < inner.goal;
        let first = here.filter(|start| at <= *start).chain(coming).min();
        first.filter(|_| open)
    }

    fn look(&self, at: u64) -> Look {
        self.reached(at);
        let inner = self.inner.lock();
        let n = slice_of(at);
        let within = usize::try_from(at % SLICE_BYTES).unwrap_or(0);
        if at < inner.received {
            if n == slice_of(inner.received) && inner.current.length() > within {
                return Look::Bytes(inner.current.rest_of_chunk(within));
            }
            return match inner.waiting.iter().find(|(waiting, _)| *waiting == n) {
                Some((_, slice)) => Look::Bytes(slice.rest_of_chunk(within)),
                None => Look::Elsewhere,
            };
        }
        match inner.end {
            Some(end) => Look::Ended(end),
            None if at < inner.goal || inner.may_go_on_at(at) => Look::Pending,
            None => Look::Elsewhere,
        }
    }

    /// Waits until there is something to be found at this place.
    pub(crate) async fn wait(&self, at: u64) -> Look {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.look(at) {
                Look::Pending => changed.await,
                found => return found,
            }
        }
    }

    /// Waits until an origin has answered, or the region has ended.
    pub(crate) async fn first_answer(&self) -> Result<(), End> {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            {
                let inner = self.inner.lock();
                if inner.answered {
                    return Ok(());
                }
                if let Some(end) = inner.end {
                    return Err(end);
                }
            }
            settled.await;
        }
    }

    /// Waits until all that was to come is here, or nothing will.
    pub(crate) async fn completion(&self) -> End {
        loop {
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            {
                let inner = self.inner.lock();
                if let Some(end) = inner.end {
                    return end;
                }
                if inner.received >= self.total {
                    return End::Done;
                }
            }
            settled.await;
        }
    }

    /// Whether anybody reads here.
    pub(crate) fn is_read(&self) -> bool {
        self.readers.load(Ordering::Acquire) > 0
    }

    /// The furthest byte that was asked for.
    pub(crate) fn demand(&self) -> u64 {
        self.demand.load(Ordering::Acquire)
    }

    /// Notes that a reader has come to this byte, wherever it found it.
    pub(crate) fn reached(&self, at: u64) {
        let before = self.demand.fetch_max(at, Ordering::AcqRel);
        if slice_of(before) < slice_of(at) {
            self.advanced.notify_waiters();
        }
    }

    /// Waits until a reader has come to this byte, or nobody reads.
    pub(crate) async fn is_passed(&self, at: u64) {
        loop {
            let mut advanced = std::pin::pin!(self.advanced.notified());
            advanced.as_mut().enable();
            if self.demand() >= at || !self.is_read() {
                return;
            }
            advanced.await;
        }
    }

    /// Whether a byte is here, or will be without another question.
    pub(crate) fn will_bring(&self, at: u64) -> bool {
        let inner = self.inner.lock();
        let here = |n| inner.waiting.iter().any(|(waiting, _)| *waiting == n);
        inner.end.is_none()
            && self.start <= at
            && at < inner.goal
            && (slice_of(at) >= slice_of(inner.received) || here(slice_of(at)))
    }
}

/// A reader's place at a region: while it is held, the download goes on.
pub(crate) struct Attached(Arc<Region>);

impl Attached {
    pub(crate) fn to(region: &Arc<Region>) -> Self {
        region.readers.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(region))
    }

    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.0
    }
}

impl Clone for Attached {
    fn clone(&self) -> Self {
        Self::to(&self.0)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::AcqRel);
        self.0.advanced.notify_waiters();
    }
}
