//! Many who want the same at once: one question, and nobody waits for another's slowness.

use std::io;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use test_servers::faulty::{Fault, Gate, On};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::client::{get, get_once_up, rest};
use super::harness::{
    Gateway, MIB, before, bucket, film, holding, keeping, metric, metric_is, noise, route,
};

const CLIENTS: usize = 1000;
const FOLLOWERS: &str = "fill_followers_total";

/// Connected clients that have not asked yet.
async fn connected(gateway: &Gateway, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(gateway.media()).await.unwrap());
    }
    streams
}

async fn ask(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// When each of them had its first byte. Nothing is read before all have: the clients run on the
/// same cores as the gateway, and what they take is not what it takes.
async fn first_bytes(streams: &[TcpStream]) -> Vec<Instant> {
    let each = streams.iter().map(|stream| async move {
        stream.readable().await.unwrap();
        Instant::now()
    });
    join_all(each).await
}

/// All that comes.
async fn read(stream: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    loop {
        stream.readable().await.unwrap();
        match stream.try_read_buf(&mut said) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return said,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_want_one_cold_object_are_one_question() {
    // The best of three, because a machine that does something else delays clients as well.
    for left in (0..3).rev() {
        let (last, machine) = herd().await;
        if last < SOON + machine {
            return;
        }
        assert!(
            left > 0,
            "the last has its first byte {last:?} after the first"
        );
    }
}

/// Beside what the machine needs to answer a thousand with what is held.
const SOON: Duration = Duration::from_millis(50);

/// How long after the first one of a thousand the last has its first byte, and how long it takes
/// until a thousand have one when nobody waits for an origin.
async fn herd() -> (Duration, Duration) {
    let bytes = noise(1, 60_000);
    let origin = holding(&[("a.mp4", &bytes)]).await;
    let gate = Gate::new();
    origin.fault(On::any(), Fault::Hold(gate.clone()));
    let text = bucket("current", &origin).replace("500ms", "20s");
    let text = text + &route(&["current"]);
    let gateway = keeping(text).start().await;
    let mut streams = connected(&gateway, CLIENTS).await;
    for stream in &mut streams {
        ask(stream, "/a.mp4").await;
    }
    metric_is(&gateway, FOLLOWERS, |count| count == CLIENTS as u64 - 1).await;
    gate.open();
    let firsts = first_bytes(&streams).await;
    let answers = join_all(streams.into_iter().map(read)).await;
    let leader = *firsts.iter().min().unwrap();
    let mut spread: Vec<_> = firsts.iter().map(|first| *first - leader).collect();
    spread.sort();
    let (median, last) = (spread[CLIENTS / 2], spread[CLIENTS - 1]);
    println!("first bytes of {CLIENTS}: median {median:?}, last {last:?} after the first");
    for said in &answers {
        assert!(said.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert!(said.ends_with(&bytes));
    }
    assert_eq!(origin.counts().requests, 1);
    assert_eq!(origin.body_bytes_sent(), bytes.len() as u64);
    let collapsed = |said: &[u8]| {
        let text = String::from_utf8_lossy(&said[..600]).into_owned();
        text.contains("cache-status: media-gateway; fwd=miss; collapsed\r\n")
    };
    let followers = answers.iter().filter(|said| collapsed(said));
    assert_eq!(followers.count(), CLIENTS - 1);
    let mut streams = connected(&gateway, CLIENTS).await;
    let began = Instant::now();
    for stream in &mut streams {
        ask(stream, "/a.mp4").await;
    }
    let last_hit = first_bytes(&streams).await.into_iter().max().unwrap();
    let machine = last_hit - began;
    println!("and of {CLIENTS} that ask for what is held: {machine:?}");
    assert_eq!(origin.counts().requests, 1);
    (last, machine)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_who_join_in_the_middle_ask_nothing() {
    let bytes = noise(2, 3 * MIB);
    let origin = holding(&[("a.mp4", &bytes)]).await;
    let gate = Gate::new();
    origin.fault(On::any(), Fault::HoldAfter(3 * MIB / 2, gate.clone()));
    let text = bucket("current", &origin).replace("500ms", "20s");
    let text = text + &route(&["current"]);
    let gateway = keeping(text).start().await;
    let mut leader = gateway.ask("/a.mp4").await.unwrap();
    let mut came = Vec::new();
    while came.len() < MIB {
        came.extend_from_slice(&leader.chunk().await.unwrap().unwrap());
    }
    let joined = join_all((0..100).map(|_| gateway.ask("/a.mp4"))).await;
    // The one for whom it was begun goes away, and nobody notices.
    drop(leader);
    gate.open();
    let bodies = join_all(joined.into_iter().map(|joined| rest(joined.unwrap()))).await;
    for told in &bodies {
        assert!(told.is(200, &bytes), "{}", told.summary());
    }
    assert_eq!(origin.counts().requests, 1);
    assert_eq!(metric(&gateway, "fills_in_progress").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_who_meet_a_failure_are_a_few_questions() {
    let origin = holding(&[("a.mp4", b"later")]).await;
    origin.fault(On::any(), Fault::s3(503, "InternalError"));
    let gateway = before(&origin).start().await;
    let mut streams = connected(&gateway, CLIENTS).await;
    let began = Instant::now();
    for stream in &mut streams {
        ask(stream, "/a.mp4").await;
    }
    let answers = join_all(streams.into_iter().map(read)).await;
    for said in &answers {
        let said = String::from_utf8_lossy(said);
        assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
        assert!(said.contains("cache-control: no-store\r\n"), "{said}");
        assert!(said.contains("retry-after: "), "{said}");
    }
    let (asked, took) = (origin.counts().requests, began.elapsed());
    println!("{CLIENTS} on a 503: {asked} questions in {took:?}");
    assert!(asked <= 5, "{asked}");
    origin.heal();
    let told = get_once_up(&gateway, "/a.mp4").await;
    assert!(told.is(200, b"later"));
    assert_eq!(get(&gateway, "/a.mp4").await.label(), "HIT");
}

#[tokio::test]
async fn one_who_does_not_read_holds_up_nobody() {
    let bytes = noise(3, 24 * MIB);
    let origin = holding(&[("a.mp4", &bytes)]).await;
    origin.put("b.mp4", film(b"other"));
    let gateway = before(&origin).cache("memory = \"8 MB\"").start().await;
    let mut slow = connected(&gateway, 1).await;
    ask(&mut slow[0], "/a.mp4").await;
    slow[0].readable().await.unwrap();
    let told = get(&gateway, "/a.mp4").await;
    assert!(told.is(200, &bytes), "{}", told.summary());
    let said = read(slow.remove(0)).await;
    assert!(said.ends_with(&bytes));
    let asked = origin.requests_for("a.mp4");
    let ranges: Vec<_> = asked.iter().map(|asked| asked.header("range")).collect();
    assert_eq!(ranges.len(), 1, "{ranges:?}");
}
