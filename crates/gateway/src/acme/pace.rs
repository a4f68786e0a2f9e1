//! When a certificate is renewed, and when an order that failed is tried again.
//!
//! Pure: the caller passes the time in, in seconds since 1970. Authorities allow a few failures an
//! hour for each name (Let's Encrypt: five); what is decided here stays below that, whatever
//! happens, and over restarts too, since attempts are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const HOUR_SECONDS: u64 = 3_600;
/// Orders for one name within an hour, successful ones too.
const MOST_IN_AN_HOUR: usize = 4;
/// After the first failure, the second, and so on; the last holds from there on.
const PAUSES_MINUTES: [u64; 7] = [1, 10, 30, 60, 180, 360, 720];
/// Where an authority has said that it was too much.
const LIMITED: u32 = 5;
const LONGEST_UNREACHED: Duration = Duration::from_mins(15);

/// What was tried for one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Attempts {
    /// When orders were begun, at most the last few.
    begun: Vec<u64>,
    /// Since the last success.
    pub(super) failures: u32,
    /// Whether the last success was by the TLS handshake.
    #[serde(default)]
    pub(super) by_tls: bool,
}

impl Attempts {
    /// From when on the next order may be begun.
    pub(super) fn next(&self, now: u64) -> u64 {
        // A clock that was ahead must not hold everything until its time comes.
        let mut begun = self.begun.iter().filter(|begun| **begun <= now);
        let Some(last) = begun.next_back() else {
            return 0;
        };
        let pause = match self.failures.checked_sub(1) {
            None => 0,
            Some(before) => {
                let before = usize::try_from(before).unwrap_or(usize::MAX);
                60 * PAUSES_MINUTES[before.min(PAUSES_MINUTES.len() - 1)]
            }
        };
        let by_number = match begun.nth_back(MOST_IN_AN_HOUR - 2) {
            Some(fourth) => fourth + HOUR_SECONDS,
            None => 0,
        };
        (last + pause).max(by_number)
    }

    /// An order begins. It counts as failed until it has succeeded.
    pub(super) fn begin(&mut self, now: u64) {
        self.begun.retain(|begun| *begun <= now);
        self.begun.push(now);
        let surplus = self.begun.len().saturating_sub(MOST_IN_AN_HOUR);
        self.begun.drain(..surplus);
        self.failures = self.failures.saturating_add(1);
    }

    pub(super) fn succeeded(&mut self, by_tls: bool) {
        self.failures = 0;
        self.by_tls = by_tls;
    }

    /// The authority said that there were too many.
    pub(super) fn limited(&mut self) {
        self.failures = self.failures.max(LIMITED);
    }
}

/// When a certificate that is valid from `from` until `until` is renewed: when two thirds of its
/// time are over, or up to a thirtieth of it earlier, so that not all are renewed at one moment.
pub(super) fn renewal(domain: &str, from: u64, until: u64) -> u64 {
    let lifetime = until.saturating_sub(from);
    let mut hash = Sha256::new();
    hash.update(domain);
    hash.update(until.to_be_bytes());
    let share = u64::from(hash.finalize()[0]);
    from + lifetime / 3 * 2 - lifetime / 30 * share / 255
}

/// How long an authority is left alone that could not be reached `before` times already.
pub(super) fn after_unreached(before: u32, random: u32) -> Duration {
    let pause = Duration::from_secs(2).saturating_mul(1 << before.min(16));
    let pause = pause.min(LONGEST_UNREACHED);
    pause.saturating_sub(pause / 4 * (random % 256) / 256)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn what_fails_again_and_again_is_tried_less_and_less() {
        let mut attempts = Attempts::default();
        let (mut now, mut pauses) = (NOW, Vec::new());
        for _ in 0..8 {
            attempts.begin(now);
            let next = attempts.next(now);
            pauses.push((next - now) / 60);
            now = next;
        }
        assert_eq!(pauses, [1, 10, 30, 60, 180, 360, 720, 720]);
    }

    #[test]
    fn success_ends_the_waiting_and_is_remembered_by_its_way() {
        let mut attempts = Attempts::default();
        attempts.begin(NOW);
        attempts.succeeded(true);
        assert!(attempts.by_tls);
        assert_eq!(attempts.next(NOW), NOW);
    }

    #[test]
    fn a_clock_that_was_ahead_holds_nothing_up() {
        let mut attempts = Attempts::default();
        attempts.begin(NOW + 10 * 365 * 86_400);
        assert_eq!(attempts.next(NOW), 0);
    }

    #[test]
    fn who_has_been_told_that_it_was_too_much_waits_for_hours() {
        let mut attempts = Attempts::default();
        attempts.begin(NOW);
        attempts.limited();
        assert_eq!(attempts.next(NOW), NOW + 3 * HOUR_SECONDS);
    }

    #[test]
    fn a_certificate_is_renewed_when_two_thirds_of_its_time_are_over() {
        let day = 86_400;
        let renewal = renewal("media.test", NOW, NOW + 90 * day);
        assert!((NOW + 57 * day..=NOW + 60 * day).contains(&renewal));
        assert_eq!(super::renewal("media.test", NOW, NOW), NOW);
    }

    #[test]
    fn an_authority_that_does_not_answer_is_asked_less_and_less() {
        let pauses = [0, 1, 5, 40].map(|before| after_unreached(before, 0).as_secs());
        assert_eq!(pauses, [2, 4, 64, 900]);
        assert!(after_unreached(40, 255) > Duration::from_mins(11));
    }

    proptest! {
        #[test]
        fn no_hour_sees_more_than_a_few_orders(outcomes in prop::collection::vec(any::<bool>(), 1..60)) {
            let mut attempts = Attempts::default();
            let (mut now, mut begun) = (NOW, Vec::new());
            for succeeds in outcomes {
                now = now.max(attempts.next(now));
                attempts.begin(now);
                begun.push(now);
                if succeeds {
                    attempts.succeeded(false);
                }
            }
            for at in &begun {
                let within = begun.iter().filter(|other| (*at..at + HOUR_SECONDS).contains(other));
                prop_assert!(within.count() <= MOST_IN_AN_HOUR);
            }
        }
    }
}
