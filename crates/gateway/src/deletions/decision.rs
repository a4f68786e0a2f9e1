//! Which held keys were deleted by the application, and whether there are too many of them.
//!
//! Pure: the caller brings sets, ages and the time. In doubt a key stays: what is young, what has
//! no age, and what any row names under any spelling.

use migration::{Share, percent};
use serde::Serialize;

use crate::rows::{Print, Prints};

/// What a held key comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lot {
    /// It must stay gone already.
    Tombstoned,
    /// Its row may not be written yet.
    Young,
    /// A row names it.
    Named,
    /// No row names it any more.
    Rowless,
}

/// What is known before the first key is looked at.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Keys in their spaces.
    pub(crate) tombstoned: Prints,
    /// The same.
    pub(crate) young: Prints,
    /// Names as they are, wherever they are used.
    pub(crate) names: Prints,
}

impl Known {
    pub(crate) fn lot(&self, place: Print, key: &str) -> Lot {
        if self.tombstoned.contains(place) {
            Lot::Tombstoned
        } else if self.names.contains(Print::of(key)) {
            Lot::Named
        } else if self.young.contains(place) {
            Lot::Young
        } else {
            Lot::Rowless
        }
    }
}

/// Whether something that was written then, in seconds since 1970, is old enough. What has no age
/// is young, and so is what comes from the future.
pub(crate) fn is_old(written: Option<u64>, now: u64, min_age_seconds: u64) -> bool {
    let age = written.and_then(|written| now.checked_sub(written));
    age.is_some_and(|age| age >= min_age_seconds)
}

/// How many keys came to what, each key of a space once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// Held, and not tombstoned already.
    pub(crate) held: u64,
    /// Of these: named by a row.
    pub(crate) named: u64,
    /// Of these: too young to be judged, and named by no row.
    pub(crate) too_young: u64,
    /// Of these: named by no row.
    pub(crate) without_row: u64,
    /// Tombstoned already.
    pub(crate) tombstoned: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, lot: Lot) {
        self.held += u64::from(lot != Lot::Tombstoned);
        match lot {
            Lot::Tombstoned => self.tombstoned += 1,
            Lot::Young => self.too_young += 1,
            Lot::Named => self.named += 1,
            Lot::Rowless => self.without_row += 1,
        }
    }

    /// Whether more have no row than is plausible.
    pub(crate) fn exceeds(&self, max: Share) -> bool {
        max.is_less_than(self.without_row, self.held)
    }

    /// How many have no row, of a hundred.
    pub(crate) fn percent(&self) -> f64 {
        percent(self.without_row, self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Gathering;
    use proptest::prelude::*;

    fn set(keys: &[u8], print: impl Fn(&str) -> Print) -> Prints {
        let mut gathering = Gathering::default();
        for key in keys {
            gathering.add(print(&key.to_string()));
        }
        gathering.done()
    }

    fn placed(key: &str) -> Print {
        Print::of_place("media", key.as_bytes())
    }

    #[test]
    fn what_has_no_age_or_is_of_tomorrow_is_young() {
        assert!(is_old(Some(100), 150, 50));
        assert!(!is_old(Some(101), 150, 50));
        assert!(!is_old(Some(151), 150, 0));
        assert!(!is_old(None, 150, 0));
    }

    proptest! {
        #[test]
        fn a_key_is_rowless_only_if_it_is_old_open_and_named_by_nothing(
            key in any::<u8>(),
            tombstoned in prop::collection::vec(any::<u8>(), 0..300),
            young in prop::collection::vec(any::<u8>(), 0..300),
            names in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let known = Known {
                tombstoned: set(&tombstoned, placed),
                young: set(&young, placed),
                names: set(&names, Print::of),
            };
            let text = key.to_string();
            let lot = known.lot(placed(&text), &text);
            let free = ![&tombstoned, &young, &names].iter().any(|one| one.contains(&key));
            prop_assert_eq!(lot == Lot::Rowless, free);
            // A name more never makes a key rowless that was not.
            let more: Vec<_> = names.iter().copied().chain([key]).collect();
            let known = Known { names: set(&more, Print::of), ..known };
            prop_assert_ne!(known.lot(placed(&text), &text), Lot::Rowless);
        }

        #[test]
        fn each_key_is_counted_once(lots in prop::collection::vec(0_usize..4, 0..100)) {
            let mut tally = Tally::default();
            for lot in &lots {
                tally.count([Lot::Tombstoned, Lot::Young, Lot::Named, Lot::Rowless][*lot]);
            }
            let parts = tally.named + tally.too_young + tally.without_row;
            prop_assert_eq!(tally.held, parts);
            prop_assert_eq!(tally.held + tally.tombstoned, lots.len() as u64);
        }
    }
}
