//! Who has done what they were told, and whom to wait for.
//!
//! Pure; times are those of the clock of Redis, in milliseconds.

use super::words::{Member, place};
use super::{FleetPlace, Reply};

/// How long the others have.
const WITHIN: u64 = 3000;
/// Who has not been seen for so long is not waited for.
const AWAY: u64 = 5000;

/// Something that was told, and is waited for.
pub(super) struct Pending {
    pub(super) what: Told,
    /// Where in its stream.
    pub(super) at: String,
    pub(super) since: u64,
    pub(super) reply: Reply,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Told {
    Tombstones,
    Purges,
}

/// Answers those for which there is nothing to wait for any more.
pub(super) fn settle(pending: &mut Vec<Pending>, others: &[Member], now: u64) {
    let waiting = std::mem::take(pending);
    for told in waiting {
        match outcome(
            told.what,
            &told.at,
            now.saturating_sub(told.since),
            others,
            now,
        ) {
            // Whoever asked may have gone.
            Some(places) => drop(told.reply.send(places)),
            None => pending.push(told),
        }
    }
}

/// What became of it everywhere; `None` while that may still change.
fn outcome(
    what: Told,
    at: &str,
    waited: u64,
    others: &[Member],
    now: u64,
) -> Option<Vec<FleetPlace>> {
    let mut places = vec![FleetPlace::redis(None)];
    for other in others {
        let reached = match what {
            Told::Tombstones => &other.news,
            Told::Purges => &other.purges,
        };
        let away = now.saturating_sub(other.seen);
        let left = if place(reached) >= place(at) {
            None
        } else if away > AWAY {
            let seconds = away / 1000;
            Some(format!(
                "not seen for {seconds} s; it catches up when it is back"
            ))
        } else if waited >= WITHIN {
            Some("it has not done it within 3 s; it is told and may be slow".to_owned())
        } else {
            return None;
        };
        places.push(FleetPlace {
            place: other.name.clone(),
            left,
        });
    }
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(name: &str, seen: u64, news: &str) -> Member {
        Member {
            id: name.to_owned(),
            name: name.to_owned(),
            sequence: 0,
            seen,
            news: news.to_owned(),
            purges: "0-0".to_owned(),
        }
    }

    #[test]
    fn whoever_is_there_is_waited_for_a_while_and_whoever_is_away_is_named() {
        let here = other("here", 99_900, "10-0");
        let slow = other("slow", 99_900, "9-0");
        let away = other("away", 60_000, "9-0");
        let ask =
            |others: &[Member], waited| outcome(Told::Tombstones, "10-0", waited, others, 100_000);
        assert_eq!(ask(&[], 0).unwrap().len(), 1);
        assert_eq!(
            FleetPlace::left(&ask(std::slice::from_ref(&here), 0).unwrap()),
            0
        );
        assert_eq!(ask(&[here.clone(), slow.clone()], 2999), None);
        let late = ask(&[here.clone(), slow], 3000).unwrap();
        assert_eq!(FleetPlace::left(&late), 1);
        let without = ask(&[here, away], 0).unwrap();
        assert_eq!(
            without[2].line(),
            "fleet: away: left: not seen for 40 s; it catches up when it is back"
        );
    }
}
