//! What asking one origin brought to light, before anyone says what it means.
//!
//! Plain data, so that every combination can be judged in a test.

use std::time::Duration;

use object::ObjectKey;
use origin_resolver::{Failure, RootReport, VerdictLabel};

use super::probe::Probed;

/// What one origin answered, without the body.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    Found,
    Missing,
    /// 403 to a stranger.
    Forbidden,
    Failed(Failure),
}

/// What was learned of one origin. What is `None` was not asked, or got no answer in time.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// How long the answers to a few questions took, in the order they were asked.
    pub(super) round_trips: Vec<Duration>,
    /// Why a question got no answer.
    pub(super) no_answer: Option<Failure>,
    /// What a key gets that nobody can have uploaded, as a viewer would ask it.
    pub(super) absent: Option<Heard>,
    /// What the walk would make of that.
    pub(super) verdict: Option<(VerdictLabel, Option<Failure>)>,
    /// What the same key gets with the credentials, where there are any.
    pub(super) absent_signed: Option<Heard>,
    /// What the known canaries got, in the origin's own spelling.
    pub(super) canaries: Vec<(ObjectKey, Heard)>,
    /// The first level as a stranger lists it; only of buckets.
    pub(super) listed_by_strangers: Option<Result<Vec<String>, Failure>>,
    /// The first level as the gateway lists it.
    pub(super) listed: Option<Result<Vec<String>, Failure>>,
    /// How far its clock is ahead of ours.
    pub(super) clock_ahead_seconds: Option<i64>,
    /// What a probe object came to, where routes promote to it.
    pub(super) probed: Option<Probed>,
    /// What stands at a directory's path.
    pub(super) root: Option<Result<RootReport, String>>,
}
