//! Keeps an origin's requests under its limit per second.
//!
//! Pure: tells the caller how long to wait, or that waiting is hopeless. Allows a burst of one
//! second's worth.

use std::time::Duration;

use tokio::time::Instant;

/// A viewer is not kept waiting longer than this for a turn.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// One origin's request rate (a generic cell rate algorithm: one instant of state).
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    interval: Duration,
    burst: Duration,
    /// When the requests granted so far would be over at the allowed rate.
    paid_until: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(per_second: f64) -> Self {
        Self {
            interval: Duration::from_secs_f64(1.0 / per_second.max(0.001)),
            burst: Duration::from_secs(1),
            paid_until: None,
        }
    }

    /// How long to wait before the request; `None` if that would be too long, and then nothing is
    /// reserved.
    pub(crate) fn reserve(&mut self, now: Instant) -> Option<Duration> {
        let from = self.paid_until.map_or(now, |at| at.max(now));
        let paid_until = from + self.interval;
        let wait = paid_until
            .saturating_duration_since(now)
            .saturating_sub(self.burst.max(self.interval));
        (wait <= LONGEST_WAIT).then(|| {
            self.paid_until = Some(paid_until);
            wait
        })
    }
}

impl Pace {
    /// Whether a request need not wait now.
    pub(crate) fn is_free(&self, now: Instant) -> bool {
        self.clone().reserve(now) == Some(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_burst_is_free_then_requests_are_spaced_then_refused() {
        let now = Instant::now();
        let mut pace = Pace::new(10.0);
        for _ in 0..10 {
            assert_eq!(pace.reserve(now), Some(Duration::ZERO));
        }
        assert_eq!(pace.reserve(now), Some(Duration::from_millis(100)));
        for _ in 0..9 {
            assert!(pace.reserve(now).is_some());
        }
        assert_eq!(pace.reserve(now), None);
    }

    #[test]
    fn over_a_minute_the_limit_holds() {
        let start = Instant::now();
        let mut pace = Pace::new(10.0);
        let granted = (0..60_000)
            .filter(|n| {
                let now = start + Duration::from_millis(*n);
                pace.reserve(now).is_some()
            })
            .count();
        assert!((600..=620).contains(&granted), "{granted}");
    }

    #[test]
    fn a_limit_below_one_a_second_still_lets_the_first_through() {
        let mut pace = Pace::new(0.1);
        assert_eq!(pace.reserve(Instant::now()), Some(Duration::ZERO));
    }
}
