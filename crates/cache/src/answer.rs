//! What a request for an object comes to.

use std::sync::Arc;
use std::time::Duration;

use crate::held::{Held, Passing};

/// What became of a request for an object.
pub enum Answer {
    /// It is held, or on its way.
    Held(Box<Held>),
    /// It is passed through and not kept.
    Passing(Box<Passing>),
    /// No byte that was asked for exists.
    Unsatisfiable {
        /// The object's length in bytes.
        total: u64,
        /// Who said so.
        origin: Arc<str>,
        /// What each origin said.
        trail: Arc<str>,
    },
    /// Every origin works and none has it.
    Missing {
        /// What each origin said.
        trail: Arc<str>,
    },
    /// It was deleted on purpose, whatever an origin still has.
    Withdrawn {
        /// What each origin said.
        trail: Arc<str>,
    },
    /// It exists, and the public may not see it.
    Withheld {
        /// What each origin said.
        trail: Arc<str>,
    },
    /// Nobody can say.
    Unknown {
        /// When it makes sense to ask again, if an origin said so.
        retry_after: Option<Duration>,
        /// What each origin said.
        trail: Arc<str>,
    },
}

/// What is held of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Who gave it, or confirmed it last.
    pub origin: Box<str>,
    /// The object's length in bytes; not all of them need be held.
    pub length: u64,
    /// Since an origin last confirmed it.
    pub age_seconds: u64,
    /// Whether that is so long ago that it is used only while it is checked.
    pub is_old: bool,
    /// Whether it was deleted since, so that it is not used.
    pub is_gone: bool,
}
