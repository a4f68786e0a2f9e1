//! By how much a counter has grown in a span of time that moves on.
//!
//! Pure, and of a fixed size: a span is divided into at most so many parts, and what happened in
//! one of them is forgotten with it.

use std::collections::VecDeque;
use std::time::Duration;

/// Into how many parts a span is divided.
const PARTS: u32 = 60;

/// One counter's last minutes.
#[derive(Debug)]
pub(super) struct Window {
    part: Duration,
    last: u64,
    grown: VecDeque<(u64, u64)>,
}

impl Window {
    /// Of a counter that stands at `total` now.
    pub(super) fn new(span: Duration, total: u64) -> Self {
        Self {
            part: span / PARTS,
            last: total,
            grown: VecDeque::new(),
        }
    }

    /// By how much it has grown within the span, now that it stands at `total`.
    pub(super) fn take(&mut self, at: Duration, total: u64) -> u64 {
        let part = u64::try_from(at.as_nanos() / self.part.as_nanos()).unwrap_or(u64::MAX);
        // One that begins anew has grown from nothing.
        let grown = total.checked_sub(self.last).unwrap_or(total);
        self.last = total;
        if grown > 0 {
            match self.grown.back_mut() {
                Some((last, sum)) if *last == part => *sum += grown,
                _ => self.grown.push_back((part, grown)),
            }
        }
        let oldest = part.saturating_sub(u64::from(PARTS));
        while self.grown.front().is_some_and(|(part, _)| *part < oldest) {
            self.grown.pop_front();
        }
        self.grown.iter().map(|(_, grown)| grown).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_before_the_span_does_not_count() {
        let minutes = Duration::from_mins;
        let mut window = Window::new(minutes(5), 100);
        assert_eq!(window.take(minutes(0), 100), 0);
        assert_eq!(window.take(minutes(1), 103), 3);
        assert_eq!(window.take(minutes(4), 104), 4);
        assert_eq!(window.take(minutes(7), 104), 1);
        assert_eq!(window.take(minutes(12), 104), 0);
        // A counter that began anew.
        assert_eq!(window.take(minutes(13), 2), 2);
    }

    #[test]
    fn it_holds_no_more_than_its_parts_however_often_it_is_looked_at() {
        let mut window = Window::new(Duration::from_mins(5), 0);
        for second in 0..10_000 {
            window.take(Duration::from_secs(second), second);
        }
        assert!(window.grown.len() <= PARTS as usize + 1);
        let sum = window.take(Duration::from_secs(10_000), 10_000);
        assert!((300..=305).contains(&sum), "{sum}");
    }
}
