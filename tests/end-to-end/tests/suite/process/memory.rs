//! What a download costs in memory, however large it is and however slowly it is read; and what a
//! connection does on which nothing is said.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::{Gateway, PATIENCE, Setup, route, web};
use super::raw::{Reader, Zeros};

const MIB: u64 = 1 << 20;

async fn gateway(origin: &Zeros) -> Gateway {
    let setup = Setup::new(web("only", &origin.url()) + &route(&["only"]))
        .limits("connections_per_client = 1000");
    let gateway = setup.start().await;
    // What every first request costs once.
    drop(gateway.ask("/warm.mp4").await.unwrap());
    gateway
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_streamed_through_takes_less_than_64_mib() {
    let origin = Zeros::of(1 << 30);
    let gateway = gateway(&origin).await;
    let idle = gateway.resident_bytes();
    let began = Instant::now();
    let mut response = gateway.ask("/film.mp4").await.unwrap();
    assert_eq!(response.status(), 200);
    let (mut read, mut most, mut look) = (0u64, idle, 0);
    while let Some(chunk) = response.chunk().await.unwrap() {
        read += chunk.len() as u64;
        if read >= look {
            most = most.max(gateway.resident_bytes());
            look = read + 8 * MIB;
        }
    }
    println!(
        "1 GiB in {:?}: {} MiB idle, {} MiB at most",
        began.elapsed(),
        idle / MIB,
        most / MIB
    );
    assert_eq!(read, 1 << 30);
    assert!(most - idle < 64 * MIB, "{} MiB more", (most - idle) / MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_readers_that_do_not_read_stay_bounded() {
    let origin = Zeros::of(1 << 30);
    let gateway = gateway(&origin).await;
    let idle = gateway.resident_bytes();
    let asked = (0..100).map(|_| async {
        let mut reader = Reader::ask(gateway.media(), "/film.mp4").await;
        reader.read_until(b"\r\n\r\n").await;
        reader
    });
    let readers = join_all(asked).await;
    // Nothing tells from outside when the buffers are full; the most in a while is what counts.
    let mut most = idle;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        most = most.max(gateway.resident_bytes());
    }
    println!(
        "100 that do not read: {} MiB idle, {} MiB at most",
        idle / MIB,
        most / MIB
    );
    assert!(most - idle < 64 * MIB, "{} MiB more", (most - idle) / MIB);
    drop(readers);
    assert_eq!(gateway.ask("/film.mp4").await.unwrap().status(), 200);
}

const RESTING: usize = 3000;

/// Asks for what the gateway holds, and reads the whole answer.
async fn answered(mut client: TcpStream) -> TcpStream {
    let request = b"GET /warm.mp4 HTTP/1.1\r\nHost: media.example\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(&[0; 100]) {
        let count = timeout(PATIENCE, client.read_buf(&mut read)).await.unwrap();
        assert_ne!(count.unwrap(), 0, "closed instead of an answer");
    }
    assert!(read.starts_with(b"HTTP/1.1 200 OK\r\n"));
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nothing_is_said_costs_little_and_is_answered_and_closed_as_any() {
    let origin = Zeros::of(100);
    let limits = "connections = 4000\nconnections_per_client = 4000";
    let setup = Setup::new(web("only", &origin.url()) + &route(&["only"])).limits(limits);
    let gateway = setup.start().await;
    drop(gateway.ask("/warm.mp4").await.unwrap());
    let before = gateway.resident_bytes();
    let asked = stream::iter(0..RESTING).then(async |_| {
        let client = TcpStream::connect(gateway.media()).await.unwrap();
        answered(client).await
    });
    let clients: Vec<_> = asked.collect().await;
    let each = gateway.resident_bytes().saturating_sub(before) / RESTING as u64;
    println!("{each} bytes for each of {RESTING} that say nothing");
    assert!(each < 8 * 1024, "{each}");

    let clients = stream::iter(clients).map(answered).buffer_unordered(64);
    let clients: Vec<_> = clients.collect().await;
    let ended = clients.into_iter().map(async |mut client| {
        let count = timeout(PATIENCE, client.read(&mut [0; 1])).await.unwrap();
        assert_eq!(count.unwrap(), 0);
    });
    let (_, log) = tokio::join!(join_all(ended), gateway.stopped());
    assert!(log.contains("\"aborted\":0"), "{log}");
}
