//! Which purges of which gateway were heard, and what to do where some were not.
//!
//! Pure. Each gateway numbers its own purges, so a gap is seen whatever Redis has lost.

use std::collections::BTreeSet;

use state::{FleetNotes, OwnPurge};

/// How many of its own purges a gateway keeps for the others.
const MOST_OWN: usize = 1000;
/// The most bytes of those.
const MOST_OWN_BYTES: usize = 4 * 1024 * 1024;
/// How many purges another gateway may tell while this one is away, and a new one has told.
const MOST_AWAY: u64 = 1 << 40;
/// How many other gateways are known.
const MOST_MEMBERS: usize = 64;

/// What to do with a purge that another gateway tells of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It was done.
    Before,
    /// It is the next one.
    Next,
    /// Some before it were never heard, and nobody has them any more.
    AfterGap,
    /// There are too many gateways.
    Stranger,
    /// No gateway tells so many in an absence: somebody else wrote it, and to believe it would be to
    /// take every true one for done.
    Nonsense,
}

/// Notes purges of this gateway.
pub(super) fn note(notes: &mut FleetNotes, texts: Vec<String>) {
    for what in texts {
        notes.sequence += 1;
        notes.own.push_back(OwnPurge {
            sequence: notes.sequence,
            what,
        });
    }
    let mut bytes: usize = notes.own.iter().map(|purge| purge.what.len()).sum();
    while notes.own.len() > MOST_OWN || (bytes > MOST_OWN_BYTES && notes.own.len() > 1) {
        bytes -= notes.own.pop_front().map_or(0, |purge| purge.what.len());
    }
}

/// Hears of a purge of another gateway, and notes it. `catching_up` while what was told in this
/// gateway's absence is read.
pub(super) fn hear(
    notes: &mut FleetNotes,
    member: &str,
    sequence: u64,
    catching_up: bool,
) -> Heard {
    let last = notes.applied.get(member).copied();
    if sequence > last.unwrap_or(0).saturating_add(MOST_AWAY) {
        return Heard::Nonsense;
    }
    let heard = match last {
        Some(last) if sequence <= last => return Heard::Before,
        Some(last) if sequence == last + 1 => Heard::Next,
        Some(_) => Heard::AfterGap,
        None if notes.applied.len() >= MOST_MEMBERS => return Heard::Stranger,
        // Of a gateway that came while this one was away, the first is the first of all.
        None if notes.joined && catching_up && sequence > 1 => Heard::AfterGap,
        None => Heard::Next,
    };
    notes.applied.insert(member.to_owned(), sequence);
    heard
}

/// Takes the number of a gateway of which no purge was heard, once everything was read.
pub(super) fn meet(notes: &mut FleetNotes, member: &str, sequence: u64) {
    let is_new = !notes.applied.contains_key(member) && notes.applied.len() < MOST_MEMBERS;
    if is_new && sequence <= MOST_AWAY {
        notes.applied.insert(member.to_owned(), sequence);
    }
}

/// Forgets gateways that are neither there nor in what was read, where there are many.
pub(super) fn forget(notes: &mut FleetNotes, known: &BTreeSet<String>) {
    if notes.applied.len() >= MOST_MEMBERS / 2 {
        notes.applied.retain(|member, _| known.contains(member));
    }
}

/// Somebody else told purges in this gateway's name, as after a state directory was copied or put
/// back from a backup: it becomes another one, and what it told may be told again.
pub(super) fn rename(notes: &mut FleetNotes, member: String) {
    notes.member = member;
    notes.sequence = 0;
    for purge in &mut notes.own {
        notes.sequence += 1;
        purge.sequence = notes.sequence;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined() -> FleetNotes {
        FleetNotes {
            joined: true,
            ..FleetNotes::default()
        }
    }

    #[test]
    fn each_purge_is_done_once_and_a_gap_is_seen() {
        let mut notes = joined();
        assert_eq!(hear(&mut notes, "a", 1, true), Heard::Next);
        assert_eq!(hear(&mut notes, "a", 1, true), Heard::Before);
        assert_eq!(hear(&mut notes, "a", 2, false), Heard::Next);
        assert_eq!(hear(&mut notes, "a", 4, false), Heard::AfterGap);
        assert_eq!(hear(&mut notes, "a", 3, false), Heard::Before);
        assert_eq!(hear(&mut notes, "a", 5, true), Heard::Next);
    }

    #[test]
    fn a_gateway_that_came_in_absence_has_a_gap_unless_its_first_purge_is_heard() {
        assert_eq!(hear(&mut joined(), "new", 1, true), Heard::Next);
        assert_eq!(hear(&mut joined(), "new", 9, true), Heard::AfterGap);
        let mut notes = joined();
        meet(&mut notes, "quiet", 8);
        assert_eq!(hear(&mut notes, "quiet", 9, true), Heard::Next);
        // Who joins has no copies from before to mind.
        assert_eq!(
            hear(&mut FleetNotes::default(), "old", 9, true),
            Heard::Next
        );
    }

    #[test]
    fn a_number_that_no_gateway_comes_to_is_not_believed() {
        let mut notes = joined();
        assert_eq!(hear(&mut notes, "a", 1, false), Heard::Next);
        assert_eq!(hear(&mut notes, "a", u64::MAX, false), Heard::Nonsense);
        assert_eq!(hear(&mut notes, "b", u64::MAX, true), Heard::Nonsense);
        meet(&mut notes, "c", u64::MAX);
        assert_eq!(hear(&mut notes, "a", 2, false), Heard::Next);
        assert_eq!(hear(&mut notes, "b", 1, true), Heard::Next);
        assert_eq!(hear(&mut notes, "c", 1, true), Heard::Next);
    }

    #[test]
    fn strangers_without_end_are_refused_and_those_who_left_are_forgotten() {
        let mut notes = joined();
        for n in 0..MOST_MEMBERS {
            assert_eq!(hear(&mut notes, &n.to_string(), 1, false), Heard::Next);
        }
        assert_eq!(hear(&mut notes, "more", 1, false), Heard::Stranger);
        forget(&mut notes, &BTreeSet::from(["3".to_owned()]));
        assert_eq!(notes.applied.len(), 1);
        assert_eq!(hear(&mut notes, "more", 1, false), Heard::Next);
    }

    #[test]
    fn own_purges_are_kept_within_bounds_and_keep_their_order_under_a_new_name() {
        let mut notes = joined();
        note(&mut notes, vec!["[]".to_owned(); MOST_OWN + 5]);
        assert_eq!(notes.own.len(), MOST_OWN);
        assert_eq!(notes.own[0].sequence, 6);
        note(&mut notes, vec!["x".repeat(MOST_OWN_BYTES)]);
        assert_eq!(notes.own.len(), 1);
        rename(&mut notes, "b".to_owned());
        assert_eq!((notes.sequence, notes.own[0].sequence), (1, 1));
    }
}
