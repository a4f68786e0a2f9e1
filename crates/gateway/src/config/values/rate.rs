//! So many in so much time: `200/s`, `100/h`, `12 MB/s`, `900 GB/month`.

use std::time::Duration;

use super::{Size, Text};

/// Events in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many; may be zero.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

impl Rate {
    /// The same, as events in one second.
    pub fn per_second(self) -> f64 {
        f64::from(self.count) / self.per.as_secs_f64()
    }
}

impl Text for Rate {
    const EXPECTED: &'static str = r#"a rate such as "200/s" or "100/h""#;
    const NAME: &'static str = "Rate";
    const PATTERN: &'static str = r"^\s*[0-9]+\s*/\s*(s|m|min|h|d)\s*$";

    fn read(text: &str) -> Option<Self> {
        let (count, unit) = text.split_once('/')?;
        let seconds = match unit.trim() {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        Some(Self {
            count: count.trim().parse().ok()?,
            per: Duration::from_secs(seconds),
        })
    }
}

/// Bytes in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct ByteRate(pub(in crate::config) u64);

impl Text for ByteRate {
    const EXPECTED: &'static str = r#"a speed such as "12 MB/s""#;
    const NAME: &'static str = "ByteRate";
    const PATTERN: &'static str = r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtTpP][iI]?)?[bB]?\s*/\s*s\s*$";

    fn read(text: &str) -> Option<Self> {
        let (size, unit) = text.split_once('/')?;
        let size = Size::read(size)?;
        (unit.trim() == "s").then_some(Self(size.0))
    }
}

/// Bytes in a period of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How many.
    pub bytes: u64,
    /// In which period.
    pub period: Period,
}

/// A period of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// From midnight to midnight, UTC.
    Day,
    /// From the first of a month to the next, UTC.
    Month,
}

impl Text for Budget {
    const EXPECTED: &'static str = r#"a budget such as "900 GB/month" or "30 GB/day""#;
    const NAME: &'static str = "Budget";
    const PATTERN: &'static str =
        r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtTpP][iI]?)?[bB]?\s*/\s*(day|month)\s*$";

    fn read(text: &str) -> Option<Self> {
        let (size, period) = text.split_once('/')?;
        Some(Self {
            bytes: Size::read(size)?.0,
            period: match period.trim() {
                "day" => Period::Day,
                "month" => Period::Month,
                _ => return None,
            },
        })
    }
}

super::from_text!(Rate);
super::from_text!(ByteRate);
super::from_text!(Budget);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_the_contract_are_read() {
        let second = Duration::from_secs(1);
        let rate = |count, per| Some(Rate { count, per });
        assert_eq!(Rate::read("200/s"), rate(200, second));
        assert_eq!(Rate::read("100 / h"), rate(100, second * 3_600));
        assert_eq!(ByteRate::read("12 MB/s"), Some(ByteRate(12_000_000)));
        assert_eq!(
            Budget::read("900 GB/month"),
            Some(Budget {
                bytes: 900_000_000_000,
                period: Period::Month
            })
        );
    }

    #[test]
    fn what_is_not_a_rate_is_refused() {
        for text in ["", "200", "/s", "200/fortnight", "-1/s", "2.5/s", "12 MB/s"] {
            assert_eq!(Rate::read(text), None, "{text}");
        }
        assert_eq!(ByteRate::read("12/s"), None);
        assert_eq!(Budget::read("900 GB/s"), None);
    }
}
