//! Streams and their states: RFC 9113, section 5, and the end of messages, section 8.1.

#![expect(
    clippy::too_many_lines,
    reason = "a table has as many lines as it has rows"
)]

use super::super::frames::{
    DATA, END_HEADERS, END_STREAM, FIELDS, GOAWAY, HEADERS, PRIORITY, RST_STREAM, WINDOW_UPDATE,
    frame,
};
use super::Allowed::{Answered, Borne, Connection, Malformed, Stream};
use super::{Case, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED, case, headers, held, request};

/// Streams that one connection may have open (`fixture::limits`).
const MOST_STREAMS: u32 = 100;
const CANCEL: &[u8] = &[0, 0, 0, 8];

fn data(stream: u32) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, b"x")
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, CANCEL)
}

/// The priority of HEADERS or a PRIORITY that depends on this stream.
fn depending_on(stream: u32) -> Vec<u8> {
    [&stream.to_be_bytes()[..], &[7]].concat()
}

pub(super) fn cases() -> Vec<Case> {
    let protocol = Connection(&[PROTOCOL_ERROR]);
    let closed = Stream(&[STREAM_CLOSED]);
    let window = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
    let mut cases = vec![
        case("5.1", "DATA of an idle stream", protocol, [data(1)]),
        case("5.1", "RST_STREAM of an idle stream", protocol, [reset(1)]),
        case(
            "5.1",
            "WINDOW_UPDATE of an idle stream",
            protocol,
            [window.clone()],
        ),
        case(
            "5.1",
            "DATA on a stream that its client has ended",
            closed,
            [held(1, true), data(1)],
        )
        .more_strictly(),
        case(
            "5.1",
            "HEADERS on a stream that its client has ended",
            closed,
            [held(1, true), held(1, true)],
        )
        .more_strictly(),
        case(
            "5.1",
            "WINDOW_UPDATE on a stream that its client has ended",
            Borne,
            [held(1, true), window.clone()],
        ),
        case(
            "5.1",
            "DATA on a stream that its client has reset",
            closed,
            [held(1, false), reset(1), data(1)],
        ),
        case(
            "5.1",
            "HEADERS on a stream that its client has reset",
            closed,
            [held(1, false), reset(1), held(1, true)],
        )
        .more_strictly(),
        case(
            "5.1",
            "PRIORITY on a stream that its client has reset",
            Borne,
            [
                held(1, false),
                reset(1),
                frame(PRIORITY, 0, 1, &depending_on(3)),
            ],
        ),
        case(
            "5.1",
            "RST_STREAM on a stream that its client has reset",
            Borne,
            [held(1, false), reset(1), reset(1)],
        ),
        case(
            "5.1",
            "a stream that is reset and another",
            Answered,
            [held(1, false), reset(1), request(3)],
        ),
        case("5.1.1", "an even number", protocol, [request(2)]),
        case(
            "5.1.1",
            "a number below one that was used",
            Connection(&[PROTOCOL_ERROR, STREAM_CLOSED]),
            [held(5, true), held(3, true)],
        ),
        case(
            "5.1.1",
            "numbers that are left out",
            Answered,
            [request(101)],
        ),
        case(
            "5.1.1",
            "the largest number",
            Answered,
            [request((1 << 31) - 1)],
        ),
        case(
            "5.3",
            "HEADERS that depend on themselves",
            Stream(&[PROTOCOL_ERROR]),
            [frame(
                HEADERS,
                END_HEADERS | END_STREAM | 0x20,
                1,
                &[&depending_on(1)[..], FIELDS].concat(),
            )],
        ),
        case(
            "5.3",
            "HEADERS with a priority",
            Answered,
            [frame(
                HEADERS,
                END_HEADERS | END_STREAM | 0x20,
                1,
                &[&depending_on(0)[..], FIELDS].concat(),
            )],
        ),
        case(
            "6.8",
            "GOAWAY by a client whose request is under way",
            Answered,
            [request(1), frame(GOAWAY, 0, 0, &[0; 8])],
        ),
        case(
            "8.1",
            "a second HEADERS that does not end its stream",
            Malformed,
            [held(1, false), headers(1, false, &[0, 1, b'x', 1, b'y'])],
        ),
        case(
            "8.1",
            "trailers",
            Borne,
            [held(1, false), headers(1, true, &[0, 1, b'x', 1, b'y'])],
        ),
        case(
            "8.1",
            "trailers with a pseudo-header",
            Malformed,
            [held(1, false), headers(1, true, &[0x82])],
        )
        .deviating(
            Borne,
            "trailers are never looked at: a request for media has no body",
        ),
    ];
    let streams = (0..=MOST_STREAMS).map(|n| held(2 * n + 1, true));
    cases.push(case(
        "5.1.2",
        "more streams than were agreed on",
        Stream(&[PROTOCOL_ERROR, REFUSED_STREAM]),
        streams.collect::<Vec<_>>(),
    ));
    cases
}
