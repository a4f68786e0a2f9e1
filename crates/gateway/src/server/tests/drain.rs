//! The end of a server: nothing in flight is lost, and it comes.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::fixture::{Client, PATIENCE, Running, get, limits};
use tokio::net::TcpStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_in_flight_all_finish() {
    let server = Running::start(&limits());
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut client = server.connect().await;
        client.send(&get("/held")).await;
        clients.push(client);
    }
    server.stage.started(200).await;
    server.begin_to_stop();
    // The listener closes at once, while they are still in flight.
    let start = Instant::now();
    while TcpStream::connect(server.address).await.is_ok() {
        assert!(start.elapsed() < PATIENCE, "the listener stays open");
        tokio::task::yield_now().await;
    }
    // Who knocked before the listener closed may have been let in as well.
    assert!(server.connections.load(Ordering::SeqCst) >= 200);
    server.stage.go_on.cancel();
    for client in &mut clients {
        assert_eq!(client.answer().await.body.len(), 200_000);
    }
    let drained = server.stop().await;
    assert!(
        drained.finished >= 200 && drained.aborted == 0,
        "{drained:?}"
    );
}

#[tokio::test]
async fn who_had_connected_before_the_stop_is_still_answered() {
    let server = Running::start(&limits());
    tokio::task::yield_now().await;
    // The kernel takes the connection; this thread, which is the runtime's only one, does not.
    let mut waiting = std::net::TcpStream::connect(server.address).unwrap();
    std::io::Write::write_all(&mut waiting, &get("/")).unwrap();
    waiting.set_nonblocking(true).unwrap();
    server.begin_to_stop();
    let mut client = Client(TcpStream::from_std(waiting).unwrap());
    assert_eq!(client.answer().await.body, b"hello");
    let drained = server.stop().await;
    assert_eq!((drained.finished, drained.aborted), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_end_at_once_and_a_stuck_reader_at_the_deadline() {
    let drain = Duration::from_millis(700);
    let server = Running::draining(&limits(), drain);
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut client = server.connect().await;
        client.send(&get("/")).await;
        client.answer().await;
        idle.push(client);
    }
    let mut stuck = server.connect().await;
    stuck.send(&get("/endless")).await;
    server.stage.started(101).await;
    server.begin_to_stop();
    let start = Instant::now();
    for client in &mut idle {
        client.rest().await;
    }
    let idle_ended = start.elapsed();
    let drained = server.stop().await;
    assert_eq!((drained.finished, drained.aborted), (100, 1));
    assert!(
        idle_ended < start.elapsed(),
        "idle connections wait for the deadline"
    );
    assert!(start.elapsed() >= drain / 2);
}

#[tokio::test]
async fn a_request_that_is_on_its_way_as_the_server_stops_is_answered() {
    let server = Running::start(&limits());
    let mut client = server.connect().await;
    while server.connections.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    server.begin_to_stop();
    client.send(&get("/")).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .head
            .to_ascii_lowercase()
            .contains("connection: close")
    );
    assert_eq!(server.stop().await.aborted, 0);
}

#[tokio::test]
async fn a_server_without_connections_stops_at_once() {
    let drained = Running::start(&limits()).stop().await;
    assert_eq!((drained.finished, drained.aborted), (0, 0));
}
