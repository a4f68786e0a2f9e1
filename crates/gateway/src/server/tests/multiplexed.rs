//! HTTP/2 by prior knowledge.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use tokio_util::task::TaskTracker;

use super::fixture::{Client, PATIENCE, Running, limits};
use super::frames::{FIELDS, PREFACE, frame};

const SHORT: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub(super) struct Tasks(pub(super) TaskTracker);

impl<F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

type Sender = SendRequest<Empty<Bytes>>;

async fn connect(server: &Running) -> Sender {
    let tcp = server.connect().await.0;
    let tasks = Tasks(TaskTracker::new());
    let (sender, connection) = http2::handshake(tasks.clone(), TokioIo::new(tcp))
        .await
        .unwrap();
    tasks.0.spawn(connection);
    sender
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    let uri = format!("http://media.test{path}");
    Request::get(uri).body(Empty::new()).unwrap()
}

async fn get(sender: &mut Sender, path: &str) -> Response<Incoming> {
    tokio::time::timeout(PATIENCE, sender.send_request(request(path)))
        .await
        .expect("an answer comes")
        .unwrap()
}

#[tokio::test]
async fn prior_knowledge_is_enough() {
    let server = Running::start(&limits());
    let mut client = connect(&server).await;
    let answer = get(&mut client, "/object").await;
    assert_eq!(answer.headers()[http::header::CONTENT_LENGTH], "200000");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), 200_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_resets_its_stream_and_not_its_neighbours() {
    let server = Running::start(&limits());
    let mut client = connect(&server).await;
    for path in ["/broken", "/broken-unsized", "/short", "/panicking-body"] {
        let answer = get(&mut client, path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert!(answer.into_body().collect().await.is_err(), "{path}");
    }
    assert_eq!(
        get(&mut client, "/panic").await.status(),
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(get(&mut client, "/").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_nobody_reads_is_reset_and_its_neighbours_live() {
    let mut limits = limits();
    limits.minimum_rate_grace = Duration::from_millis(200);
    let server = Running::start(&limits);
    let mut client = connect(&server).await;
    let unread = get(&mut client, "/endless").await;
    server.stage.ended(1).await;
    assert_eq!(get(&mut client, "/").await.status(), StatusCode::OK);
    assert!(unread.into_body().collect().await.is_err());
}

#[tokio::test]
async fn headers_too_big_are_answered_431() {
    let server = Running::start(&limits());
    let mut client = connect(&server).await;
    let mut big = request("/");
    let value = "b".repeat(20_000).parse().unwrap();
    big.headers_mut().insert("x", value);
    let answer = client.send_request(big).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(server.stage.started.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_requests_ends_after_the_idle_timeout() {
    let mut limits = limits();
    limits.idle_timeout = Duration::from_millis(200);
    let server = Running::start(&limits);
    let mut client = connect(&server).await;
    get(&mut client, "/")
        .await
        .into_body()
        .collect()
        .await
        .unwrap();
    let closed = async {
        while client.ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, closed)
        .await
        .expect("it is closed");
}

#[tokio::test]
async fn streams_in_flight_finish_when_the_server_stops() {
    let server = Running::start(&limits());
    let mut client = connect(&server).await;
    let held = get(&mut client, "/held").await;
    server.begin_to_stop();
    server.stage.go_on.cancel();
    let body = held.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), 200_000);
    assert_eq!(server.stop().await.aborted, 0);
}

/// What h2 asks with before it closes.
const FAREWELL_PING: &[u8] = &[0x0b, 0x7b, 0xa2, 0xf0, 0x8b, 0x9b, 0xfe, 0x54];

/// The kernel would drop what it has not sent yet when a closed connection is spoken to.
#[tokio::test]
async fn a_slow_client_that_says_what_it_has_read_loses_nothing_as_the_server_stops() {
    let server = Running::start(&limits());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = Client(socket.connect(server.address).await.unwrap());
    let window = |stream| frame(8, 0, stream, &1_000_000_u32.to_be_bytes());
    let fields = [&FIELDS[..2], &[0x44, 7], b"/object", &FIELDS[3..]].concat();
    let request = [
        PREFACE,
        // SETTINGS_INITIAL_WINDOW_SIZE.
        &frame(4, 0, 0, &[0, 4, 0, 15, 0, 0]),
        &window(0),
        &frame(1, 5, 1, &fields),
    ];
    client.send(&request.concat()).await;
    server.stage.started(1).await;
    server.begin_to_stop();
    let mut most = vec![0; 150_000];
    client.0.read_exact(&mut most).await.unwrap();
    client.send(&frame(6, 1, 0, FAREWELL_PING)).await;
    // The rest is with the kernel.
    let start = Instant::now();
    while server.connections.load(Ordering::SeqCst) > 0 && start.elapsed() < SHORT {
        tokio::task::yield_now().await;
    }
    client.send(&window(0)).await;
    let mut rest = Vec::new();
    while let Ok(count @ 1..) = client.0.read_buf(&mut rest).await {
        if count > 1000 {
            client.send(&window(0)).await;
        }
    }
    assert!(most.len() + rest.len() > 200_000, "{}", rest.len());
    assert_eq!(server.stop().await.aborted, 0);
}

#[tokio::test]
async fn a_client_that_opens_and_resets_without_end_loses_its_connection() {
    let server = Running::start(&limits());
    let mut client = server.connect().await;
    let mut bytes = [PREFACE, &frame(4, 0, 0, &[])].concat();
    for stream in (1..20_000).step_by(2) {
        bytes.extend(frame(1, 5, stream, FIELDS));
        bytes.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    client.send(&bytes).await;
    client.rest().await;
    let requests = server.stage.started.load(Ordering::SeqCst);
    assert!(requests < 1000, "{requests} requests were served");
}

#[tokio::test]
async fn headers_that_go_on_without_end_cost_their_connection() {
    let server = Running::start(&limits());
    let mut client = server.connect().await;
    let mut bytes = [PREFACE, &frame(4, 0, 0, &[]), &frame(1, 1, 1, FIELDS)].concat();
    for _ in 0..10_000 {
        // One more header, a: b, and no end.
        bytes.extend(frame(9, 0, 1, &[0, 1, b'a', 1, b'b']));
    }
    client.send(&bytes).await;
    client.rest().await;
    assert_eq!(server.stage.started.load(Ordering::SeqCst), 0);
}
