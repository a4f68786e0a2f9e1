//! Requests that no client should send: what is refused, and that nothing is smuggled.

use std::sync::atomic::Ordering;

use super::fixture::{Running, get, limits};

/// Sends it with a request behind it, and expects this status and that neither is served.
async fn refused(status: &str, request: &[u8]) {
    let server = Running::start(&limits());
    let mut client = server.connect().await;
    client.send(&[request, &get("/behind")].concat()).await;
    let text = client.rest_as_text().await;
    let shown = String::from_utf8_lossy(&request[..request.len().min(100)]);
    assert!(
        text.starts_with(&format!("HTTP/1.1 {status} ")),
        "{shown:?} got {text:?}"
    );
    assert_eq!(
        text.matches("HTTP/1.1").count(),
        1,
        "{shown:?} got {text:?}"
    );
    let requests = server.stage.started.load(Ordering::SeqCst);
    assert_eq!(requests, 0, "{shown:?} was served");
}

#[tokio::test]
async fn a_length_beside_a_transfer_coding_is_refused() {
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "content-length: 5\r\nA: b\r\ntransfer-encoding: identity",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n0\r\n\r\n");
        refused("400", request.as_bytes()).await;
    }
}

#[tokio::test]
async fn lengths_and_codings_that_nobody_understands_alike_are_refused() {
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: 5, 6",
        "Content-Length: 0x5",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding : chunked",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n");
        refused("400", request.as_bytes()).await;
    }
    refused(
        "400",
        b"GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    )
    .await;
}

#[tokio::test]
async fn lines_that_end_or_go_on_in_their_own_way_are_refused() {
    for request in [
        &b"GET / HTTP/1.1\nHost: a\n\n"[..],
        b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    ] {
        refused("400", request).await;
    }
}

#[tokio::test]
async fn nul_and_other_nonsense_is_refused() {
    for request in [
        &b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n"[..],
        b"GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        refused("400", request).await;
    }
}

#[tokio::test]
async fn headers_too_big_or_too_many_are_answered_431() {
    let big = [
        "GET / HTTP/1.1\r\nHost: a\r\nX: ",
        &"b".repeat(300_000),
        "\r\n\r\n",
    ]
    .concat();
    refused("431", big.as_bytes()).await;
    let many = ["GET / HTTP/1.1\r\n", &"A: b\r\n".repeat(101), "\r\n"].concat();
    refused("431", many.as_bytes()).await;
    let long_url = [
        "GET /",
        &"b".repeat(300_000),
        " HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
    .concat();
    refused("431", long_url.as_bytes()).await;
}

#[tokio::test]
async fn headers_within_their_limit_are_taken_however_they_come() {
    let server = Running::start(&limits());
    let mut client = server.connect().await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n").await;
    for _ in 0..3 {
        client
            .send(format!("X: {}\r\n", "b".repeat(4000)).as_bytes())
            .await;
    }
    client.send(b"\r\n").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_their_order() {
    let server = Running::start(&limits());
    let mut client = server.connect().await;
    client
        .send(&[get("/a"), get("/object"), get("/c")].concat())
        .await;
    assert_eq!(client.answer().await.body, b"hello");
    assert_eq!(client.answer().await.body.len(), 200_000);
    assert_eq!(client.answer().await.body, b"hello");
}
