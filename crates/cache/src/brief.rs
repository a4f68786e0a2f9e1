//! What is remembered for moments: that a key is absent, and that it was changed since.
//!
//! That belongs to the list of origins that said so, and counts only if nothing filled,
//! promoted or purged the key since the walk began. Bounded; what is forgotten is asked again.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::place::Place;
use crate::segment::LONGEST;

/// How many keys of each kind are remembered.
const PLACES: usize = 20_000;
/// How long an object that cannot be kept is not tried again.
const PASSES_FOR: Duration = Duration::from_mins(1);

/// What was said of a key lately.
pub(crate) struct Brief {
    absent: Cache<(u64, Place), Said>,
    changed: Cache<Place, u64>,
    /// Objects that cannot be kept.
    passing: Cache<Place, (Passes, Instant)>,
    /// Numbers of versions that must not be used any more, while their rows may still be there.
    dropped: Cache<u64, ()>,
    keeps_for: Duration,
}

/// How a key is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Every origin said that it is missing.
    Missing,
    /// It was deleted on purpose, whatever an origin still has.
    Withdrawn,
}

/// How an object comes that cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passes {
    /// The first segment of it is all of it.
    AtOnce,
    /// It is longer, or nobody says how long it is.
    InPieces,
}

impl Passes {
    /// An object of this length, where that is told.
    pub(crate) fn of(total: Option<u64>) -> Self {
        match total {
            Some(total) if total <= LONGEST => Self::AtOnce,
            _ => Self::InPieces,
        }
    }
}

#[derive(Clone)]
struct Said {
    absent: Absent,
    /// The walk's number.
    number: u64,
    until: Instant,
    trail: Arc<str>,
}

impl Brief {
    pub(crate) fn new(keeps_for: Duration) -> Self {
        Self {
            absent: Cache::new(PLACES),
            changed: Cache::new(PLACES),
            passing: Cache::new(PLACES),
            dropped: Cache::new(PLACES),
            keeps_for,
        }
    }

    /// What the origins of a list amounted to, in a walk with this number.
    pub(crate) fn absent(
        &self,
        list: u64,
        place: &Place,
        number: u64,
        absent: Absent,
        trail: &Arc<str>,
    ) {
        if !self.keeps_for.is_zero() {
            let said = Said {
                absent,
                number,
                until: Instant::now() + self.keeps_for,
                trail: Arc::clone(trail),
            };
            self.absent.insert((list, place.clone()), said);
        }
    }

    /// The key was filled, promoted or purged: what an earlier walk said counts no more.
    pub(crate) fn changed(&self, place: &Place, number: u64) {
        self.changed.insert(place.clone(), number);
    }

    /// What a walk said that still counts.
    pub(crate) fn is_absent(&self, list: u64, place: &Place) -> Option<(Absent, Arc<str>)> {
        let name = (list, place.clone());
        let said = self.absent.get(&name)?;
        let stands = Instant::now() < said.until
            && self
                .changed
                .get(&name.1)
                .is_none_or(|changed| changed < said.number);
        if !stands {
            self.absent.remove(&name);
        }
        stands.then_some((said.absent, said.trail))
    }

    /// A version must not be used any more; its row goes when the disk comes to it.
    pub(crate) fn dropped(&self, number: u64) {
        self.dropped.insert(number, ());
    }

    /// Whether a version was dropped.
    pub(crate) fn is_dropped(&self, number: u64) -> bool {
        self.dropped.get(&number).is_some()
    }

    /// The object cannot be kept; for a while it is asked for as it is wanted. Not for longer when
    /// that is said again: a part of it does not tell whether the whole could be kept.
    pub(crate) fn passes(&self, place: &Place, how: Passes) {
        if self.passing(place).is_none() {
            let until = Instant::now() + PASSES_FOR;
            self.passing.insert(place.clone(), (how, until));
        }
    }

    /// The object can be kept.
    pub(crate) fn is_kept(&self, place: &Place) {
        self.passing.remove(place);
    }

    /// How the object passes, if it could not be kept a moment ago.
    pub(crate) fn passing(&self, place: &Place) -> Option<Passes> {
        let (how, until) = self.passing.get(place)?;
        (Instant::now() < until).then_some(how)
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.absent.clear();
    }
}

#[cfg(test)]
mod tests {
    use object::ObjectKey;

    use super::*;

    fn place(key: &str) -> Place {
        Place {
            space: "media".into(),
            key: ObjectKey::parse(key).unwrap(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn missing_is_a_thing_of_seconds_and_of_one_list_of_origins() {
        let brief = Brief::new(Duration::from_secs(5));
        let (a, trail) = (place("a"), Arc::from("current=missing"));
        brief.absent(1, &a, 10, Absent::Missing, &trail);
        assert!(brief.is_absent(1, &a).is_some());
        assert!(brief.is_absent(2, &a).is_none());
        assert!(brief.is_absent(1, &place("b")).is_none());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(brief.is_absent(1, &a).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_walk_that_began_before_a_change_says_nothing() {
        let brief = Brief::new(Duration::from_secs(5));
        let (a, trail) = (place("a"), Arc::from(""));
        brief.absent(1, &a, 10, Absent::Missing, &trail);
        brief.changed(&a, 11);
        assert!(brief.is_absent(1, &a).is_none());
        brief.absent(1, &a, 10, Absent::Missing, &trail);
        assert!(brief.is_absent(1, &a).is_none());
        brief.absent(1, &a, 12, Absent::Missing, &trail);
        assert!(brief.is_absent(1, &a).is_some());
    }
}
