//! The memory tier: small objects whole, and slices of larger ones, by weight.
//!
//! S3-FIFO, so that a crawler that asks for everything once does not flush what is asked for all
//! the time. Holds only copies: whatever is dropped here is on the disk or at an origin.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use object::ObjectKey;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, OptionsBuilder, Weighter};

use crate::disk::WHOLE_FIRST_BYTES;
use crate::place::Place;
use crate::slice::{SLICE_BYTES, Slice};
use crate::source::Keep;
use crate::version::Version;
use crate::whole;

/// What an entry costs beside its bytes and its key, in bytes: the version with its strings, and
/// the cache's own node.
const OVERHEAD: u64 = 1024;
/// What may be left with a version whose bytes are answered with at once, in bytes.
const KEEPSAKE: u64 = 2048;
/// An item must fit into one shard several times over, or it is refused in silence.
const LEAST_SHARD: u64 = 16 * SLICE_BYTES;
const MOST_SHARDS: u64 = 8;

/// Larger objects are not worth knowing without their bytes: theirs do not come in one read.
const MOST_KNOWN: u64 = WHOLE_FIRST_BYTES as u64;
const LEAST_FOR_KNOWN: u64 = 16 << 20;

/// What is set aside for objects that are known to lie on the disk, beside the memory tier's own
/// bytes: an eighth of these, and at least 16 MiB.
pub fn known_bytes(memory_bytes: u64) -> u64 {
    (memory_bytes / 8).max(LEAST_FOR_KNOWN)
}

/// What is set aside for rows of the index that were read or written lately: as much again.
pub fn rows_bytes(memory_bytes: u64) -> u64 {
    known_bytes(memory_bytes)
}

/// The memory tier.
pub(crate) struct Memory {
    cache: Cache<Name, Item, Weight>,
    /// Small objects that lie on the disk, without their bytes: what a hit from there needs to know
    /// without a look at the index.
    known: Cache<Name, Item, Weight>,
    takes_slices: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Object(Place),
    Slice(u64, u32),
}

/// A name to look for.
#[derive(PartialEq, Eq, Hash)]
enum Sought<'a> {
    Object(&'a str, &'a str),
    Slice(u64, u32),
}

impl Name {
    fn sought(&self) -> Sought<'_> {
        match self {
            Self::Object(place) => Sought::Object(&place.space, place.key.as_str()),
            Self::Slice(number, n) => Sought::Slice(*number, *n),
        }
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.sought().hash(state);
    }
}

impl Equivalent<Name> for Sought<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        *self == name.sought()
    }
}

#[derive(Clone)]
enum Item {
    Object(Entry),
    Slice(Slice),
    /// Whether something was left with it when it came here: its weight must not change.
    Known(Arc<Version>, bool),
}

impl Item {
    fn version(&self) -> Option<&Arc<Version>> {
        match self {
            Self::Object(entry) => Some(&entry.version),
            Self::Known(version, _) => Some(version),
            Self::Slice(_) => None,
        }
    }

    fn is_of(&self, version: &Version) -> bool {
        self.version()
            .is_some_and(|own| own.number == version.number)
    }
}

fn tier(bytes: u64, items: u64) -> Cache<Name, Item, Weight> {
    let shards = (bytes / LEAST_SHARD).clamp(1, MOST_SHARDS);
    let items = usize::try_from(items).unwrap_or(usize::MAX);
    let options = OptionsBuilder::new()
        .estimated_items_capacity(items.max(64))
        .weight_capacity(bytes)
        .shards(usize::try_from(shards).unwrap_or(1))
        .build()
        .expect("both capacities are given");
    Cache::with_options(
        options,
        Weight,
        quick_cache::DefaultHashBuilder::default(),
        quick_cache::sync::DefaultLifecycle::default(),
    )
}

/// A version that is known, with its bytes where they are one slice.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) version: Arc<Version>,
    pub(crate) bytes: Option<Slice>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Name, Item> for Weight {
    fn weight(&self, name: &Name, item: &Item) -> u64 {
        let bytes = match item {
            Item::Object(entry) => entry.bytes.as_ref().map_or(0, Slice::length),
            Item::Slice(slice) => slice.length(),
            Item::Known(..) => 0,
        };
        let name = match name {
            Name::Object(place) => place.key.as_str().len(),
            Name::Slice(..) => 0,
        };
        // With what is small enough something may be left at any time.
        let keepsake = match item {
            Item::Object(_) if (1..=whole::MOST_BYTES).contains(&bytes) => KEEPSAKE,
            Item::Known(_, true) => KEEPSAKE,
            _ => 0,
        };
        OVERHEAD + keepsake + (bytes + name) as u64
    }
}

impl Memory {
    /// At most so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            cache: tier(bytes, bytes / (32 * 1024)),
            known: tier(known_bytes(bytes), known_bytes(bytes) / OVERHEAD),
            takes_slices: bytes >= LEAST_SHARD,
        }
    }

    /// Whether it is large enough for whole slices.
    pub(crate) fn takes_slices(&self) -> bool {
        self.takes_slices
    }

    /// The version of this name, unless it must not be used any more.
    pub(crate) fn object(&self, space: &str, key: &ObjectKey) -> Option<Entry> {
        let sought = Sought::Object(space, key.as_str());
        let entry = match self
            .cache
            .get(&sought)
            .or_else(|| self.known.get(&sought))?
        {
            Item::Object(entry) => entry,
            Item::Known(version, _) => Entry {
                version,
                bytes: None,
            },
            Item::Slice(_) => return None,
        };
        entry.version.life.is_good().then_some(entry)
    }

    /// Remembers a version.
    pub(crate) fn keep_object(&self, entry: Entry) {
        let version = &entry.version;
        let Place { space, key } = &version.place;
        let is_known = self
            .known
            .get(&Sought::Object(space, key.as_str()))
            .is_some_and(|item| item.is_of(version));
        if !is_known {
            self.know(version);
        }
        let name = Name::Object(version.place.clone());
        self.cache.insert(name, Item::Object(entry));
    }

    /// Remembers a small version that can lie on the disk, however its bytes fare here. To be told
    /// again when something was left with it, which has a weight.
    pub(crate) fn know(&self, version: &Arc<Version>) {
        let name = Name::Object(version.place.clone());
        if version.keep == Keep::Disk && version.total <= MOST_KNOWN {
            let has_keepsake = version.keepsake().is_some();
            let item = Item::Known(Arc::clone(version), has_keepsake);
            self.known.insert(name, item);
        } else {
            // One that has its place would be taken for it.
            self.known.remove(&name);
        }
    }

    /// Bytes of one slice of a version.
    pub(crate) fn slice(&self, version: &Version, n: u32) -> Option<Slice> {
        if version.total <= SLICE_BYTES {
            let Place { space, key } = &version.place;
            match self.cache.get(&Sought::Object(space, key.as_str())) {
                Some(Item::Object(entry)) if entry.version.number == version.number => {
                    return entry.bytes;
                }
                _ if version.life.is_good() => return None,
                // It may be hidden.
                _ => {}
            }
        }
        match self.cache.get(&Sought::Slice(version.number, n)) {
            Some(Item::Slice(slice)) => Some(slice),
            _ => None,
        }
    }

    /// Keeps a slice.
    pub(crate) fn keep_slice(&self, version: &Arc<Version>, n: u32, slice: &Slice) {
        if version.total <= SLICE_BYTES {
            self.keep_object(Entry {
                version: Arc::clone(version),
                bytes: Some(slice.clone()),
            });
        } else {
            let name = Name::Slice(version.number, n);
            self.cache.insert(name, Item::Slice(slice.clone()));
        }
    }

    /// Drops the version of a place.
    pub(crate) fn drop_place(&self, place: &Place) {
        let name = Name::Object(place.clone());
        for tier in [&self.cache, &self.known] {
            if let Some((_, item)) = tier.remove(&name)
                && let Some(version) = item.version()
            {
                version.life.retire();
            }
        }
    }

    /// Drops every version whose place matches. Slices of larger ones are found by number only,
    /// which nobody asks for any more; they leave as others come.
    pub(crate) fn drop_matching(&self, matches: impl Fn(&Place) -> bool) {
        let stays = |name: &Name, item: &Item| match (name, item.version()) {
            (Name::Object(place), Some(version)) if matches(place) => {
                version.life.retire();
                false
            }
            _ => true,
        };
        self.cache.retain(stays);
        self.known.retain(stays);
    }

    /// Takes a version that is read out of the sight of those who come. Its bytes are then found
    /// by its number only, and leave as others come.
    pub(crate) fn hide_version(&self, version: &Version) {
        let name = Name::Object(version.place.clone());
        self.known.remove_if(&name, |item| item.is_of(version));
        let removed = self.cache.remove_if(&name, |item| item.is_of(version));
        if let Some((
            _,
            Item::Object(Entry {
                bytes: Some(bytes), ..
            }),
        )) = removed
        {
            let name = Name::Slice(version.number, 0);
            self.cache.insert(name, Item::Slice(bytes));
        }
    }

    /// Drops one version and its slices.
    pub(crate) fn drop_version(&self, version: &Version) {
        let name = Name::Object(version.place.clone());
        for tier in [&self.cache, &self.known] {
            tier.remove_if(&name, |item| item.is_of(version));
        }
        if version.total > SLICE_BYTES {
            let slices = u32::try_from(version.total.div_ceil(SLICE_BYTES)).unwrap_or(u32::MAX);
            for n in 0..slices {
                self.cache.remove(&Name::Slice(version.number, n));
            }
        }
    }

    /// Bytes held, as they are weighed.
    pub(crate) fn bytes(&self) -> u64 {
        self.cache.weight()
    }
}
