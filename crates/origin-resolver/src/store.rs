//! Listing, writing and deleting at one origin, for work that no viewer waits for.
//!
//! As thin as [`crate::Origin`]: each kind says how its protocol does it. Pace, budgets, the
//! breaker and keys as a route spells them live in [`crate::GuardedOrigin`], once for all kinds.
//! Whatever cannot be verified says so; nothing here guesses that a write went well.

use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use object::{BodyError, Digest, InvalidKey, ObjectBody, ObjectHead, ObjectKey};

use crate::Failure;

/// A place that can be listed and, where it is configured so, written.
///
/// Each method calls [`Turns::take`] before every request that it sends, and tells
/// [`Turns::over`] what became of it.
pub trait Store: Send + Sync {
    /// Whether objects may be written and deleted here; [`Self::list`] works either way.
    ///
    /// # Errors
    /// What the configuration lacks.
    fn writable(&self) -> Result<(), Failure>;

    /// Some objects whose keys begin with `prefix`, behind `after`; in an order of the store's
    /// own that stays the same. An empty page with a [`Page::next`] is not the end.
    ///
    /// # Errors
    /// The place cannot be listed or trusted, or its pages lead nowhere.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<Cursor>,
        turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Page, Failure>>;

    /// Stores an object whole or not at all. Dropping the future removes what it had begun.
    ///
    /// # Errors
    /// See [`PutError`], which tells whether something may have been left.
    fn put<'a>(&'a self, put: Put, turns: &'a dyn Turns)
    -> BoxFuture<'a, Result<Stored, PutError>>;

    /// Deletes an object with all its versions; with `only`, what has this entity tag and nothing
    /// else. One that is not there is deleted already.
    ///
    /// # Errors
    /// The place refused, or cannot be trusted; some versions may be gone.
    fn delete<'a>(
        &'a self,
        key: &'a ObjectKey,
        only: Option<&'a str>,
        turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Erased, Failure>>;

    /// What can still be written; `None` where nobody can tell.
    fn capacity(&self) -> BoxFuture<'_, Option<Capacity>> {
        Box::pin(async { None })
    }
}

/// Who says when the next request may be sent.
pub trait Turns: Send + Sync {
    /// Waits for leave to send one request.
    ///
    /// # Errors
    /// None may be sent now.
    fn take(&self) -> BoxFuture<'_, Result<(), Failure>>;

    /// A request is over, the `tries`th of its kind in a row: how long to wait before it is sent
    /// again, if it is worth another try.
    fn over(&self, outcome: Result<(), &Failure>, tries: u32) -> Option<Duration>;
}

/// Leave to send everything at once and nothing twice; for tests and commands that only look.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unpaced;

impl Turns for Unpaced {
    fn take(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }

    fn over(&self, _outcome: Result<(), &Failure>, _tries: u32) -> Option<Duration> {
        None
    }
}

/// Where a listing goes on; good for as long as the store exists, also in another process.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(Box<str>);

impl Cursor {
    /// Takes what [`Self::as_str`] gave.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Its text, to be kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A part of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// What was found.
    pub entries: Vec<Listed>,
    /// What was found and cannot be asked for: never empty silently.
    pub unfit: Vec<Unfit>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As the store spells it.
    pub key: ObjectKey,
    /// Its length.
    pub size_bytes: u64,
    /// Its entity tag, quotes included; `None` where the store has none, or the file may still
    /// be growing.
    pub etag: Option<Box<str>>,
    /// When it was last written there.
    pub modified: Option<SystemTime>,
}

/// Something in a listing that no key of the gateway can name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// As it stands there, as far as it can be read.
    pub name: Box<str>,
    /// Its length, where that is known.
    pub size_bytes: Option<u64>,
    /// Why it is no object.
    pub why: Misfit,
}

/// Why something in a listing is no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Its name cannot be a key.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// Its name is one that the gateway keeps for its own files, and is never served.
    #[error("names that begin with .media-gateway are the gateway's own")]
    Reserved,
    /// The file's name stands for a key that is written nowhere.
    #[error("a shortened name, and the key is not written beside it")]
    Nameless,
    /// A link to a directory, or one that leads nowhere or outside: never walked.
    #[error("a link that is not walked")]
    Link,
    /// A device, a socket or a FIFO.
    #[error("not a regular file")]
    Irregular,
    /// No key of the route becomes this key by the origin's `rewrite` rules.
    #[error("no key of the route is spelled so here")]
    Unrouted,
}

/// An object to be stored.
#[derive(Debug)]
pub struct Put {
    /// As the store spells it.
    pub key: ObjectKey,
    /// How many bytes the body has: any other number is an error.
    pub length: u64,
    /// The MD5 of the whole, where it is known beforehand: then the body need not be held.
    pub md5: Option<[u8; 16]>,
    /// What is kept with it.
    pub kept: Kept,
    /// The bytes.
    pub body: ObjectBody,
    /// Not where there is an object of that key already.
    pub if_absent: bool,
}

/// What is stored with an object apart from its bytes, and comes back with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// `Content-Type`.
    pub content_type: Option<Box<str>>,
    /// `Content-Disposition`.
    pub content_disposition: Option<Box<str>>,
    /// `Content-Encoding`.
    pub content_encoding: Option<Box<str>>,
    /// `Content-Language`.
    pub content_language: Option<Box<str>>,
    /// When the object was made, to the second.
    pub modified: Option<SystemTime>,
    /// The digest of the whole, where it is known beforehand.
    pub sha256: Option<Digest>,
    /// What no client sees of it.
    pub aside: Aside,
}

impl Kept {
    /// What a copy of this object keeps. The digest is one that was read with it; a copier that
    /// made its own puts that in its place.
    pub fn of(head: &ObjectHead, aside: &Aside) -> Self {
        Self {
            content_type: head.content_type.clone(),
            content_disposition: head.content_disposition.clone(),
            content_encoding: head.content_encoding.clone(),
            content_language: head.content_language.clone(),
            modified: head.last_modified,
            sha256: head.proofs.own.or(head.proofs.checksum),
            aside: aside.clone(),
        }
    }
}

/// What is stored with an object that no client is told as it stands, and that copies keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aside {
    /// `Cache-Control`, as stored.
    pub cache_control: Option<Box<str>>,
    /// The entity tag under which clients know the object, quotes included, written by a
    /// promotion or migration.
    pub etag: Option<Box<str>>,
    /// The application's own metadata: names without `x-amz-meta-`, in lower case, and values.
    pub metadata: Vec<(Box<str>, Box<str>)>,
}

/// An object that was stored and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its entity tag there, quotes included.
    pub etag: Option<Box<str>>,
    /// The MD5 of what was sent.
    pub md5: [u8; 16],
    /// The SHA-256 of what was sent.
    pub sha256: Digest,
}

/// Why an object was not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PutError {
    /// There is one of that key, and [`Put::if_absent`]. Nothing was left.
    #[error("there is an object of that key already")]
    Exists,
    /// The place refused or did not answer. Nothing was left.
    #[error("{0}")]
    Refused(Failure),
    /// The body did not keep its promise. Nothing was left.
    #[error("{0}")]
    Broken(BodyError),
    /// Everything was sent and no answer came: the object may be there, whole.
    #[error("{0}")]
    Unanswered(Failure),
    /// The place says that it holds other bytes than were sent.
    #[error("{what}")]
    Unverified {
        /// What it said.
        what: Box<str>,
        /// Whether the bad copy is gone again; where something newer took its place, it is.
        removed: bool,
    },
}

impl PutError {
    /// Whether something may have been left under the key.
    pub fn may_have_left_something(&self) -> bool {
        match self {
            Self::Exists | Self::Refused(_) | Self::Broken(_) => false,
            Self::Unanswered(_) => true,
            Self::Unverified { removed, .. } => !removed,
        }
    }
}

/// What a deletion came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Versions (and marks of earlier deletions) that are gone now; 0 where there was nothing.
    pub versions: u32,
    /// Whether something with another tag than the wanted one stands there, untouched.
    pub spared: bool,
}

/// Room that may still be used; what `min_free` keeps is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes.
    pub free_bytes: u64,
    /// Files; [`u64::MAX`] where the file system counts none.
    pub free_inodes: u64,
}
