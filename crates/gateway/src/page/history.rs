//! What was counted in the last hour and the last day, in a fixed amount of memory.
//!
//! Two rings of 360 slots each, of ten seconds and of four minutes: some 140 kB, whatever clients
//! send and however many routes there are. Pure: the caller brings the counters and says when.
//! Nothing is kept for a key, and a restart forgets all of it.

use std::collections::VecDeque;

use crate::metrics::totals::{CLASSES, Totals};

/// How much time a slot of the last hour is for, in seconds.
pub(crate) const FINE_SECONDS: u64 = 10;
/// Slots of the last hour that are one slot of the last day.
const COARSE: u32 = 24;
/// How much time a slot of the last day is for, in seconds.
pub(crate) const COARSE_SECONDS: u64 = FINE_SECONDS * COARSE as u64;
/// Slots of each ring.
pub(crate) const SLOTS: usize = 360;
/// Origins that are told apart; what further ones give is not split up.
pub(crate) const ORIGINS: usize = 16;

/// What happened in one span of time. Counts stop at their limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) found: u32,
    pub(crate) missing: u32,
    pub(crate) failed: u32,
    pub(crate) refused: u32,
    pub(crate) held: u32,
    pub(crate) looked_up: u32,
    pub(crate) sent_bytes: u64,
    pub(crate) held_bytes: u64,
    pub(crate) read_bytes: u64,
    pub(crate) first_byte: [u32; CLASSES],
    /// Objects that each origin gave, in the order of [`History::origins`].
    pub(crate) found_at: [u32; ORIGINS],
    /// A bit for each origin that did not answer at some time in it.
    pub(crate) down: u16,
}

/// The last hour and the last day.
#[derive(Debug)]
pub(crate) struct History {
    hour: VecDeque<Slot>,
    day: VecDeque<Slot>,
    /// What will be the next slot of the day.
    next: Slot,
    /// Slots of the hour that are in it.
    gathered: u32,
    /// Names of origins, at most [`ORIGINS`]; one that has been seen keeps its place.
    origins: Vec<Box<str>>,
    /// The counters as they were last.
    last: Totals,
}

impl History {
    /// An empty one; all of its memory is taken now.
    pub(crate) fn new() -> Self {
        Self {
            hour: VecDeque::with_capacity(SLOTS),
            day: VecDeque::with_capacity(SLOTS),
            next: Slot::default(),
            gathered: 0,
            origins: Vec::with_capacity(ORIGINS),
            last: Totals::default(),
        }
    }

    /// Takes what was counted since the last time, and which origins do not answer now.
    pub(crate) fn take(&mut self, totals: Totals, down: impl IntoIterator<Item = Box<str>>) {
        let mut slot = self.since_last(&totals);
        for name in down {
            if let Some(place) = self.place(&name) {
                slot.down |= 1 << place;
            }
        }
        self.last = totals;
        push(&mut self.hour, slot);
        self.next.add(&slot);
        self.gathered += 1;
        if self.gathered == COARSE {
            push(&mut self.day, self.next);
            self.next = Slot::default();
            self.gathered = 0;
        }
    }

    /// What has been counted since the last slot ended: not yet in any.
    pub(crate) fn since_last(&mut self, totals: &Totals) -> Slot {
        let last = &self.last;
        let mut slot = Slot {
            found: grown(totals.found, last.found),
            missing: grown(totals.missing, last.missing),
            failed: grown(totals.failed, last.failed),
            refused: grown(totals.refused, last.refused),
            held: grown(totals.held, last.held),
            looked_up: grown(totals.looked_up, last.looked_up),
            sent_bytes: totals.sent_bytes.saturating_sub(last.sent_bytes),
            held_bytes: totals.held_bytes.saturating_sub(last.held_bytes),
            read_bytes: totals.read_bytes.saturating_sub(last.read_bytes),
            ..Slot::default()
        };
        for (class, count) in slot.first_byte.iter_mut().enumerate() {
            *count = grown(totals.first_byte[class], last.first_byte[class]);
        }
        let before = |name: &str| {
            let known = last.found_at.iter().find(|(known, _)| **known == *name);
            known.map_or(0, |(_, count)| *count)
        };
        let all: Vec<_> = totals
            .found_at
            .iter()
            .map(|(name, count)| (name, grown(*count, before(name))))
            .collect();
        for (name, count) in all {
            if let Some(place) = self.place(name) {
                slot.found_at[place] = count;
            }
        }
        slot
    }

    fn place(&mut self, name: &str) -> Option<usize> {
        if let Some(place) = self.place_of(name) {
            return Some(place);
        }
        (self.origins.len() < ORIGINS).then(|| {
            self.origins.push(name.into());
            self.origins.len() - 1
        })
    }

    /// Where an origin stands in each slot, if it has been seen and there was room.
    pub(crate) fn place_of(&self, name: &str) -> Option<usize> {
        self.origins.iter().position(|known| **known == *name)
    }

    /// The slots of the last hour, the oldest first.
    pub(crate) fn hour(&self) -> impl DoubleEndedIterator<Item = &Slot> + ExactSizeIterator {
        self.hour.iter()
    }

    /// The slots of the last day, the oldest first; the last minutes are not among them yet.
    pub(crate) fn day(&self) -> impl DoubleEndedIterator<Item = &Slot> + ExactSizeIterator {
        self.day.iter()
    }

    /// The last hour in one, and what has come since.
    pub(crate) fn sum_of_hour(&self, since: &Slot) -> Slot {
        sum(self.hour.iter().chain([since]))
    }

    /// The last day in one, and what has come since.
    pub(crate) fn sum_of_day(&self, since: &Slot) -> Slot {
        sum(self.day.iter().chain([&self.next, since]))
    }
}

impl Slot {
    fn add(&mut self, other: &Self) {
        let counts = [
            (&mut self.found, other.found),
            (&mut self.missing, other.missing),
            (&mut self.failed, other.failed),
            (&mut self.refused, other.refused),
            (&mut self.held, other.held),
            (&mut self.looked_up, other.looked_up),
        ];
        let arrays = self.first_byte.iter_mut().zip(other.first_byte);
        let origins = self.found_at.iter_mut().zip(other.found_at);
        for (mine, more) in counts.into_iter().chain(arrays).chain(origins) {
            *mine = mine.saturating_add(more);
        }
        self.sent_bytes = self.sent_bytes.saturating_add(other.sent_bytes);
        self.held_bytes = self.held_bytes.saturating_add(other.held_bytes);
        self.read_bytes = self.read_bytes.saturating_add(other.read_bytes);
        self.down |= other.down;
    }
}

/// Several slots in one.
pub(crate) fn sum<'s>(slots: impl IntoIterator<Item = &'s Slot>) -> Slot {
    let mut all = Slot::default();
    for slot in slots {
        all.add(slot);
    }
    all
}

fn push(ring: &mut VecDeque<Slot>, slot: Slot) {
    if ring.len() == SLOTS {
        ring.pop_front();
    }
    ring.push_back(slot);
}

/// Counters never shrink; one that belongs to an origin that left may begin again.
fn grown(now: u64, before: u64) -> u32 {
    u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(found: u64, origins: &[(&str, u64)]) -> Totals {
        Totals {
            found,
            sent_bytes: found * 10,
            found_at: origins
                .iter()
                .map(|(name, count)| ((*name).into(), *count))
                .collect(),
            ..Totals::default()
        }
    }

    #[test]
    fn a_slot_is_what_was_counted_since_the_one_before() {
        let mut history = History::new();
        history.take(totals(5, &[("new", 3)]), []);
        history.take(totals(7, &[("new", 3), ("old", 2)]), [Box::from("old")]);
        let slots: Vec<_> = history.hour().collect();
        assert_eq!((slots[0].found, slots[1].found), (5, 2));
        assert_eq!(slots[1].sent_bytes, 20);
        let (new, old) = (history.place_of("new"), history.place_of("old"));
        assert_eq!(slots[0].found_at[new.unwrap()], 3);
        assert_eq!(slots[1].found_at[new.unwrap()], 0);
        assert_eq!(slots[1].found_at[old.unwrap()], 2);
        assert_eq!(slots[1].down, 1 << old.unwrap());
        // What is in no slot yet is seen at once.
        let since = history.since_last(&totals(10, &[("new", 4)]));
        assert_eq!((since.found, since.down), (3, 0));
        assert_eq!(history.sum_of_hour(&since).found, 10);
        assert_eq!(history.sum_of_day(&since), history.sum_of_hour(&since));
    }

    #[test]
    fn a_day_is_kept_in_memory_that_does_not_grow() {
        let mut history = History::new();
        let taken = (history.hour.capacity(), history.day.capacity());
        for n in 1..=10_000_u64 {
            let names: Vec<_> = (0..40).map(|n| (format!("o{n}"), n)).collect();
            let names: Vec<_> = names.iter().map(|(name, n)| (&**name, *n)).collect();
            history.take(totals(n, &names), [Box::from("elsewhere")]);
        }
        assert_eq!((history.hour().len(), history.day().len()), (SLOTS, SLOTS));
        assert_eq!((history.hour.capacity(), history.day.capacity()), taken);
        assert_eq!(history.origins.len(), ORIGINS);
        assert_eq!(history.sum_of_hour(&Slot::default()).found, 360);
        // A whole day, and what has come since its last slot.
        assert_eq!(
            history.sum_of_day(&Slot::default()).found,
            360 * COARSE + 10_000 % COARSE
        );
        let bytes = size_of::<Slot>() * (history.hour.capacity() + history.day.capacity());
        assert!(bytes < 160_000, "{bytes}");
    }

    #[test]
    fn counts_stop_at_their_limit() {
        let mut history = History::new();
        history.take(totals(u64::from(u32::MAX) + 9, &[]), []);
        history.take(totals(u64::from(u32::MAX) + 19, &[]), []);
        assert_eq!(history.sum_of_hour(&Slot::default()).found, u32::MAX);
    }
}
