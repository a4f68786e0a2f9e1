//! What the writer is asked to do.
//!
//! Only the words; what each comes to is decided in `batch`, with the index as it is then.

use std::sync::{Arc, mpsc};
use std::time::SystemTime;

use object::ObjectKey;

use super::content::Identity;
use super::facts::{Purge, RowChange, SliceAt, SliceRow, VersionFacts};
use super::meter::Coming;
use super::pending::Guard;
use super::tables::Place;
use crate::Evicted;

/// An object of a space.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) space: Arc<str>,
    pub(super) key: ObjectKey,
}

/// A slice whose file is in place.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) facts: VersionFacts,
    pub(super) n: u32,
    pub(super) slice: SliceRow,
    pub(super) hour: u32,
    pub(super) guard: Option<Guard>,
    pub(super) coming: Option<Coming>,
}

/// A slice whose file is gone or wrong.
#[derive(Debug, Clone)]
pub(super) struct Lost {
    pub(super) at: SliceAt,
    pub(super) slice: SliceRow,
    /// Where it is known; only with it is a first slice taken out of its object's row.
    pub(super) owner: Option<Owner>,
    /// The file that was wrong; `None` if there was none.
    pub(super) seen: Option<Identity>,
}

/// One thing to do.
#[derive(Debug)]
pub(super) enum Change {
    Keep(Box<Kept>),
    Update {
        owner: Owner,
        number: u64,
        change: RowChange,
    },
    Touch {
        owner: Owner,
        number: u64,
        hour: u32,
    },
    Remove {
        owner: Owner,
        number: u64,
        why: Evicted,
        /// Not before its last reader is done.
        spare_readers: bool,
    },
    /// Unless somebody reads it.
    Evict {
        place: Place,
        why: Evicted,
    },
    /// Answers once every version is gone that was to go and that nobody reads.
    Settle(mpsc::Sender<()>),
    Lost(Box<Lost>),
    /// A row that cannot be believed.
    Forget {
        table: &'static str,
        key: Vec<u8>,
    },
    /// A purge, to be remembered over a crash.
    Purge {
        what: Purge,
        number: u64,
    },
    /// Nothing of before a purge is left.
    Swept {
        what: Purge,
        number: u64,
    },
    /// Removes what has no row from one directory of content, and rows without a file.
    Sweep {
        first: u8,
        second: u8,
        start: SystemTime,
    },
    /// Everything was swept.
    Clean,
    /// Bytes by class were added up anew.
    Recounted([u64; 3]),
    /// Version numbers before this are reserved.
    Reserve(u64),
    /// Answers once everything before is durable.
    Flush(mpsc::Sender<()>),
}
