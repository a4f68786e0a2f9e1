//! More of a version that is known, for whoever holds a part of it.
//!
//! Refuses to bring bytes of which it is not proven that they belong to the same version; an
//! equal length is not a proof. Whether the object still exists is not decided here: whoever is
//! told [`Rest::Changed`] asks anew.

use std::sync::Arc;

use object::{ByteRange, Extent, ObjectBody, ObjectHead, ObjectKey, Part, RangeRequest};

use crate::guarded::Cost;
use crate::resolver::{Resolver, longest_retry};
use crate::{Failure, OriginState, Reason, Reply, Verdict, rescue};

/// What became of a question for more of a known version.
#[derive(Debug)]
pub enum Rest {
    /// Exactly the bytes that were asked for.
    Bytes {
        /// Who brings them.
        origin: Box<str>,
        /// They; continued elsewhere if that origin dies.
        body: ObjectBody,
    },
    /// What the origins have is another version, or cannot be shown to be the same; or they have
    /// nothing, or hide it.
    Changed,
    /// Nobody can say.
    Unknown {
        /// When it makes sense to ask again, if an origin said so.
        retry_after: Option<std::time::Duration>,
    },
}

/// What one origin has to do with a known version.
enum Match {
    Same(Box<Reply>),
    Other,
    Missing,
    Unknown(Failure),
}

impl Resolver {
    /// Brings `range`, which is not empty, of the version that `origin` gave with `head`: from
    /// that origin if it still has it, else from one that is proven to have the same.
    pub async fn rest(
        &self,
        key: &ObjectKey,
        origin: &str,
        head: &ObjectHead,
        range: ByteRange,
    ) -> Rest {
        let origins = self.origins();
        let first = origins.iter().position(|known| known.name() == origin);
        let others = (0..origins.len()).filter(|index| Some(*index) != first);
        // One that is left alone comes last: nobody waits for it while another one can prove.
        let (trusted, tripped): (Vec<_>, Vec<_>) = first
            .into_iter()
            .chain(others)
            .partition(|index| origins[*index].is_trusted(key));
        let mut missing = Vec::new();
        let (mut other, mut failures) = (false, Vec::new());
        for (asked, index) in trusted.into_iter().chain(tripped).enumerate() {
            let same_origin = Some(index) == first;
            let cost = match asked {
                0 => Cost::Primary,
                _ => Cost::Paid,
            };
            match self
                .part_of(key, index, same_origin, head, range, cost)
                .await
            {
                Match::Same(reply) => {
                    return self.bring(key, index, reply, range, missing);
                }
                // The same origin has another version: what it holds now is the object.
                Match::Other if same_origin => return Rest::Changed,
                Match::Other => other = true,
                Match::Missing => missing.push(index),
                Match::Unknown(failure) => failures.push(failure),
            }
        }
        if other || failures.is_empty() {
            return Rest::Changed;
        }
        Rest::Unknown {
            retry_after: longest_retry(failures.iter()),
        }
    }

    /// Whether an origin stands in this list, and how.
    pub fn state_of(&self, origin: &str) -> Option<OriginState> {
        let mut origins = self.origins().iter();
        let known = origins.find(|known| known.name() == origin)?;
        Some(known.state())
    }

    async fn part_of(
        &self,
        key: &ObjectKey,
        index: usize,
        same_origin: bool,
        head: &ObjectHead,
        range: ByteRange,
        cost: Cost,
    ) -> Match {
        let origin = &self.origins()[index];
        let leave = if origin.standing().up {
            None
        } else {
            let Some(leave) = origin.insist() else {
                let what = format!("{}: left alone after failures", origin.name());
                return Match::Unknown(Failure::new(Reason::Breaker, what));
            };
            Some(leave)
        };
        let part = Part::Range(RangeRequest::FromTo {
            first: range.start,
            last: range.end - 1,
        });
        let only = head.validator.clone().filter(|_| same_origin);
        let mut verdict = origin.ask_holding(key, part, only, cost, leave).await;
        if let Verdict::Unknown(failure) = &verdict
            && same_origin
        {
            match self.still_holds(key, index, head).await {
                Some(false) => return Match::Other,
                // It has this very version, and cannot compare: what it brings is compared here.
                Some(true) if failure.reason == Reason::Protocol => {
                    verdict = origin.ask(key, part, None, Cost::Paid).await;
                }
                _ => {}
            }
        }
        match verdict {
            Verdict::Found(reply) => {
                let proven = if same_origin {
                    let both = (&head.validator, &reply.head.validator);
                    matches!(both, (Some(ours), Some(theirs)) if ours.proves_same(theirs))
                } else {
                    head.proofs.agree(&reply.head.proofs) == Some(true)
                };
                if proven && reply.head.length == head.length {
                    Match::Same(Box::new(reply))
                } else {
                    Match::Other
                }
            }
            Verdict::Missing => Match::Missing,
            Verdict::Withheld => Match::Other,
            Verdict::Unknown(failure) => Match::Unknown(failure),
        }
    }

    /// Whether an origin has the version that it gave; `None` if it does not say. A conditional
    /// question that fails does not tell why: the condition, or the origin.
    async fn still_holds(&self, key: &ObjectKey, index: usize, head: &ObjectHead) -> Option<bool> {
        let origin = &self.origins()[index];
        if !origin.is_trusted(key) {
            return None;
        }
        match origin.ask(key, Part::Head, None, Cost::Paid).await {
            Verdict::Found(reply) => {
                let both = (&head.validator, &reply.head.validator);
                let same = matches!(both, (Some(ours), Some(theirs)) if ours.proves_same(theirs));
                Some(same)
            }
            _ => None,
        }
    }

    fn bring(
        &self,
        key: &ObjectKey,
        index: usize,
        reply: Box<Reply>,
        range: ByteRange,
        missing: Vec<usize>,
    ) -> Rest {
        let Reply {
            head, extent, body, ..
        } = *reply;
        let Extent::Bytes(brought) = extent else {
            return Rest::Changed;
        };
        let origin = self.origins()[index].name().into();
        let places = Arc::clone(&self.0);
        let body = rescue::continuing(places, key.clone(), head, brought, index, missing, body);
        // An origin that ignores ranges brings the whole.
        let body = if brought == range {
            body
        } else if brought.start <= range.start && brought.end >= range.end {
            body.only(range.start - brought.start, range.length())
        } else {
            return Rest::Changed;
        };
        Rest::Bytes { origin, body }
    }
}
