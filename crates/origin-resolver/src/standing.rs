//! How an origin is doing, for people to look at.
//!
//! Nothing is decided by it.

use std::time::Duration;

use tokio::time::Instant;

use crate::guarded::GuardedOrigin;
use crate::verdict::Failure;

/// How an origin is doing, for people.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The breaker trusts it.
    pub up: bool,
    /// Its canaries are missing.
    pub suspect: bool,
    /// The latest failure, however long ago.
    pub last_failure: Option<Failure>,
    /// Since that.
    pub failed_ago: Option<Duration>,
    /// Since it last found something.
    pub found_ago: Option<Duration>,
    /// How many keys prove that it is still the one it was.
    pub canaries: usize,
}

impl GuardedOrigin {
    /// Whether it is left alone, or its canaries are missing.
    pub fn is_in_trouble(&self) -> bool {
        self.health(|health| !health.breaker.is_trusted() || health.canaries.is_suspect())
    }

    /// How it is doing.
    pub fn standing(&self) -> Standing {
        let now = Instant::now();
        self.health(|health| Standing {
            up: health.breaker.is_trusted(),
            suspect: health.canaries.is_suspect(),
            last_failure: health.last_failure.as_ref().map(|(what, _)| what.clone()),
            failed_ago: health
                .last_failure
                .as_ref()
                .map(|(_, at)| now.saturating_duration_since(*at)),
            canaries: health.canaries.keys().count(),
            found_ago: health
                .canaries
                .found_at()
                .map(|at| now.saturating_duration_since(at)),
        })
    }
}
