//! When an origin is left alone, and when it is tried again.
//!
//! Pure: the caller passes the time in, so a test needs neither a clock nor a task. What counts as
//! a failure is decided by [`crate::Reason::trips`].

use std::time::Duration;

use tokio::time::Instant;

/// So many failures in a row trip it.
const CONSECUTIVE: u32 = 5;
/// Within two of these spans, half of at least [`SAMPLE`] answers being failures trip it too.
const SPAN: Duration = Duration::from_secs(5);
const SAMPLE: u32 = 20;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One origin's breaker.
#[derive(Debug, Clone)]
pub(crate) struct Breaker {
    state: State,
    consecutive: u32,
    this_span: Tally,
    last_span: Tally,
    span_began: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Trusted,
    /// Left alone until then; the pause doubles with each trial.
    Tripped {
        until: Instant,
        pause: Duration,
    },
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    asked: u32,
    failed: u32,
}

/// What an answer changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Tripped,
    Recovered,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Trusted,
            consecutive: 0,
            this_span: Tally::default(),
            last_span: Tally::default(),
            span_began: None,
        }
    }

    /// Whether the origin is asked in its turn.
    pub(crate) fn is_trusted(&self) -> bool {
        self.state == State::Trusted
    }

    /// Whether a tripped origin is due for a trial. Says so once for each pause.
    pub(crate) fn take_trial(&mut self, now: Instant) -> bool {
        let State::Tripped { until, pause } = self.state else {
            return false;
        };
        if now < until {
            return false;
        }
        // Trip again before probing: a probe that never reports must not leave the origin
        // half-open for ever.
        let pause = (pause * 2).min(LONGEST_PAUSE);
        self.state = State::Tripped {
            until: now + pause,
            pause,
        };
        true
    }

    /// The origin answered, whatever it said.
    pub(crate) fn succeeded(&mut self, now: Instant) -> Change {
        self.count(now, false);
        self.consecutive = 0;
        if self.is_trusted() {
            return Change::None;
        }
        self.state = State::Trusted;
        self.this_span = Tally::default();
        self.last_span = Tally::default();
        Change::Recovered
    }

    /// The origin failed in a way that passes when it is left alone.
    pub(crate) fn failed(&mut self, now: Instant) -> Change {
        self.count(now, true);
        self.consecutive = self.consecutive.saturating_add(1);
        let asked = self.this_span.asked + self.last_span.asked;
        let failed = self.this_span.failed + self.last_span.failed;
        let too_many = self.consecutive >= CONSECUTIVE || (asked >= SAMPLE && failed * 2 >= asked);
        if !self.is_trusted() || !too_many {
            return Change::None;
        }
        self.state = State::Tripped {
            until: now + FIRST_PAUSE,
            pause: FIRST_PAUSE,
        };
        Change::Tripped
    }

    fn count(&mut self, now: Instant, failed: bool) {
        let began = *self.span_began.get_or_insert(now);
        let age = now.saturating_duration_since(began);
        if age >= SPAN {
            self.last_span = if age < 2 * SPAN {
                self.this_span
            } else {
                Tally::default()
            };
            self.this_span = Tally::default();
            self.span_began = Some(now);
        }
        self.this_span.asked += 1;
        self.this_span.failed += u32::from(failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tripped(now: Instant) -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..CONSECUTIVE {
            breaker.failed(now);
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_trip_it_and_one_answer_recovers_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for _ in 1..CONSECUTIVE {
            assert_eq!(breaker.failed(now), Change::None);
        }
        assert_eq!(breaker.failed(now), Change::Tripped);
        assert!(!breaker.is_trusted());
        assert_eq!(breaker.succeeded(now), Change::Recovered);
        assert!(breaker.is_trusted());
    }

    #[test]
    fn one_failure_in_three_never_trips_it() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new();
        for n in 0..1000 {
            now += Duration::from_millis(20);
            let change = if n % 3 == 0 {
                breaker.failed(now)
            } else {
                breaker.succeeded(now)
            };
            assert_eq!(change, Change::None);
        }
    }

    #[test]
    fn half_of_many_answers_failing_trips_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        let tripped = (0..40).any(|n| {
            let change = if n % 2 == 0 {
                breaker.failed(now)
            } else {
                breaker.succeeded(now)
            };
            change == Change::Tripped
        });
        assert!(tripped);
    }

    #[test]
    fn a_trial_that_never_reports_leads_to_another_after_a_longer_pause() {
        let now = Instant::now();
        let mut breaker = tripped(now);
        assert!(!breaker.take_trial(now));
        let due = now + FIRST_PAUSE;
        assert!(breaker.take_trial(due));
        assert!(!breaker.take_trial(due + FIRST_PAUSE));
        assert!(breaker.take_trial(due + 2 * FIRST_PAUSE));
    }

    #[test]
    fn the_pause_never_exceeds_half_a_minute() {
        let mut now = Instant::now();
        let mut breaker = tripped(now);
        for _ in 0..20 {
            now += LONGEST_PAUSE;
            assert!(breaker.take_trial(now));
        }
    }
}
