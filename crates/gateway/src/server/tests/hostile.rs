//! Clients of HTTP/2 that cost more than they give, each byte written out.
//!
//! Opening and resetting without end, and headers that go on without end, are among the tests of
//! ordinary clients.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::fixture::{Client, PATIENCE, Running, get, limits};
use super::frames::{
    DATA, END_HEADERS, END_STREAM, FIELDS, Frame, GOAWAY, HEADERS, PING, SETTINGS, WINDOW_UPDATE,
    frame, greeting,
};

/// Whether one of the frames is a `GOAWAY`.
async fn is_goaway(mut bytes: &[u8]) -> bool {
    while let Some(frame) = Frame::read(&mut bytes).await {
        if frame.kind == GOAWAY {
            return true;
        }
    }
    false
}

/// Somebody else is served as ever.
async fn others_are_served(server: &Running) {
    let mut other = server.connect().await;
    other.send(&get("/hello")).await;
    assert_eq!(other.answer().await.body, b"hello");
}

/// MadeYouReset (CVE-2025-8671): the server is led to reset streams whose work goes on.
#[tokio::test]
async fn a_client_that_makes_the_server_reset_without_end_loses_its_connection() {
    // A window that grows by nothing, and one that grows beyond all bounds.
    for increment in [0, 0x7fff_ffff_u32] {
        let server = Running::start(&limits());
        let mut client = server.connect().await;
        let mut bytes = greeting();
        for stream in (1..20_000).step_by(2) {
            bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, FIELDS));
            bytes.extend(frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes()));
        }
        client.send(&bytes).await;
        client.rest().await;
        let requests = server.stage.started.load(Ordering::SeqCst);
        assert!(requests < 1000, "{requests} requests were served");
        others_are_served(&server).await;
    }
}

/// An entry of the table of headers that is named by one byte, and again, and again.
#[tokio::test]
async fn headers_that_grow_as_they_are_unpacked_are_refused() {
    let server = Running::start(&limits());
    let mut client = server.connect().await;
    // Literal with indexing, name of one byte, value of 3000 (127 + 2873 in seven bits a byte).
    let entry = [&[0x40, 1, b'a', 0x7f, 0xb9, 0x16][..], &[b'b'; 3000]].concat();
    // Index 62, of one stream 12,000 times: 36 MB when unpacked.
    let fields = [FIELDS, &entry, &[0xbe; 12_000]].concat();
    let mut bytes = greeting();
    for stream in (1..200).step_by(2) {
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields));
    }
    client.send(&bytes).await;
    client.0.shutdown().await.unwrap();
    client.rest().await;
    assert_eq!(server.stage.started.load(Ordering::SeqCst), 0);
    others_are_served(&server).await;
}

/// CVE-2019-9518: frames that carry nothing and never end.
#[tokio::test]
async fn data_without_bytes_does_not_keep_a_connection() {
    let mut limits = limits();
    limits.idle_timeout = Duration::from_millis(200);
    let server = Running::start(&limits);
    let mut client = server.connect().await;
    let open = frame(HEADERS, END_HEADERS, 1, FIELDS);
    client.send(&[greeting(), open].concat()).await;
    let empty = frame(DATA, 0, 1, &[]).repeat(1000);
    let flood = async {
        while server.connections.load(Ordering::SeqCst) > 0 {
            client.send(&empty).await;
        }
    };
    let over = tokio::time::timeout(PATIENCE, flood).await;
    assert!(over.is_ok(), "the connection lives on");
    others_are_served(&server).await;
}

/// CVE-2019-9512 and CVE-2019-9515: what has to be answered, and nobody reads the answers.
#[tokio::test]
async fn questions_whose_answers_nobody_reads_cost_their_connection() {
    let mut limits = limits();
    limits.minimum_rate_grace = Duration::from_millis(200);
    let ping = frame(PING, 0, 0, &[7; 8]);
    let settings = frame(SETTINGS, 0, 0, &[]);
    for question in [ping, settings] {
        let server = Running::start(&limits);
        let mut client = server.connect().await;
        client.send(&greeting()).await;
        let questions = question.repeat(1000);
        let flood = flooded(&server, &mut client, &questions);
        let over = tokio::time::timeout(PATIENCE, flood).await;
        assert!(over.is_ok(), "the connection lives on");
        others_are_served(&server).await;
    }
}

async fn flooded(server: &Running, client: &mut Client, bytes: &[u8]) {
    while server.connections.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    while server.connections.load(Ordering::SeqCst) > 0 {
        // The server may have stopped to read meanwhile.
        let sent = client.send(bytes);
        let _ = tokio::time::timeout(Duration::from_millis(50), sent).await;
    }
}

#[tokio::test]
async fn frames_that_make_no_sense_end_the_connection_with_a_reason() {
    for nonsense in [
        // Data for nobody, a window of nobody, a frame longer than agreed
        // and an acknowledgement of something.
        frame(DATA, 0, 0, &[1]),
        frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
        frame(DATA, 0, 1, &b"x".repeat(20_000)),
        frame(SETTINGS, 1, 0, &[0; 6]),
    ] {
        let server = Running::start(&limits());
        let mut client = server.connect().await;
        client.send(&[greeting(), nonsense].concat()).await;
        let (bytes, _) = client.rest().await;
        assert!(is_goaway(&bytes).await, "{bytes:?}");
        others_are_served(&server).await;
    }
}
