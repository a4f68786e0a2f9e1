//! Connections that begin with TLS, with a client that verifies.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore};
use test_servers::tls::Identity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::TaskTracker;

use super::clients::announcement;
use super::fixture::{Client, Ending, PATIENCE, Running, get, limits};
use super::multiplexed::Tasks;
use crate::config::{Limits, Proxies, TrustedProxies};
use crate::tls::{Shown, certificates};

const SHORT: Duration = Duration::from_millis(200);

/// A server whose certificates are these, and a client that trusts them.
pub(super) struct Secured {
    server: Running,
    shown: Arc<Shown>,
    identities: Vec<Identity>,
}

pub(super) type Tls = Client<TlsStream<TcpStream>>;

impl Secured {
    pub(super) fn start() -> Self {
        Self::limited(&limits())
    }

    fn limited(limits: &Limits) -> Self {
        Self::showing(vec![Identity::named(&["media.test"])], limits)
    }

    pub(super) fn showing(identities: Vec<Identity>, limits: &Limits) -> Self {
        Self::behind(Proxies::default(), identities, limits)
    }

    fn behind(proxies: Proxies, identities: Vec<Identity>, limits: &Limits) -> Self {
        let shown = Shown::new(certificates(&identities.iter().collect::<Vec<_>>()));
        Self {
            server: Running::ending_tls(limits, proxies, shown.acceptor()),
            shown,
            identities,
        }
    }

    pub(super) fn client(&self, protocols: &[&str]) -> ClientConfig {
        trusting(&self.identities, protocols, &[&TLS12, &TLS13])
    }

    pub(super) fn identities(&self) -> &[Identity] {
        &self.identities
    }

    async fn tcp(&self) -> TcpStream {
        let address = self.server.tls_address.unwrap();
        TcpStream::connect(address).await.unwrap()
    }

    pub(super) async fn try_connect(
        &self,
        client: ClientConfig,
        host: &str,
    ) -> std::io::Result<Tls> {
        self.try_connect_on(self.tcp().await, client, host).await
    }

    async fn try_connect_on(
        &self,
        tcp: TcpStream,
        client: ClientConfig,
        host: &str,
    ) -> std::io::Result<Tls> {
        let connector = TlsConnector::from(Arc::new(client));
        let host = ServerName::try_from(host.to_owned()).unwrap();
        let shaken = connector.connect(host, tcp);
        let shaken = tokio::time::timeout(PATIENCE, shaken).await;
        Ok(Client(shaken.expect("the handshake ends")?))
    }

    async fn connect(&self) -> Tls {
        let client = self.client(&["http/1.1"]);
        self.try_connect(client, "media.test").await.unwrap()
    }

    async fn multiplexed(&self) -> SendRequest<Empty<Bytes>> {
        let client = self.client(&["h2"]);
        let tls = self.try_connect(client, "media.test").await.unwrap();
        let tasks = Tasks(TaskTracker::new());
        let (sender, connection) = http2::handshake(tasks.clone(), TokioIo::new(tls.0))
            .await
            .unwrap();
        tasks.0.spawn(connection);
        sender
    }
}

fn trusting(
    identities: &[Identity],
    protocols: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for identity in identities {
        roots
            .add(CertificateDer::from(identity.der().to_vec()))
            .unwrap();
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let protocols = protocols.iter().map(|name| name.as_bytes().to_vec());
    client.alpn_protocols = protocols.collect();
    client
}

fn asking(path: &str) -> Request<Empty<Bytes>> {
    let uri = format!("https://media.test{path}");
    Request::get(uri).body(Empty::new()).unwrap()
}

/// Reads all at once: what is not read of one keeps the window of all.
async fn all_come(streams: Vec<hyper::Result<Response<Incoming>>>) {
    let bodies = streams
        .into_iter()
        .map(|stream| stream.unwrap().into_body().collect());
    for body in join_all(bodies).await {
        assert_eq!(body.unwrap().to_bytes().len(), 200_000);
    }
}

#[tokio::test]
async fn both_versions_and_all_protocols_are_spoken() {
    let secured = Secured::start();
    for (version, spoken) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        for (offered, chosen) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&["http/1.1", "h2"], Some("h2")),
            (&[], None),
        ] {
            let client = trusting(&secured.identities, offered, &[version]);
            let mut client = secured.try_connect(client, "media.test").await.unwrap();
            let (_, session) = client.0.get_ref();
            assert_eq!(session.protocol_version(), Some(spoken));
            assert_eq!(session.alpn_protocol(), chosen.map(str::as_bytes));
            if chosen != Some("h2") {
                client.send(&get("/object")).await;
                assert_eq!(client.answer().await.body.len(), 200_000);
            }
        }
        let client = trusting(&secured.identities, &["h3"], &[version]);
        assert!(secured.try_connect(client, "media.test").await.is_err());
    }
}

#[tokio::test]
async fn http2_is_answered() {
    let secured = Secured::start();
    let mut client = secured.multiplexed().await;
    let answer = client.send_request(asking("/object")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), 200_000);
}

#[tokio::test]
async fn the_host_that_a_client_names_picks_its_certificate() {
    let identities = vec![
        Identity::named(&["first.test", "127.0.0.1"]),
        Identity::named(&["*.media.test"]),
        Identity::named(&["exact.media.test"]),
    ];
    let secured = Secured::showing(identities, &limits());
    // An address is not named to the server (RFC 6066 section 3).
    for (host, shown) in [
        ("first.test", 0),
        ("127.0.0.1", 0),
        ("any.media.test", 1),
        ("exact.media.test", 2),
    ] {
        let client = secured.client(&["http/1.1"]);
        let client = secured.try_connect(client, host).await.unwrap();
        let certificates = client.0.get_ref().1.peer_certificates().unwrap();
        assert!(
            certificates[0].as_ref() == secured.identities[shown].der(),
            "{host}"
        );
    }
    // Whoever asks for another host sees the first one, and does not accept it.
    let unknown = secured
        .try_connect(secured.client(&["h2"]), "unknown.test")
        .await;
    assert!(unknown.is_err());
}

#[tokio::test]
async fn a_session_is_resumed_also_after_the_certificates_have_changed() {
    let secured = Secured::start();
    for version in [&TLS12, &TLS13] {
        let client = trusting(&secured.identities, &["http/1.1"], &[version]);
        for kind in [
            HandshakeKind::Full,
            HandshakeKind::Resumed,
            HandshakeKind::Resumed,
        ] {
            let mut client = secured
                .try_connect(client.clone(), "media.test")
                .await
                .unwrap();
            client.send(&get("/")).await;
            assert_eq!(client.answer().await.body, b"hello");
            assert_eq!(
                client.0.get_ref().1.handshake_kind(),
                Some(kind),
                "{version:?}"
            );
            let others = Identity::named(&["media.test"]);
            secured.shown.become_these(certificates(&[&others]));
        }
        let first = &secured.identities[0];
        secured.shown.become_these(certificates(&[first]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_downloads_do_not_notice_that_the_certificates_change() {
    let mut secured = Secured::start();
    let mut plain = Vec::new();
    for _ in 0..25 {
        let mut client = secured.connect().await;
        client.send(&get("/held")).await;
        plain.push(client);
    }
    let mut multiplexed = secured.multiplexed().await;
    let streams = (0..25).map(|_| multiplexed.send_request(asking("/held")));
    let streams: Vec<_> = join_all(streams).await;
    secured.server.stage.started(50).await;

    let new = Identity::named(&["media.test"]);
    secured.shown.become_these(certificates(&[&new]));
    let old = secured
        .try_connect(secured.client(&["h2"]), "media.test")
        .await;
    assert!(old.is_err(), "the old certificate is still shown");
    secured.identities.push(new);
    let mut fresh = secured.connect().await;
    fresh.send(&get("/")).await;
    assert_eq!(fresh.answer().await.body, b"hello");

    secured.server.stage.go_on.cancel();
    for client in &mut plain {
        assert_eq!(client.answer().await.body.len(), 200_000);
    }
    all_come(streams).await;
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_cut() {
    let mut limits = limits();
    limits.header_timeout = SHORT;
    let secured = Secured::limited(&limits);
    // Nothing; the beginning of a hello; and a whole handshake without a request.
    let mut silent = Client(secured.tcp().await);
    let mut begun = Client(secured.tcp().await);
    begun.send(&[22, 3, 1, 2, 0, 1, 0, 1, 252]).await;
    let mut shaken = secured.connect().await;
    let start = Instant::now();
    silent.rest().await;
    begun.rest().await;
    shaken.rest().await;
    assert!(start.elapsed() < PATIENCE);
    assert_eq!(secured.server.stage.started.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_not_tls_is_told_so_and_costs_nobody_else() {
    let secured = Secured::start();
    let mut plain = Client(secured.tcp().await);
    plain.send(&get("/")).await;
    let (said, _) = plain.rest().await;
    // A fatal alert, and not a word of HTTP.
    assert!(
        said.first() == Some(&21) && said.get(5) == Some(&2),
        "{said:?}"
    );
    let mut other = secured.connect().await;
    other.send(&get("/")).await;
    assert_eq!(other.answer().await.body, b"hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_never_ends_cleanly() {
    let secured = Secured::start();
    for path in ["/broken", "/broken-unsized", "/short", "/panicking-body"] {
        for version in ["1.1", "1.0"] {
            let mut client = secured.connect().await;
            let request = format!("GET {path} HTTP/{version}\r\nHost: a\r\n\r\n");
            client.send(request.as_bytes()).await;
            let (bytes, ending) = client.rest().await;
            // Closed would be TLS' own farewell.
            assert_eq!(ending, Ending::Reset, "{path} over {version}");
            let sent = String::from_utf8_lossy(&bytes).matches('x').count();
            let expected = if path == "/panicking-body" { 0 } else { 1000 };
            assert_eq!(sent, expected, "{path} over {version}");
        }
    }
    let mut client = secured.multiplexed().await;
    let answer = client.send_request(asking("/broken")).await.unwrap();
    assert!(answer.into_body().collect().await.is_err());
    let answer = client.send_request(asking("/")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_whole_answer_ends_with_a_farewell() {
    let secured = Secured::start();
    let mut client = secured.connect().await;
    let last = b"GET /object HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.send(last).await;
    let (bytes, ending) = client.rest().await;
    assert_eq!(ending, Ending::Closed);
    assert!(bytes.len() > 200_000);
}

#[tokio::test]
async fn a_client_that_has_no_more_to_say_is_answered() {
    let secured = Secured::start();
    for farewell in [true, false] {
        let mut client = secured.connect().await;
        client.send(&get("/held")).await;
        secured
            .server
            .stage
            .started(1 + usize::from(!farewell))
            .await;
        if farewell {
            client.0.shutdown().await.unwrap();
        } else {
            // As a client that is killed: the end of its direction, without a word of TLS.
            client.0.get_mut().0.shutdown().await.unwrap();
        }
        secured.server.stage.go_on.cancel();
        assert_eq!(client.answer().await.body.len(), 200_000, "{farewell}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_is_cut_and_its_body_let_go() {
    let mut limits = limits();
    limits.minimum_rate_grace = SHORT;
    let secured = Secured::limited(&limits);
    let mut client = secured.connect().await;
    client.send(&get("/endless")).await;
    secured.server.stage.ended(1).await;
    assert_eq!(client.rest().await.1, Ending::Reset);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_in_flight_all_finish_when_the_server_stops() {
    let secured = Secured::start();
    let mut plain = Vec::new();
    for _ in 0..50 {
        let mut client = secured.connect().await;
        client.send(&get("/held")).await;
        plain.push(client);
    }
    let mut multiplexed = secured.multiplexed().await;
    let streams = (0..50).map(|_| multiplexed.send_request(asking("/held")));
    let streams: Vec<_> = join_all(streams).await;
    let mut idle = secured.connect().await;
    idle.send(&get("/")).await;
    idle.answer().await;
    secured.server.stage.started(101).await;
    secured.server.begin_to_stop();
    // Idle connections are bidden farewell at once.
    assert_eq!(idle.rest().await.1, Ending::Closed);
    secured.server.stage.go_on.cancel();
    for client in &mut plain {
        assert_eq!(client.answer().await.body.len(), 200_000);
    }
    all_come(streams).await;
    drop((plain, multiplexed));
    assert_eq!(secured.server.stop().await.aborted, 0);
}

#[tokio::test]
async fn a_handshake_does_not_hold_up_the_end() {
    let secured = Secured::start();
    let _silent = secured.tcp().await;
    while secured.server.connections.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let start = Instant::now();
    let drained = secured.server.stop().await;
    assert_eq!(drained.aborted, 0);
    assert!(start.elapsed() < PATIENCE / 2);
}

#[tokio::test]
async fn a_client_has_so_many_connections_without_word_of_proxies() {
    let mut limits = limits();
    limits.connections_per_client = 2;
    let secured = Secured::limited(&limits);
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = secured.connect().await;
        client.send(&get("/")).await;
        assert_eq!(client.answer().await.status, 200);
        held.push(client);
    }
    let third = secured
        .try_connect(secured.client(&["h2"]), "media.test")
        .await;
    assert!(third.is_err(), "a third connection is let in");
}

#[tokio::test]
async fn headers_are_looked_at_within_tls() {
    let secured = Secured::start();
    let mut client = secured.connect().await;
    client.send(b"GET / HTTP/1.1\nHost: a\r\n\r\n").await;
    let mut status = [0; 12];
    client.0.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 400");
}

#[tokio::test]
async fn a_balancer_announces_its_client_before_tls_begins() {
    let trusted = TrustedProxies {
        networks: vec!["127.0.0.0/8".parse().unwrap()],
        by_socket: false,
    };
    let proxies = Proxies {
        trusted,
        announce: true,
    };
    let identities = vec![Identity::named(&["media.test"])];
    let secured = Secured::behind(proxies, identities, &limits());
    let mut tcp = secured.tcp().await;
    tcp.write_all(&announcement(1)).await.unwrap();
    let client = secured.client(&["http/1.1"]);
    let mut client = secured
        .try_connect_on(tcp, client, "media.test")
        .await
        .unwrap();
    client.send(&get("/peer")).await;
    assert_eq!(client.answer().await.body, b"203.0.113.1:4711");
    let unannounced = secured.try_connect(secured.client(&["h2"]), "media.test");
    assert!(unannounced.await.is_err());
}
