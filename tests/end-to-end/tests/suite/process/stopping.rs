//! How it stops: downloads finish, idle connections go, and nobody holds it for ever.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use rustix::process::Signal;
use test_servers::faulty::{Fault, Faulty, Gate, On};
use tokio::net::TcpStream;

use super::harness::{Gateway, Setup, route, web};
use super::raw::Reader;

const DOWNLOADS: usize = 200;

fn picture() -> Bytes {
    (0..200_000u32).flat_map(u32::to_le_bytes).collect()
}

async fn in_flight(origin: &Faulty, gateway: &Gateway) -> Vec<reqwest::Response> {
    let asked = join_all((0..DOWNLOADS).map(|_| gateway.ask("/a.bin"))).await;
    let asked: Vec<_> = asked.into_iter().map(Result::unwrap).collect();
    for response in &asked {
        assert_eq!(response.status(), 200, "{}", gateway.log());
    }
    origin.wait_for_requests_for("a.bin", 1).await;
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_downloads_survive_a_sigterm() {
    let origin = Faulty::start().await;
    origin.put("a.bin", picture());
    let gate = Gate::new();
    origin.fault(On::key("a.bin"), Fault::HoldAfter(100_000, gate.clone()));
    let setup = Setup::new(web("only", &origin.base_url()) + &route(&["only"]))
        .limits("connections_per_client = 1000")
        .server("drain = \"60s\"");
    let mut gateway = setup.start().await;
    let downloads = in_flight(&origin, &gateway).await;
    gateway.signal(Signal::TERM);
    gateway.logged("accepting nothing new").await;
    refuses(&gateway).await;
    // Whoever balances load is told, and whoever restarts the dead is not.
    assert_eq!(gateway.operators("/readyz").await.status, 503);
    assert_eq!(gateway.operators("/healthz").await.status, 200);
    gate.open();
    let bodies = join_all(downloads.into_iter().map(reqwest::Response::bytes)).await;
    let lost = bodies
        .iter()
        .filter(|body| body.as_ref().ok() != Some(&picture()))
        .count();
    assert_eq!(lost, 0, "of {DOWNLOADS}");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

/// The signal is logged a moment before the listener is closed.
async fn refuses(gateway: &Gateway) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(gateway.media()).await.is_ok() {
        assert!(Instant::now() < deadline, "new connections are accepted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_hundred_idle_connections_and_a_stuck_reader_end_with_the_drain_time() {
    let origin = Faulty::start().await;
    origin.put("a.bin", vec![7; 30_000_000]);
    origin.put("small.bin", "small");
    let setup =
        Setup::new(web("only", &origin.base_url()) + &route(&["only"])).server("drain = \"2s\"");
    let mut gateway = setup.start().await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut reader = Reader::ask(gateway.media(), "/small.bin").await;
        reader.read_until(b"small").await;
        idle.push(reader);
    }
    let mut stuck = Reader::ask(gateway.media(), "/a.bin").await;
    stuck.read_until(b"\r\n\r\n").await;
    let began = Instant::now();
    gateway.signal(Signal::TERM);
    for mut reader in idle {
        reader.read_to_end().await;
    }
    let idle_gone = began.elapsed();
    assert_eq!(gateway.ended().await.code(), Some(0));
    let took = began.elapsed();
    println!("idle connections gone after {idle_gone:?}, all after {took:?}");
    assert!(idle_gone < Duration::from_millis(1500), "{idle_gone:?}");
    assert!(took > Duration::from_millis(1900), "{took:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn without_downloads_it_stops_at_once() {
    let setup = Setup::new(web("only", "http://127.0.0.1:1/") + &route(&["only"]));
    let gateway = setup.start().await;
    let began = Instant::now();
    gateway.stopped().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
}
