//! Where bytes come from that are not held, as far as the cache wants to know.
//!
//! The gateway passes it in: the cache knows neither origins nor how they are asked.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use object::{ByteRange, Extent, ObjectBody, ObjectHead, ObjectKey, Part};

/// The ordered origins behind a route.
pub trait Source: Send + Sync + 'static {
    /// Tells one list of origins from another: what is said to be missing is remembered for the
    /// list that said so.
    fn list(&self) -> u64;

    /// Whether anything that it brings may be kept.
    fn keeps(&self) -> bool;

    /// Finds an object, and begins to bring the part that is asked for.
    fn open(&self, key: &ObjectKey, part: Part) -> BoxFuture<'static, Opened>;

    /// Brings more of a version that is known: exactly these bytes, or none.
    fn rest(&self, key: &ObjectKey, known: Known, range: ByteRange) -> BoxFuture<'static, Rest>;

    /// What has become of an origin that gave something earlier.
    fn standing(&self, origin: &str) -> Standing;
}

/// What became of a question to the origins.
#[derive(Debug)]
pub struct Opened {
    /// The answer.
    pub outcome: Opening,
    /// What each origin said, for logs.
    pub trail: Arc<str>,
}

/// The answer to a question.
#[derive(Debug)]
pub enum Opening {
    /// An origin has it.
    Found(Box<Found>),
    /// Every origin works and none has it.
    Missing {
        /// It was deleted on purpose: no copy outlives its origins.
        for_good: bool,
    },
    /// It was deleted on purpose, whatever an origin still has. Copies are dropped and what is
    /// being sent is cut.
    Withdrawn,
    /// It exists, and the public may not see it.
    Withheld,
    /// Nobody can say.
    Unknown {
        /// When it makes sense to ask again, if an origin said so.
        retry_after: Option<Duration>,
    },
}

/// An object that was found.
#[derive(Debug)]
pub struct Found {
    /// Who has it.
    pub origin: Arc<str>,
    /// What is known of it.
    pub head: ObjectHead,
    /// The entity tag that clients see for this version, quotes included.
    pub etag: Option<Box<str>>,
    /// Which bytes the body brings.
    pub extent: Extent,
    /// The bytes.
    pub body: ObjectBody,
    /// Where copies of it may lie.
    pub keep: Keep,
}

/// Where copies may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// Nowhere.
    Nowhere,
    /// In memory: it came from a disk of this machine.
    Memory,
    /// In memory and on the disk.
    Disk,
}

/// A version, as an origin can recognise it.
#[derive(Debug, Clone)]
pub struct Known {
    /// Who gave it last.
    pub origin: Arc<str>,
    /// Its length, validator and proofs.
    pub head: ObjectHead,
}

/// What became of a question for more of a known version.
#[derive(Debug)]
pub enum Rest {
    /// The bytes, from an origin that has proven to hold the same version.
    Bytes {
        /// Who brings them.
        origin: Arc<str>,
        /// They.
        body: ObjectBody,
    },
    /// The origins have another version, or none, or hide it: ask anew.
    Changed,
    /// Nobody can say.
    Unknown {
        /// When it makes sense to ask again, if an origin said so.
        retry_after: Option<Duration>,
    },
}

/// What has become of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is asked in its turn.
    Active,
    /// It is asked last, as if it were already gone.
    Rehearsal,
    /// It is not asked any more.
    Gone,
}
