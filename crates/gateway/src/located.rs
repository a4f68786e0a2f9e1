//! An object that was found for a viewer, in the cache or at an origin.

use std::sync::Arc;

use cache::{Held, Passing, Served};
use object::{Extent, ObjectHead};

use crate::http::respond::CacheResult;

/// What is answered from.
pub(crate) enum Located {
    /// The cache has it, or brings it.
    Held(Box<Held>),
    /// It is passed through.
    Passing(Box<Passing>),
}

impl Located {
    pub(crate) fn head(&self) -> &ObjectHead {
        match self {
            Self::Held(held) => held.head(),
            Self::Passing(passing) => passing.head(),
        }
    }

    /// The object's length in bytes.
    pub(crate) fn total(&self) -> Option<u64> {
        match self {
            Self::Held(held) => Some(held.total()),
            Self::Passing(passing) => passing.head().length,
        }
    }

    pub(crate) fn etag(&self) -> Option<&str> {
        match self {
            Self::Held(held) => held.etag(),
            Self::Passing(passing) => passing.etag(),
        }
    }

    pub(crate) fn origin(&self) -> Arc<str> {
        match self {
            Self::Held(held) => held.origin(),
            Self::Passing(passing) => Arc::clone(passing.origin()),
        }
    }

    pub(crate) fn result(&self) -> CacheResult {
        match self {
            Self::Held(held) => result_of(held),
            Self::Passing(_) => CacheResult::Bypass,
        }
    }

    /// Seconds since an origin confirmed it, where it did not come from one just now.
    pub(crate) fn age_seconds(&self) -> Option<u64> {
        match self {
            Self::Held(held) if held.served() != Served::Miss => Some(held.age().as_secs()),
            _ => None,
        }
    }

    /// Which bytes a passing body brings; a held one brings any.
    pub(crate) fn extent(&self) -> Option<Extent> {
        match self {
            Self::Held(_) => None,
            Self::Passing(passing) => Some(passing.extent()),
        }
    }
}

/// What the cache did for an object that is held.
pub(crate) fn result_of(held: &Held) -> CacheResult {
    match (held.served(), held.is_collapsed()) {
        (Served::Hit, _) => CacheResult::Hit,
        (Served::Stale, _) => CacheResult::Stale,
        (Served::Miss, false) => CacheResult::Miss,
        (Served::Miss, true) => CacheResult::Collapsed,
    }
}
