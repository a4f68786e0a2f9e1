//! What many slow readers of a large object cost in memory.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use super::client::get;
use super::harness::{Gateway, MIB, before, holding, noise};

const CLIENTS: u64 = 1000;
/// Of `memory` and `fill_memory` together.
const CACHE_MIB: u64 = 32 + 16;

/// A client whose kernel takes little, and that reads nothing.
async fn asked(gateway: &Gateway) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let mut stream = socket.connect(gateway.media()).await.unwrap();
    let request = b"GET /film.mp4 HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream.readable().await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_read_take_a_bounded_amount_of_memory() {
    let bytes = noise(1, 32 * MIB);
    let origin = holding(&[("film.mp4", &bytes), ("warm.mp4", b"warm")]).await;
    let setup = before(&origin).cache("memory = \"32 MiB\"\nfill_memory = \"16 MiB\"");
    let gateway = setup.start().await;
    get(&gateway, "/warm.mp4").await;
    let idle = gateway.resident_bytes();
    let mut readers = Vec::new();
    for _ in 0..CLIENTS / 100 {
        readers.extend(join_all((0..100).map(|_| asked(&gateway))).await);
    }
    // Nothing tells from outside when the buffers are full; the most in a while is what counts.
    let mut most = idle;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        most = most.max(gateway.resident_bytes());
    }
    let more = (most - idle) / MIB as u64;
    println!("{CLIENTS} that do not read 32 MiB: {more} MiB more than when idle");
    // Somebody who reads is served meanwhile, and all of it was asked for once.
    assert!(get(&gateway, "/film.mp4").await.is(200, &bytes));
    let sent = origin.body_bytes_sent();
    assert!(sent < 40 * MIB as u64, "{sent} bytes were asked for");
    assert!(more < 256, "{more} MiB more");
    assert!(more < CACHE_MIB + 128, "{more} MiB more");
    drop(readers);
}
