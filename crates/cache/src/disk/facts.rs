//! What the disk is told of a version, and what it tells.
//!
//! Plain data: how it is written down is in `rows`, and who may see it is decided elsewhere.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use object::{ObjectHead, ObjectKey, Validator};

use super::content::OpenSlice;

/// The most origins of which a validator is remembered beside the one that gave the object.
pub(crate) const MAX_PROOFS: usize = 4;

/// What the object row of a version says; given with every slice, because any slice may be the
/// first that arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionFacts {
    /// The number of the version, from [`super::Disk::next_number`].
    pub(crate) number: u64,
    /// The cache space.
    pub(crate) space: Arc<str>,
    /// The key in that space.
    pub(crate) key: ObjectKey,
    /// The whole object's length in bytes.
    pub(crate) total: u64,
    /// The origin that gave it.
    pub(crate) source: Arc<str>,
    /// Its head.
    pub(crate) head: ObjectHead,
    /// Our own entity tag, once all slices were seen.
    pub(crate) etag: Option<Box<str>>,
    /// When it was fetched, in seconds since 1970.
    pub(crate) stored: u64,
    /// When an origin last confirmed it, in seconds since 1970.
    pub(crate) checked: u64,
}

/// How dear an entry is; the order is that of eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Asked for once.
    Once = 0,
    /// Asked for again.
    Again = 1,
    /// No origin of the route has it any more.
    Orphan = 2,
}

impl Class {
    pub(super) const ALL: [Self; 3] = [Self::Once, Self::Again, Self::Orphan];

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

/// What the index knows of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) facts: VersionFacts,
    pub(crate) class: Class,
    /// Of the last noted use: hours since 1970.
    pub(crate) hour: u32,
    /// Validators that other origins gave for equal bytes.
    pub(crate) proofs: Vec<(Box<str>, Validator)>,
    /// Since when every origin says *missing*, in seconds since 1970.
    pub(crate) gone: Option<u64>,
    /// The first slice, if it is held.
    pub(crate) slice0: Option<SliceRow>,
}

impl Deref for Row {
    type Target = VersionFacts;

    fn deref(&self) -> &VersionFacts {
        &self.facts
    }
}

/// What the index knows of one slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SliceRow {
    pub(crate) sha256: [u8; 32],
    /// In bytes.
    pub(crate) length: u32,
    /// What the file takes on the disk, in bytes.
    pub(crate) allocated: u32,
    /// xxh3-64 of each chunk.
    pub(crate) xxh3: Box<[u64]>,
}

/// Which slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SliceAt {
    /// The number of the version.
    pub(crate) number: u64,
    /// Which of its slices, from 0.
    pub(crate) n: u32,
}

/// The beginning of slice 0, checked.
#[derive(Debug, Clone)]
pub(crate) struct FirstBytes {
    /// For reading on.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "for a reader of an object longer than this")
    )]
    pub(crate) file: OpenSlice,
    /// The chunks from the first.
    pub(crate) chunks: Vec<Bytes>,
}

/// A change to the row of a version.
#[derive(Debug, Clone)]
pub(crate) enum RowChange {
    /// An origin confirmed it.
    Checked {
        /// When, in seconds since 1970.
        at: u64,
        /// The origin it is from now on attributed to.
        source: Option<Arc<str>>,
        /// An origin, and the validator that it gave.
        proof: Option<(Box<str>, Validator)>,
    },
    /// Every origin says *missing*, since when; or no longer.
    Gone(Option<u64>),
    /// No origin of the route has it, or one has it again.
    Orphan(bool),
    /// All slices were seen.
    Etag(Box<str>),
}

/// What a purge takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purge {
    /// One object.
    Key {
        /// The cache space.
        space: Arc<str>,
        /// The key.
        key: ObjectKey,
    },
    /// Everything whose key begins so.
    Prefix {
        /// The cache space.
        space: Arc<str>,
        /// How the keys begin.
        prefix: Box<str>,
    },
    /// A whole space.
    Space(Arc<str>),
    /// Everything.
    All,
}

impl Purge {
    /// Whether it takes this object.
    pub(crate) fn takes(&self, of: &str, key: &ObjectKey) -> bool {
        match self {
            Self::All => true,
            Self::Space(space) => **space == *of,
            Self::Prefix { space, prefix } => **space == *of && key.as_str().starts_with(&**prefix),
            Self::Key { space, key: one } => **space == *of && one == key,
        }
    }
}

/// What a purge took from the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// How many versions, counted in the index.
    pub versions: u64,
    /// Their bytes as allocated; bytes that two versions share count twice.
    pub bytes: u64,
    /// Whether it is written down, so that a crash does not undo it. Not so while the disk is
    /// down: it then holds for this process, and is written down when the disk comes back.
    pub durable: bool,
    /// Whether the files are gone already; else they are being removed.
    pub swept: bool,
}

impl Purged {
    /// Nothing was there.
    pub const NOTHING: Self = Self {
        versions: 0,
        bytes: 0,
        durable: true,
        swept: true,
    };

    /// Together with another one.
    pub fn add(&mut self, other: Self) {
        self.versions += other.versions;
        self.bytes += other.bytes;
        self.durable &= other.durable;
        self.swept &= other.swept;
    }
}

/// What lies on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Allocated bytes, with the index and the directories.
    pub bytes: u64,
    /// Objects.
    pub entries: u64,
    /// Content files.
    pub files: u64,
    /// Objects that no origin of their route has.
    pub orphans: u64,
}
