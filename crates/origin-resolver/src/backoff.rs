//! When work that nobody waits for tries again.
//!
//! Pure: the caller brings the chance. What a viewer waits for is never tried again here; the next
//! origin is its second try.

use std::time::Duration;

use crate::{Failure, Reason};

/// A request is sent so often at most, the first time included.
const MOST_TRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Who asks for more rest than this is left alone altogether.
const LONGEST_REST: Duration = Duration::from_mins(5);

/// How long to wait after the `tries`th failure, if another try is worth it; `chance` is in 0..1
/// and keeps many from coming back at one time.
pub(crate) fn wait(failure: &Failure, tries: u32, chance: f64) -> Option<Duration> {
    let passes = matches!(
        failure.reason,
        Reason::Throttled | Reason::ServerError | Reason::Connect | Reason::Timeout
    );
    if !passes || tries >= MOST_TRIES {
        return None;
    }
    let doubled = FIRST_WAIT.saturating_mul(1 << (tries.saturating_sub(1)).min(16));
    let ours = doubled.min(LONGEST_WAIT).mul_f64(0.5 + chance / 2.0);
    match failure.retry_after {
        Some(rest) if rest > LONGEST_REST => None,
        // A little more than what was asked for, and not everybody the same.
        Some(rest) => Some(rest.max(ours) + FIRST_WAIT.mul_f64(chance)),
        None => Some(ours),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(reason: Reason) -> Failure {
        Failure::new(reason, "as the test says")
    }

    #[test]
    fn waits_grow_and_end_after_five_more_tries() {
        let throttled = failure(Reason::Throttled);
        let waits: Vec<_> = (1..10)
            .map_while(|tries| wait(&throttled, tries, 1.0))
            .collect();
        let seconds: Vec<_> = waits.iter().map(Duration::as_secs_f64).collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0]);
        assert_eq!(wait(&throttled, u32::MAX, 0.5), None);
    }

    #[test]
    fn chance_takes_at_most_half_away() {
        let busy = failure(Reason::ServerError);
        assert_eq!(wait(&busy, 1, 0.0), Some(FIRST_WAIT / 2));
    }

    #[test]
    fn what_the_origin_asks_for_is_given_or_everything_is() {
        let asking = |rest| Failure {
            retry_after: Some(rest),
            ..failure(Reason::Throttled)
        };
        let rest = Duration::from_secs(7);
        assert_eq!(wait(&asking(rest), 1, 0.0), Some(rest));
        assert!(wait(&asking(rest), 1, 0.9).unwrap() > rest);
        assert_eq!(wait(&asking(Duration::from_hours(1)), 1, 0.0), None);
    }

    #[test]
    fn what_does_not_pass_is_not_tried_again() {
        for reason in [
            Reason::Denied,
            Reason::Credentials,
            Reason::Protocol,
            Reason::Disk,
        ] {
            assert_eq!(wait(&failure(reason), 1, 0.5), None, "{reason}");
        }
    }
}
