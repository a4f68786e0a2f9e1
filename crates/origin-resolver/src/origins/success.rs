//! Which bytes a 200 or a 206 brings, given what was asked.
//!
//! Pure. Anything that does not fit the question exactly is refused with a reason: a 206 with a
//! wrong range, or a body whose end nobody could tell from a cut.

use object::{ByteRange, RangeRequest};

use super::body::Window;
use super::content_range::ContentRange;
use crate::{Extent, Part};

/// Bytes that are read and thrown away, at most, where an origin ignores a range.
const LONGEST_SKIP: u64 = 4 * 1024 * 1024;

/// How a body's length is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// `Content-Length`, or an HTTP/2 stream that ended with its headers.
    Length(u64),
    /// Chunked, or an HTTP/2 stream: the end is marked.
    Marked,
    /// It ends when the connection does, so a cut looks like the end.
    UntilClose,
}

/// What an answer's head says of its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announced<'a> {
    /// Whether the status is 206; it is 200 otherwise.
    pub(super) partial: bool,
    /// How the body ends.
    pub(super) framing: Framing,
    /// The `Content-Range` header.
    pub(super) content_range: Option<&'a str>,
    /// Whether the body is `multipart/byteranges`.
    pub(super) multipart: bool,
}

/// What is to be done with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivery {
    /// The whole object's length.
    pub(super) length: Option<u64>,
    /// What to tell the asker.
    pub(super) extent: Extent,
    /// Which of the body's bytes to hand on; meaningless where the extent has none.
    pub(super) window: Window,
}

/// Reads an answer, or says why it is nonsense.
pub(super) fn read(part: Part, announced: &Announced<'_>) -> Result<Delivery, &'static str> {
    if announced.framing == Framing::UntilClose {
        return Err("answered without a length, so that a cut would look like the end");
    }
    if announced.partial {
        partial(part, announced)
    } else {
        Ok(whole(part, announced.framing))
    }
}

fn partial(part: Part, announced: &Announced<'_>) -> Result<Delivery, &'static str> {
    if announced.multipart {
        return Err("answered one range with several");
    }
    let header = announced
        .content_range
        .ok_or("answered 206 without a content-range")?;
    let Some(ContentRange::Part { range, total }) = ContentRange::parse(header) else {
        return Err("answered 206 with a malformed content-range");
    };
    if let Framing::Length(length) = announced.framing
        && length != range.length()
    {
        return Err("answered 206 with a length that contradicts its content-range");
    }
    let asked = match part {
        Part::Head => RangeRequest::FromTo { first: 0, last: 0 },
        Part::Whole => RangeRequest::From { first: 0 },
        Part::Range(asked) => asked,
    };
    match total {
        Some(total) if asked.resolve(total) != Some(range) => {
            Err("answered 206 with another range than the one asked for")
        }
        Some(total) => Ok(Delivery {
            length: Some(total),
            extent: if part == Part::Head {
                Extent::None
            } else {
                Extent::Bytes(range)
            },
            window: Window::exactly(range.length()),
        }),
        None if part == Part::Head && range == ByteRange::whole(1) => Ok(Delivery {
            length: None,
            extent: Extent::None,
            window: Window::exactly(1),
        }),
        None => Err("answered 206 without telling the whole's length"),
    }
}

/// A 200: the origin ignored the range, or there was none.
fn whole(part: Part, framing: Framing) -> Delivery {
    let length = match framing {
        Framing::Length(length) => Some(length),
        Framing::Marked | Framing::UntilClose => None,
    };
    let (extent, window) = match (part, length) {
        (Part::Head, _) => (Extent::None, Window::to_the_end()),
        (Part::Whole, Some(length)) => (
            Extent::Bytes(ByteRange::whole(length)),
            Window::exactly(length),
        ),
        // Where a suffix would begin cannot be told, so a range is answered by the whole.
        (Part::Whole | Part::Range(_), None) => (Extent::Unbounded, Window::to_the_end()),
        (Part::Range(asked), Some(length)) => match asked.resolve(length) {
            None => (Extent::Unsatisfiable, Window::to_the_end()),
            // Skipping that much would keep the asker waiting; it may begin at the beginning.
            Some(range) if range.start > LONGEST_SKIP => (
                Extent::Bytes(ByteRange::whole(length)),
                Window::exactly(length),
            ),
            Some(range) => (
                Extent::Bytes(range),
                Window {
                    skip: range.start,
                    take: Some(range.length()),
                    more_follow: range.end < length,
                },
            ),
        },
    };
    Delivery {
        length,
        extent,
        window,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: Part = Part::Range(RangeRequest::FromTo { first: 2, last: 5 });
    const REST: Part = Part::Range(RangeRequest::From { first: 8 });
    const TAIL: Part = Part::Range(RangeRequest::Suffix { length: 2 });

    fn ok(part: Part, length: u64) -> Result<Delivery, &'static str> {
        let framing = Framing::Length(length);
        read(
            part,
            &Announced {
                partial: false,
                framing,
                content_range: None,
                multipart: false,
            },
        )
    }

    fn partial(part: Part, header: &str, framing: Framing) -> Result<Delivery, &'static str> {
        read(
            part,
            &Announced {
                partial: true,
                framing,
                content_range: Some(header),
                multipart: false,
            },
        )
    }

    fn bytes(start: u64, end: u64) -> Extent {
        Extent::Bytes(ByteRange { start, end })
    }

    #[test]
    fn a_206_that_fits_the_question_is_taken() {
        for (part, header, extent) in [
            (MIDDLE, "bytes 2-5/10", bytes(2, 6)),
            (MIDDLE, "bytes 2-3/4", bytes(2, 4)),
            (REST, "bytes 8-9/10", bytes(8, 10)),
            (TAIL, "bytes 8-9/10", bytes(8, 10)),
            (Part::Whole, "bytes 0-9/10", bytes(0, 10)),
            (Part::Head, "bytes 0-0/10", Extent::None),
        ] {
            let delivery = partial(part, header, Framing::Marked).unwrap();
            assert_eq!(delivery.extent, extent, "{header}");
            assert!(delivery.length.is_some());
        }
        let unknown = partial(Part::Head, "bytes 0-0/*", Framing::Length(1)).unwrap();
        assert_eq!((unknown.length, unknown.extent), (None, Extent::None));
    }

    #[test]
    fn a_206_that_does_not_fit_is_refused() {
        for (part, header) in [
            (MIDDLE, "bytes 0-3/10"),
            (MIDDLE, "bytes 2-6/10"),
            (MIDDLE, "bytes 2-4/10"),
            (MIDDLE, "bytes 2-5/*"),
            (MIDDLE, "bytes */10"),
            (MIDDLE, "nonsense"),
            (REST, "bytes 8-8/10"),
            (TAIL, "bytes 7-9/10"),
            (TAIL, "bytes 0-1/10"),
            (Part::Whole, "bytes 0-4/10"),
            (Part::Whole, "bytes 1-9/10"),
            (Part::Head, "bytes 0-9/10"),
            (Part::Head, "bytes 1-1/10"),
        ] {
            assert!(partial(part, header, Framing::Marked).is_err(), "{header}");
        }
        assert!(partial(MIDDLE, "bytes 2-5/10", Framing::Length(5)).is_err());
        let multipart = Announced {
            partial: true,
            framing: Framing::Length(4),
            content_range: Some("bytes 2-5/10"),
            multipart: true,
        };
        assert!(read(MIDDLE, &multipart).is_err());
        let missing = Announced {
            content_range: None,
            multipart: false,
            ..multipart
        };
        assert!(read(MIDDLE, &missing).is_err());
    }

    #[test]
    fn a_200_to_a_range_is_cut_to_it() {
        let delivery = ok(MIDDLE, 10).unwrap();
        assert_eq!(delivery.extent, bytes(2, 6));
        assert_eq!(
            delivery.window,
            Window {
                skip: 2,
                take: Some(4),
                more_follow: true
            }
        );
        assert!(!ok(TAIL, 10).unwrap().window.more_follow);
        assert_eq!(ok(REST, 8).unwrap().extent, Extent::Unsatisfiable);
        assert_eq!(ok(REST, 8).unwrap().length, Some(8));
    }

    #[test]
    fn a_200_to_a_far_range_is_the_whole() {
        let far = Part::Range(RangeRequest::From {
            first: LONGEST_SKIP + 1,
        });
        let delivery = ok(far, LONGEST_SKIP + 2).unwrap();
        assert_eq!(delivery.extent, bytes(0, LONGEST_SKIP + 2));
    }

    #[test]
    fn an_unknown_length_brings_the_whole_whatever_was_asked() {
        let announced = Announced {
            partial: false,
            framing: Framing::Marked,
            content_range: None,
            multipart: false,
        };
        for part in [Part::Whole, MIDDLE, TAIL] {
            let whole = read(part, &announced).unwrap();
            assert_eq!((whole.length, whole.extent), (None, Extent::Unbounded));
        }
        let head = read(Part::Head, &announced).unwrap();
        assert_eq!((head.length, head.extent), (None, Extent::None));
    }

    #[test]
    fn a_body_that_only_the_close_ends_is_refused_whatever_was_asked() {
        for part in [Part::Head, Part::Whole, MIDDLE] {
            let announced = Announced {
                partial: false,
                framing: Framing::UntilClose,
                content_range: None,
                multipart: false,
            };
            assert!(read(part, &announced).is_err());
        }
    }
}
