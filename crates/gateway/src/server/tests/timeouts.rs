//! Clients that are slow, silent or too many.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::fixture::{Client, Ending, PATIENCE, Running, get, limits};

const SHORT: Duration = Duration::from_millis(200);

/// How long until the server ends the connection.
async fn ended_after(client: &mut Client) -> Duration {
    let start = Instant::now();
    client.rest().await;
    start.elapsed()
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut() {
    let mut limits = limits();
    limits.header_timeout = SHORT;
    let server = Running::start(&limits);
    let mut client = server.connect().await;
    assert!(ended_after(&mut client).await >= SHORT / 2);
}

#[tokio::test]
async fn headers_that_trickle_are_cut() {
    let mut limits = limits();
    limits.header_timeout = SHORT;
    let server = Running::start(&limits);
    let mut client = server.connect().await;
    client.send(b"GET / HTTP/1.1\r\n").await;
    let start = Instant::now();
    // The interval between its bytes is shorter than the timeout.
    let mut tick = tokio::time::interval(SHORT / 10);
    while tokio::time::timeout(SHORT / 20, client.0.readable())
        .await
        .is_err()
    {
        assert!(start.elapsed() < PATIENCE, "it is never cut");
        tick.tick().await;
        client.send(b"X: y\r\n").await;
    }
    assert_eq!(server.stage.started.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_idle_connection_lives_longer_than_the_header_timeout_and_ends_after_its_own() {
    let mut limits = limits();
    limits.header_timeout = SHORT;
    limits.idle_timeout = SHORT * 4;
    let server = Running::start(&limits);
    let mut client = server.connect().await;
    client.send(&get("/")).await;
    client.answer().await;
    assert!(ended_after(&mut client).await >= SHORT * 3);
}

#[tokio::test]
async fn the_beginning_of_a_request_that_came_with_another_one_is_not_forgotten() {
    let server = Running::start(&limits());
    let mut client = server.connect().await;
    let (first, last) = (get("/"), get("/"));
    let (beginning, rest) = last.split_at(10);
    client.send(&[&first, beginning].concat()).await;
    client.answer().await;
    // Much longer than it takes a connection on which nothing is said to give up what it holds.
    let mut byte = [0];
    let said = tokio::time::timeout(SHORT, client.0.peek(&mut byte)).await;
    assert!(
        said.is_err(),
        "it was answered before it was whole: {said:?}"
    );
    client.send(rest).await;
    client.answer().await;
    assert_eq!(server.stage.started.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_second_requests_headers_have_the_header_timeout_too() {
    let mut limits = limits();
    limits.header_timeout = SHORT;
    let server = Running::start(&limits);
    let mut client = server.connect().await;
    client.send(&get("/")).await;
    client.answer().await;
    client.send(b"GET / HTTP/1.1\r\n").await;
    assert!(ended_after(&mut client).await < PATIENCE);
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut_and_its_body_let_go() {
    let mut limits = limits();
    limits.minimum_rate_grace = SHORT;
    let server = Running::start(&limits);
    let mut client = server.connect().await;
    client.send(&get("/endless")).await;
    server.stage.ended(1).await;
    let (_, ending) = client.rest().await;
    assert_eq!(ending, Ending::Reset);
}

#[tokio::test]
async fn a_reader_that_reads_is_not_cut_while_its_origin_is_slow() {
    let mut limits = limits();
    limits.minimum_rate_grace = SHORT;
    limits.header_timeout = SHORT;
    limits.idle_timeout = SHORT;
    let server = Running::start(&limits);
    let mut client = server.connect().await;
    client.send(&get("/held")).await;
    server.stage.started(1).await;
    // Longer than every timeout; only time can show that none fires.
    tokio::time::sleep(SHORT * 3).await;
    server.stage.go_on.cancel();
    assert_eq!(client.answer().await.body.len(), 200_000);
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_and_are_served() {
    let mut limits = limits();
    limits.connections = 2;
    let server = Running::start(&limits);
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    for client in [&mut first, &mut second] {
        client.send(&get("/")).await;
        client.answer().await;
    }
    let mut third = server.connect().await;
    third.send(&get("/")).await;
    let early = tokio::time::timeout(SHORT, third.0.readable()).await;
    assert!(early.is_err(), "a third connection is served beside two");
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
    drop(first);
    assert_eq!(third.answer().await.status, 200);
}

#[tokio::test]
async fn whoever_waits_for_a_place_has_one_once_the_limit_is_raised() {
    let mut limits = limits();
    limits.connections = 1;
    let server = Running::start(&limits);
    let mut first = server.connect().await;
    first.send(&get("/")).await;
    first.answer().await;
    let mut second = server.connect().await;
    second.send(&get("/")).await;
    let early = tokio::time::timeout(SHORT, second.0.readable()).await;
    assert!(early.is_err(), "a second connection is served beside one");
    limits.connections = 2;
    server.rules.change(&limits, None);
    assert_eq!(second.answer().await.status, 200);
    first.send(&get("/")).await;
    assert_eq!(first.answer().await.status, 200);
}
