//! A part of all, as an operator writes it, and whether there is more than that.
//!
//! Pure.

use std::fmt;
use std::str::FromStr;

/// So many are no sign of an accident, however few there are in all.
const FEW: u64 = 10;

const WHOLE: u32 = 1_000_000;

/// A part of all, exact to a ten-thousandth of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    millionths: u32,
}

/// It is no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a share is a percentage such as 1% or 0.5%")]
pub struct NoShare;

impl Share {
    /// All of it.
    pub const ALL: Self = Self { millionths: WHOLE };

    /// So many of a hundred, at most a hundred.
    pub const fn percent(percent: u32) -> Self {
        let percent = if percent > 100 { 100 } else { percent };
        Self {
            millionths: percent * 10_000,
        }
    }

    /// Whether some are more than this part of all.
    pub fn is_less_than(self, some: u64, all: u64) -> bool {
        u128::from(some) * u128::from(WHOLE) > u128::from(all) * u128::from(self.millionths)
    }

    /// Whether some are more than this part of all, and more than a few.
    pub fn is_plainly_less_than(self, some: u64, all: u64) -> bool {
        some > FEW && self.is_less_than(some - FEW, all)
    }
}

/// So many of all, of a hundred.
#[allow(clippy::cast_precision_loss, reason = "for people, to a tenth")]
pub fn percent(some: u64, all: u64) -> f64 {
    if all == 0 {
        return 0.0;
    }
    some as f64 * 100.0 / all as f64
}

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
    use proptest::prelude::*;

    use super::*;

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
        assert_eq!("10%".parse(), Ok(Share::percent(10)));
    }

    #[test]
    fn a_few_are_no_accident() {
        let tenth = Share::percent(10);
        assert!(!tenth.is_plainly_less_than(10, 10));
        assert!(tenth.is_plainly_less_than(12, 12));
        assert!(!tenth.is_plainly_less_than(110, 1000));
        assert!(tenth.is_plainly_less_than(111, 1000));
        assert!(!Share::ALL.is_plainly_less_than(1000, 1000));
    }

    proptest! {
        #[test]
        fn more_than_a_share_is_more_and_all_is_never_more_than_all(
            some in 0_u64..1_000_000, others in 0_u64..1_000_000, max in 0..=WHOLE,
        ) {
            let all = some + others;
            let is_more = Share { millionths: max }.is_less_than(some, all);
            let allowed = u128::from(all) * u128::from(max) / u128::from(WHOLE);
            prop_assert_eq!(is_more, u128::from(some) > allowed);
            if !is_more {
                let more = Share { millionths: WHOLE.min(max + 1) };
                prop_assert!(!more.is_less_than(some, all));
            }
            prop_assert!(!Share::ALL.is_less_than(some, all));
        }
    }
}
