//! Reads `Content-Range` (RFC 9110 section 14.4), strictly: a range that is misread is a picture
//! put together from the wrong bytes.

use object::ByteRange;

/// What a `Content-Range` header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentRange {
    /// `bytes 0-99/200`, or `bytes 0-99/*`.
    Part {
        /// The bytes of the body.
        range: ByteRange,
        /// The whole's length, where told.
        total: Option<u64>,
    },
    /// `bytes */200`: none of the wanted bytes exist.
    None {
        /// The whole's length.
        total: u64,
    },
}

impl ContentRange {
    /// `None` where the header is malformed or contradicts itself.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (unit, rest) = header.trim().split_once(' ')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (range, total) = rest.trim().split_once('/')?;
        if range == "*" {
            return Some(Self::None {
                total: number(total)?,
            });
        }
        let total = match total {
            "*" => None,
            told => Some(number(told)?),
        };
        let (first, last) = range.split_once('-')?;
        let range = ByteRange {
            start: number(first)?,
            end: number(last)?.checked_add(1)?,
        };
        let fits = !range.is_empty() && total.is_none_or(|total| range.end <= total);
        fits.then_some(Self::Part { range, total })
    }
}

/// Digits only: `str::parse` would also take a plus sign.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_three_forms_are_read() {
        let range = ByteRange { start: 5, end: 10 };
        assert_eq!(
            ContentRange::parse("bytes 5-9/20"),
            Some(ContentRange::Part {
                range,
                total: Some(20)
            })
        );
        assert_eq!(
            ContentRange::parse("Bytes 5-9/*"),
            Some(ContentRange::Part { range, total: None })
        );
        assert_eq!(
            ContentRange::parse("bytes */20"),
            Some(ContentRange::None { total: 20 })
        );
    }

    #[test]
    fn nonsense_is_not_a_range() {
        for header in [
            "",
            "bytes",
            "bytes 0-9",
            "bytes=0-9/10",
            "items 0-9/10",
            "bytes 9-0/10",
            "bytes 0-10/10",
            "bytes +0-9/10",
            "bytes 0-9/ten",
            "bytes -9/10",
            "bytes */*",
            "bytes 0-18446744073709551615/*",
            "bytes 0-9/99999999999999999999",
        ] {
            assert_eq!(ContentRange::parse(header), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic_and_any_range_lies_inside(text in "(bytes )?[0-9*/ -]{0,24}") {
            if let Some(ContentRange::Part { range, total }) = ContentRange::parse(&text) {
                prop_assert!(range.start < range.end);
                prop_assert!(total.is_none_or(|total| range.end <= total));
            }
        }
    }
}
