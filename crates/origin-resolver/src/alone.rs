//! One origin of a route asked by itself, where a walk has not asked it.
//!
//! The same question, judgement and canaries as in a walk. Decides nothing about the object: an
//! origin that is left alone, or does not stand in the list, is unknown.

use std::sync::Arc;

use object::{ObjectHead, ObjectKey};

use crate::guarded::{Cost, GuardedOrigin};
use crate::{Failure, Part, Reason, Resolver, Verdict};

impl Resolver {
    /// What one origin says of a key. A *missing* is one that may decide an answer.
    pub async fn ask_alone(&self, origin: &str, key: &ObjectKey) -> Verdict<ObjectHead> {
        let Some(guarded) = self.named(origin).filter(|origin| origin.is_trusted(key)) else {
            let what = format!("{origin}: left alone after failures, or not in the list");
            return Verdict::Unknown(Failure::new(Reason::Breaker, what));
        };
        match guarded.ask(key, Part::Head, None, Cost::Primary).await {
            Verdict::Found(reply) => Verdict::Found(reply.head),
            Verdict::Missing => match guarded.vouch().await {
                Ok(()) => Verdict::Missing,
                Err(failure) => Verdict::Unknown(failure),
            },
            Verdict::Withheld => Verdict::Withheld,
            Verdict::Unknown(failure) => Verdict::Unknown(failure),
        }
    }

    /// Whether a *missing* of this origin may decide an answer; its canaries are asked where that
    /// is due. A walk that found the object elsewhere has not looked at this.
    pub async fn is_believed(&self, origin: &str) -> bool {
        match self.named(origin) {
            Some(origin) => origin.vouch().await.is_ok(),
            None => false,
        }
    }

    fn named(&self, name: &str) -> Option<&Arc<GuardedOrigin>> {
        self.origins().iter().find(|origin| origin.name() == name)
    }
}
