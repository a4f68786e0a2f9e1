//! One route's origins as a whole: where an object is, or the truth about its absence.
//!
//! Uses hints to begin the walk at the right place, asks canaries before it lets *missing* decide,
//! counts rehearsal saves, and gives out bodies that continue elsewhere when their origin dies.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use object::{ObjectBody, ObjectHead, ObjectKey};
use tokio::time::Instant;

use crate::guarded::GuardedOrigin;
use crate::hints::Hints;
use crate::walk::{TrailStep, conclude, walk};
use crate::{Examination, Extent, Failure, OriginState, Part, SaveCause, VerdictLabel, rescue};

/// The ordered origins of one route.
#[derive(Clone)]
pub struct Resolver(pub(crate) Arc<Places>);

pub(crate) struct Places {
    /// Active ones in the order configured, then the rehearsing ones.
    pub(crate) origins: Vec<Arc<GuardedOrigin>>,
    hints: Arc<Hints>,
}

/// What became of a question.
#[derive(Debug)]
pub struct Resolution {
    /// The answer.
    pub outcome: Outcome,
    /// What each origin that was asked said, in the order asked.
    pub trail: Vec<TrailStep>,
}

/// The answer to a question.
#[derive(Debug)]
pub enum Outcome {
    /// An origin has it.
    Found(Box<Resolved>),
    /// Every origin works and none has it.
    Missing,
    /// It exists, and the public may not see it.
    Withheld,
    /// Nobody can say.
    Unknown {
        /// When it makes sense to ask again, if an origin said so.
        retry_after: Option<Duration>,
    },
}

/// An object that was found.
#[derive(Debug)]
pub struct Resolved {
    /// Who has it.
    pub origin: Box<str>,
    /// What is known of it.
    pub head: ObjectHead,
    /// The entity tag under which clients know it already, quotes included, if whoever copied it
    /// there wrote it down.
    pub etag: Option<Box<str>>,
    /// Which bytes the body brings.
    pub extent: Extent,
    /// The bytes; their first chunk has already arrived.
    pub body: ObjectBody,
    /// Why only an origin that rehearses its retirement could answer, if that is so.
    pub saved: Option<SaveCause>,
}

impl Resolver {
    /// Origins in the order configured; rehearsing ones are asked after all active ones. At most
    /// `hints` places are remembered.
    pub fn new(origins: &[Arc<GuardedOrigin>], hints: usize) -> Self {
        let (active, rehearsing): (Vec<_>, Vec<_>) = origins
            .iter()
            .cloned()
            .partition(|origin| origin.state() == OriginState::Active);
        Self(Arc::new(Places {
            origins: active.into_iter().chain(rehearsing).collect(),
            hints: Arc::new(Hints::new(hints.max(1))),
        }))
    }

    /// The same, after a change of the configuration. Hints go on to hold if they still mean the
    /// same places: a hint is a number in the order asked.
    #[must_use]
    pub fn after(self, before: &Self) -> Self {
        let (now, then) = (&self.0.origins, &before.0.origins);
        let is_same =
            now.len() <= then.len() && now.iter().zip(then).all(|(now, then)| now.succeeds(then));
        if !is_same {
            return self;
        }
        Self(Arc::new(Places {
            origins: now.clone(),
            hints: Arc::clone(&before.0.hints),
        }))
    }

    /// The origins in the order asked.
    pub fn origins(&self) -> &[Arc<GuardedOrigin>] {
        &self.0.origins
    }

    /// Finds an object, and begins to bring the bytes that are asked for.
    pub async fn resolve(&self, key: &ObjectKey, part: Part) -> Resolution {
        let places = &*self.0;
        let hint = places.hint(key);
        let order = places.order(hint);
        let mut walked = walk(&places.origins, &order, key, part).await;
        if hint.is_some() && walked.found.is_none() {
            places.hints.forget(key);
            let verdicts = walked.said.iter().map(|(_, step)| step.verdict);
            if conclude(verdicts) == VerdictLabel::Withheld {
                // The hinted origin was asked before its turn; an earlier one may have a version
                // for the public.
                walked = walk(&places.origins, &places.order(None), key, part).await;
            }
        }
        let mut said = walked.said;
        let Some((index, reply)) = walked.found else {
            if conclude(said.iter().map(|(_, step)| step.verdict)) == VerdictLabel::Missing {
                places.vouch(&mut said).await;
            }
            let trail: Vec<_> = said.into_iter().map(|(_, step)| step).collect();
            return Resolution {
                outcome: failure_of(&trail),
                trail,
            };
        };
        let saved = places.remember(key, index, &said);
        let origin = &places.origins[index];
        let (head, extent) = (reply.head, reply.extent);
        let missing: Vec<_> = said
            .iter()
            .filter(|(_, step)| step.verdict == VerdictLabel::Missing)
            .map(|(index, _)| *index)
            .collect();
        let body = match extent {
            Extent::Bytes(range) if !range.is_empty() => rescue::continuing(
                Arc::clone(&self.0),
                key.clone(),
                head.clone(),
                range,
                index,
                missing,
                reply.body,
            ),
            _ => reply.body,
        };
        let resolved = Resolved {
            origin: origin.name().into(),
            head,
            etag: reply.aside.etag,
            extent,
            body,
            saved,
        };
        Resolution {
            outcome: Outcome::Found(Box::new(resolved)),
            trail: said.into_iter().map(|(_, step)| step).collect(),
        }
    }

    /// What each origin says of a key, all asked at once and without hints, in the order asked.
    /// [`conclude`] of their verdicts is what a viewer would be answered.
    pub async fn examine(&self, key: &ObjectKey) -> Vec<Examination> {
        join_all(self.0.origins.iter().map(|origin| origin.examine(key))).await
    }

    /// The origin that a hint names for a key.
    pub fn hinted(&self, key: &ObjectKey) -> Option<&str> {
        self.0.hint(key).map(|index| self.0.origins[index].name())
    }

    /// Counts that a rehearsing origin had to answer, once it is known whether anything would have
    /// been lost.
    pub fn note_save(&self, origin: &str, cause: SaveCause) {
        let mut origins = self.0.origins.iter();
        if let Some(origin) = origins.find(|one| one.name() == origin) {
            origin.observer.rehearsal_save(cause);
        }
    }

    /// The next walk for a key begins at the first origin again.
    pub fn forget_hint(&self, key: &ObjectKey) {
        self.0.hints.forget(key);
    }
}

impl Places {
    /// The origin to begin with: one that had the key lately, is active, and is doing well.
    fn hint(&self, key: &ObjectKey) -> Option<usize> {
        let index = self.hints.place(key, Instant::now())?;
        let origin = self.origins.get(index)?;
        // An origin that can withhold a key is always asked in its turn: to skip it would show
        // what was made private there.
        let may_withhold = |origin: &Arc<GuardedOrigin>| origin.inner().can_settle();
        let skips = self.origins[..index].iter().any(may_withhold);
        let serves = origin.state() == OriginState::Active && origin.standing().up;
        (serves && !skips).then_some(index)
    }

    fn order(&self, hint: Option<usize>) -> Vec<usize> {
        let others = (0..self.origins.len()).filter(|index| Some(*index) != hint);
        hint.into_iter().chain(others).collect()
    }

    fn remember(
        &self,
        key: &ObjectKey,
        index: usize,
        said: &[(usize, TrailStep)],
    ) -> Option<SaveCause> {
        let origin = &self.origins[index];
        if origin.state() == OriginState::Rehearsal {
            let unsure = said.iter().any(|(other, step)| {
                self.origins[*other].state() == OriginState::Active
                    && step.verdict != VerdictLabel::Missing
            });
            let cause = if unsure {
                SaveCause::Unknown
            } else {
                SaveCause::Missing
            };
            return Some(cause);
        }
        if index == 0 {
            self.hints.forget(key);
        } else if (0..index).all(|earlier| {
            // One that was slow or down may have it: what is not known is not remembered. Nor
            // does a hint that was used prolong itself.
            said.iter()
                .any(|(other, step)| *other == earlier && step.verdict == VerdictLabel::Missing)
        }) {
            self.hints.found(key, index, Instant::now());
        }
        None
    }

    /// Before *missing* decides: an origin whose canaries are gone does not count.
    async fn vouch(&self, said: &mut [(usize, TrailStep)]) {
        let doubts = join_all(said.iter().map(|(index, _)| self.origins[*index].vouch())).await;
        for ((_, step), doubt) in said.iter_mut().zip(doubts) {
            if let Err(failure) = doubt {
                step.verdict = VerdictLabel::Unknown;
                step.failure = Some(failure);
            }
        }
    }
}

fn failure_of(trail: &[TrailStep]) -> Outcome {
    match conclude(trail.iter().map(|step| step.verdict)) {
        VerdictLabel::Missing => Outcome::Missing,
        VerdictLabel::Withheld => Outcome::Withheld,
        VerdictLabel::Unknown | VerdictLabel::Found => Outcome::Unknown {
            retry_after: longest_retry(trail.iter().filter_map(|step| step.failure.as_ref())),
        },
    }
}

pub(crate) fn longest_retry<'a>(failures: impl Iterator<Item = &'a Failure>) -> Option<Duration> {
    failures.filter_map(|failure| failure.retry_after).max()
}
