//! A server with a service that behaves as its path says, and a client of bare bytes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use hyper::body::Incoming;
use object::{BodyError, Interruption, ObjectBody};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Limits, Proxies, TrustedProxies};
use crate::server::{Changeable, Drained, Ended, Handed, OnEnd, Outgoing, Peer, Server};

/// Long enough that a busy machine does not fail a test.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(in crate::server) fn limits() -> Limits {
    Limits {
        connections: 1024,
        connections_per_client: 1024,
        bodies: 1024,
        streams_per_connection: 100,
        header_bytes: 16 * 1024,
        header_timeout: Duration::from_mins(1),
        idle_timeout: Duration::from_mins(1),
        minimum_rate_bytes: 1000,
        minimum_rate_grace: Duration::from_mins(1),
    }
}

/// What the service and its test know of each other.
#[derive(Default)]
pub(super) struct Stage {
    /// Lets bodies under `/held` go on to their end.
    pub(super) go_on: CancellationToken,
    pub(super) started: AtomicUsize,
    pub(super) ended: std::sync::Mutex<Vec<Ended>>,
    pub(super) changed: Notify,
}

impl Stage {
    /// Until so many requests have reached the service.
    pub(super) async fn started(&self, count: usize) {
        self.until(|| self.started.load(Ordering::SeqCst) >= count)
            .await;
    }

    /// Until so many object bodies have ended.
    pub(super) async fn ended(&self, count: usize) {
        self.until(|| self.ended.lock().unwrap().len() >= count)
            .await;
    }

    async fn until(&self, done: impl Fn() -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if done() {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("it comes to that");
    }
}

fn object_body(body: ObjectBody, length: Option<u64>, on_end: impl OnEnd) -> Body {
    Body::new(Outgoing::new(body, length, on_end))
}

fn serve(stage: &Arc<Stage>, peer: Peer, request: &Request<Incoming>) -> Response<Body> {
    stage.started.fetch_add(1, Ordering::SeqCst);
    stage.changed.notify_waiters();
    let chunk = |count: usize| Ok::<_, BodyError>(Bytes::from(vec![b'x'; count]));
    let told = Arc::clone(stage);
    let on_end = move |ended| {
        told.ended.lock().unwrap().push(ended);
        told.changed.notify_waiters();
    };
    let broken = || Err(BodyError::new(Interruption::Cut, "origin a broke off"));
    let body = match request.uri().path() {
        "/peer" => Body::from(
            peer.address
                .map(|peer| peer.to_string())
                .unwrap_or_default(),
        ),
        "/panic" => panic!("asked for"),
        "/panicking-body" => Body::from_stream(stream::once(async {
            panic!("asked for");
            #[expect(unreachable_code, reason = "it gives the stream its type")]
            Ok::<Bytes, Infallible>(Bytes::new())
        })),
        "/held" => {
            let go_on = stage.go_on.clone();
            let rest = stream::once(async move {
                go_on.cancelled().await;
                Ok(Bytes::from(vec![b'y'; 100_000]))
            });
            let body = stream::iter([chunk(100_000)]).chain(rest);
            object_body(ObjectBody::new(body), Some(200_000), on_end)
        }
        "/endless" => {
            let chunks = stream::repeat_with(move || chunk(256 * 1024));
            object_body(ObjectBody::new(chunks), None, on_end)
        }
        "/broken" => {
            let body = stream::iter([chunk(1000), broken()]);
            object_body(ObjectBody::new(body), Some(2000), on_end)
        }
        "/broken-unsized" => {
            let body = stream::iter([chunk(1000), broken()]);
            object_body(ObjectBody::new(body), None, on_end)
        }
        "/short" => {
            let body = stream::iter([chunk(1000)]);
            object_body(ObjectBody::new(body), Some(2000), on_end)
        }
        "/object" => {
            let body = stream::iter([chunk(200_000)]);
            object_body(ObjectBody::new(body), Some(200_000), on_end)
        }
        _ => Body::from("hello"),
    };
    Response::new(body)
}

pub(super) struct Running {
    pub(super) address: SocketAddr,
    /// Where TLS ends, if it does.
    pub(super) tls_address: Option<SocketAddr>,
    pub(super) stage: Arc<Stage>,
    pub(super) connections: Arc<AtomicUsize>,
    pub(super) rules: Changeable,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Drained>,
}

impl Running {
    pub(super) fn start(limits: &Limits) -> Self {
        Self::draining(limits, PATIENCE)
    }

    pub(super) fn draining(limits: &Limits, drain: Duration) -> Self {
        Self::serving(limits, drain, |server| server)
    }

    /// With these proxies in front, and each client within its limit.
    pub(super) fn behind(trusted_proxies: &str, limits: &Limits) -> Self {
        Self::behind_those(trusted_proxies, false, limits)
    }

    /// The same, with each client announced before its first byte.
    pub(super) fn announced(trusted_proxies: &str, limits: &Limits) -> Self {
        Self::behind_those(trusted_proxies, true, limits)
    }

    fn behind_those(trusted_proxies: &str, announce: bool, limits: &Limits) -> Self {
        let mut trusted = TrustedProxies::default();
        trusted.networks.push(trusted_proxies.parse().unwrap());
        let proxies = Proxies { trusted, announce };
        Self::serving(limits, PATIENCE, |server| server.limiting_clients(proxies))
    }

    /// With a unix socket as well, and these proxies in front.
    pub(super) fn on_socket(limits: &Limits, proxies: Proxies, path: &Path) -> Self {
        Self::serving(limits, PATIENCE, |server| {
            let server = server.with_sockets(&[path.to_owned()], 0o600);
            server.unwrap().limiting_clients(proxies)
        })
    }

    /// With TLS ending here, and each client within its limit.
    pub(super) fn ending_tls(limits: &Limits, proxies: Proxies, acceptor: TlsAcceptor) -> Self {
        Self::serving(limits, PATIENCE, |server| {
            let server = server.limiting_clients(proxies);
            server
                .with_tls(
                    &[([127, 0, 0, 1], 0).into()],
                    acceptor,
                    &mut Handed::nothing(),
                )
                .unwrap()
        })
    }

    fn serving(limits: &Limits, drain: Duration, set: impl FnOnce(Server) -> Server) -> Self {
        let connections = Arc::new(AtomicUsize::new(0));
        let server = Server::bind(
            &[([127, 0, 0, 1], 0).into()],
            limits,
            Arc::clone(&connections),
            &mut Handed::nothing(),
        );
        let server = set(server.unwrap());
        let address = server.local_addresses()[0];
        let tls_address = server.tls_addresses().first().copied();
        let rules = server.changeable();
        let stage = Arc::new(Stage::default());
        let service = {
            let stage = Arc::clone(&stage);
            move |peer, request: Request<Incoming>| {
                assert_ne!(request.uri().path(), "/panic-at-once");
                let stage = Arc::clone(&stage);
                Box::pin(async move { serve(&stage, peer, &request) })
            }
        };
        let stop = CancellationToken::new();
        let task = TaskTracker::new().spawn(server.run(service, stop.clone(), move || drain));
        Self {
            address,
            tls_address,
            stage,
            connections,
            rules,
            stop,
            task,
        }
    }

    pub(super) async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    pub(super) fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    pub(super) async fn stop(self) -> Drained {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE * 2, self.task)
            .await
            .expect("it stops")
            .unwrap()
    }
}

pub(super) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: media.test\r\n\r\n").into_bytes()
}

/// How a connection ended for its client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Closed,
    Reset,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

pub(super) struct Client<S = TcpStream>(pub(super) S);

impl Client {
    pub(super) fn own_address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Writes as far as the server takes it.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// The next answer's head.
    pub(super) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = tokio::time::timeout(PATIENCE, self.0.read_u8()).await;
            head.push(byte.expect("an answer comes").expect("a whole head comes"));
        }
        String::from_utf8(head).unwrap()
    }

    /// One answer with a Content-Length.
    pub(super) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let length = head
            .to_ascii_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .expect("the length is announced");
        let mut body = vec![0; length];
        tokio::time::timeout(PATIENCE, self.0.read_exact(&mut body))
            .await
            .expect("the body comes")
            .expect("the whole body comes");
        Answer {
            status: head[9..12].parse().unwrap(),
            head,
            body,
        }
    }

    /// Everything up to the end of the connection.
    pub(super) async fn rest(&mut self) -> (Vec<u8>, Ending) {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut bytes)).await;
        let ending = match read.expect("the connection ends") {
            Ok(_) => Ending::Closed,
            Err(_) => Ending::Reset,
        };
        (bytes, ending)
    }

    /// Everything up to the end of the connection, as text.
    pub(super) async fn rest_as_text(&mut self) -> String {
        String::from_utf8_lossy(&self.rest().await.0).into_owned()
    }
}
