//! More connections than there are descriptors, and connections that say nothing.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use test_servers::faulty::Faulty;

use super::harness::{Setup, route, web};
use super::raw::Reader;

const FEW: [&str; 2] = ["prlimit", "--nofile=64:64"];
const CLOSING: &str = "GET /a.webp HTTP/1.1\r\nHost: media.example\r\nConnection: close\r\n\r\n";

async fn setup(limits: &str) -> (Faulty, Setup) {
    let origin = Faulty::start().await;
    origin.put("a.webp", "picture");
    let setup = Setup::new(web("only", &origin.base_url()) + &route(&["only"])).limits(limits);
    (origin, setup)
}

#[tokio::test]
async fn a_flood_beyond_the_descriptors_is_over_two_seconds_after_it_ends() {
    let (_origin, setup) = setup("").await;
    let gateway = setup.start_under(&FEW).await;
    let flood = join_all((0..200).map(|_| Reader::connect(gateway.media()))).await;
    // Operators still see how it is doing.
    assert_eq!(gateway.operators("/healthz").await.status, 200);
    drop(flood);
    let began = Instant::now();
    assert_eq!(gateway.get("/a.webp").await.status, 200);
    let took = began.elapsed();
    println!("after the flood: an answer within {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn two_hundred_requests_with_64_descriptors_are_all_answered() {
    let (_origin, setup) = setup("").await;
    let gateway = setup.start_under(&FEW).await;
    let flood = join_all((0..200).map(|_| Reader::connect(gateway.media()))).await;
    let answers = join_all(flood.into_iter().map(|mut reader| async move {
        reader.send(CLOSING).await;
        reader.read_until(b"picture").await
    }));
    for answer in answers.await {
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn silent_and_slow_connections_hold_nobody_up_and_are_closed() {
    let (_origin, setup) = setup("header_timeout = \"1s\"").await;
    let gateway = setup.start().await;
    let mut idlers = join_all((0..100).map(|_| Reader::connect(gateway.media()))).await;
    for slow in idlers.iter_mut().skip(50) {
        slow.send("GET /a.webp HTTP/1.1\r\nX-Slow: ").await;
    }
    let began = Instant::now();
    assert_eq!(gateway.get("/a.webp").await.status, 200);
    assert!(began.elapsed() < Duration::from_millis(500));
    for mut idler in idlers {
        idler.read_to_end().await;
    }
    let took = began.elapsed();
    println!("100 that say nothing are gone after {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(gateway.get("/a.webp").await.status, 200);
}
