//! Which bytes of an object are wanted, before and after its length is known.
//!
//! Pure arithmetic in `u64`, checked everywhere. How a `Range` header is spelled is the HTTP
//! face's business.

use std::fmt;

/// What a client asks for, while the length is not known yet (RFC 9110 section 14.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeRequest {
    /// `bytes=first-last`, both inclusive; `first <= last`.
    FromTo {
        /// The first byte, from 0.
        first: u64,
        /// The last byte, inclusive.
        last: u64,
    },
    /// `bytes=first-`.
    From {
        /// The first byte, from 0.
        first: u64,
    },
    /// `bytes=-length`: the last `length` bytes.
    Suffix {
        /// How many bytes, from the end.
        length: u64,
    },
}

impl RangeRequest {
    /// The bytes this means in an object of `total` bytes, or `None` where none can satisfy it:
    /// the answer is then 416 (RFC 9110 section 14.1.2; an oversized suffix is the whole).
    pub fn resolve(self, total: u64) -> Option<ByteRange> {
        let range = match self {
            Self::FromTo { first, last } => ByteRange {
                start: first,
                end: last.saturating_add(1).min(total),
            },
            Self::From { first } => ByteRange {
                start: first,
                end: total,
            },
            Self::Suffix { length } => ByteRange {
                start: total.saturating_sub(length),
                end: total,
            },
        };
        (range.start < range.end).then_some(range)
    }
}

/// The value of a `Range` header that asks for this.
impl fmt::Display for RangeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FromTo { first, last } => write!(f, "bytes={first}-{last}"),
            Self::From { first } => write!(f, "bytes={first}-"),
            Self::Suffix { length } => write!(f, "bytes=-{length}"),
        }
    }
}

/// Bytes `start..end` of an object; `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// The whole of an object of `total` bytes.
    pub fn whole(total: u64) -> Self {
        Self {
            start: 0,
            end: total,
        }
    }

    /// How many bytes.
    pub fn length(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_oversized_suffix_is_the_whole_object() {
        let suffix = RangeRequest::Suffix { length: u64::MAX };
        assert_eq!(suffix.resolve(10), Some(ByteRange::whole(10)));
    }

    #[test]
    fn nothing_satisfies_a_range_of_an_empty_object() {
        for request in [
            RangeRequest::FromTo { first: 0, last: 0 },
            RangeRequest::From { first: 0 },
            RangeRequest::Suffix { length: 5 },
        ] {
            assert_eq!(request.resolve(0), None);
        }
        assert_eq!(RangeRequest::Suffix { length: 0 }.resolve(9), None);
    }

    fn any_request() -> impl Strategy<Value = RangeRequest> {
        prop_oneof![
            (any::<u64>(), any::<u64>()).prop_map(|(a, b)| RangeRequest::FromTo {
                first: a.min(b),
                last: a.max(b)
            }),
            any::<u64>().prop_map(|first| RangeRequest::From { first }),
            any::<u64>().prop_map(|length| RangeRequest::Suffix { length }),
        ]
    }

    proptest! {
        #[test]
        fn a_resolved_range_lies_inside_the_object(request in any_request(), total in any::<u64>()) {
            if let Some(range) = request.resolve(total) {
                prop_assert!(range.start < range.end && range.end <= total);
            }
        }
    }
}
