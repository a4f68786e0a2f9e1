//! How much is asked of an origin at one time.
//!
//! Pure. A segment is read at the speed of the network and never paused for a client, so its
//! length bounds what is read for nothing when the client goes away.

use object::{ByteRange, Part, RangeRequest};

use crate::slice::SLICE_BYTES;

/// The longest segment, in bytes.
pub(crate) const LONGEST: u64 = 64 * SLICE_BYTES;

/// How a reader's segments grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// To the end, in the longest segments: a plain GET.
    Whole,
    /// Up to this byte: a closed range.
    Until(u64),
    /// So many slices, then twice as many each time: an open-ended range, as players ask. They
    /// often leave after the first bytes.
    Growing(u64),
}

impl Plan {
    /// How a request for this part goes on.
    pub(crate) fn of(part: Part, total: u64) -> Self {
        match part {
            Part::Head | Part::Whole => Self::Whole,
            Part::Range(asked @ (RangeRequest::FromTo { .. } | RangeRequest::Suffix { .. })) => {
                Self::Until(asked.resolve(total).map_or(0, |range| range.end))
            }
            Part::Range(RangeRequest::From { .. }) => Self::Growing(1),
        }
    }

    /// The same where [`first_part`] has already asked for the first segment.
    pub(crate) fn after_first(part: Part, total: u64) -> Self {
        match Self::of(part, total) {
            Self::Growing(slices) => Self::Growing(2 * slices),
            plan => plan,
        }
    }

    /// How the one goes on who reads behind a download that went on like this.
    pub(crate) fn behind(self, download: Self) -> Self {
        match (self, download) {
            (Self::Growing(mine), Self::Growing(its)) => Self::Growing(mine.max(its)),
            (mine, _) => mine,
        }
    }

    /// The segment that begins with the slice of `at`; `at < total`. With `stored` false nothing
    /// can wait on the disk for a slow reader, so segments are one slice.
    pub(crate) fn segment(&mut self, at: u64, total: u64, stored: bool) -> ByteRange {
        let start = slice_start(at);
        let wanted = match self {
            Self::Whole => LONGEST,
            Self::Until(end) => slice_end(*end).saturating_sub(start).min(LONGEST),
            Self::Growing(slices) => {
                let now = *slices * SLICE_BYTES;
                *slices = (*slices * 2).min(LONGEST / SLICE_BYTES);
                now
            }
        };
        let longest = if stored { LONGEST } else { SLICE_BYTES };
        let length = wanted.clamp(SLICE_BYTES, longest);
        ByteRange {
            start,
            end: start.saturating_add(length).min(total),
        }
    }
}

/// What is asked for while nothing is known of the object, so that the answer begins at a slice.
pub(crate) fn first_part(wanted: Part, stored: bool) -> Part {
    let longest = if stored { LONGEST } else { SLICE_BYTES };
    let bytes = |start: u64, length: u64| {
        Part::Range(RangeRequest::FromTo {
            first: start,
            last: start.saturating_add(length - 1),
        })
    };
    match wanted {
        Part::Head => Part::Head,
        Part::Whole => bytes(0, longest),
        Part::Range(RangeRequest::FromTo { first, last }) => {
            let start = slice_start(first);
            let end = slice_end(last.saturating_add(1));
            bytes(start, end.saturating_sub(start).clamp(SLICE_BYTES, longest))
        }
        Part::Range(RangeRequest::From { first }) => bytes(slice_start(first), SLICE_BYTES),
        // Enough to begin at a slice's boundary wherever the end lies. A longer one is most of
        // the object: its beginning tells the length.
        Part::Range(RangeRequest::Suffix { length }) => {
            match length.saturating_add(SLICE_BYTES - 1) {
                longer if longer > longest.max(2 * SLICE_BYTES) => bytes(0, SLICE_BYTES),
                longer => Part::Range(RangeRequest::Suffix { length: longer }),
            }
        }
    }
}

/// Number of the slice that holds a byte.
pub(crate) fn slice_of(at: u64) -> u32 {
    u32::try_from(at / SLICE_BYTES).unwrap_or(u32::MAX)
}

/// Where the slice of a byte begins.
pub(crate) fn slice_start(at: u64) -> u64 {
    at - at % SLICE_BYTES
}

/// The first slice boundary at or behind a byte.
pub(crate) fn slice_end(at: u64) -> u64 {
    at.checked_next_multiple_of(SLICE_BYTES)
        .unwrap_or(u64::MAX - u64::MAX % SLICE_BYTES)
}

/// Length of slice `n` of an object of `total` bytes.
pub(crate) fn slice_length(n: u32, total: u64) -> u64 {
    let start = u64::from(n) * SLICE_BYTES;
    total.saturating_sub(start).min(SLICE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = SLICE_BYTES;

    fn from_to(first: u64, last: u64) -> Part {
        Part::Range(RangeRequest::FromTo { first, last })
    }

    #[test]
    fn the_first_question_begins_and_ends_with_a_slice() {
        let suffix = |length| Part::Range(RangeRequest::Suffix { length });
        for (wanted, stored, asked) in [
            (Part::Head, true, Part::Head),
            (Part::Whole, true, from_to(0, 64 * MIB - 1)),
            (Part::Whole, false, from_to(0, MIB - 1)),
            (from_to(0, 0), true, from_to(0, MIB - 1)),
            (from_to(MIB - 1, MIB), true, from_to(0, 2 * MIB - 1)),
            (from_to(0, u64::MAX), true, from_to(0, 64 * MIB - 1)),
            (suffix(5), true, suffix(MIB + 4)),
            (suffix(u64::MAX), true, from_to(0, MIB - 1)),
        ] {
            assert_eq!(first_part(wanted, stored), asked, "{wanted:?}");
        }
        let open = Part::Range(RangeRequest::From { first: MIB + 7 });
        assert_eq!(first_part(open, true), from_to(MIB, 2 * MIB - 1));
    }

    #[test]
    fn a_player_s_segments_double_up_to_the_longest() {
        let total = 1024 * MIB;
        let mut plan = Plan::of(Part::Range(RangeRequest::From { first: 0 }), total);
        let mut at = 0;
        let mut lengths = Vec::new();
        while at < 255 * MIB {
            let segment = plan.segment(at, total, true);
            lengths.push(segment.length() / MIB);
            at = segment.end;
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
    }

    proptest! {
        #[test]
        fn a_closed_range_reads_at_most_two_slices_more_than_it_asked_for(
            first in 0_u64..200 * MIB, length in 1_u64..70 * MIB, total in 1_u64..300 * MIB,
            stored: bool,
        ) {
            let part = from_to(first, first + length - 1);
            let asked = RangeRequest::FromTo { first, last: first + length - 1 };
            if let Some(range) = asked.resolve(total) {
                let mut plan = Plan::of(part, total);
                let (mut at, mut read) = (range.start, 0);
                while at < range.end {
                    let segment = plan.segment(at, total, stored);
                    prop_assert!(segment.start <= at && segment.end > at);
                    prop_assert!(segment.end == total || segment.end.is_multiple_of(MIB));
                    read += segment.length();
                    at = segment.end;
                }
                prop_assert!(read <= range.length() + 2 * MIB);
            }
        }

        #[test]
        fn no_number_overflows(first: u64, last: u64, total: u64) {
            let part = from_to(first.min(last), first.max(last));
            let _ = first_part(part, true);
            let _ = slice_end(last);
            if first < total {
                let _ = Plan::of(part, total).segment(first, total, true);
            }
        }
    }
}
