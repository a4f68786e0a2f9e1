//! How many bytes may still be read from an origin in this month or day (`max_egress`).
//!
//! Counts everything that is read, for viewers and in the background; only the background is
//! refused. Performs no I/O: who owns it keeps what it has counted, every few seconds and at the
//! end, so a crash forgets a few seconds of it.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::Offset;
use state::Egress;

use crate::config::{Budget, Period};

/// What may be read from one origin, and what was.
#[derive(Debug)]
pub(crate) struct Allowance {
    budget: Budget,
    spent: Mutex<Egress>,
}

impl Allowance {
    /// A budget of which `spent` is gone already, if that was in this period.
    pub(crate) fn new(budget: Budget, spent: Egress) -> Self {
        Self {
            budget,
            spent: Mutex::new(spent),
        }
    }

    /// Viewers were sent so many bytes, whether they were there or not.
    pub(crate) fn note(&self, bytes: u64, now: SystemTime) {
        self.in_period(now, |spent| spent.bytes = spent.bytes.saturating_add(bytes));
    }

    /// Takes so many bytes for work in the background, if they are there. Zero asks whether
    /// anything is left.
    pub(crate) fn take(&self, bytes: u64, now: SystemTime) -> bool {
        let limit = self.budget.bytes;
        self.in_period(now, |spent| {
            let after = spent.bytes.saturating_add(bytes);
            let there = spent.bytes < limit && after <= limit;
            if there {
                spent.bytes = after;
            }
            there
        })
    }

    /// Bytes that are left.
    pub(crate) fn left(&self, now: SystemTime) -> u64 {
        let limit = self.budget.bytes;
        self.in_period(now, |spent| limit.saturating_sub(spent.bytes))
    }

    /// What is to be kept.
    pub(crate) fn spent(&self, now: SystemTime) -> Egress {
        self.in_period(now, |spent| spent.clone())
    }

    /// See [`Self::take`].
    pub(crate) fn take_now(&self, bytes: u64) -> bool {
        self.take(bytes, SystemTime::now())
    }

    fn in_period<T>(&self, now: SystemTime, look: impl FnOnce(&mut Egress) -> T) -> T {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let period = name(self.budget.period, now);
        // Names of periods are in the order of time. A clock that was set back must not give the
        // budget of an earlier period anew.
        if spent.period < period || spent.period.len() != period.len() {
            *spent = Egress { period, bytes: 0 };
        }
        look(&mut spent)
    }
}

/// `2026-11` or `2026-11-28`, UTC, as providers count.
fn name(period: Period, now: SystemTime) -> String {
    let date = Offset::UTC
        .to_datetime(Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH))
        .date();
    match period {
        Period::Month => format!("{:04}-{:02}", date.year(), date.month()),
        Period::Day => format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    /// Noon of a day of November 2026.
    fn november(day: u32) -> SystemTime {
        UNIX_EPOCH + DAY * 20_758 + DAY / 2 + DAY * (day - 1)
    }

    fn allowed(period: Period) -> Allowance {
        Allowance::new(Budget { bytes: 100, period }, Egress::default())
    }

    #[test]
    fn periods_are_those_of_the_calendar() {
        assert_eq!(name(Period::Month, november(28)), "2026-11");
        assert_eq!(name(Period::Day, november(28)), "2026-11-28");
        assert_eq!(name(Period::Day, november(30) + DAY), "2026-12-01");
        assert_eq!(name(Period::Month, UNIX_EPOCH), "1970-01");
    }

    #[test]
    fn the_background_stops_at_the_limit_and_viewers_go_on() {
        let allowance = allowed(Period::Month);
        assert!(allowance.take(60, november(1)));
        assert!(!allowance.take(41, november(2)), "it would be too much");
        assert!(allowance.take(0, november(2)));
        allowance.note(1000, november(3));
        assert_eq!(allowance.left(november(3)), 0);
        assert!(!allowance.take(0, november(3)));
        assert_eq!(allowance.spent(november(3)).bytes, 1060);
    }

    #[test]
    fn a_new_period_begins_with_everything_and_an_old_one_does_not_come_back() {
        let allowance = allowed(Period::Day);
        assert!(allowance.take(100, november(5)));
        assert!(!allowance.take(1, november(5)));
        assert!(allowance.take(100, november(6)));
        assert!(!allowance.take(1, november(5)), "the clock was set back");
    }

    #[test]
    fn what_was_spent_before_a_restart_is_gone() {
        let before = allowed(Period::Month);
        assert!(before.take(70, november(5)));
        let budget = Budget {
            bytes: 100,
            period: Period::Month,
        };
        let after = Allowance::new(budget, before.spent(november(5)));
        assert!(!after.take(31, november(6)));
        assert!(after.take(30, november(6)));
        // Another period is configured: what was counted says nothing of it.
        let budget = Budget {
            bytes: 100,
            period: Period::Day,
        };
        let daily = Allowance::new(budget, after.spent(november(6)));
        assert!(daily.take(100, november(6)));
    }
}
