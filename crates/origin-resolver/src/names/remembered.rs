//! What the name servers said, for as long as it counts.
//!
//! Pure: the caller passes the time in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::{Found, NoAddress};
use crate::IpVersions;

/// A TTL of 0 would ask for every connection.
const SHORTEST: Duration = Duration::from_secs(1);
/// A mistaken TTL of a day must not outlive a move.
const LONGEST: Duration = Duration::from_mins(5);
/// A name that does not exist may be about to.
const DENIAL: Duration = Duration::from_secs(1);
/// How often silent servers are asked again while old addresses are used.
const SILENCE: Duration = Duration::from_secs(5);
/// How long old addresses are used while the servers are silent.
const LAST_GOOD: Duration = Duration::from_hours(1);

type Answer = Result<Vec<IpAddr>, NoAddress>;

/// Names and their latest answers.
#[derive(Debug, Default)]
pub(super) struct Remembered(HashMap<(Box<str>, bool), Entry>);

#[derive(Debug)]
struct Entry {
    answer: Answer,
    ask_again: Instant,
    /// Until when the addresses may be used if nobody answers.
    last_good: Instant,
}

impl Remembered {
    /// What need not be asked now.
    pub(super) fn fresh(&self, host: &str, versions: IpVersions, now: Instant) -> Option<Answer> {
        let entry = self.0.get(&key(host, versions))?;
        (now < entry.ask_again).then(|| entry.answer.clone())
    }

    /// Takes note of what was found, and says what to use: the last good addresses where the
    /// servers were silent, but not where they denied the name.
    pub(super) fn learn(
        &mut self,
        host: &str,
        versions: IpVersions,
        found: Result<Found, NoAddress>,
        now: Instant,
    ) -> Answer {
        self.0
            .retain(|_, entry| now < entry.last_good.max(entry.ask_again));
        let key = key(host, versions);
        let entry = match found {
            Ok(found) => Entry {
                answer: Ok(found.addresses),
                ask_again: now + found.good_for.clamp(SHORTEST, LONGEST),
                last_good: now + LAST_GOOD,
            },
            Err(problem) => match self.0.remove(&key) {
                Some(old) if !problem.denied && old.answer.is_ok() && now < old.last_good => {
                    Entry {
                        ask_again: now + SILENCE,
                        ..old
                    }
                }
                _ => Entry {
                    answer: Err(problem),
                    ask_again: now + DENIAL,
                    last_good: now,
                },
            },
        };
        let answer = entry.answer.clone();
        self.0.insert(key, entry);
        answer
    }
}

fn key(host: &str, versions: IpVersions) -> (Box<str>, bool) {
    (host.into(), versions == IpVersions::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: IpVersions = IpVersions::Any;

    fn found(last: u8, seconds: u64) -> Found {
        Found {
            addresses: vec![ip(last)],
            good_for: Duration::from_secs(seconds),
        }
    }

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn silent() -> NoAddress {
        NoAddress::down("silent")
    }

    #[test]
    fn ttls_are_honoured_within_bounds() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        for (ttl, fresh_until) in [(0, 1_000), (60, 60_000), (86_400, 300_000)] {
            let mut names = Remembered::default();
            names.learn("a", ANY, Ok(found(1, ttl)), start).unwrap();
            assert!(names.fresh("a", ANY, at(fresh_until - 1)).is_some());
            assert!(names.fresh("a", ANY, at(fresh_until)).is_none());
        }
    }

    #[test]
    fn the_last_good_addresses_survive_an_hour_of_silence() {
        let start = Instant::now();
        let mut names = Remembered::default();
        names.learn("a", ANY, Ok(found(1, 60)), start).unwrap();
        let later = start + Duration::from_mins(50);
        assert_eq!(names.learn("a", ANY, Err(silent()), later), Ok(vec![ip(1)]));
        // And the servers are not asked for every connection.
        assert!(
            names
                .fresh("a", ANY, later + Duration::from_secs(4))
                .is_some()
        );
        let too_late = start + Duration::from_hours(1);
        assert!(names.learn("a", ANY, Err(silent()), too_late).is_err());
        assert_eq!(
            names.learn("a", ANY, Ok(found(2, 60)), too_late),
            Ok(vec![ip(2)])
        );
    }

    #[test]
    fn a_denied_name_is_forgotten_and_soon_asked_again() {
        let start = Instant::now();
        let mut names = Remembered::default();
        names.learn("a", ANY, Ok(found(1, 60)), start).unwrap();
        let denied = || Err(NoAddress::denied("a"));
        assert!(names.learn("a", ANY, denied(), start).is_err());
        assert!(names.learn("a", ANY, Err(silent()), start).is_err());
        let soon = start + Duration::from_secs(1);
        assert!(names.fresh("a", ANY, soon).is_none());
    }

    #[test]
    fn an_ipv4_origin_has_answers_of_its_own() {
        let start = Instant::now();
        let mut names = Remembered::default();
        names.learn("a", ANY, Ok(found(1, 60)), start).unwrap();
        assert!(names.fresh("a", IpVersions::V4, start).is_none());
    }
}
