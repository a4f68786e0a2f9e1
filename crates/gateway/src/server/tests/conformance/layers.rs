//! Frames and the connection: RFC 9113, sections 3, 4, 5.5 and 6 but for streams.

#![expect(
    clippy::too_many_lines,
    reason = "a table has as many lines as it has rows"
)]

use super::super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, FIELDS, GOAWAY, HEADERS, PADDED, PING,
    PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
};
use super::Allowed::{Answered, Borne, Connection, Stream};
use super::{Case, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, case, held, request};

const RESERVED_BIT: u32 = 1 << 31;
const LARGEST_WINDOW: u32 = (1 << 31) - 1;
const INITIAL_WINDOW: u32 = 65_535;
/// Longer than what was agreed on.
const TOO_LONG: usize = 16_385;

fn setting(id: u16, value: u32) -> Vec<u8> {
    let setting = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &setting)
}

fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = frames();
    cases.extend(settings());
    cases.extend(flow_control());
    cases
}

fn frames() -> Vec<Case> {
    let long = vec![0; TOO_LONG];
    let protocol = Connection(&[PROTOCOL_ERROR]);
    let size = Connection(&[FRAME_SIZE_ERROR]);
    vec![
        case(
            "4.1",
            "a frame of an unknown type",
            Borne,
            [frame(0x16, 0xff, 0, b"x")],
        ),
        case(
            "4.1",
            "one on a stream",
            Borne,
            [held(1, false), frame(0x16, 0, 1, b"x")],
        ),
        case(
            "4.1",
            "flags that mean nothing",
            Answered,
            [frame(PING, 0xfe, 0, &[1; 8]), request(1)],
        ),
        case(
            "4.1",
            "the reserved bit of a PING",
            Borne,
            [frame(PING, 0, RESERVED_BIT, &[1; 8])],
        ),
        case(
            "4.1",
            "the reserved bit of a HEADERS",
            Answered,
            [frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1 | RESERVED_BIT,
                FIELDS,
            )],
        ),
        case(
            "4.2",
            "DATA longer than agreed",
            Stream(&[FRAME_SIZE_ERROR]),
            [held(1, false), frame(DATA, 0, 1, &long)],
        ),
        case(
            "4.2",
            "HEADERS longer than agreed",
            size,
            [frame(HEADERS, END_HEADERS | END_STREAM, 1, &long)],
        ),
        case(
            "4.2",
            "SETTINGS longer than agreed",
            size,
            [frame(SETTINGS, 0, 0, &[0; 16_386])],
        ),
        case(
            "4.2",
            "an unknown frame longer than agreed",
            size,
            [frame(0x16, 0, 0, &long)],
        ),
        case(
            "5.5",
            "an unknown frame within a head",
            protocol,
            [
                frame(HEADERS, END_STREAM, 1, &FIELDS[..3]),
                frame(0x16, 0, 1, b"x"),
                frame(CONTINUATION, END_HEADERS, 1, &FIELDS[3..]),
            ],
        ),
        case(
            "6.1",
            "DATA of the connection",
            protocol,
            [frame(DATA, 0, 0, b"x")],
        ),
        case(
            "6.1",
            "DATA with more padding than payload",
            protocol,
            [
                held(1, false),
                frame(DATA, PADDED, 1, &[6, b'x', 0, 0, 0, 0]),
            ],
        ),
        case("6.2", "HEADERS of the connection", protocol, [request(0)]),
        case(
            "6.2",
            "HEADERS with more padding than payload",
            protocol,
            [frame(
                HEADERS,
                PADDED | END_HEADERS | END_STREAM,
                1,
                &[&[7][..], FIELDS].concat(),
            )],
        ),
        case(
            "6.2",
            "HEADERS with padding",
            Answered,
            [frame(
                HEADERS,
                PADDED | END_HEADERS | END_STREAM,
                1,
                &[&[3][..], FIELDS, &[0; 3]].concat(),
            )],
        ),
        case(
            "6.3",
            "PRIORITY of the connection",
            protocol,
            [frame(PRIORITY, 0, 0, &[0; 5])],
        ),
        case(
            "6.3",
            "PRIORITY of four octets",
            Stream(&[FRAME_SIZE_ERROR]),
            [frame(PRIORITY, 0, 1, &[0; 4])],
        )
        .by_another_code(),
        case(
            "6.3",
            "PRIORITY of an idle stream",
            Borne,
            [frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 7])],
        ),
        case(
            "6.4",
            "RST_STREAM of the connection",
            protocol,
            [frame(RST_STREAM, 0, 0, &[0; 4])],
        ),
        case(
            "6.4",
            "RST_STREAM of three octets",
            size,
            [held(1, true), frame(RST_STREAM, 0, 1, &[0; 3])],
        )
        .by_another_code(),
        case(
            "6.6",
            "PUSH_PROMISE by a client",
            protocol,
            [
                held(1, false),
                frame(
                    PUSH_PROMISE,
                    END_HEADERS,
                    1,
                    &[&[0, 0, 0, 2][..], FIELDS].concat(),
                ),
            ],
        ),
        case(
            "6.7",
            "PING of seven octets",
            size,
            [frame(PING, 0, 0, &[0; 7])],
        )
        .by_another_code(),
        case(
            "6.7",
            "PING of a stream",
            protocol,
            [frame(PING, 0, 1, &[0; 8])],
        ),
        case(
            "6.7",
            "an answer to a PING that nobody sent",
            Borne,
            [frame(PING, ACK, 0, &[9; 8])],
        ),
        case(
            "6.8",
            "GOAWAY of a stream",
            protocol,
            [frame(GOAWAY, 0, 1, &[0; 8])],
        ),
        case(
            "6.10",
            "CONTINUATION of the connection",
            protocol,
            [
                frame(HEADERS, END_STREAM, 1, &FIELDS[..3]),
                frame(CONTINUATION, END_HEADERS, 0, &FIELDS[3..]),
            ],
        ),
        case(
            "6.10",
            "CONTINUATION of another stream",
            protocol,
            [
                frame(HEADERS, END_STREAM, 1, &FIELDS[..3]),
                frame(CONTINUATION, END_HEADERS, 3, &FIELDS[3..]),
            ],
        ),
        case(
            "6.10",
            "CONTINUATION of nothing",
            protocol,
            [frame(CONTINUATION, END_HEADERS, 1, FIELDS)],
        ),
        case(
            "6.10",
            "CONTINUATION of a head that has ended",
            protocol,
            [held(1, false), frame(CONTINUATION, END_HEADERS, 1, FIELDS)],
        ),
        case(
            "6.10",
            "a PING within a head",
            protocol,
            [
                frame(HEADERS, END_STREAM, 1, &FIELDS[..3]),
                frame(PING, 0, 0, &[1; 8]),
            ],
        ),
        case(
            "6.10",
            "DATA within a head",
            protocol,
            [
                frame(HEADERS, 0, 1, &FIELDS[..3]),
                frame(DATA, END_STREAM, 1, b"x"),
            ],
        ),
        case(
            "6.10",
            "another stream's HEADERS within a head",
            protocol,
            [frame(HEADERS, END_STREAM, 1, &FIELDS[..3]), request(3)],
        ),
        case(
            "6.10",
            "a head in three pieces",
            Answered,
            [
                frame(HEADERS, END_STREAM, 1, &FIELDS[..1]),
                frame(CONTINUATION, 0, 1, &FIELDS[1..4]),
                frame(CONTINUATION, END_HEADERS, 1, &FIELDS[4..]),
            ],
        ),
    ]
}

fn settings() -> Vec<Case> {
    let protocol = Connection(&[PROTOCOL_ERROR]);
    let size = Connection(&[FRAME_SIZE_ERROR]);
    vec![
        case(
            "6.5",
            "an acknowledgement with a payload",
            size,
            [frame(SETTINGS, ACK, 0, &[0; 6])],
        )
        .by_another_code(),
        case(
            "6.5",
            "SETTINGS of a stream",
            protocol,
            [frame(SETTINGS, 0, 1, &[])],
        ),
        case(
            "6.5",
            "SETTINGS of five octets",
            size,
            [frame(SETTINGS, 0, 0, &[0; 5])],
        )
        .by_another_code(),
        case("6.5.2", "ENABLE_PUSH of two", protocol, [setting(2, 2)]),
        case("6.5.2", "ENABLE_PUSH of one", Borne, [setting(2, 1)]),
        case(
            "6.5.2",
            "INITIAL_WINDOW_SIZE beyond the largest",
            Connection(&[FLOW_CONTROL_ERROR]),
            [setting(4, LARGEST_WINDOW + 1)],
        )
        .by_another_code(),
        case(
            "6.5.2",
            "MAX_FRAME_SIZE below the least",
            protocol,
            [setting(5, 16_383)],
        ),
        case(
            "6.5.2",
            "MAX_FRAME_SIZE beyond the largest",
            protocol,
            [setting(5, 1 << 24)],
        ),
        case(
            "6.5.2",
            "MAX_FRAME_SIZE of the largest",
            Borne,
            [setting(5, (1 << 24) - 1)],
        ),
        case(
            "6.5.2",
            "a setting that nobody knows",
            Borne,
            [setting(0xff, 1)],
        ),
        case(
            "6.5.3",
            "the same setting twice",
            Borne,
            [setting(4, 1), setting(4, 70_000)],
        ),
    ]
}

fn flow_control() -> Vec<Case> {
    let protocol = Connection(&[PROTOCOL_ERROR]);
    let flow = Connection(&[FLOW_CONTROL_ERROR]);
    vec![
        case(
            "6.9",
            "a window that grows by nothing",
            protocol,
            [window(0, 0)],
        ),
        case(
            "6.9",
            "a stream's that grows by nothing",
            Stream(&[PROTOCOL_ERROR]),
            [held(1, true), window(1, 0)],
        ),
        case(
            "6.9",
            "WINDOW_UPDATE of three octets",
            Connection(&[FRAME_SIZE_ERROR]),
            [frame(WINDOW_UPDATE, 0, 0, &[1; 3])],
        )
        .by_another_code(),
        case(
            "6.9.1",
            "a window beyond the largest",
            flow,
            [window(0, LARGEST_WINDOW)],
        ),
        case(
            "6.9.1",
            "a window in two steps beyond the largest",
            flow,
            [
                window(0, LARGEST_WINDOW - INITIAL_WINDOW),
                window(0, 1 + INITIAL_WINDOW * 2),
            ],
        ),
        case(
            "6.9.1",
            "the largest window",
            Borne,
            [window(0, LARGEST_WINDOW - INITIAL_WINDOW)],
        ),
        case(
            "6.9.1",
            "a stream's beyond the largest",
            Stream(&[FLOW_CONTROL_ERROR]),
            [held(1, true), window(1, LARGEST_WINDOW)],
        ),
        case(
            "6.9.1",
            "more DATA than the window has",
            Stream(&[FLOW_CONTROL_ERROR]),
            [held(1, false), frame(DATA, 0, 1, &[0; 16_384]).repeat(5)],
        ),
        case(
            "6.9.2",
            "a setting that takes a window beyond the largest",
            flow,
            [
                held(1, true),
                window(1, LARGEST_WINDOW - INITIAL_WINDOW),
                setting(4, INITIAL_WINDOW * 2),
            ],
        ),
        case(
            "6.9.2",
            "a setting that takes a window below nothing",
            Borne,
            [held(1, true), setting(4, 0)],
        ),
    ]
}
