//! One immutable state of an object: what is known of it, and the downloads that bring its bytes.
//!
//! The bytes themselves lie in memory, on the disk, and in the windows of regions.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use object::{ObjectHead, Validator};
use tokio::sync::Notify;

use crate::disk::{Row, SliceRow, VersionFacts};
use crate::life::Life;
use crate::live::Live;
use crate::parts::content_tag;
use crate::place::Place;
use crate::region::Region;
use crate::segment::Plan;
use crate::slice::SLICE_BYTES;
use crate::source::{Found, Keep, Known};
use crate::sync::Mutex;

/// Downloads of one version at one time; more readers at other places wait for one to end.
const MOST_REGIONS: usize = 4;

/// Seconds that a copy of a deleted object stays, in case it comes back.
const GONE_STAYS: u64 = 7 * 86_400;

/// Seconds between two checks of the same version.
const CHECK_EVERY: u64 = 10;

/// Slices that are remembered beside their rows: far more than arrive before a row can be found.
const LATELY: usize = 16;

/// One version of an object.
pub(crate) struct Version {
    pub(crate) number: u64,
    pub(crate) place: Place,
    /// Length in bytes.
    pub(crate) total: u64,
    /// What clients are told. Its validator and proofs are those of whoever gave it first.
    pub(crate) head: ObjectHead,
    pub(crate) keep: Keep,
    /// When it was first held, in seconds since 1970.
    pub(crate) stored: u64,
    pub(crate) life: Life,
    etag: OnceLock<Box<str>>,
    known: Mutex<Known>,
    checked: AtomicU64,
    /// When every origin said that it is missing, or 0.
    gone: AtomicU64,
    slice0: Mutex<Option<SliceRow>>,
    /// The last slices whose files are in place: their rows cannot be found at once, and what was
    /// paid for a moment ago must not be asked for again.
    lately: Mutex<VecDeque<(u32, SliceRow)>>,
    /// Digests of the slices seen, while the version has no tag.
    digests: Mutex<BTreeMap<u32, [u8; 32]>>,
    regions: Mutex<Vec<Arc<Region>>>,
    /// So that a hit need not take the lock.
    open_regions: AtomicUsize,
    region_ended: Notify,
    /// When it may be checked again, in seconds since 1970.
    next_check: AtomicU64,
    /// The check of what only a rehearsing or vanished origin has given.
    doubted: AtomicBool,
    touched: AtomicU32,
    keepsake: Mutex<Option<Keepsake>>,
    live: Weak<Live>,
}

/// Something that whoever answers with a version has made of it and wants to find again; at most
/// 2 KiB, for which the memory tier has room.
pub type Keepsake = Arc<dyn Any + Send + Sync>;

/// A place for a download.
pub(crate) enum Start {
    /// Another download brings this place already.
    Join(Arc<Region>),
    /// This one is to bring it.
    New(Arc<Region>),
    /// There are too many; wait for [`Version::a_region_ends`].
    Full,
}

impl Version {
    /// A version that an origin has just answered with.
    pub(crate) fn found(
        number: u64,
        place: Place,
        total: u64,
        found: &Found,
        now: u64,
        live: &Arc<Live>,
    ) -> Self {
        let known = Known {
            origin: Arc::clone(&found.origin),
            head: found.head.clone(),
        };
        let version = Self::new(number, place, total, found.keep, known, now, live);
        if let Some(etag) = &found.etag {
            let _ = version.etag.set(etag.clone());
        }
        version
    }

    /// A version that lies on the disk.
    pub(crate) fn of_row(row: Row, live: &Arc<Live>) -> Self {
        let facts = row.facts;
        let place = Place {
            space: facts.space,
            key: facts.key,
        };
        let known = Known {
            origin: facts.source,
            head: facts.head,
        };
        let mut version = Self::new(
            facts.number,
            place,
            facts.total,
            Keep::Disk,
            known,
            facts.stored,
            live,
        );
        if let Some(etag) = facts.etag {
            let _ = version.etag.set(etag);
        }
        *version.checked.get_mut() = facts.checked;
        *version.gone.get_mut() = row.gone.unwrap_or(0);
        *version.slice0.lock() = row.slice0;
        version
    }

    fn new(
        number: u64,
        place: Place,
        total: u64,
        keep: Keep,
        known: Known,
        now: u64,
        live: &Arc<Live>,
    ) -> Self {
        Self {
            number,
            place,
            total,
            head: known.head.clone(),
            keep,
            stored: now,
            life: Life::default(),
            etag: OnceLock::new(),
            known: Mutex::new(known),
            checked: AtomicU64::new(now),
            gone: AtomicU64::new(0),
            slice0: Mutex::new(None),
            lately: Mutex::new(VecDeque::new()),
            digests: Mutex::new(BTreeMap::new()),
            regions: Mutex::new(Vec::new()),
            open_regions: AtomicUsize::new(0),
            region_ended: Notify::new(),
            next_check: AtomicU64::new(0),
            doubted: AtomicBool::new(false),
            touched: AtomicU32::new(0),
            keepsake: Mutex::new(None),
            live: Arc::downgrade(live),
        }
    }

    /// What the disk keeps of it beside its bytes.
    pub(crate) fn facts(&self) -> VersionFacts {
        let known = self.known.lock();
        VersionFacts {
            number: self.number,
            space: Arc::clone(&self.place.space),
            key: self.place.key.clone(),
            total: self.total,
            source: Arc::clone(&known.origin),
            head: ObjectHead {
                validator: known.head.validator.clone(),
                proofs: known.head.proofs.clone(),
                ..self.head.clone()
            },
            etag: self.etag().map(Into::into),
            stored: self.stored,
            checked: self.checked(),
        }
    }

    /// The entity tag that clients see, quotes included.
    pub(crate) fn etag(&self) -> Option<&str> {
        self.etag.get().map(|etag| &**etag)
    }

    /// Notes a slice's digest. A version that its origin does not name gets a tag made of its
    /// content once all slices were seen; returns it then.
    pub(crate) fn saw_slice(&self, n: u32, sha256: [u8; 32]) -> Option<Box<str>> {
        if self.etag.get().is_some() {
            return None;
        }
        let mut digests = self.digests.lock();
        digests.insert(n, sha256);
        if (digests.len() as u64) < self.total.div_ceil(SLICE_BYTES) {
            return None;
        }
        let all: Vec<_> = std::mem::take(&mut *digests).into_values().collect();
        let tag = content_tag(self.total, &all);
        let _ = self.etag.set(tag.clone());
        Some(tag)
    }

    /// Who gave it, and how its origin knows it.
    pub(crate) fn known(&self) -> Known {
        self.known.lock().clone()
    }

    pub(crate) fn origin(&self) -> Arc<str> {
        Arc::clone(&self.known.lock().origin)
    }

    /// Whether more of it can be asked for: otherwise nobody could tell another version from it.
    pub(crate) fn is_piecewise(&self) -> bool {
        let known = self.known.lock();
        matches!(known.head.validator, Some(Validator::Strong(_)))
    }

    /// An origin has it: it is as fresh as when it was stored.
    pub(crate) fn confirmed(&self, by: Known, now: u64) {
        self.checked.fetch_max(now, Ordering::AcqRel);
        self.gone.store(0, Ordering::Release);
        *self.known.lock() = by;
    }

    /// When an origin last confirmed it, in seconds since 1970.
    pub(crate) fn checked(&self) -> u64 {
        self.checked.load(Ordering::Acquire)
    }

    /// Every origin says that it is missing: confirmed as an orphan.
    pub(crate) fn confirmed_as_orphan(&self, now: u64) {
        self.checked.fetch_max(now, Ordering::AcqRel);
    }

    /// The origin that gave it says that it is missing, and so do all the others.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire) != 0
    }

    /// Whether it was found to be deleted longer ago than [`GONE_STAYS`]: a bucket that was
    /// emptied by mistake has been filled again by then, or never will be.
    pub(crate) fn is_long_gone(&self, now: u64) -> bool {
        let gone = self.gone.load(Ordering::Acquire);
        gone != 0 && now.saturating_sub(gone) > GONE_STAYS
    }

    pub(crate) fn gone_since(&self, now: u64) {
        self.gone.store(now.max(1), Ordering::Release);
    }

    /// The right to check it in the background, at most every [`CHECK_EVERY`] seconds.
    pub(crate) fn begin_check(&self, now: u64) -> bool {
        let due = |next| (now >= next).then_some(now.saturating_add(CHECK_EVERY));
        let order = Ordering::AcqRel;
        self.next_check
            .fetch_update(order, Ordering::Acquire, due)
            .is_ok()
    }

    /// Whether it is the first time that the origin it came from is doubted.
    pub(crate) fn begin_doubt(&self) -> bool {
        !self.doubted.load(Ordering::Acquire) && !self.doubted.swap(true, Ordering::AcqRel)
    }

    /// Whether it is used for the first time in this hour.
    pub(crate) fn touch(&self, hour: u32) -> bool {
        self.touched.load(Ordering::Relaxed) != hour
            && self.touched.swap(hour, Ordering::Relaxed) != hour
    }

    pub(crate) fn keepsake(&self) -> Option<Keepsake> {
        self.keepsake.lock().clone()
    }

    pub(crate) fn leave(&self, keepsake: Keepsake) {
        *self.keepsake.lock() = Some(keepsake);
    }

    pub(crate) fn slice0(&self) -> Option<SliceRow> {
        self.slice0.lock().clone()
    }

    pub(crate) fn set_slice0(&self, row: Option<SliceRow>) {
        *self.slice0.lock() = row;
    }

    /// A slice's file is in place.
    pub(crate) fn kept_slice(&self, n: u32, row: SliceRow) {
        if n == 0 {
            return self.set_slice0(Some(row));
        }
        let mut lately = self.lately.lock();
        lately.retain(|(known, _)| *known != n);
        if lately.len() == LATELY {
            lately.pop_front();
        }
        lately.push_back((n, row));
    }

    /// The row of a slice that was kept a moment ago.
    pub(crate) fn kept_lately(&self, n: u32) -> Option<SliceRow> {
        let lately = self.lately.lock();
        let known = lately.iter().find(|(known, _)| *known == n);
        known.map(|(_, row)| row.clone())
    }

    /// A slice's file is damaged or gone.
    pub(crate) fn lost_slice(&self, n: u32) {
        if n == 0 {
            return self.set_slice0(None);
        }
        self.lately.lock().retain(|(known, _)| *known != n);
    }

    /// The download that brings this byte.
    pub(crate) fn region_at(&self, at: u64) -> Option<Arc<Region>> {
        if self.open_regions.load(Ordering::Acquire) == 0 {
            return None;
        }
        let regions = self.regions.lock();
        regions.iter().find(|region| region.covers(at)).cloned()
    }

    /// A region for these bytes, unless one brings their beginning.
    pub(crate) fn start_region(&self, start: u64, goal: u64, plan: Plan) -> Start {
        let mut regions = self.regions.lock();
        if let Some(region) = regions.iter().find(|region| region.will_bring(start)) {
            return Start::Join(Arc::clone(region));
        }
        if regions.len() >= MOST_REGIONS {
            return Start::Full;
        }
        // Not into what another one brings.
        let brought = regions.iter().filter_map(|region| region.first_from(start));
        let goal = brought.fold(goal, u64::min);
        let region = Region::new(start, goal, self.total, plan);
        regions.push(Arc::clone(&region));
        self.open_regions.store(regions.len(), Ordering::Release);
        Start::New(region)
    }

    /// Lets a download go on behind its end, as far as no other one brings that already. Returns
    /// whether it may.
    pub(crate) fn extend_region(&self, region: &Arc<Region>, goal: u64, plan: Plan) -> bool {
        let regions = self.regions.lock();
        let at = region.goal();
        let others = || regions.iter().filter(|other| !Arc::ptr_eq(other, region));
        if others().any(|other| other.covers(at)) {
            return false;
        }
        let behind = others().filter_map(|other| other.first_from(at));
        region.extend(behind.fold(goal, u64::min), plan);
        true
    }

    /// How far from `at`, a slice's boundary, no download brings anything; at most to `end`.
    pub(crate) fn until_brought(&self, at: u64, end: u64) -> u64 {
        if self.open_regions.load(Ordering::Acquire) == 0 {
            return end;
        }
        let regions = self.regions.lock();
        let brought = regions.iter().filter_map(|region| region.first_from(at));
        brought.fold(end, u64::min)
    }

    /// A download is over.
    pub(crate) fn end_region(&self, region: &Arc<Region>) {
        let mut regions = self.regions.lock();
        regions.retain(|open| !Arc::ptr_eq(open, region));
        self.open_regions.store(regions.len(), Ordering::Release);
        drop(regions);
        self.region_ended.notify_waiters();
    }

    /// Ends when one of the downloads has ended.
    pub(crate) async fn a_region_ends(&self) {
        let mut ended = std::pin::pin!(self.region_ended.notified());
        ended.as_mut().enable();
        if self.regions.lock().len() >= MOST_REGIONS {
            ended.await;
        }
    }
}

impl Drop for Version {
    fn drop(&mut self) {
        if let Some(live) = self.live.upgrade() {
            live.forget(&self.place);
        }
    }
}
