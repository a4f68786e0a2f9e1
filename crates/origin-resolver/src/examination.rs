//! What one origin says of a key, asked for a person's sake.
//!
//! The same question, judgement and canaries as in a walk, so that what is explained is what is
//! served. Reads heads only, and costs no token: people ask seldom.

use std::sync::Arc;
use std::time::Duration;

use object::{ObjectHead, ObjectKey};
use tokio::time::Instant;

use crate::guarded::{Cost, GuardedOrigin};
use crate::{Failure, Part, Verdict, VerdictLabel};

/// What one origin said when it was asked for a person's sake.
#[derive(Debug, Clone)]
pub struct Examination {
    /// The origin.
    pub origin: Box<str>,
    /// The key as the origin spells it, where it can be spelled.
    pub own_key: Option<ObjectKey>,
    /// What it said.
    pub verdict: VerdictLabel,
    /// Why it is unknown.
    pub failure: Option<Failure>,
    /// What is known of the object.
    pub head: Option<ObjectHead>,
    /// How long it took.
    pub elapsed: Duration,
}

impl GuardedOrigin {
    /// Asks for an object's head, as a walk would, canaries included.
    pub async fn examine(self: &Arc<Self>, key: &ObjectKey) -> Examination {
        let began = Instant::now();
        let mut verdict = self.ask(key, Part::Head, None, Cost::Paid).await;
        let elapsed = began.elapsed();
        if matches!(verdict, Verdict::Missing)
            && let Err(failure) = self.vouch().await
        {
            verdict = Verdict::Unknown(failure);
        }
        let label = verdict.label();
        let (head, failure) = match verdict {
            Verdict::Found(reply) => (Some(reply.head), None),
            Verdict::Unknown(failure) => (None, Some(failure)),
            Verdict::Missing | Verdict::Withheld => (None, None),
        };
        Examination {
            origin: self.name().into(),
            own_key: self.own_key(key).ok(),
            verdict: label,
            failure,
            head,
            elapsed,
        }
    }
}
