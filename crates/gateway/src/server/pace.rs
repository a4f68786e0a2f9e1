//! Whether a reader takes its bytes fast enough.
//!
//! Only the time in which bytes wait for the reader counts; a slow origin is never held against
//! it. Pure: the caller passes the time in.

use std::time::Duration;

use tokio::time::Instant;

/// One reader's pace, measured over windows of waiting time as long as the grace.
///
/// A burst buys no credit beyond its own window: a reader that stops is cut after two graces at
/// the latest.
#[derive(Debug)]
pub(super) struct Pace {
    bytes_per_second: u64,
    grace: Duration,
    /// Time waited in this window, without the wait going on.
    waited: Duration,
    /// Bytes taken in this window.
    taken: u64,
    waiting_since: Option<Instant>,
}

impl Pace {
    pub(super) fn new(bytes_per_second: u64, grace: Duration) -> Self {
        Self {
            bytes_per_second,
            grace,
            waited: Duration::ZERO,
            taken: 0,
            waiting_since: None,
        }
    }

    /// Bytes are ready and the reader does not take them.
    pub(super) fn waiting(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// The reader took bytes, and is not waited for until it is said again.
    pub(super) fn took(&mut self, now: Instant, bytes: usize) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        if self.waited >= self.grace {
            self.waited = Duration::ZERO;
            self.taken = 0;
        }
        self.taken = self.taken.saturating_add(bytes as u64);
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting_since.is_some()
    }

    /// When the reader is too slow if it takes nothing more.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let since = self.waiting_since?;
        if self.bytes_per_second == 0 {
            return None;
        }
        let window_end = since + self.grace.saturating_sub(self.waited);
        let expected = u128::from(self.bytes_per_second) * self.grace.as_millis() / 1000;
        if u128::from(self.taken) >= expected.max(1) {
            Some(window_end + self.grace)
        } else {
            Some(window_end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(30);

    fn second(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_reader_that_takes_nothing_is_too_slow_after_the_grace() {
        let start = Instant::now();
        let mut pace = Pace::new(1000, GRACE);
        assert_eq!(pace.deadline(), None);
        pace.waiting(start);
        pace.waiting(second(start, 20));
        assert_eq!(pace.deadline(), Some(second(start, 30)));
    }

    #[test]
    fn trickling_below_the_rate_gains_no_time() {
        let start = Instant::now();
        let mut pace = Pace::new(1000, GRACE);
        pace.waiting(start);
        for at in 1..30 {
            pace.took(second(start, at), 900);
            pace.waiting(second(start, at));
        }
        assert_eq!(pace.deadline(), Some(second(start, 30)));
    }

    #[test]
    fn a_reader_at_the_rate_is_never_cut() {
        let start = Instant::now();
        let mut pace = Pace::new(1000, GRACE);
        pace.waiting(start);
        for at in 1..600 {
            assert!(pace.deadline().is_some_and(|cut| cut > second(start, at)));
            pace.took(second(start, at), 1100);
            pace.waiting(second(start, at));
        }
    }

    #[test]
    fn a_burst_buys_no_more_than_one_further_window() {
        let start = Instant::now();
        let mut pace = Pace::new(1000, GRACE);
        pace.waiting(start);
        pace.took(second(start, 1), 100_000_000);
        pace.waiting(second(start, 1));
        assert_eq!(pace.deadline(), Some(second(start, 60)));
    }

    #[test]
    fn time_in_which_nothing_is_ready_does_not_count() {
        let start = Instant::now();
        let mut pace = Pace::new(1000, GRACE);
        pace.waiting(start);
        pace.took(second(start, 1), 1);
        assert_eq!(pace.deadline(), None);
        pace.waiting(second(start, 1000));
        assert_eq!(pace.deadline(), Some(second(start, 1029)));
    }

    #[test]
    fn without_a_rate_nobody_is_cut() {
        let mut pace = Pace::new(0, GRACE);
        pace.waiting(Instant::now());
        assert_eq!(pace.deadline(), None);
    }
}
