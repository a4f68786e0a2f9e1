//! Remembers where an object was found when it was not the first place asked.
//!
//! Saves round trips and justifies nothing else: a hint that turns out wrong is forgotten and the
//! whole walk follows. Bounded: a hint is 16 bytes, and the least useful are dropped.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use object::ObjectKey;
use quick_cache::sync::Cache;
use tokio::time::Instant;

/// A hint older than this is not used.
const FRESH: Duration = Duration::from_hours(1);

/// The hints of one route.
pub(crate) struct Hints {
    // Keyed by a seeded hash: a collision costs one round trip, never a wrong answer.
    seed: RandomState,
    places: Cache<u64, (u16, u32)>,
    began: Instant,
}

impl Hints {
    /// At most `capacity` hints.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            seed: RandomState::new(),
            places: Cache::new(capacity),
            began: Instant::now(),
        }
    }

    /// The index of the origin that had it.
    pub(crate) fn place(&self, key: &ObjectKey, now: Instant) -> Option<usize> {
        let (index, at) = self.places.get(&self.seed.hash_one(key))?;
        let age = self.seconds(now).saturating_sub(at);
        (u64::from(age) < FRESH.as_secs()).then_some(usize::from(index))
    }

    /// It was found there.
    pub(crate) fn found(&self, key: &ObjectKey, index: usize, now: Instant) {
        if let Ok(index) = u16::try_from(index) {
            self.places
                .insert(self.seed.hash_one(key), (index, self.seconds(now)));
        }
    }

    /// It is where the walk begins anyway, or no longer where it was.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        self.places.remove(&self.seed.hash_one(key));
    }

    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.began).as_secs()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_used_while_fresh_and_forgotten_on_request() {
        let hints = Hints::new(100);
        let key = ObjectKey::parse("a").unwrap();
        let now = Instant::now();
        assert_eq!(hints.place(&key, now), None);
        hints.found(&key, 2, now);
        assert_eq!(hints.place(&key, now), Some(2));
        assert_eq!(hints.place(&key, now + FRESH + FRESH), None);
        hints.forget(&key);
        assert_eq!(hints.place(&key, now), None);
    }

    #[test]
    fn memory_is_bounded_whatever_is_asked() {
        let hints = Hints::new(100);
        let now = Instant::now();
        for n in 0..10_000 {
            hints.found(&ObjectKey::parse(&format!("k{n}")).unwrap(), 1, now);
        }
        assert!(hints.places.len() <= 100);
    }
}
