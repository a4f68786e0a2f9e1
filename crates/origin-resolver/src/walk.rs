//! Asks the origins in order until one has the object.
//!
//! The next origin is also asked, by a probe without a body, when one is slow; the earlier one's
//! *found* still wins while nothing was sent. Decides nothing about 404s: it returns what each
//! origin said, and [`conclude`] says what that amounts to.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use object::ObjectKey;
use tokio::time::{Instant, sleep_until};

use crate::guarded::{Cost, GuardedOrigin};
use crate::{Failure, OriginState, Part, Reason, Reply, Verdict, VerdictLabel};

/// Without a token for a probe, the next origin is asked outright after this long, so that a
/// hanging one never costs a viewer three seconds.
const MOVE_ON: Duration = Duration::from_millis(1500);

/// What one origin said during a walk.
#[derive(Debug, Clone)]
pub struct TrailStep {
    /// The origin.
    pub origin: Box<str>,
    /// What it said.
    pub verdict: VerdictLabel,
    /// Why it is unknown.
    pub failure: Option<Failure>,
    /// From the start of the walk until it said so.
    pub after: Duration,
}

/// What the verdicts of a route's origins, in the order asked, amount to.
///
/// *Missing* only if at least one was asked and every one said missing. *Withheld* ends the walk,
/// but an earlier *unknown* may have had a version the public can see: then nobody can say.
pub fn conclude(verdicts: impl IntoIterator<Item = VerdictLabel>) -> VerdictLabel {
    let mut conclusion = None;
    for verdict in verdicts {
        conclusion = match (conclusion, verdict) {
            (_, VerdictLabel::Found) => return VerdictLabel::Found,
            (Some(VerdictLabel::Unknown), VerdictLabel::Withheld) => break,
            (_, VerdictLabel::Withheld) => return VerdictLabel::Withheld,
            (Some(VerdictLabel::Unknown), _) | (_, VerdictLabel::Unknown) => {
                Some(VerdictLabel::Unknown)
            }
            (_, VerdictLabel::Missing) => Some(VerdictLabel::Missing),
        };
    }
    conclusion.unwrap_or(VerdictLabel::Unknown)
}

/// The end of a walk.
pub(crate) struct Walked {
    /// Who has it: the index of the origin, and its reply.
    pub(crate) found: Option<(usize, Reply)>,
    /// What the origins said, in the order of the walk; those never asked are not listed.
    pub(crate) said: Vec<(usize, TrailStep)>,
}

/// Walks the origins with these indices, in this order.
pub(crate) async fn walk(
    origins: &[Arc<GuardedOrigin>],
    order: &[usize],
    key: &ObjectKey,
    part: Part,
) -> Walked {
    let mut first = Walk::new(origins, order, key, part, false);
    let found = first.run().await;
    let mut said = first.said();
    let left_alone = first.left_alone();
    if found.is_some() || left_alone.is_empty() || first.withheld().is_some() {
        return Walked { found, said };
    }
    // Nobody else has it: an origin that fails now and then must not become one that always does.
    let mut second = Walk::new(origins, &left_alone, key, part, true);
    let found = second.run().await;
    for (index, step) in second.said() {
        match said.iter_mut().find(|(known, _)| *known == index) {
            Some(known) => known.1 = step,
            None => said.push((index, step)),
        }
    }
    Walked { found, said }
}

struct Walk<'a> {
    origins: &'a [Arc<GuardedOrigin>],
    order: &'a [usize],
    key: &'a ObjectKey,
    part: Part,
    /// Ask tripped origins too, a few at a time.
    insist: bool,
    /// By position in the order.
    places: Vec<Place>,
    pending: FuturesUnordered<BoxFuture<'a, Step>>,
    /// The position to be asked next.
    next: usize,
    began: Instant,
    launched: Instant,
}

enum Place {
    NotAsked,
    Pending,
    LeftAlone,
    Said(VerdictLabel, Option<Failure>, Duration),
}

struct Step {
    position: usize,
    probe: bool,
    verdict: Verdict<Reply>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// With a body.
    Outright,
    /// Only whether it is there.
    Probe,
}

impl<'a> Walk<'a> {
    fn new(
        origins: &'a [Arc<GuardedOrigin>],
        order: &'a [usize],
        key: &'a ObjectKey,
        part: Part,
        insist: bool,
    ) -> Self {
        let now = Instant::now();
        Self {
            origins,
            order,
            key,
            part,
            insist,
            places: order.iter().map(|_| Place::NotAsked).collect(),
            pending: FuturesUnordered::new(),
            next: 0,
            began: now,
            launched: now,
        }
    }

    async fn run(&mut self) -> Option<(usize, Reply)> {
        loop {
            // One moment for both, so that no time to act falls between them.
            let mut now = Instant::now();
            while let Some(how) = self.may_ask_next(now) {
                self.ask_next(how);
                now = Instant::now();
            }
            if self.is_over() {
                return None;
            }
            let wake = self.wake(now);
            tokio::select! {
                biased;
                Some(step) = self.pending.next() => {
                    if let Some(found) = self.take(step) {
                        return Some(found);
                    }
                }
                () = sleep_until(wake.unwrap_or(self.began)), if wake.is_some() => {}
            }
        }
    }

    /// Whether, and how, the next origin is asked at this moment.
    fn may_ask_next(&self, now: Instant) -> Option<How> {
        let next = *self.order.get(self.next)?;
        if self.withheld().is_some() {
            return None;
        }
        if self.pending.is_empty() {
            return Some(How::Outright);
        }
        let waited = now.saturating_duration_since(self.launched);
        let pending = matches!(self.places[self.next - 1], Place::Pending);
        // One that rehearses its retirement does not stand in for one that is merely slow.
        let probes = self.origins[next].state() == OriginState::Active;
        let due = !pending || waited >= self.hedge_after();
        if probes && due && self.origins[next].take_token() {
            Some(How::Probe)
        } else if waited >= self.move_on() {
            Some(How::Outright)
        } else {
            None
        }
    }

    /// How long the origin asked last is given before the next one is probed.
    fn hedge_after(&self) -> Duration {
        let last = self.next.checked_sub(1);
        last.map_or(Duration::ZERO, |last| {
            self.origin(last).settings().hedge_after
        })
    }

    /// How long it is given before the next one is asked outright.
    fn move_on(&self) -> Duration {
        self.hedge_after().max(MOVE_ON)
    }

    fn ask_next(&mut self, how: How) {
        let position = self.next;
        self.next += 1;
        let origin = &self.origins[self.order[position]];
        if !self.insist && !origin.is_trusted(self.key) {
            self.places[position] = Place::LeftAlone;
            return;
        }
        self.ask(position, how);
    }

    fn ask(&mut self, position: usize, how: How) {
        let origin = Arc::clone(self.origin(position));
        let permit = if self.insist { origin.insist() } else { None };
        if self.insist && permit.is_none() {
            let what = format!("{}: left alone after failures", origin.name());
            let failure = Failure::new(Reason::Breaker, what);
            origin.observer.unknown(&failure);
            self.places[position] =
                Place::Said(VerdictLabel::Unknown, Some(failure), self.began.elapsed());
            return;
        }
        let (key, wanted) = (self.key, self.part);
        self.places[position] = Place::Pending;
        self.launched = Instant::now();
        self.pending.push(Box::pin(async move {
            let (part, cost) = match how {
                How::Outright => (wanted, Cost::Primary),
                How::Probe => (Part::Head, Cost::Paid),
            };
            let verdict = origin.ask_holding(key, part, None, cost, permit).await;
            Step {
                position,
                probe: how == How::Probe && wanted != Part::Head,
                verdict,
            }
        }));
    }

    fn take(&mut self, step: Step) -> Option<(usize, Reply)> {
        let Step {
            position,
            probe,
            verdict,
        } = step;
        let label = verdict.label();
        let failure = match verdict {
            // Withheld ends the walk; what a later origin had is no longer of interest.
            Verdict::Found(_) if self.withheld().is_some_and(|at| at < position) => {
                self.places[position] = Place::NotAsked;
                return None;
            }
            Verdict::Found(_) if probe => {
                self.ask(position, How::Outright);
                return None;
            }
            Verdict::Found(reply) => {
                self.places[position] = Place::Said(label, None, self.began.elapsed());
                return Some((self.order[position], reply));
            }
            Verdict::Missing | Verdict::Withheld => None,
            Verdict::Unknown(failure) => Some(failure),
        };
        self.places[position] = Place::Said(label, failure, self.began.elapsed());
        None
    }

    /// When to look again, if nobody answers.
    fn wake(&self, now: Instant) -> Option<Instant> {
        if self.next >= self.order.len() || self.withheld().is_some() {
            return None;
        }
        [
            self.launched + self.hedge_after(),
            self.launched + self.move_on(),
        ]
        .into_iter()
        .filter(|at| *at > now)
        .min()
    }

    fn is_over(&self) -> bool {
        let relevant = self.withheld().unwrap_or(self.places.len());
        let pending = self.places[..relevant]
            .iter()
            .any(|place| matches!(place, Place::Pending));
        !pending && (self.next >= self.order.len() || relevant < self.places.len())
    }

    /// The first position whose origin withholds it.
    fn withheld(&self) -> Option<usize> {
        self.places
            .iter()
            .position(|place| matches!(place, Place::Said(VerdictLabel::Withheld, ..)))
    }

    fn left_alone(&self) -> Vec<usize> {
        self.order
            .iter()
            .zip(&self.places)
            .filter(|(_, place)| matches!(place, Place::LeftAlone))
            .map(|(index, _)| *index)
            .collect()
    }

    fn said(&self) -> Vec<(usize, TrailStep)> {
        let step = |position: usize, place: &Place| {
            let origin = self.origin(position);
            let (verdict, failure, after) = match place {
                Place::NotAsked => return None,
                Place::Said(verdict, failure, after) => (*verdict, failure.clone(), *after),
                Place::Pending => {
                    let what = format!("{}: had not answered yet", origin.name());
                    let failure = Failure::new(Reason::Timeout, what);
                    (VerdictLabel::Unknown, Some(failure), self.began.elapsed())
                }
                Place::LeftAlone => {
                    let what = format!("{}: left alone after failures", origin.name());
                    let failure = Failure::new(Reason::Breaker, what);
                    (VerdictLabel::Unknown, Some(failure), Duration::ZERO)
                }
            };
            let step = TrailStep {
                origin: origin.name().into(),
                verdict,
                failure,
                after,
            };
            Some((self.order[position], step))
        };
        self.places
            .iter()
            .enumerate()
            .filter_map(|(position, place)| step(position, place))
            .collect()
    }

    fn origin(&self, position: usize) -> &'a Arc<GuardedOrigin> {
        &self.origins[self.order[position]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VerdictLabel::{Found, Missing, Unknown, Withheld};

    #[test]
    fn every_combination_of_verdicts_has_one_truthful_conclusion() {
        for (verdicts, conclusion) in [
            (vec![], Unknown),
            (vec![Missing], Missing),
            (vec![Missing, Missing, Missing], Missing),
            (vec![Unknown], Unknown),
            (vec![Missing, Unknown], Unknown),
            (vec![Unknown, Missing], Unknown),
            (vec![Unknown, Found], Found),
            (vec![Missing, Found], Found),
            (vec![Withheld], Withheld),
            (vec![Missing, Withheld], Withheld),
            (vec![Unknown, Withheld], Unknown),
            (vec![Unknown, Withheld, Found], Unknown),
        ] {
            assert_eq!(conclude(verdicts.clone()), conclusion, "{verdicts:?}");
        }
    }
}
