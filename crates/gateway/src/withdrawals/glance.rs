//! A look at the upload origin beside a walk that did not ask it.
//!
//! A hint, or the order of the route, lets another origin answer first, and then nobody would see
//! that the application has deleted the key. So for a key that the ledger knows at the upload
//! origin, that one is asked behind the answer: once an hour, which is as long as a hint is used.
//! A key that it does not know there cannot have been deleted there, and costs nothing.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object::ObjectKey;
use origin_resolver::Verdict;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::Withdrawals;
use super::book::Known;

/// As many as there are hints: what is forgotten may be asked again.
pub(super) const PLACES: usize = crate::app::HINTS;
/// The lifetime of a hint.
const EVERY: Duration = Duration::from_hours(1);

/// Which keys were looked at, and when.
pub(super) struct Glances {
    // Keyed by a seeded hash; a collision puts a look off by an hour.
    places: Cache<u64, Instant>,
    seed: RandomState,
    turn: Mutex<()>,
}

impl Glances {
    pub(super) fn new() -> Self {
        Self {
            places: Cache::new(PLACES),
            seed: RandomState::new(),
            turn: Mutex::new(()),
        }
    }

    /// The right to look at a key now.
    fn claim(&self, key: &ObjectKey, now: Instant) -> bool {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.seed.hash_one(key);
        let looked = self.places.get(&place);
        let due = looked.is_none_or(|at| now.saturating_duration_since(at) >= EVERY);
        if due {
            self.places.insert(place, now);
        }
        due
    }
}

impl Withdrawals {
    /// Looks at the upload origin, if the ledger knows the key there.
    pub(super) async fn glance(self: Arc<Self>, key: &ObjectKey) {
        let Ok(known) = self.book.look(&self.places, key).await else {
            return;
        };
        let never = matches!(known.first(), None | Some(Known::Never));
        if never || !self.glances.claim(key, Instant::now()) {
            return;
        }
        let origin = self.uploads_to();
        match self.resolver.ask_alone(origin, key).await {
            Verdict::Missing => {
                self.missing(key).await;
            }
            Verdict::Found(head) => {
                self.found_at(origin, key, &head);
                // It may be another one than the one that the hint leads to.
                self.resolver.forget_hint(key);
            }
            Verdict::Withheld | Verdict::Unknown(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_looked_at_once_in_an_hour() {
        let glances = Glances::new();
        let key = |text| ObjectKey::parse(text).unwrap();
        let now = Instant::now();
        assert!(glances.claim(&key("a"), now));
        assert!(!glances.claim(&key("a"), now + EVERY - Duration::from_secs(1)));
        assert!(glances.claim(&key("b"), now));
        assert!(glances.claim(&key("a"), now + EVERY));
        assert!(!glances.claim(&key("a"), now + EVERY));
    }
}
