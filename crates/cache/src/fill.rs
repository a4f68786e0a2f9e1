//! Downloads a stretch of a version into a region, and keeps its slices.
//!
//! Runs on a task of its own and belongs to no client: whoever wants the bytes reads the region.
//! Reads at the speed of the network within the memory there is for downloads, never at that of a
//! client, so a slow client holds no connection to an origin.

use std::sync::Arc;

use futures_util::StreamExt;
use object::{ByteRange, Interruption, ObjectBody};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::{Duration, timeout};

use crate::parts::{Kept, PERMIT_BYTES, Parts};
use crate::region::{End, Region};
use crate::segment::{Plan, slice_length, slice_of};
use crate::slice::{SLICE_BYTES, Slice};
use crate::source::{Rest, Source};
use crate::version::Version;

/// Attempts without a byte of progress before a download is given up.
const FRUITLESS: u32 = 3;
/// A slice that neither memory nor disk took waits so long for its readers.
const LINGER: Duration = Duration::from_secs(2);
/// And so long one that only memory took: much else may come before they had their turn.
const LINGER_IN_MEMORY: Duration = Duration::from_millis(100);
/// What is left of an object is brought to the end if it is no more than this.
const SHORT_REST: u64 = 2 * SLICE_BYTES;

/// One download.
pub(crate) struct Fill {
    pub(crate) parts: Arc<Parts>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) version: Arc<Version>,
    pub(crate) region: Arc<Region>,
}

/// Bytes that are on their way.
pub(crate) struct Arriving {
    pub(crate) body: ObjectBody,
    /// Which bytes the body brings; may begin before the region.
    pub(crate) range: ByteRange,
}

/// How the receiving of one segment ended.
enum Received {
    All,
    /// Nobody reads here any more.
    Left,
    /// The version must not be sent any more.
    Cut,
    Broken(Interruption),
}

/// The download is over, however it comes to that.
struct Ending {
    parts: Arc<Parts>,
    version: Arc<Version>,
    region: Arc<Region>,
    end: End,
}

impl Ending {
    fn come_to(&mut self, end: End) {
        self.end = end;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.region.finish(self.end);
        self.version.end_region(&self.region);
        if self.end == End::Changed {
            self.parts.replace_version(&self.version);
        }
        self.parts.observer.fills(-1);
    }
}

impl Fill {
    /// Begins to download; `arriving` is the first segment, where an origin has answered already.
    pub(crate) fn start(self, arriving: Option<Arriving>) {
        self.parts.observer.fills(1);
        let mut ending = Ending {
            parts: Arc::clone(&self.parts),
            version: Arc::clone(&self.version),
            region: Arc::clone(&self.region),
            end: End::Failed { retry_after: None },
        };
        let tasks = self.parts.tasks.clone();
        tasks.spawn(async move {
            let mut keeping = Keeping::default();
            let end = self.bring(arriving, &mut keeping).await;
            keeping.finish().await;
            ending.come_to(end);
        });
    }

    async fn bring(self, mut arriving: Option<Arriving>, keeping: &mut Keeping) -> End {
        if arriving.is_some() {
            self.region.answered();
        }
        let mut fruitless = 0;
        loop {
            let before = self.region.received();
            let goal = self.region.goal();
            let next = match arriving.take() {
                Some(arriving) => arriving,
                None => match self.ask(before, goal).await {
                    Ok(arriving) => arriving,
                    Err(end) => return end,
                },
            };
            match self.receive(next, goal, keeping).await {
                Received::All => {}
                Received::Left => return End::Done,
                Received::Cut => return End::Failed { retry_after: None },
                Received::Broken(Interruption::Changed) => return End::Changed,
                Received::Broken(_) => {
                    let progress = self.region.received() > before;
                    fruitless = if progress { 0 } else { fruitless + 1 };
                    if fruitless >= FRUITLESS || !self.version.is_piecewise() {
                        return End::Failed { retry_after: None };
                    }
                    continue;
                }
            }
            let next = self.next_goal().await;
            if !next
                .is_some_and(|(goal, plan)| self.version.extend_region(&self.region, goal, plan))
            {
                self.region.close();
                return End::Done;
            }
        }
    }

    async fn ask(&self, start: u64, end: u64) -> Result<Arriving, End> {
        let range = ByteRange { start, end };
        let known = self.version.known();
        let asked = self.source.rest(&self.version.place.key, known, range);
        let rest = tokio::select! {
            rest = asked => rest,
            () = self.version.life.ended() => return Err(End::Failed { retry_after: None }),
        };
        match rest {
            Rest::Bytes { body, .. } => {
                self.region.answered();
                Ok(Arriving { body, range })
            }
            Rest::Changed => Err(End::Changed),
            Rest::Unknown { retry_after } => Err(End::Failed { retry_after }),
        }
    }

    async fn receive(&self, arriving: Arriving, goal: u64, keeping: &mut Keeping) -> Received {
        let Arriving { mut body, range } = arriving;
        let mut skip = self.region.received().saturating_sub(range.start);
        while self.region.received() < goal {
            self.room(keeping).await;
            let chunk = tokio::select! {
                chunk = body.next() => chunk,
                () = self.version.life.ended() => return Received::Cut,
            };
            let mut bytes = match chunk {
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => return Received::Broken(error.kind),
                None => return Received::Broken(Interruption::Cut),
            };
            let skipped = usize::try_from(skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
            skip -= skipped as u64;
            let _ = bytes.split_to(skipped);
            while !bytes.is_empty() && self.region.received() < goal {
                self.room(keeping).await;
                let (taken, complete) = self.region.push(&bytes);
                let _ = bytes.split_to(taken);
                if let Some((n, slice)) = complete {
                    self.keep(n, slice, keeping).await;
                    if !self.is_worth_going_on() {
                        return Received::Left;
                    }
                }
            }
        }
        Received::All
    }

    /// Where nobody reads any more it ends with the slice, unless little is left of the object.
    fn is_worth_going_on(&self) -> bool {
        let left = self.version.total - self.region.received();
        self.region.is_read() || left <= SHORT_REST
    }

    /// Memory for the slice that is about to begin.
    async fn room(&self, keeping: &mut Keeping) {
        if keeping.permit.is_some() {
            return;
        }
        let n = slice_of(self.region.received());
        let length = slice_length(n, self.version.total);
        let permits = u32::try_from(length.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let memory = &self.parts.fill_memory;
        if let Ok(permit) = Arc::clone(memory).try_acquire_many_owned(permits) {
            keeping.permit = Some(permit);
            return;
        }
        // The slice before waits for the disk only, and gives its memory back.
        keeping.finish().await;
        keeping.permit = Arc::clone(memory).acquire_many_owned(permits).await.ok();
    }

    /// Keeps a slice while the next one arrives; one at a time.
    async fn keep(&self, n: u32, slice: Slice, keeping: &mut Keeping) {
        let waited_for = self.parts.keeping.token();
        keeping.finish().await;
        let permit = keeping.permit.take();
        let (parts, region) = (Arc::clone(&self.parts), Arc::clone(&self.region));
        let version = Arc::clone(&self.version);
        keeping.running = Some(self.parts.tasks.spawn(async move {
            let kept = parts.keep(&version, n, &slice).await;
            drop(waited_for);
            let linger = match kept {
                Kept::Disk => Duration::ZERO,
                Kept::Memory => LINGER_IN_MEMORY,
                Kept::Nowhere => LINGER,
            };
            if !linger.is_zero() {
                let end = (u64::from(n) + 1).saturating_mul(SLICE_BYTES);
                let passed = region.is_passed(end.min(version.total));
                let _ = timeout(linger, passed).await;
            }
            region.forget(n);
            drop(permit);
        }));
    }

    /// Where the next segment ends, if one is wanted now: the furthest reader has less than half
    /// a segment before it, and nobody holds what comes next.
    async fn next_goal(&self) -> Option<(u64, Plan)> {
        let mut plan = self.region.plan();
        let (at, total) = (self.region.received(), self.version.total);
        if at >= total || !self.region.is_read() || !self.version.is_piecewise() {
            return None;
        }
        if matches!(plan, Plan::Until(end) if at >= end) {
            return None;
        }
        let stored = self.parts.stores(self.version.keep);
        let segment = plan.segment(at, total, stored);
        if at > self.region.demand().saturating_add(segment.length() / 2) {
            return None;
        }
        let goal = self.parts.until_held(&self.version, at, segment.end).await;
        (goal > at).then_some((goal, plan))
    }
}

/// The memory for the slice that arrives, and the one that is being kept.
#[derive(Default)]
struct Keeping {
    permit: Option<OwnedSemaphorePermit>,
    running: Option<JoinHandle<()>>,
}

impl Keeping {
    /// The slice before is kept, or is not.
    async fn finish(&mut self) {
        if let Some(running) = self.running.take() {
            // It does not panic; if it did, its slice would only be absent.
            let _ = running.await;
        }
    }
}
