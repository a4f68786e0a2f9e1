//! How many bytes may still be read from an origin in this month or day (`max_egress`).
//!
//! Counts everything that is read, for viewers and in the background; only the background is
//! refused. What is lent to commands beside the gateway counts as read until it is given back.
//! Performs no I/O: who owns it keeps what it has counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use state::Egress;

use crate::config::{Budget, Period};

/// A lease is at most this part of what is left: the last bytes are not lent to one alone.
const SHARE: u64 = 8;

/// What may be read from one origin, and what was.
#[derive(Debug)]
pub(crate) struct Allowance {
    budget: Mutex<Budget>,
    spent: Mutex<Egress>,
}

/// Bytes that may be read, and are counted as if they had been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    /// How many.
    pub(crate) bytes: u64,
    /// When the period ends of which they are, in seconds since 1970. They are worth nothing then.
    pub(crate) ends: u64,
}

/// Bytes that are set aside until it is dropped: what is read meanwhile is counted by itself.
#[derive(Debug)]
pub(crate) struct SetAside {
    allowance: Arc<Allowance>,
    lease: Lease,
}

impl Drop for SetAside {
    fn drop(&mut self) {
        self.allowance.give_back(self.lease, SystemTime::now());
    }
}

impl Allowance {
    /// A budget of which `spent` is gone already, if that was in this period.
    pub(crate) fn new(budget: Budget, spent: Egress) -> Self {
        Self {
            budget: Mutex::new(budget),
            spent: Mutex::new(spent),
        }
    }

    /// From now on another budget holds; what was read counts.
    pub(crate) fn is_now(&self, budget: Budget) {
        *self.budget.lock().unwrap_or_else(PoisonError::into_inner) = budget;
    }

    fn budget(&self) -> Budget {
        *self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Viewers were sent so many bytes, whether they were there or not.
    pub(crate) fn note(&self, bytes: u64, now: SystemTime) {
        self.in_period(now, |spent| spent.bytes = spent.bytes.saturating_add(bytes));
    }

    /// Takes at least so many bytes for work in the background, if they are there, and up to
    /// `wish` where there are many. Zero asks whether anything is left.
    pub(crate) fn lend(&self, least: u64, wish: u64, now: SystemTime) -> Option<Lease> {
        let limit = self.budget().bytes;
        let ends = self.ends(now);
        self.in_period(now, |spent| {
            let left = limit.saturating_sub(spent.bytes);
            let is_there = left > 0 && least <= left;
            is_there.then(|| {
                let bytes = least.max(wish.min(left / SHARE));
                spent.bytes = spent.bytes.saturating_add(bytes);
                Lease { bytes, ends }
            })
        })
    }

    /// Gives back what was lent and not read, if the period is still the same.
    pub(crate) fn give_back(&self, lease: Lease, now: SystemTime) {
        if lease.ends == self.ends(now) {
            self.in_period(now, |spent| {
                spent.bytes = spent.bytes.saturating_sub(lease.bytes);
            });
        }
    }

    /// Sets bytes aside for work in the background whose reading is counted by itself.
    pub(crate) fn set_aside(self: &Arc<Self>, bytes: u64) -> Option<SetAside> {
        let lease = self.lend(bytes, 0, SystemTime::now())?;
        Some(SetAside {
            allowance: Arc::clone(self),
            lease,
        })
    }

    /// Bytes that are left.
    pub(crate) fn left(&self, now: SystemTime) -> u64 {
        let limit = self.budget().bytes;
        self.in_period(now, |spent| limit.saturating_sub(spent.bytes))
    }

    /// What is to be kept.
    pub(crate) fn spent(&self, now: SystemTime) -> Egress {
        self.in_period(now, |spent| spent.clone())
    }

    /// When the current period ends, in seconds since 1970.
    fn ends(&self, now: SystemTime) -> u64 {
        let date = date(now);
        let last = match self.budget().period {
            Period::Month => date.last_of_month(),
            Period::Day => date,
        };
        let ends = last.tomorrow().and_then(|next| {
            let midnight = next.to_datetime(jiff::civil::Time::midnight());
            Offset::UTC.to_timestamp(midnight)
        });
        ends.map_or(u64::MAX, |ends| {
            u64::try_from(ends.as_second()).unwrap_or(0)
        })
    }

    fn in_period<T>(&self, now: SystemTime, look: impl FnOnce(&mut Egress) -> T) -> T {
        let period = name(self.budget().period, now);
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        // Names of periods are in the order of time. A clock that was set back must not give the
        // budget of an earlier period anew.
        if spent.period < period || spent.period.len() != period.len() {
            *spent = Egress { period, bytes: 0 };
        }
        look(&mut spent)
    }
}

fn date(now: SystemTime) -> Date {
    let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
    Offset::UTC.to_datetime(now).date()
}

/// `2026-11` or `2026-11-28`, UTC, as providers count.
fn name(period: Period, now: SystemTime) -> String {
    let date = date(now);
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

    fn take(allowance: &Allowance, bytes: u64, now: SystemTime) -> bool {
        allowance.lend(bytes, 0, now).is_some()
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
        assert!(take(&allowance, 60, november(1)));
        assert!(!take(&allowance, 41, november(2)), "it would be too much");
        assert!(take(&allowance, 0, november(2)));
        allowance.note(1000, november(3));
        assert_eq!(allowance.left(november(3)), 0);
        assert!(!take(&allowance, 0, november(3)));
        assert_eq!(allowance.spent(november(3)).bytes, 1060);
    }

    #[test]
    fn a_new_period_begins_with_everything_and_an_old_one_does_not_come_back() {
        let allowance = allowed(Period::Day);
        assert!(take(&allowance, 100, november(5)));
        assert!(!take(&allowance, 1, november(5)));
        assert!(take(&allowance, 100, november(6)));
        assert!(!take(&allowance, 1, november(5)), "the clock was set back");
    }

    #[test]
    fn what_was_spent_before_a_restart_is_gone() {
        let before = allowed(Period::Month);
        assert!(take(&before, 70, november(5)));
        let budget = Budget {
            bytes: 100,
            period: Period::Month,
        };
        let after = Allowance::new(budget, before.spent(november(5)));
        assert!(!take(&after, 31, november(6)));
        assert!(take(&after, 30, november(6)));
        // Another period is configured: what was counted says nothing of it.
        let budget = Budget {
            bytes: 100,
            period: Period::Day,
        };
        let daily = Allowance::new(budget, after.spent(november(6)));
        assert!(take(&daily, 100, november(6)));
    }

    #[test]
    fn a_lease_is_a_part_of_what_is_left_and_counts_until_it_is_given_back() {
        let allowance = allowed(Period::Month);
        let now = november(5);
        let lease = allowance.lend(1, 1000, now).unwrap();
        assert_eq!(lease.bytes, 12, "an eighth");
        assert_eq!(allowance.left(now), 88);
        assert_eq!(allowance.lend(88, 1000, now).unwrap().bytes, 88);
        assert_eq!(allowance.lend(0, 1000, now), None);
        allowance.give_back(lease, now);
        assert_eq!(allowance.left(now), 12);
        assert_eq!(allowance.lend(13, 13, now), None, "and nothing is taken");
        assert_eq!(allowance.left(now), 12);
    }

    #[test]
    fn what_was_lent_in_another_period_is_not_given_back_in_this_one() {
        for (period, later) in [(Period::Day, 6), (Period::Month, 31)] {
            let allowance = allowed(period);
            let lease = allowance.lend(60, 60, november(5)).unwrap();
            let next = november(1) + DAY * (later - 1);
            assert!(take(&allowance, 70, next));
            allowance.give_back(lease, next);
            assert_eq!(allowance.left(next), 30);
            let until = lease.ends - november(5).duration_since(UNIX_EPOCH).unwrap().as_secs();
            let days = if period == Period::Day { 0 } else { 25 };
            assert_eq!(until, (days * 24 + 12) * 3600);
        }
    }

    #[test]
    fn what_is_set_aside_is_there_again_when_the_reading_has_ended() {
        let now = SystemTime::now();
        let allowance = Arc::new(allowed(Period::Month));
        let aside = allowance.set_aside(60).unwrap();
        assert!(allowance.set_aside(41).is_none());
        allowance.note(60, now);
        drop(aside);
        assert_eq!(allowance.left(now), 40);
    }
}
