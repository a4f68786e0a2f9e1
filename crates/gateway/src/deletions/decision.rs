//! Which held keys were deleted by the application, and whether there are too many of them.
//!
//! Pure: the caller brings sets, ages and the time. In doubt a key stays: what is young, what has
//! no age, and what any row names under any spelling.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::prints::{Print, Prints};

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
        let (some, all) = (u128::from(self.without_row), u128::from(self.held));
        some * u128::from(WHOLE) > all * u128::from(max.millionths)
    }

    /// How many have no row, of a hundred.
    #[allow(clippy::cast_precision_loss, reason = "for people, to a tenth")]
    pub(crate) fn percent(&self) -> f64 {
        if self.held == 0 {
            return 0.0;
        }
        self.without_row as f64 * 100.0 / self.held as f64
    }
}

const WHOLE: u32 = 1_000_000;

/// A part of all, exact to a ten-thousandth of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share {
    millionths: u32,
}

/// It is no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a share is a percentage such as 1% or 0.5%")]
pub(crate) struct NoShare;

impl FromStr for Share {
    type Err = NoShare;

    fn from_str(text: &str) -> Result<Self, NoShare> {
        let number = text.trim().strip_suffix('%').ok_or(NoShare)?.trim_end();
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| {
            let fits = (1..=4).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
            fits.then(|| text.parse::<u32>().ok())
                .flatten()
                .ok_or(NoShare)
        };
        digits(part)?;
        let millionths = digits(whole)? * 10_000 + digits(&format!("{part:0<4}"))?;
        if millionths > WHOLE {
            return Err(NoShare);
        }
        Ok(Self { millionths })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.millionths / 10_000, self.millionths % 10_000);
        let part = format!("{part:04}");
        match part.trim_end_matches('0') {
            "" => write!(f, "{whole}%"),
            part => write!(f, "{whole}.{part}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::prints::Gathering;
    use super::*;
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
    fn shares_are_read_exactly_and_nothing_else_is() {
        for (text, millionths) in [
            ("1%", 10_000),
            ("0.5%", 5000),
            ("0%", 0),
            ("100%", WHOLE),
            ("0.0001 %", 1),
        ] {
            let share: Share = text.parse().unwrap();
            assert_eq!(share.millionths, millionths, "{text}");
            assert_eq!(share.to_string(), text.replace(' ', ""));
        }
        for text in [
            "1", "%", "-1%", "101%", "1,5%", "0.00001%", ".5%", "1.%", "1e1%",
        ] {
            assert_eq!(text.parse::<Share>(), Err(NoShare), "{text}");
        }
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
        fn the_brake_is_the_share_and_more_room_never_trips_it(
            rowless in 0_u64..1_000_000, others in 0_u64..1_000_000, max in 0..=WHOLE,
        ) {
            let tally = Tally { held: rowless + others, without_row: rowless, ..Tally::default() };
            let trips = tally.exceeds(Share { millionths: max });
            let allowed = u128::from(tally.held) * u128::from(max) / u128::from(WHOLE);
            prop_assert_eq!(trips, u128::from(rowless) > allowed);
            if !trips {
                let more = WHOLE.min(max + 1);
                let more = Share { millionths: more };
                prop_assert!(!tally.exceeds(more));
            }
            let whole = Share { millionths: WHOLE };
            prop_assert!(!tally.exceeds(whole));
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
