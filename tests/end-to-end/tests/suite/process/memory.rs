//! What a download costs in memory, however large it is and however slowly it is read.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::harness::{Gateway, Setup, route, web};
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
