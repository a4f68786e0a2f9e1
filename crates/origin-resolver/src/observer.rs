//! What an origin reports while it works, for whoever keeps metrics.
//!
//! The resolver counts nothing itself and knows no metrics library.

use std::time::Duration;

use crate::Failure;

/// Receives one origin's events; called on the request path, so it must not block.
pub trait OriginObserver: Send + Sync + 'static {
    /// A question was answered (or given up), `elapsed` after it was sent.
    fn answered(&self, verdict: VerdictLabel, elapsed: Duration);
    /// A question ended as unknown; also called where none was sent (breaker, budget).
    fn unknown(&self, failure: &Failure);
    /// Bytes of bodies arrived for viewers.
    fn served_bytes(&self, count: u64);
    /// Bytes of bodies arrived for work that no viewer waits for.
    fn background_bytes(&self, count: u64);
    /// The breaker tripped (`false`) or recovered (`true`).
    fn up(&self, up: bool);
    /// Canaries say that it is not the origin it was (`true`), or is again (`false`).
    fn suspect(&self, suspect: bool);
    /// An object lives only here while this origin rehearses its retirement.
    fn rehearsal_save(&self, cause: SaveCause);
    /// A body that broke elsewhere was continued here, or here after a break.
    fn resumed(&self);
}

/// A verdict without what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VerdictLabel {
    /// It has it.
    Found,
    /// It does not.
    Missing,
    /// It has it, not for the public.
    Withheld,
    /// Nobody can say.
    Unknown,
}

impl VerdictLabel {
    /// Every label, in the order of documentation.
    pub const ALL: [Self; 4] = [Self::Found, Self::Missing, Self::Withheld, Self::Unknown];

    /// The label used in metrics, logs and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Missing => "missing",
            Self::Withheld => "withheld",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a rehearsing origin had to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SaveCause {
    /// Every active origin said missing: retiring this one now would lose the object.
    Missing,
    /// An active origin could not say.
    Unknown,
    /// Every active origin said missing, because the application has deleted it: nothing would be
    /// lost.
    Withdrawn,
}

impl SaveCause {
    /// Every cause, in the order of documentation.
    pub const ALL: [Self; 3] = [Self::Missing, Self::Unknown, Self::Withdrawn];

    /// The label used in metrics, logs and JSON.
    pub fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Ignores everything; for commands that only look.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl OriginObserver for Unobserved {
    fn answered(&self, _verdict: VerdictLabel, _elapsed: Duration) {}
    fn unknown(&self, _failure: &Failure) {}
    fn served_bytes(&self, _count: u64) {}
    fn background_bytes(&self, _count: u64) {}
    fn up(&self, _up: bool) {}
    fn suspect(&self, _suspect: bool) {}
    fn rehearsal_save(&self, _cause: SaveCause) {}
    fn resumed(&self) {}
}
