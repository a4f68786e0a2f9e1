//! What became of a promotion, and when it makes sense to try again.

use std::time::Duration;

/// What became of a promotion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was copied, verified, and can be read there as the route reads.
    Copied,
    /// It is there already, as long as the one that was served.
    Present,
    /// Another object has the key there. It is left alone.
    Differs,
    /// The application or the operator has deleted it: it is copied nowhere.
    Deleted,
    /// Only the cache has it; it is written back on request only.
    Orphan,
    /// It was replaced meanwhile where it came from.
    Changed,
    /// Nobody could tell another version from it, so a copy could not be verified.
    Unfit,
    /// It was copied and viewers could not read it; it was removed again.
    Unreadable,
    /// `max_egress` of the origin that has it is used up.
    Budget,
    /// An origin did not answer, or something else came between.
    Failed,
    /// Too many were waiting.
    Crowded,
}

impl Outcome {
    /// Every one.
    pub(crate) const ALL: [Self; 11] = [
        Self::Copied,
        Self::Present,
        Self::Differs,
        Self::Deleted,
        Self::Orphan,
        Self::Changed,
        Self::Unfit,
        Self::Unreadable,
        Self::Budget,
        Self::Failed,
        Self::Crowded,
    ];

    /// As metrics call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::Present => "present",
            Self::Differs => "differs",
            Self::Deleted => "deleted",
            Self::Orphan => "orphan",
            Self::Changed => "changed",
            Self::Unfit => "unfit",
            Self::Unreadable => "unreadable",
            Self::Budget => "budget",
            Self::Failed => "failed",
            Self::Crowded => "crowded",
        }
    }

    /// How long the key is left alone, however often it is asked for.
    pub(crate) fn again_after(self) -> Duration {
        match self {
            Self::Changed | Self::Crowded => Duration::ZERO,
            Self::Failed => Duration::from_mins(10),
            Self::Copied
            | Self::Present
            | Self::Differs
            | Self::Deleted
            | Self::Orphan
            | Self::Unfit
            | Self::Unreadable
            | Self::Budget => Duration::from_hours(1),
        }
    }
}
