//! Says the same thing at most once a minute: a disk that fails, fails often.
//!
//! Pure, and counts what it holds back. The metrics count everything.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the same is said.
const EVERY: Duration = Duration::from_mins(1);

/// One thing that may go wrong again and again.
#[derive(Debug, Default)]
pub(super) struct Complaint(Mutex<Past>);

#[derive(Debug, Default)]
struct Past {
    said: Option<Instant>,
    held_back: u64,
}

impl Complaint {
    /// Whether it is to be said now, and how often it was held back since it was said last.
    pub(super) fn is_due(&self, now: Instant) -> Option<u64> {
        let mut past = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let again = |said| now.saturating_duration_since(said) >= EVERY;
        if past.said.is_none_or(again) {
            past.said = Some(now);
            return Some(std::mem::take(&mut past.held_back));
        }
        past.held_back += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_minute_and_says_how_often_it_was_not() {
        let complaint = Complaint::default();
        let began = Instant::now();
        let at = |seconds| complaint.is_due(began + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(0));
        for second in 1..60 {
            assert_eq!(at(second), None);
        }
        assert_eq!(at(60), Some(59));
        assert_eq!(at(61), None);
        assert_eq!(at(200), Some(1));
    }
}
