//! The numbers of versions: which of two is newer, across restarts.
//!
//! They are reserved in blocks, and a block is used only once the index has durably promised not
//! to give it out again. Whoever needs a number while there is none gets one that is never stored.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Numbers from here on live in this process only.
pub(super) const UNSTORABLE: u64 = 1 << 63;

/// How many are reserved at once.
pub(super) const BLOCK: u64 = 1 << 20;

/// Gives out numbers.
#[derive(Debug)]
pub(super) struct Numbers {
    next: AtomicU64,
    /// The first that is not reserved.
    end: AtomicU64,
    unstorable: AtomicU64,
    asked: AtomicBool,
}

/// A moment between two numbers: every version of before has a smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// `None` if no storable number was known yet.
    pub(super) storable: Option<u64>,
    pub(super) unstorable: u64,
}

impl Moment {
    /// Whether a version of this number is of before.
    pub(super) fn is_after(&self, number: u64) -> bool {
        if number >= UNSTORABLE {
            number < self.unstorable
        } else {
            self.storable.is_some_and(|storable| number < storable)
        }
    }

    /// The later of both.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            storable: self.storable.max(other.storable),
            unstorable: self.unstorable.max(other.unstorable),
        }
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            next: AtomicU64::new(0),
            end: AtomicU64::new(0),
            unstorable: AtomicU64::new(UNSTORABLE),
            asked: AtomicBool::new(false),
        }
    }
}

impl Numbers {
    pub(super) fn next(&self) -> u64 {
        let step = |next| (next < self.end.load(Ordering::Acquire)).then_some(next + 1);
        self.next
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, step)
            .unwrap_or_else(|_| self.unstorable.fetch_add(1, Ordering::AcqRel))
    }

    /// Takes a number of its own, so that everything given out before is smaller.
    pub(super) fn moment(&self) -> Moment {
        let unstorable = self.unstorable.fetch_add(1, Ordering::AcqRel) + 1;
        let known = self.end.load(Ordering::Acquire) > 0;
        let storable = known.then(|| self.next.fetch_add(1, Ordering::AcqRel) + 1);
        Moment {
            storable,
            unstorable,
        }
    }

    /// The index has been opened and has reserved `from..end`. Returns the first of them; numbers
    /// that were given out already stay behind.
    pub(super) fn open(&self, from: u64, end: u64) -> u64 {
        let first = self.next.fetch_max(from, Ordering::AcqRel).max(from);
        self.extend(end);
        first
    }

    /// How far to reserve next, if it is time; asked for once.
    pub(super) fn wanted(&self) -> Option<u64> {
        let (next, end) = (
            self.next.load(Ordering::Acquire),
            self.end.load(Ordering::Acquire),
        );
        let low = end > 0 && next.saturating_add(BLOCK / 2) >= end;
        (low && !self.asked.swap(true, Ordering::AcqRel)).then(|| end.max(next) + BLOCK)
    }

    /// Numbers before `end` are reserved, durably.
    pub(super) fn extend(&self, end: u64) {
        self.end.fetch_max(end, Ordering::AcqRel);
        self.asked.store(false, Ordering::Release);
    }

    /// The first number that was not given out.
    pub(super) fn reached(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_disk_that_never_came_up_are_never_stored() {
        let numbers = Numbers::default();
        let early = numbers.next();
        assert!(early >= UNSTORABLE);
        assert_eq!(numbers.open(5, 5 + BLOCK), 5);
        assert_eq!((numbers.next(), numbers.next()), (5, 6));
    }

    #[test]
    fn a_block_that_is_used_up_gives_no_number_twice() {
        let numbers = Numbers::default();
        numbers.open(1, 3);
        assert_eq!((numbers.next(), numbers.next()), (1, 2));
        assert!(numbers.next() >= UNSTORABLE);
        let end = numbers.wanted().unwrap();
        assert_eq!(numbers.wanted(), None);
        numbers.extend(end);
        assert_eq!(numbers.next(), 3);
    }

    #[test]
    fn an_index_that_was_begun_anew_does_not_turn_the_numbers_back() {
        let numbers = Numbers::default();
        numbers.open(100, 200);
        assert_eq!(numbers.next(), 100);
        assert_eq!(numbers.open(1, 1 + BLOCK), 101);
        assert_eq!(numbers.next(), 101);
    }

    #[test]
    fn a_moment_lies_between_what_was_given_out_and_what_will_be() {
        let numbers = Numbers::default();
        let unstorable = numbers.next();
        let early = numbers.moment();
        assert!(early.is_after(unstorable) && !early.is_after(numbers.next()));
        assert_eq!(early.storable, None);

        numbers.open(1, 100);
        let before = numbers.next();
        let moment = numbers.moment();
        assert!(moment.is_after(before) && moment.is_after(unstorable));
        assert!(!moment.is_after(numbers.next()));
    }
}
