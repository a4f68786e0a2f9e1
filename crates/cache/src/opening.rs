//! What an opening finds: a copy, a version that an origin begins to bring, or a body that cannot
//! be kept.
//!
//! Decides what may be kept: only what can be told from another version, or comes all at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object::{ByteRange, Extent, ObjectBody, Part, Validator};

use crate::brief::{Absent, Passes};
use crate::disk::{FirstBytes, Row, SliceAt, WHOLE_FIRST_BYTES};
use crate::fill::{Arriving, Fill};
use crate::memory::Entry;
use crate::observer::Tier;
use crate::parts::Parts;
use crate::place::Place;
use crate::region::Attached;
use crate::segment::{LONGEST, Plan, slice_end, slice_start};
use crate::slice::{SLICE_BYTES, Slice};
use crate::source::{Found, Keep, Opening, Source};
use crate::sync::Mutex;
use crate::version::{Start, Version};
use crate::whole;

/// Larger objects that came from a disk of this machine are not worth the memory.
const LARGEST_LOCAL: u64 = 8 * SLICE_BYTES;

/// How an opening came out, for all who wait for it.
#[derive(Clone)]
pub(crate) struct Settled {
    pub(crate) result: SettledAs,
    /// What each origin said.
    pub(crate) trail: Arc<str>,
}

#[derive(Clone)]
pub(crate) enum SettledAs {
    /// It was held all the time.
    Known(Entry),
    Version(Arc<Version>, Option<Attached>),
    /// Only one can have the body; the others ask for themselves.
    Passing(Part, Arc<Mutex<Option<Box<Found>>>>),
    Unsatisfiable(u64, Arc<str>),
    Absent(Absent),
    Withheld,
    Unknown(Option<Duration>),
}

impl SettledAs {
    pub(crate) fn without_trail(self) -> Settled {
        Settled {
            result: self,
            trail: "".into(),
        }
    }
}

impl Parts {
    /// The version of this name that is in memory, with its bytes if they are, or in use.
    pub(crate) fn at_hand(&self, place: &Place) -> Option<Entry> {
        let in_use = || {
            self.live.version(place).map(|version| Entry {
                version,
                bytes: None,
            })
        };
        self.memory.object(&place.space, &place.key).or_else(in_use)
    }

    /// The bytes of a small object that lies on the disk, where the kernel has them in memory: as
    /// many as any reader may hold, and nothing is waited for.
    pub(crate) fn bring_at_once(&self, version: &Arc<Version>) -> Option<Slice> {
        if version.total > whole::MOST_BYTES as u64 || !self.stores(version.keep) {
            return None;
        }
        let row = version.slice0()?;
        let (_, chunks) = self.disk.read_at_once(None, &row, 0, row.xxh3.len())?;
        self.lifted(version, chunks)
    }

    /// The same of any that is read with its row, and waits for the disk. What is not there any more
    /// is absent from then on.
    pub(crate) async fn bring(&self, version: &Arc<Version>) -> Option<Slice> {
        if version.total > u64::from(WHOLE_FIRST_BYTES) || !self.stores(version.keep) {
            return None;
        }
        let row = version.slice0()?;
        let at = SliceAt {
            number: version.number,
            n: 0,
        };
        let count = row.xxh3.len();
        let Some((_, chunks)) = self.disk.read(None, &row, at, 0, count).await else {
            version.lost_slice(0);
            return None;
        };
        self.lifted(version, chunks)
    }

    fn lifted(&self, version: &Arc<Version>, chunks: Vec<Bytes>) -> Option<Slice> {
        let slice = Slice::whole(chunks, version.total)?;
        if version.life.is_good() {
            self.memory.keep_slice(version, 0, &slice);
        }
        Some(slice)
    }

    /// The version of this name, wherever it lies, unless it was deleted. What another request
    /// has just opened is at hand by the time that this one leads.
    pub(crate) async fn known(self: &Arc<Self>, place: &Place) -> Option<(Entry, Tier)> {
        if let Some(entry) = self.at_hand(place) {
            return self.unless_gone(entry, Tier::Memory);
        }
        if !self.disk.is_up() {
            return None;
        }
        let (space, key) = (&place.space, &place.key);
        let (row, first) = match self.disk.find_at_once(space, key, u64::MAX) {
            Some((row, first)) => (row, Some(first)),
            None => self.disk.find_with_first(space, key).await?,
        };
        let entry = self.of_row(row, first)?;
        self.unless_gone(entry, Tier::Disk)
    }

    /// All of a small object that nobody asked for lately, where its row is in memory and the
    /// kernel has its bytes there: nothing is waited for. `None` says nothing about the object.
    pub(crate) fn known_at_once(&self, place: &Place, list: u64) -> Option<Entry> {
        let Place { space, key } = place;
        let most = whole::MOST_BYTES as u64;
        let (row, first) = self.disk.find_at_once(space, key, most)?;
        // Last, for it is seldom so where there is a row.
        if row.gone.is_some() || self.brief.is_absent(list, place).is_some() {
            return None;
        }
        self.of_row(row, Some(first))
    }

    /// The version of a row, unless it was dropped; with the bytes that were read by the row, if they
    /// are all of it.
    fn of_row(&self, row: Row, first: Option<FirstBytes>) -> Option<Entry> {
        let (number, total) = (row.facts.number, row.facts.total);
        if self.brief.is_dropped(number) {
            return None;
        }
        let version = self.live.adopt(Version::of_row(row, &self.live));
        // Another one may have come meanwhile: these bytes are not of it.
        let bytes = first
            .filter(|_| version.number == number)
            .and_then(|first| Slice::whole(first.chunks, total));
        let entry = Entry { version, bytes };
        self.memory.keep_object(entry.clone());
        Some(entry)
    }

    fn unless_gone(&self, entry: Entry, tier: Tier) -> Option<(Entry, Tier)> {
        if entry.version.is_long_gone(self.now()) {
            self.drop_version(&entry.version);
        }
        (!entry.version.is_gone()).then_some((entry, tier))
    }

    pub(crate) async fn settle(
        self: &Arc<Self>,
        number: u64,
        place: &Place,
        source: &Arc<dyn Source>,
        wanted: Part,
        outcome: Opening,
        trail: &Arc<str>,
    ) -> SettledAs {
        let found = match outcome {
            Opening::Found(found) => found,
            Opening::Missing { .. } => {
                return self.absent(number, place, source, Absent::Missing, trail);
            }
            Opening::Withdrawn => {
                if let Some((entry, _)) = self.known(place).await {
                    self.cut_version(&entry.version);
                }
                return self.absent(number, place, source, Absent::Withdrawn, trail);
            }
            Opening::Withheld => {
                if let Some((entry, _)) = self.known(place).await {
                    self.drop_version(&entry.version);
                }
                return SettledAs::Withheld;
            }
            Opening::Unknown { retry_after } => return SettledAs::Unknown(retry_after),
        };
        self.brief.changed(place, number);
        match (found.extent, found.head.length) {
            (Extent::Unsatisfiable, Some(0)) => self.empty(number, place, source, found).await,
            (Extent::Unsatisfiable, total) => {
                SettledAs::Unsatisfiable(total.unwrap_or(0), Arc::clone(&found.origin))
            }
            _ => self.version_or_passing(number, place, source, wanted, found),
        }
    }

    fn absent(
        &self,
        number: u64,
        place: &Place,
        source: &Arc<dyn Source>,
        absent: Absent,
        trail: &Arc<str>,
    ) -> SettledAs {
        self.brief
            .absent(source.list(), place, number, absent, trail);
        SettledAs::Absent(absent)
    }

    /// An object without a byte; its head was not told with the refusal of a range.
    async fn empty(
        self: &Arc<Self>,
        number: u64,
        place: &Place,
        source: &Arc<dyn Source>,
        found: Box<Found>,
    ) -> SettledAs {
        let found = match source.open(&place.key, Part::Head).await.outcome {
            Opening::Found(found) => found,
            _ => found,
        };
        self.version_or_passing(number, place, source, Part::Head, found)
    }

    fn version_or_passing(
        self: &Arc<Self>,
        number: u64,
        place: &Place,
        source: &Arc<dyn Source>,
        wanted: Part,
        mut found: Box<Found>,
    ) -> SettledAs {
        if can_be_told(&found) {
            self.brief.is_kept(place);
        } else if wanted != Part::Head && keepable(&found).is_none() {
            // A head alone does not tell whether the whole would come at once.
            self.brief.passes(place, Passes::of(found.head.length));
        }
        let Some((total, arriving)) = keepable(&found) else {
            let handed = cut_to(found, wanted);
            return SettledAs::Passing(wanted, Arc::new(Mutex::new(handed)));
        };
        let body = std::mem::replace(&mut found.body, ObjectBody::empty());
        let version = Version::found(number, place.clone(), total, &found, self.now(), &self.live);
        if self.disk.is_purged(&place.space, &place.key, number) {
            version.life.retire();
        }
        let version = self.live.adopt(version);
        self.remember(&version);
        let Some((range, region)) = arriving else {
            return SettledAs::Version(version, None);
        };
        let plan = Plan::after_first(wanted, total);
        let Start::New(region) = version.start_region(region.start, region.end, plan) else {
            return SettledAs::Version(version, None);
        };
        let lease = Attached::to(&region);
        let fill = Fill {
            parts: Arc::clone(self),
            source: Arc::clone(source),
            version: Arc::clone(&version),
            region,
        };
        fill.start(Some(Arriving { body, range }));
        SettledAs::Version(version, Some(lease))
    }
}

/// Of a body that is not kept, the part that was wanted, if it brings all of that.
fn cut_to(mut found: Box<Found>, wanted: Part) -> Option<Box<Found>> {
    let Extent::Bytes(brought) = found.extent else {
        return Some(found)
            .filter(|found| found.extent == Extent::Unbounded || wanted == Part::Head);
    };
    let total = found.head.length?;
    let range = match wanted {
        Part::Head => return None,
        Part::Whole => ByteRange::whole(total),
        Part::Range(asked) => asked.resolve(total)?,
    };
    if range == brought {
        return Some(found);
    }
    if range.start < brought.start || range.end > brought.end {
        return None;
    }
    let body = std::mem::replace(&mut found.body, ObjectBody::empty());
    found.body = body.only(range.start - brought.start, range.length());
    found.extent = Extent::Bytes(range);
    Some(found)
}

/// The length of an object of which copies may lie here.
fn length_to_keep(found: &Found) -> Option<u64> {
    let total = found.head.length?;
    let local_and_large = found.keep == Keep::Memory && total > LARGEST_LOCAL;
    (found.keep != Keep::Nowhere && !local_and_large).then_some(total)
}

/// Whether any part of the object may be kept, because another version can be told from it.
fn can_be_told(found: &Found) -> bool {
    let strong = matches!(found.head.validator, Some(Validator::Strong(_)));
    strong && length_to_keep(found).is_some()
}

/// The length of an object that can be kept, and of the bytes that arrive those that can.
///
/// It must be possible to tell another version from it, or all of it must come at once; and not
/// more than may be read for nothing.
fn keepable(found: &Found) -> Option<(u64, Option<(ByteRange, ByteRange)>)> {
    let total = length_to_keep(found)?;
    let strong = can_be_told(found);
    let range = match found.extent {
        Extent::Bytes(range) => range,
        Extent::None if strong || total == 0 => return Some((total, None)),
        Extent::Unsatisfiable if total == 0 => return Some((total, None)),
        _ => return None,
    };
    let start = slice_end(range.start);
    let end = if range.end == total {
        total
    } else {
        slice_start(range.end)
    };
    let whole = start == 0 && end == total;
    if range.is_empty() {
        return Some((total, None)).filter(|_| total == 0);
    }
    let region = ByteRange { start, end };
    let is_fit = start < end && end - start <= LONGEST;
    (is_fit && (strong || whole)).then_some((total, Some((range, region))))
}
