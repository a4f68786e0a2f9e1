//! Unix sockets: what a client of TCP gets by a reset, and all that is the same.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio_util::task::TaskTracker;

use super::clients::announcement;
use super::fixture::{Client, Ending, Running, get, limits};
use super::frames::greeting;
use super::multiplexed::Tasks;
use crate::config::{Limits, Proxies, TrustedProxies};

/// A server on a socket in a directory of its own.
struct Local {
    server: Running,
    path: PathBuf,
    _directory: TempDir,
}

impl Local {
    fn start(limits: &Limits) -> Self {
        Self::behind(limits, Proxies::default())
    }

    fn behind(limits: &Limits, proxies: Proxies) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("media.sock");
        Self {
            server: Running::on_socket(limits, proxies, &path),
            path,
            _directory: directory,
        }
    }

    async fn connect(&self) -> Client<UnixStream> {
        Client(UnixStream::connect(&self.path).await.unwrap())
    }
}

#[tokio::test]
async fn requests_are_answered_on_a_connection_that_rests_between_them() {
    let local = Local::start(&limits());
    let mut client = local.connect().await;
    for _ in 0..3 {
        client.send(&get("/hello")).await;
        assert_eq!(client.answer().await.body, b"hello");
        // Longer than a connection waits before it rests.
        let said = tokio::time::timeout(Duration::from_millis(60), client.0.read_u8());
        assert!(said.await.is_err(), "nothing more is said");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_body_shows_by_its_length_or_by_the_chunk_that_is_missing() {
    let local = Local::start(&limits());
    for path in ["/broken", "/short", "/broken-unsized", "/panicking-body"] {
        let mut client = local.connect().await;
        client.send(&get(path)).await;
        let (bytes, ending) = client.rest().await;
        assert_eq!(ending, Ending::Closed, "{path}");
        let said = String::from_utf8_lossy(&bytes);
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        if head.contains("transfer-encoding: chunked") {
            assert!(!body.ends_with("0\r\n\r\n"), "{path}: {body}");
        } else {
            assert!(head.contains("content-length: 2000"), "{path}: {head}");
            assert_eq!(body.len(), 1000, "{path}");
        }
    }
}

#[tokio::test]
async fn http_2_is_spoken_by_prior_knowledge_and_a_broken_body_resets_its_stream() {
    let local = Local::start(&limits());
    let unix = local.connect().await.0;
    let tasks = Tasks(TaskTracker::new());
    let (mut sender, connection) = http2::handshake(tasks.clone(), TokioIo::new(unix))
        .await
        .unwrap();
    tasks.0.spawn(connection);
    for (path, is_whole) in [("/object", true), ("/broken-unsized", false), ("/", true)] {
        let request = Request::get(format!("http://media.test{path}"));
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let body = answer.into_body().collect().await;
        assert_eq!(body.is_ok(), is_whole, "{path}");
    }
}

#[tokio::test]
async fn what_a_client_begins_to_speak_is_told_however_it_comes() {
    let local = Local::start(&limits());
    for (said, answer) in [
        (&greeting()[..], &b"\0\0"[..]),
        (&get("/hello"), b"HTTP/1.1 200"),
        (b"PRI / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 "),
        (b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 "),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\nXY", b"HTTP/1.1 400"),
    ] {
        let mut client = local.connect().await;
        for byte in said.chunks(1) {
            client.send(byte).await;
            tokio::task::yield_now().await;
        }
        let mut begun = vec![0; answer.len()];
        client.0.read_exact(&mut begun).await.unwrap();
        assert_eq!(begun, answer, "{}", String::from_utf8_lossy(said));
    }
}

#[tokio::test]
async fn a_client_has_no_address_but_that_which_its_proxy_announces() {
    let local = Local::start(&limits());
    let mut client = local.connect().await;
    client.send(&get("/peer")).await;
    assert_eq!(client.answer().await.body, b"");
    let trusted = TrustedProxies {
        networks: Vec::new(),
        by_socket: true,
    };
    let proxies = Proxies {
        trusted,
        announce: true,
    };
    let local = Local::behind(&limits(), proxies);
    let mut client = local.connect().await;
    client.send(&[announcement(1), get("/peer")].concat()).await;
    assert_eq!(client.answer().await.body, b"203.0.113.1:4711");
    let mut unannounced = local.connect().await;
    unannounced.send(&get("/peer")).await;
    assert!(unannounced.rest().await.0.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_is_cut_and_its_body_let_go() {
    let mut limits = limits();
    limits.minimum_rate_grace = Duration::from_millis(200);
    let local = Local::start(&limits);
    let mut client = local.connect().await;
    client.send(&get("/endless")).await;
    local.server.stage.ended(1).await;
    let (bytes, _) = client.rest().await;
    assert!(bytes.len() < 1024 * 1024, "{} bytes waited", bytes.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_the_server_stops_downloads_finish_and_the_socket_is_gone() {
    let local = Local::start(&limits());
    let mut downloads = Vec::new();
    for _ in 0..10 {
        let mut client = local.connect().await;
        client.send(&get("/held")).await;
        client.head().await;
        downloads.push(client);
    }
    let mut idle = local.connect().await;
    idle.send(&get("/hello")).await;
    idle.answer().await;
    local.server.begin_to_stop();
    // Its end says that the stop has come.
    idle.rest().await;
    assert!(!local.path.exists());
    local.server.stage.go_on.cancel();
    for mut client in downloads {
        assert_eq!(client.rest().await.0.len(), 200_000);
    }
    let drained = local.server.stop().await;
    assert_eq!((drained.finished, drained.aborted), (11, 0));
}

#[tokio::test]
async fn who_had_connected_before_the_stop_is_still_answered() {
    let local = Local::start(&limits());
    // Not accepted yet: nothing here was awaited since.
    let std = std::os::unix::net::UnixStream::connect(&local.path).unwrap();
    local.server.begin_to_stop();
    std.set_nonblocking(true).unwrap();
    let mut client = Client(UnixStream::from_std(std).unwrap());
    client.send(&get("/hello")).await;
    assert_eq!(client.answer().await.body, b"hello");
}
