//! HTTP/2 as RFC 9113 and HPACK as RFC 7541 want it, section by section: what a client sends that
//! it should not, or may, and what a server may do then. Over TCP and over TLS.
//!
//! Where the library does otherwise the case says so, and why that is borne; should the library
//! change, the case fails and is to be taken back.

mod fields;
mod layers;
mod streams;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::fixture::{Client, PATIENCE, Running, limits};
use super::frames::{
    ACK, END_HEADERS, END_STREAM, FIELDS, Frame, GOAWAY, HEADERS, PING, RST_STREAM, frame, greeting,
};
use super::tls::Secured;

/// Error codes (RFC 9113, section 7).
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;

/// Asked behind each case: its answer says that the case was borne.
const PROBE: [u8; 8] = *b"borne it";
/// The first octet of a head in HPACK: `:status` 200 and 400 from the static table.
const STATUS_200: u8 = 0x88;
const STATUS_400: u8 = 0x8c;

/// What may be done about a case.
#[derive(Debug, Clone, Copy)]
enum Allowed {
    /// The connection ends, with one of these codes.
    Connection(&'static [u32]),
    /// The stream is reset with one of these codes, or, as section 5.4.2 lets a server, the
    /// connection ends with it.
    Stream(&'static [u32]),
    /// The request is malformed (section 8.1.1): a reset, or 400.
    Malformed,
    /// Nothing: the connection goes on.
    Borne,
    /// The request is answered 200.
    Answered,
}

struct Case {
    section: &'static str,
    what: &'static str,
    /// Behind the preface and the client's settings.
    sent: Vec<u8>,
    allowed: Allowed,
    /// What is done instead, and why that is borne.
    deviation: Option<(Allowed, &'static str)>,
}

impl Case {
    fn deviating(mut self, does: Allowed, since: &'static str) -> Self {
        self.deviation = Some((does, since));
        self
    }

    /// The library calls whatever it cannot read a protocol error.
    fn by_another_code(self) -> Self {
        let since =
            "the connection ends all the same, and only the number of the reason is another";
        self.deviating(Allowed::Connection(&[PROTOCOL_ERROR]), since)
    }

    /// The library ends the connection where the stream would do.
    fn more_strictly(self) -> Self {
        let since = "no client that goes on after the end of its stream need be kept";
        self.deviating(Allowed::Connection(&[PROTOCOL_ERROR]), since)
    }
}

fn case(
    section: &'static str,
    what: &'static str,
    allowed: Allowed,
    sent: impl AsRef<[Vec<u8>]>,
) -> Case {
    Case {
        section,
        what,
        sent: sent.as_ref().concat(),
        allowed,
        deviation: None,
    }
}

/// A stream with this head; whether it ends with that.
fn headers(stream: u32, ends: bool, fields: &[u8]) -> Vec<u8> {
    let end = if ends { END_STREAM } else { 0 };
    frame(HEADERS, END_HEADERS | end, stream, fields)
}

/// A request whose answer is there at once.
fn request(stream: u32) -> Vec<u8> {
    headers(stream, true, FIELDS)
}

/// A request whose answer does not end.
fn held(stream: u32, ends: bool) -> Vec<u8> {
    let path = [&[0x04, 5][..], b"/held"].concat();
    headers(
        stream,
        ends,
        &[&[0x82, 0x86], &path[..], &[0x01, 1, b'a']].concat(),
    )
}

/// What was done first that settles a case.
#[derive(Debug, PartialEq, Eq)]
enum Done {
    Goaway(u32),
    Reset(u32),
    Status400,
    Status200,
    Borne,
    Ended,
}

async fn done<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>, allowed: Allowed) -> Done {
    loop {
        let Some(frame) = Frame::read(&mut client.0).await else {
            return Done::Ended;
        };
        match (frame.kind, allowed) {
            (GOAWAY | RST_STREAM, _) if frame.code() == NO_ERROR => {}
            (GOAWAY, _) => return Done::Goaway(frame.code()),
            (RST_STREAM, _) => return Done::Reset(frame.code()),
            (HEADERS, _) if frame.payload[0] == STATUS_400 => return Done::Status400,
            (HEADERS, Allowed::Answered) if frame.payload[0] == STATUS_200 => {
                return Done::Status200;
            }
            (PING, Allowed::Borne) if frame.flags == ACK && frame.payload == PROBE => {
                return Done::Borne;
            }
            _ => {}
        }
    }
}

fn fits(allowed: Allowed, done: &Done) -> bool {
    match (allowed, done) {
        (Allowed::Connection(codes) | Allowed::Stream(codes), Done::Goaway(code))
        | (Allowed::Stream(codes), Done::Reset(code)) => codes.contains(code),
        (Allowed::Malformed, Done::Reset(code) | Done::Goaway(code)) => *code == PROTOCOL_ERROR,
        (Allowed::Malformed, Done::Status400)
        | (Allowed::Borne, Done::Borne)
        | (Allowed::Answered, Done::Status200) => true,
        _ => false,
    }
}

/// What is wrong about how a case is treated, if anything is.
async fn tried<S: AsyncRead + AsyncWrite + Unpin>(
    case: &Case,
    client: &mut Client<S>,
) -> Option<String> {
    let allowed = case.deviation.map_or(case.allowed, |(does, _)| does);
    let probe = frame(PING, 0, 0, &PROBE);
    client
        .send(&[greeting(), case.sent.clone(), probe].concat())
        .await;
    let done = timeout(PATIENCE / 4, done(client, allowed)).await;
    let fault = match done {
        Err(_) => "nothing of that is done".to_owned(),
        Ok(done) if !fits(allowed, &done) => format!("but {done:?}"),
        // The end is not only spoken of.
        Ok(Done::Goaway(_)) => {
            let read = async { while Frame::read(&mut client.0).await.is_some() {} };
            timeout(PATIENCE / 4, read)
                .await
                .err()
                .map(|_| "it goes on after its GOAWAY".to_owned())?
        }
        Ok(_) => return None,
    };
    let Case { section, what, .. } = case;
    Some(format!("{section} {what}: {allowed:?}, {fault}"))
}

fn cases() -> Vec<Case> {
    let mut cases = layers::cases();
    cases.extend(streams::cases());
    cases.extend(fields::cases());
    cases
}

#[track_caller]
fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_standard_says_of_http_2_is_done_by_prior_knowledge() {
    let server = Running::start(&limits());
    let mut faults = Vec::new();
    for case in cases() {
        faults.extend(tried(&case, &mut server.connect().await).await);
    }
    none(&faults);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_standard_says_of_http_2_is_done_within_tls() {
    let secured = Secured::start();
    let mut faults = Vec::new();
    for case in cases() {
        let client = secured.client(&["h2"]);
        let mut client = secured.try_connect(client, "media.test").await.unwrap();
        faults.extend(tried(&case, &mut client).await);
    }
    none(&faults);
}

#[test]
fn every_deviation_has_its_reason() {
    let cases = cases();
    assert!(cases.len() >= 100, "{}", cases.len());
    for case in cases {
        assert!(case.deviation.is_none_or(|(_, since)| since.len() > 20));
    }
}
