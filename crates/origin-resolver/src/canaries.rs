//! Which keys prove that an origin is still the one it was, and when they are asked.
//!
//! Pure bookkeeping: asking is done by [`crate::GuardedOrigin`]. A clean 404 for everything is
//! what a typo in a bucket's name, an emptied bucket or a swapped one look like; so a *missing*
//! that would decide an answer is believed only from an origin that still has its canaries.

use std::collections::VecDeque;
use std::time::Duration;

use object::ObjectKey;
use tokio::time::Instant;

use crate::Canary;

/// Keys learned from serving, at most.
const LEARNED: usize = 8;
/// A full list learns one new key in this time, so that a burst does not replace old proof.
const LEARN_EVERY: Duration = Duration::from_mins(1);
/// An origin that found something this recently needs no canary.
const FOUND_SUFFICES: Duration = Duration::from_mins(1);
/// Canaries are asked at most this often.
const ASK_EVERY: Duration = Duration::from_mins(1);

/// One origin's canaries and what they last said.
#[derive(Debug, Clone)]
pub(crate) struct Canaries {
    keys: VecDeque<ObjectKey>,
    learns: bool,
    learned_at: Option<Instant>,
    found_at: Option<Instant>,
    asked_at: Option<Instant>,
    suspect: bool,
}

/// Whether a *missing* that would decide an answer can be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Vouch {
    /// Yes.
    Believed,
    /// No: the canaries were missing when last asked.
    Suspect,
    /// Ask these first, until one is found.
    Ask(Vec<ObjectKey>),
}

impl Canaries {
    pub(crate) fn new(canary: &Canary) -> Self {
        let (keys, learns) = match canary {
            Canary::Auto => (VecDeque::new(), true),
            Canary::Keys(keys) => (keys.iter().cloned().collect(), false),
        };
        Self {
            keys,
            learns,
            learned_at: None,
            found_at: None,
            asked_at: None,
            suspect: false,
        }
    }

    /// Keys learned in an earlier life of the process.
    pub(crate) fn restore(&mut self, keys: impl IntoIterator<Item = ObjectKey>) {
        if self.learns {
            for key in keys {
                self.push(key);
            }
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.keys.iter()
    }

    pub(crate) fn learned(&self) -> Vec<ObjectKey> {
        if self.learns {
            self.keys.iter().cloned().collect()
        } else {
            Vec::new()
        }
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect
    }

    pub(crate) fn found_at(&self) -> Option<Instant> {
        self.found_at
    }

    /// The origin served this key, in its own spelling.
    pub(crate) fn found(&mut self, key: &ObjectKey, now: Instant) {
        self.found_at = Some(now);
        let due = self.keys.len() < LEARNED
            || self
                .learned_at
                .is_none_or(|at| now.saturating_duration_since(at) >= LEARN_EVERY);
        if self.learns && due && !self.keys.contains(key) {
            self.learned_at = Some(now);
            self.push(key.clone());
        }
    }

    /// Whether a *missing* that would decide an answer can be believed now.
    pub(crate) fn vouch(&self, now: Instant) -> Vouch {
        let within = |at: Option<Instant>, span| {
            at.is_some_and(|at| now.saturating_duration_since(at) < span)
        };
        if self.keys.is_empty() {
            return Vouch::Believed;
        }
        if self.suspect {
            return if within(self.asked_at, ASK_EVERY) {
                Vouch::Suspect
            } else {
                Vouch::Ask(self.keys.iter().cloned().collect())
            };
        }
        if within(self.found_at, FOUND_SUFFICES) || within(self.asked_at, ASK_EVERY) {
            return Vouch::Believed;
        }
        Vouch::Ask(self.keys.iter().cloned().collect())
    }

    /// The canaries were asked: one was found, or none of them. Returns whether suspicion changed.
    pub(crate) fn asked(&mut self, one_was_found: bool, now: Instant) -> bool {
        self.asked_at = Some(now);
        let changed = self.suspect == one_was_found;
        self.suspect = !one_was_found;
        changed
    }

    fn push(&mut self, key: ObjectKey) {
        if self.keys.len() >= LEARNED {
            self.keys.pop_front();
        }
        self.keys.push_back(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::parse(text).unwrap()
    }

    #[test]
    fn an_origin_that_never_served_anything_is_believed() {
        assert_eq!(
            Canaries::new(&Canary::Auto).vouch(Instant::now()),
            Vouch::Believed
        );
    }

    #[test]
    fn an_origin_that_found_something_a_minute_ago_must_prove_itself() {
        let now = Instant::now();
        let mut canaries = Canaries::new(&Canary::Auto);
        canaries.found(&key("a"), now);
        assert_eq!(
            canaries.vouch(now + Duration::from_secs(59)),
            Vouch::Believed
        );
        assert_eq!(
            canaries.vouch(now + FOUND_SUFFICES),
            Vouch::Ask(vec![key("a")])
        );
    }

    #[test]
    fn a_suspect_stays_one_until_a_canary_sings_and_is_asked_once_a_minute() {
        let now = Instant::now();
        let mut canaries = Canaries::new(&Canary::Keys(vec![key("a")]));
        assert!(canaries.asked(false, now));
        canaries.found(&key("new"), now);
        assert_eq!(canaries.vouch(now), Vouch::Suspect);
        assert_eq!(canaries.vouch(now + ASK_EVERY), Vouch::Ask(vec![key("a")]));
        assert!(canaries.asked(true, now + ASK_EVERY));
        assert_eq!(canaries.vouch(now + ASK_EVERY), Vouch::Believed);
    }

    #[test]
    fn a_burst_does_not_replace_old_proof() {
        let now = Instant::now();
        let mut canaries = Canaries::new(&Canary::Auto);
        for n in 0..100 {
            canaries.found(&key(&format!("k{n}")), now);
        }
        assert_eq!(canaries.keys().next(), Some(&key("k0")));
        canaries.found(&key("later"), now + LEARN_EVERY);
        assert_eq!(canaries.keys().count(), LEARNED);
        assert_eq!(canaries.keys().last(), Some(&key("later")));
    }
}
