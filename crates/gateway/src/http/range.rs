//! The `Range` and `Content-Range` headers (RFC 9110 sections 14.1 to 14.4).
//!
//! One range is understood. Several are answered with the whole object, which the RFC allows and
//! which makes overlapping ranges by the thousand no more costly than none.

use std::cmp::Ordering;

use http::header::{HeaderMap, HeaderValue, RANGE};
use object::{ByteRange, RangeRequest};

/// What the `Range` header of a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeHeader {
    /// Everything: there is no header, or none that is understood.
    Whole,
    /// One range; whether an object can satisfy it depends on its length.
    Single(RangeRequest),
    /// A range that no object of any length can satisfy.
    Unsatisfiable,
}

/// Reads the header. A malformed one counts as absent (RFC 9110 section 14.2).
pub fn parse(headers: &HeaderMap) -> RangeHeader {
    super::only(headers, &RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(single)
        .unwrap_or(RangeHeader::Whole)
}

fn single(header: &str) -> Option<RangeHeader> {
    let (unit, set) = header.trim().split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    // Empty list elements are to be tolerated (RFC 9110 section 5.6.1.2).
    let mut ranges = set
        .split(',')
        .map(|range| range.trim_matches([' ', '\t']))
        .filter(|range| !range.is_empty());
    let (first, last) = ranges.next()?.split_once('-')?;
    if ranges.next().is_some() {
        return None;
    }
    match (first, last) {
        ("", length) => Some(suffix(Digits::parse(length)?)),
        (first, "") => Some(from(Digits::parse(first)?)),
        (first, last) => from_to(Digits::parse(first)?, Digits::parse(last)?),
    }
}

fn suffix(length: Digits<'_>) -> RangeHeader {
    // More than any object has is the whole of it.
    match length.value().unwrap_or(u64::MAX) {
        0 => RangeHeader::Unsatisfiable,
        length => RangeHeader::Single(RangeRequest::Suffix { length }),
    }
}

fn from(first: Digits<'_>) -> RangeHeader {
    first.value().map_or(RangeHeader::Unsatisfiable, |first| {
        RangeHeader::Single(RangeRequest::From { first })
    })
}

fn from_to(first: Digits<'_>, last: Digits<'_>) -> Option<RangeHeader> {
    if first.compare(last) == Ordering::Greater {
        return None;
    }
    let Some(first) = first.value() else {
        return Some(RangeHeader::Unsatisfiable);
    };
    let last = last.value().unwrap_or(u64::MAX);
    Some(RangeHeader::Single(RangeRequest::FromTo { first, last }))
}

/// A number of any size, without leading zeros.
#[derive(Clone, Copy)]
struct Digits<'a>(&'a str);

impl<'a> Digits<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        decimal.then(|| Self(text.trim_start_matches('0')))
    }

    /// `None` above [`u64::MAX`].
    fn value(self) -> Option<u64> {
        if self.0.is_empty() {
            return Some(0);
        }
        self.0.parse().ok()
    }

    fn compare(self, other: Self) -> Ordering {
        (self.0.len(), self.0).cmp(&(other.0.len(), other.0))
    }
}

/// `Content-Range` of a 206. The range holds at least one byte.
pub fn content_range(range: ByteRange, total: u64) -> HeaderValue {
    let last = range.end.saturating_sub(1);
    written(format!("bytes {}-{last}/{total}", range.start))
}

/// `Content-Range` of a 416.
pub fn unsatisfied_range(total: u64) -> HeaderValue {
    written(format!("bytes */{total}"))
}

fn written(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits and punctuation are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(value: &str) -> RangeHeader {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, value.parse().unwrap());
        parse(&headers)
    }

    fn from_to(first: u64, last: u64) -> RangeHeader {
        RangeHeader::Single(RangeRequest::FromTo { first, last })
    }

    #[test]
    fn one_range_is_understood_in_each_spelling() {
        let max = u64::MAX;
        for (value, expected) in [
            ("bytes=0-0", from_to(0, 0)),
            ("bytes=0-1", from_to(0, 1)),
            ("BYTES=5-9", from_to(5, 9)),
            ("bytes=007-0010", from_to(7, 10)),
            ("bytes=, 5-9 ,", from_to(5, 9)),
            (
                "bytes=0-",
                RangeHeader::Single(RangeRequest::From { first: 0 }),
            ),
            (
                "bytes=-5",
                RangeHeader::Single(RangeRequest::Suffix { length: 5 }),
            ),
            (
                "bytes=-99999999999999999999999999",
                RangeHeader::Single(RangeRequest::Suffix { length: max }),
            ),
            ("bytes=9223372036854775808-", {
                RangeHeader::Single(RangeRequest::From { first: 1 << 63 })
            }),
            ("bytes=1-18446744073709551616", from_to(1, max)),
            ("bytes=18446744073709551615-18446744073709551616", {
                from_to(max, max)
            }),
        ] {
            assert_eq!(read(value), expected, "{value}");
        }
    }

    #[test]
    fn a_range_that_no_object_has_is_unsatisfiable() {
        for value in [
            "bytes=-0",
            "bytes=-000",
            "bytes=18446744073709551616-",
            "bytes=18446744073709551616-18446744073709551617",
            "bytes=99999999999999999999999-99999999999999999999999",
        ] {
            assert_eq!(read(value), RangeHeader::Unsatisfiable, "{value}");
        }
    }

    #[test]
    fn what_is_not_one_range_of_bytes_counts_as_absent() {
        assert_eq!(parse(&HeaderMap::new()), RangeHeader::Whole);
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=--1",
            "bytes=-1-",
            "bytes=1--2",
            "bytes=5-4",
            "bytes=18446744073709551617-18446744073709551616",
            "bytes=99999999999999999999-1",
            "bytes=+1-2",
            "bytes=0x1-2",
            "bytes=1 -2",
            "bytes 0-1",
            "seconds=0-1",
            "bytes=0-1,3-4",
            "bytes=0-1,nonsense",
        ] {
            assert_eq!(read(value), RangeHeader::Whole, "{value}");
        }
        let mut twice = HeaderMap::new();
        twice.append(RANGE, HeaderValue::from_static("bytes=0-1"));
        twice.append(RANGE, HeaderValue::from_static("bytes=0-1"));
        assert_eq!(parse(&twice), RangeHeader::Whole);
    }

    #[test]
    fn thousands_of_overlapping_ranges_are_the_whole_object() {
        let ranges: Vec<_> = (0..5000).map(|n| format!("{n}-")).collect();
        let value = format!("bytes={}", ranges.join(","));
        assert_eq!(read(&value), RangeHeader::Whole);
    }

    #[test]
    fn content_ranges_are_inclusive() {
        let range = ByteRange { start: 5, end: 10 };
        assert_eq!(content_range(range, 20), "bytes 5-9/20");
        assert_eq!(
            content_range(ByteRange::whole(u64::MAX), u64::MAX),
            "bytes 0-18446744073709551614/18446744073709551615"
        );
        assert_eq!(unsatisfied_range(0), "bytes */0");
    }

    proptest! {
        #[test]
        fn what_a_range_request_writes_is_read_back(a in any::<u64>(), b in any::<u64>()) {
            for request in [
                RangeRequest::FromTo { first: a.min(b), last: a.max(b) },
                RangeRequest::From { first: a },
                RangeRequest::Suffix { length: a.max(1) },
            ] {
                prop_assert_eq!(read(&request.to_string()), RangeHeader::Single(request));
            }
        }

        #[test]
        fn no_header_makes_the_parser_panic(value in "(bytes=)?[0-9, \t=+-]{0,60}") {
            if let Ok(value) = HeaderValue::from_str(&value) {
                parse(&HeaderMap::from_iter([(RANGE, value)]));
            }
        }
    }
}
