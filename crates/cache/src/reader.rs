//! One client's way through a version: memory, a download under way, the disk, or a new download.
//!
//! Followers, an evicted slice, a corrupt file, a failed write and a disk that is off are all the
//! same here: a slice that is absent, and is asked for. Holds two chunks at most.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use object::{BodyError, ByteRange, Interruption, ObjectBody};

use crate::disk::{OpenSlice, Pin, SliceAt, SliceRow};
use crate::fill::Fill;
use crate::parts::Parts;
use crate::region::{Attached, End, Look};
use crate::segment::{Plan, slice_length, slice_of, slice_start};
use crate::slice::{CHUNK_BYTES, SLICE_BYTES};
use crate::source::Source;
use crate::version::{Start, Version};
use crate::whole::cut;

/// The same slice may be absent so often before its reader is cut off.
const ABSENT: u32 = 3;
/// Chunks that are read from the disk at one time.
const READ_CHUNKS: usize = 2;

/// Reads a range of one version.
pub(crate) struct Reader {
    parts: Arc<Parts>,
    source: Arc<dyn Source>,
    version: Arc<Version>,
    plan: Plan,
    at: u64,
    end: u64,
    attached: Option<Attached>,
    /// A download that was begun for bytes further on. It goes on while what is held before them
    /// is read.
    ahead: Option<Attached>,
    ready: VecDeque<Bytes>,
    file: Option<OnDisk>,
    /// Keeps what is held in its place.
    _pin: Pin,
    absent: (u32, u32),
}

struct OnDisk {
    n: u32,
    row: SliceRow,
    file: Option<OpenSlice>,
}

impl Reader {
    pub(crate) fn new(
        parts: &Arc<Parts>,
        source: &Arc<dyn Source>,
        version: &Arc<Version>,
        pin: Pin,
        plan: Plan,
        range: ByteRange,
    ) -> Self {
        Self {
            parts: Arc::clone(parts),
            source: Arc::clone(source),
            version: Arc::clone(version),
            plan,
            at: range.start,
            end: range.end,
            attached: None,
            ahead: None,
            ready: VecDeque::new(),
            file: None,
            _pin: pin,
            absent: (0, 0),
        }
    }

    /// Stays with a download that was begun for it.
    pub(crate) fn attach(&mut self, attached: Option<Attached>) {
        self.ahead = attached;
    }

    /// The bytes, as a body.
    pub(crate) fn into_body(self) -> ObjectBody {
        ObjectBody::new(stream::unfold(self, |mut reader| async move {
            let item = reader.next().await?;
            Some((item, reader))
        }))
    }

    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        if self.at >= self.end {
            return None;
        }
        if self.version.life.is_cut() {
            return Some(Err(cut()));
        }
        let found = match self.ready.pop_front() {
            Some(bytes) => Ok(bytes),
            None => self.find().await,
        };
        Some(found.map(|mut bytes| {
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            bytes.truncate(left);
            self.at += bytes.len() as u64;
            if let Some(attached) = &self.attached {
                attached.region().reached(self.at);
            }
            bytes
        }))
    }

    async fn find(&mut self) -> Result<Bytes, BodyError> {
        loop {
            self.stay_with_region();
            if let Some(bytes) = self.held_in_memory() {
                return Ok(bytes);
            }
            if let Some(attached) = &self.attached {
                let region = Arc::clone(attached.region());
                let look = tokio::select! {
                    look = region.wait(self.at) => look,
                    () = self.version.life.ended() => return Err(cut()),
                };
                match look {
                    Look::Bytes(bytes) => return Ok(bytes),
                    Look::Ended(End::Done) => {
                        self.plan = self.plan.behind(region.plan());
                        self.attached = None;
                    }
                    Look::Ended(End::Changed) => return Err(changed()),
                    Look::Ended(End::Failed { .. }) => return Err(failed()),
                    Look::Elsewhere | Look::Pending => {}
                }
                // It may have gone from the window to the memory in between.
                if let Some(bytes) = self.held_in_memory() {
                    return Ok(bytes);
                }
            }
            if let Some(bytes) = self.held_on_disk().await {
                return Ok(bytes);
            }
            self.ask_for_absent().await?;
        }
    }

    /// While a reader is at a region, the download goes on.
    fn stay_with_region(&mut self) {
        if let Some(attached) = &self.attached {
            if attached.region().is_at(self.at) {
                return;
            }
            self.plan = self.plan.behind(attached.region().plan());
        }
        let begun = |ahead: &mut Attached| ahead.region().is_at(self.at);
        self.attached = self.ahead.take_if(begun).or_else(|| {
            let region = self.version.region_at(self.at);
            region.as_ref().map(Attached::to)
        });
    }

    fn held_in_memory(&self) -> Option<Bytes> {
        let n = slice_of(self.at);
        let bytes = self
            .parts
            .memory
            .slice(&self.version, n)?
            .rest_of_chunk(within(self.at));
        (!bytes.is_empty()).then_some(bytes)
    }

    async fn held_on_disk(&mut self) -> Option<Bytes> {
        if !self.parts.stores(self.version.keep) {
            return None;
        }
        let n = slice_of(self.at);
        if self.file.as_ref().is_none_or(|file| file.n != n) {
            let row = self.parts.slice_row(&self.version, n).await?;
            self.file = Some(OnDisk { n, row, file: None });
        }
        let lift = if self.wants_all_of(n) {
            self.parts.lift(&self.version, n)
        } else {
            None
        };
        let on_disk = self.file.as_mut()?;
        let first = within(self.at) / CHUNK_BYTES;
        let count = match &lift {
            Some(_) => on_disk.row.xxh3.len(),
            None => READ_CHUNKS,
        };
        let file = on_disk.file.take();
        let at = SliceAt {
            number: self.version.number,
            n,
        };
        let read = self
            .parts
            .disk
            .read(file, &on_disk.row, at, first, count)
            .await;
        let Some((file, mut chunks)) = read else {
            self.file = None;
            self.version.lost_slice(n);
            return None;
        };
        on_disk.file = Some(file);
        if let Some(lift) = lift {
            lift.keep(&self.parts.memory, &self.version, &chunks);
            // The rest is found in memory; who does not read for long holds no more than others.
            chunks.truncate(READ_CHUNKS);
        }
        self.ready = chunks.into();
        let mut bytes = self.ready.pop_front()?;
        let _ = bytes.split_to((within(self.at) % CHUNK_BYTES).min(bytes.len()));
        (!bytes.is_empty()).then_some(bytes)
    }

    /// Whether the slice will be read from here to its end, and begins here.
    fn wants_all_of(&self, n: u32) -> bool {
        let start = slice_start(self.at);
        self.at == start && start + slice_length(n, self.version.total) <= self.end
    }

    /// Nobody holds the slice and nobody brings it.
    async fn ask_for_absent(&mut self) -> Result<(), BodyError> {
        let n = slice_of(self.at);
        self.absent = match self.absent {
            (same, count) if same == n => (n, count + 1),
            _ => (n, 1),
        };
        if self.absent.1 > ABSENT || !self.version.is_piecewise() {
            return Err(failed());
        }
        if let Some(attached) = begin_region(
            &self.parts,
            &self.source,
            &self.version,
            &mut self.plan,
            self.at,
        )
        .await
        {
            self.attached = Some(attached);
        }
        Ok(())
    }
}

/// Begins a download at this byte, or joins the one that brings it. Waits where there are too
/// many of them; `None` then: look again.
pub(crate) async fn begin_region(
    parts: &Arc<Parts>,
    source: &Arc<dyn Source>,
    version: &Arc<Version>,
    plan: &mut Plan,
    at: u64,
) -> Option<Attached> {
    let stored = parts.stores(version.keep);
    let segment = plan.segment(at, version.total, stored);
    let next = slice_start(at) + SLICE_BYTES;
    let goal = parts.until_held(version, next, segment.end).await;
    match version.start_region(segment.start, goal.max(next.min(version.total)), *plan) {
        Start::Join(region) => Some(Attached::to(&region)),
        Start::New(region) => {
            let attached = Attached::to(&region);
            let fill = Fill {
                parts: Arc::clone(parts),
                source: Arc::clone(source),
                version: Arc::clone(version),
                region,
            };
            fill.start(None);
            Some(attached)
        }
        Start::Full => {
            version.a_region_ends().await;
            None
        }
    }
}

impl Parts {
    /// The row of a slice on the disk.
    pub(crate) async fn slice_row(&self, version: &Version, n: u32) -> Option<SliceRow> {
        match n {
            0 => version.slice0(),
            n => match version.kept_lately(n) {
                Some(row) => Some(row),
                None => self.disk.slice_row(version.number, n).await,
            },
        }
    }

    /// The first byte at or behind `at` whose slice nobody holds, if there is one before `end`.
    pub(crate) async fn first_absent(&self, version: &Version, at: u64, end: u64) -> Option<u64> {
        let mut at = at;
        while at < end {
            let n = slice_of(at);
            let next = slice_start(at) + SLICE_BYTES;
            // Downloads first: when one has ended, what it brought is kept.
            let here = version
                .region_at(at)
                .is_some_and(|region| region.has_answered_for(at))
                || self.memory.slice(version, n).is_some()
                || (self.stores(version.keep)
                    && (version.kept_lately(n).is_some() || n == 0 && version.slice0().is_some()));
            if here {
                at = next;
                continue;
            }
            if n == 0 || !self.stores(version.keep) {
                return Some(at);
            }
            let last = slice_of(end - 1);
            match self.disk.first_absent(version.number, n..last + 1).await {
                None => return None,
                Some(absent) if absent == n => return Some(at),
                Some(absent) => at = u64::from(absent) * SLICE_BYTES,
            }
        }
        None
    }

    /// How far from `at`, a slice's boundary, nobody holds or brings anything; at most to `end`.
    /// What is held is not read again.
    pub(crate) async fn until_held(&self, version: &Version, at: u64, end: u64) -> u64 {
        // Downloads first: when one has ended, what it brought is kept.
        let end = version.until_brought(at, end);
        if at >= end {
            return end;
        }
        let (first, last) = (slice_of(at), slice_of(end - 1));
        let stores = self.stores(version.keep);
        let in_memory = (first..=last).find(|n| {
            self.memory.slice(version, *n).is_some() || stores && version.kept_lately(*n).is_some()
        });
        let limit = in_memory.map_or(last + 1, |n| n);
        let held = if stores && limit > first {
            self.disk.next_held(version.number, first..limit).await
        } else {
            None
        };
        let stop = held.or(in_memory);
        stop.map_or(end, |n| u64::from(n) * SLICE_BYTES)
    }
}

fn within(at: u64) -> usize {
    usize::try_from(at % SLICE_BYTES).unwrap_or(0)
}

fn changed() -> BodyError {
    BodyError::new(
        Interruption::Changed,
        "the origins do not have this version any more",
    )
}

fn failed() -> BodyError {
    BodyError::new(Interruption::Cut, "no origin could bring the rest")
}
