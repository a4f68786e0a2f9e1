//! How many deletions are followed in a time.
//!
//! An application deletes file by file; a bucket that loses its files does not. Pure: the caller
//! passes the time in, in seconds since 1970, so that what the ledger remembers counts after a
//! restart.

use std::collections::VecDeque;

use crate::config::Rate;

/// One route's brake.
#[derive(Debug)]
pub(crate) struct Brake {
    most: usize,
    per_seconds: u64,
    /// When the latest deletions were followed, in order; never more than `most`.
    followed: VecDeque<u64>,
    held_at: Option<u64>,
    said_at: Option<u64>,
}

/// What the brake says to one more deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is followed.
    Go,
    /// It is held.
    Hold {
        /// For the first time in a while: somebody should be told.
        say: bool,
    },
}

impl Brake {
    /// A brake that knows when deletions were followed in an earlier life.
    pub(crate) fn new(rate: Rate, followed: impl IntoIterator<Item = u64>) -> Self {
        let mut known: Vec<_> = followed.into_iter().collect();
        known.sort_unstable();
        let most = usize::try_from(rate.count).unwrap_or(usize::MAX);
        let beyond = known.len().saturating_sub(most);
        Self {
            most,
            per_seconds: rate.per.as_secs(),
            followed: known.into_iter().skip(beyond).collect(),
            held_at: None,
            said_at: None,
        }
    }

    /// One more deletion.
    pub(crate) fn turn(&mut self, now: u64) -> Turn {
        // A clock that was ahead must not hold everything until its time comes.
        for at in self.followed.iter_mut().rev().take_while(|at| **at > now) {
            *at = now;
        }
        while self
            .followed
            .front()
            .is_some_and(|at| self.is_over(*at, now))
        {
            self.followed.pop_front();
        }
        if self.followed.len() < self.most {
            self.followed.push_back(now);
            self.held_at = None;
            return Turn::Go;
        }
        self.held_at = Some(now);
        let say = self.said_at.is_none_or(|at| self.is_over(at, now));
        if say {
            self.said_at = Some(now);
        }
        Turn::Hold { say }
    }

    /// Whether it holds what would be followed.
    pub(crate) fn is_on(&self, now: u64) -> bool {
        self.held_at.is_some_and(|at| !self.is_over(at, now))
    }

    /// Times are cut to seconds, so the last one of a window still belongs to it.
    fn is_over(&self, at: u64, now: u64) -> bool {
        now.saturating_sub(at) > self.per_seconds
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3600;
    const NOW: u64 = 1_800_000_000;

    fn rate(count: u32, seconds: u64) -> Rate {
        Rate {
            count,
            per: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn so_many_are_followed_then_it_holds_and_says_so_once_in_a_period() {
        let mut brake = Brake::new(rate(2, HOUR), []);
        assert_eq!(brake.turn(NOW), Turn::Go);
        assert_eq!(brake.turn(NOW + 10), Turn::Go);
        assert!(!brake.is_on(NOW + 10));
        assert_eq!(brake.turn(NOW + 20), Turn::Hold { say: true });
        assert_eq!(brake.turn(NOW + 30), Turn::Hold { say: false });
        assert!(brake.is_on(NOW + 40));
        assert_eq!(brake.turn(NOW + HOUR + 1), Turn::Go);
        assert!(!brake.is_on(NOW + HOUR + 1));
        assert_eq!(brake.turn(NOW + HOUR + 2), Turn::Hold { say: false });
        assert_eq!(brake.turn(NOW + HOUR + 11), Turn::Go);
        assert_eq!(brake.turn(NOW + 2 * HOUR), Turn::Hold { say: true });
        assert!(!brake.is_on(NOW + 4 * HOUR));
    }

    #[test]
    fn what_was_followed_before_a_restart_counts() {
        let times = [NOW - 30, NOW - 10, NOW - 2 * HOUR, NOW - 20];
        let mut brake = Brake::new(rate(3, HOUR), times);
        assert_eq!(brake.turn(NOW), Turn::Hold { say: true });
        assert_eq!(brake.turn(NOW - 30 + HOUR + 1), Turn::Go);
    }

    #[test]
    fn nothing_is_followed_where_none_may_be() {
        let mut brake = Brake::new(rate(0, HOUR), [NOW]);
        assert_eq!(brake.turn(NOW), Turn::Hold { say: true });
        assert_eq!(brake.turn(NOW + 9 * HOUR), Turn::Hold { say: true });
    }

    #[test]
    fn a_clock_that_was_ahead_holds_for_one_period_at_most() {
        let mut brake = Brake::new(rate(1, HOUR), [NOW + 1000 * HOUR]);
        assert_eq!(brake.turn(NOW), Turn::Hold { say: true });
        assert_eq!(brake.turn(NOW + HOUR + 1), Turn::Go);
    }

    proptest! {
        #[test]
        fn never_more_than_so_many_in_any_window(
            most in 0_u32..6,
            per in 1_u64..50,
            steps in prop::collection::vec((0_u64..20, prop::bool::weighted(0.1)), 0..300),
        ) {
            let mut brake = Brake::new(rate(most, per), []);
            let (mut now, mut followed) = (NOW, Vec::<u64>::new());
            for (step, restarts) in steps {
                now += step;
                if restarts {
                    brake = Brake::new(rate(most, per), followed.iter().copied());
                }
                let in_window = followed.iter().filter(|at| now - **at <= per).count();
                let may = in_window < most as usize;
                prop_assert_eq!(brake.turn(now) == Turn::Go, may);
                if may {
                    followed.push(now);
                }
                prop_assert!(brake.followed.len() <= most as usize);
            }
        }
    }
}
