//! Heads: RFC 9113, section 8, and their compression, RFC 7541.

#![expect(
    clippy::too_many_lines,
    reason = "a table has as many lines as it has rows"
)]

use super::super::frames::{DATA, END_STREAM, FIELDS, frame};
use super::Allowed::{Answered, Connection, Malformed};
use super::{COMPRESSION_ERROR, Case, case, headers};

/// From the static table.
const AUTHORITY: &[u8] = &[0x01, 1, b'a'];
const GET: &[u8] = &[0x82];
const HTTP: &[u8] = &[0x86];
const SLASH: &[u8] = &[0x84];

/// A field that neither side remembers, not shortened.
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        assert!(length < 127, "more needs a longer prefix");
        [&[length], text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}

/// A whole request of these fields.
fn asking(fields: &[&[u8]]) -> [Vec<u8>; 1] {
    [headers(1, true, &fields.concat())]
}

/// The usual request with one more field.
fn with(name: &str, value: &str) -> [Vec<u8>; 1] {
    asking(&[FIELDS, &field(name, value)])
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = compression();
    cases.extend(names_and_values());
    cases.extend(pseudo_headers());
    cases.extend(lengths());
    cases
}

fn compression() -> Vec<Case> {
    let broken = Connection(&[COMPRESSION_ERROR]);
    vec![
        case(
            "7541 6.1",
            "the index zero",
            broken,
            asking(&[FIELDS, &[0x80]]),
        )
        .by_another_code(),
        case(
            "7541 2.3.3",
            "an index that nothing has",
            broken,
            asking(&[FIELDS, &[0xfe]]),
        )
        .by_another_code(),
        case(
            "7541 2.3.3",
            "a far index that nothing has",
            broken,
            asking(&[FIELDS, &[0xff, 0xff, 0x07]]),
        )
        .by_another_code(),
        case(
            "7541 6.2",
            "a name of an index that nothing has",
            broken,
            asking(&[FIELDS, &[0x7f, 0x40, 1, b'x']]),
        )
        .by_another_code(),
        case(
            "7541 5.1",
            "a number without end",
            broken,
            asking(&[FIELDS, &[0xff; 12]]),
        )
        .by_another_code(),
        case(
            "7541 5.2",
            "a value longer than its head",
            broken,
            asking(&[FIELDS, &[0, 1, b'x', 9, b'y']]),
        )
        .by_another_code(),
        // Five zeros are `0`, and three more ones are needed to fill the octet.
        case(
            "7541 5.2",
            "padding that is not of ones",
            broken,
            asking(&[FIELDS, &[0, 1, b'x', 0x81, 0]]),
        )
        .by_another_code(),
        case(
            "7541 5.2",
            "padding of more than seven bits",
            broken,
            asking(&[FIELDS, &[0, 1, b'x', 0x82, 7, 0xff]]),
        )
        .by_another_code(),
        case(
            "7541 5.2",
            "the end of strings within one",
            broken,
            asking(&[FIELDS, &[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]]),
        )
        .by_another_code(),
        case(
            "7541 6.3",
            "a table larger than agreed",
            broken,
            asking(&[&[0x3f, 0xe2, 0x1f], FIELDS]),
        )
        .by_another_code(),
        case(
            "7541 4.2",
            "the size of the table behind a field",
            broken,
            asking(&[FIELDS, &[0x3f, 0xe1, 0x1f]]),
        )
        .by_another_code(),
        case(
            "7541 4.2",
            "the size of the table before all fields",
            Answered,
            asking(&[&[0x3f, 0xe1, 0x1f], FIELDS]),
        ),
        case(
            "7541 4.2",
            "two sizes of the table",
            Answered,
            asking(&[&[0x20, 0x3f, 0xe1, 0x1f], FIELDS]),
        ),
        case(
            "7541 6.2",
            "what is remembered",
            Answered,
            [
                headers(1, true, &[FIELDS, &[0x40, 1, b'x', 1, b'y']].concat()),
                headers(3, true, &[FIELDS, &[0xbf]].concat()),
            ],
        ),
        case(
            "4.3",
            "a head that is broken off within a field",
            broken,
            [headers(1, true, &FIELDS[..5])],
        )
        .by_another_code(),
    ]
}

fn names_and_values() -> Vec<Case> {
    vec![
        case(
            "8.2.1",
            "a name in capitals",
            Malformed,
            with("X-Test", "y"),
        ),
        case(
            "8.2.1",
            "a name with a space",
            Malformed,
            with("x test", "y"),
        ),
        case("8.2.1", "a name with a colon", Malformed, with("x:y", "z")),
        case(
            "8.2.1",
            "a name of another alphabet",
            Malformed,
            with("\u{e9}", "y"),
        ),
        case("8.2.1", "no name", Malformed, with("", "y")),
        case("8.2.1", "a value with a NUL", Malformed, with("x", "a\0b")),
        case(
            "8.2.1",
            "a value with an end of line",
            Malformed,
            with("x", "a\r\nb: c"),
        ),
        case(
            "8.2.1",
            "a value with a line feed",
            Malformed,
            with("x", "a\nb"),
        ),
        case(
            "8.2.1",
            "a value that begins with a space",
            Malformed,
            with("x", " a"),
        )
        .deviating(
            Answered,
            "nothing of a request is passed on, and what is read of it is trimmed",
        ),
        case(
            "8.2.1",
            "a value that ends with a tab",
            Malformed,
            with("x", "a\t"),
        )
        .deviating(
            Answered,
            "nothing of a request is passed on, and what is read of it is trimmed",
        ),
        case(
            "8.2.2",
            "Connection",
            Malformed,
            with("connection", "keep-alive"),
        ),
        case(
            "8.2.2",
            "Keep-Alive",
            Malformed,
            with("keep-alive", "timeout=5"),
        ),
        case(
            "8.2.2",
            "Proxy-Connection",
            Malformed,
            with("proxy-connection", "keep-alive"),
        ),
        case(
            "8.2.2",
            "Transfer-Encoding",
            Malformed,
            with("transfer-encoding", "chunked"),
        ),
        case("8.2.2", "Upgrade", Malformed, with("upgrade", "h2c")),
        case("8.2.2", "TE of a coding", Malformed, with("te", "gzip")),
        case("8.2.2", "TE of trailers", Answered, with("te", "trailers")),
        case(
            "8.2.3",
            "Cookie in two fields",
            Answered,
            asking(&[FIELDS, &field("cookie", "a=b"), &field("cookie", "c=d")]),
        ),
    ]
}

fn pseudo_headers() -> Vec<Case> {
    let unknown = field(":test", "x");
    let of_a_response = field(":status", "200");
    let plain = field("x", "y");
    let empty = field(":path", "");
    let relative = field(":path", "a");
    vec![
        case(
            "8.3",
            "a pseudo-header that nobody knows",
            Malformed,
            asking(&[&unknown, FIELDS]),
        ),
        case(
            "8.3",
            "a pseudo-header of responses",
            Malformed,
            asking(&[&of_a_response, FIELDS]),
        ),
        case(
            "8.3",
            "a pseudo-header behind a field",
            Malformed,
            asking(&[GET, HTTP, &plain, SLASH, AUTHORITY]),
        ),
        case("8.3", "two methods", Malformed, asking(&[GET, FIELDS])),
        case("8.3", "two schemes", Malformed, asking(&[HTTP, FIELDS])),
        case("8.3", "two paths", Malformed, asking(&[SLASH, FIELDS])),
        case(
            "8.3",
            "two authorities",
            Malformed,
            asking(&[FIELDS, AUTHORITY]),
        ),
        case(
            "8.3.1",
            "no method",
            Malformed,
            asking(&[HTTP, SLASH, AUTHORITY]),
        ),
        case(
            "8.3.1",
            "no scheme",
            Malformed,
            asking(&[GET, SLASH, AUTHORITY]),
        ),
        case(
            "8.3.1",
            "no path",
            Malformed,
            asking(&[GET, HTTP, AUTHORITY]),
        ),
        case(
            "8.3.1",
            "an empty path",
            Malformed,
            asking(&[GET, HTTP, &empty, AUTHORITY]),
        ),
        case(
            "8.3.1",
            "a path that does not begin with a slash",
            Malformed,
            asking(&[GET, HTTP, &relative, AUTHORITY]),
        ),
        case(
            "8.3.1",
            "no authority",
            Answered,
            asking(&[GET, HTTP, SLASH]),
        ),
    ]
}

/// Section 8.1.1.
fn lengths() -> Vec<Case> {
    let begun = |length: &str| {
        let path = [&[0x04, 5][..], b"/held"].concat();
        let length = field("content-length", length);
        headers(1, false, &[GET, HTTP, &path, AUTHORITY, &length].concat())
    };
    let piece = |end: u8| frame(DATA, end, 1, b"four");
    vec![
        case(
            "8.1.1",
            "less DATA than its length",
            Malformed,
            [begun("5"), piece(END_STREAM)],
        ),
        case(
            "8.1.1",
            "more DATA than its length",
            Malformed,
            [begun("3"), piece(END_STREAM)],
        ),
        case(
            "8.1.1",
            "more DATA than its length in pieces",
            Malformed,
            [begun("6"), piece(0), piece(END_STREAM)],
        ),
        case(
            "8.1.1",
            "a length that is no number",
            Malformed,
            [begun("four"), piece(END_STREAM)],
        ),
        case(
            "8.1.1",
            "no DATA where there is a length",
            Malformed,
            asking(&[FIELDS, &field("content-length", "5")]),
        ),
    ]
}
