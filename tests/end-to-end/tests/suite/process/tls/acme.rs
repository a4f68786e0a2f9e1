//! Certificates that the gateway fetches itself, from a real authority: Pebble, which is Let's
//! Encrypt's own for tests.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use reqwest::tls::TlsInfo;
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use test_servers::ReservedPort;
use test_servers::faulty::{Fault, Faulty, Gate, On};
use test_servers::tls::Identity;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use super::super::harness::{Gateway, PATIENCE, Setup, route, web};
use super::{HOST, picture, url};

/// Other names of the same gateway.
const ONE: &str = "one.test";
const TWO: &str = "two.test";
const SERVED: &str = "a new certificate is served";
const ORDERED: &str = "POST /order-plz";

/// A program whose lines are read; killed when dropped.
struct Running {
    child: Child,
    lines: watch::Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("pebble is installed by tests/lib/packages.sh");
        let (sender, lines) = watch::channel(String::new());
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in out.map_while(Result::ok) {
                sender.send_modify(|said| {
                    said.push_str(&line);
                    said.push('\n');
                });
            }
        });
        Self { child, lines }
    }

    fn count(&self, what: &str) -> usize {
        self.lines.borrow().matches(what).count()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The authority's and the gateway's ports, which each must know of the other.
struct Scene {
    directory: TempDir,
    identity: Identity,
    authority: ReservedPort,
    management: ReservedPort,
    dns: ReservedPort,
    plain: ReservedPort,
    tls: ReservedPort,
    origin: Faulty,
    gate: Gate,
}

impl Scene {
    async fn set() -> Self {
        let origin = Faulty::start().await;
        origin.put("small.bin", "small");
        origin.put("a.bin", picture());
        let gate = Gate::new();
        origin.fault(On::key("a.bin"), Fault::HoldAfter(100_000, gate.clone()));
        let port = || ReservedPort::any().unwrap();
        Self {
            directory: tempfile::tempdir().unwrap(),
            identity: Identity::localhost(),
            authority: port(),
            management: port(),
            dns: port(),
            plain: port(),
            tls: port(),
            origin,
            gate,
        }
    }

    /// Starts the authority, whose certificates last so long.
    async fn authority(&self, lifetime_seconds: u32) -> (Running, Running) {
        self.authority_that_rejects(0, lifetime_seconds).await
    }

    /// The same, and of a hundred nonces it does not know so many again.
    async fn authority_that_rejects(
        &self,
        nonces_percent: u32,
        lifetime_seconds: u32,
    ) -> (Running, Running) {
        let at = |name: &str| self.directory.path().join(name);
        fs::write(at("authority.pem"), self.identity.pem()).unwrap();
        fs::write(at("authority.key"), self.identity.key_pem()).unwrap();
        let config = json!({"pebble": {
            "listenAddress": self.authority.addr().to_string(),
            "managementListenAddress": self.management.addr().to_string(),
            "certificate": at("authority.pem"),
            "privateKey": at("authority.key"),
            "httpPort": self.plain.addr().port(),
            "tlsPort": self.tls.addr().port(),
            "domainBlocklist": ["blocked.test"],
            "certificateValidityPeriod": lifetime_seconds,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        }});
        fs::write(at("pebble.json"), config.to_string()).unwrap();
        let dns = self.dns.addr().to_string();
        let names = Running::start(Command::new("pebble-challtestsrv").args([
            "-defaultIPv6",
            "",
            "-dns01",
            &dns,
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-management",
            "127.0.0.1:0",
        ]));
        let pebble = || {
            let mut pebble = Command::new("pebble");
            pebble
                .arg("-config")
                .arg(at("pebble.json"))
                .args(["-dnsserver", &dns])
                .env("PEBBLE_VA_NOSLEEP", "1")
                .env("PEBBLE_AUTHZREUSE", "0")
                .env("PEBBLE_WFE_NONCEREJECT", nonces_percent.to_string());
            Running::start(&mut pebble)
        };
        // It says that it is available before it listens, and may fail to; then it has ended.
        let mut authority = pebble();
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.authority.addr()).await.is_err() {
            assert!(Instant::now() < deadline, "{}", *authority.lines.borrow());
            if let Ok(Some(ended)) = authority.child.try_wait() {
                println!("pebble: {ended}: {}", *authority.lines.borrow());
                authority = pebble();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        (names, authority)
    }

    fn setup(&self, domain: &str, challenge: &str) -> Setup {
        Setup::new(self.tables(&[domain], challenge))
            .server(&format!("listen = \"{}\"", self.plain.addr()))
            .tracing()
    }

    /// The tables of TLS, the origin and the route.
    fn tables(&self, domains: &[&str], challenge: &str) -> String {
        let root = self.directory.path().join("authority.pem");
        fs::write(&root, self.identity.pem()).unwrap();
        let table = format!(
            "[server.tls]\nlisten = \"{}\"\n[server.tls.acme]\ndomains = {domains:?}\n\
             contact = \"mailto:admin@media.test\"\ndirectory = \"https://localhost:{}/dir\"\n\
             challenge = \"{challenge}\"\ndirectory_root = \"{}\"\n",
            self.tls.addr(),
            self.authority.addr().port(),
            root.display(),
        );
        table + &web("only", &self.origin.base_url()) + &route(&["only"])
    }

    /// What viewers trust: the authority's own root.
    async fn viewer(&self, gateway: &Gateway) -> reqwest::Client {
        let ask = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([pem(self.identity.pem())])
            .build()
            .unwrap();
        let root = format!(
            "https://localhost:{}/roots/0",
            self.management.addr().port()
        );
        let root = ask.get(root).send().await.unwrap().text().await.unwrap();
        trusting(&root, gateway.tls())
    }
}

fn pem(text: &str) -> reqwest::Certificate {
    reqwest::Certificate::from_pem(text.as_bytes()).unwrap()
}

fn trusting(root: &str, tls: SocketAddr) -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([pem(root)])
        .tls_info(true)
        .pool_max_idle_per_host(0)
        .resolve(HOST, tls)
        .resolve(ONE, tls)
        .resolve(TWO, tls)
        .build()
        .unwrap()
}

/// Asks on a connection of its own, and returns the certificate that was shown.
async fn shown(viewer: &reqwest::Client, gateway: &Gateway) -> Vec<u8> {
    shown_for(HOST, viewer, gateway).await.unwrap()
}

async fn shown_for(
    host: &str,
    viewer: &reqwest::Client,
    gateway: &Gateway,
) -> reqwest::Result<Vec<u8>> {
    let url = url(gateway, "/small.bin").replace(HOST, host);
    let response = viewer.get(url).send().await?;
    assert_eq!(response.status(), 200);
    let info = response.extensions().get::<TlsInfo>().unwrap();
    Ok(info.peer_certificate().unwrap().to_vec())
}

fn count(gateway: &Gateway, what: &str) -> usize {
    gateway.log().matches(what).count()
}

#[tokio::test]
async fn a_certificate_is_fetched_over_http_and_kept_and_no_key_is_told() {
    let scene = Scene::set().await;
    let (_names, authority) = scene.authority(86_400).await;
    let setup = scene.setup(HOST, "http-01");
    let mut gateway = setup.start().await;
    gateway.logged(SERVED).await;
    let viewer = scene.viewer(&gateway).await;
    let first = shown(&viewer, &gateway).await;
    let metrics = gateway.operators("/metrics").await.text();
    assert!(
        metrics.contains("media_gateway_certificate_expiry_seconds{name=\"media.test\"} 8"),
        "{metrics}"
    );
    assert_eq!(
        gateway
            .get("/.well-known/acme-challenge/token")
            .await
            .status,
        404
    );

    let mut secrets = Vec::new();
    for authority in fs::read_dir(setup.state_directory().join("acme")).unwrap() {
        for file in fs::read_dir(authority.unwrap().path()).unwrap() {
            let file = file.unwrap();
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", file.path().display());
            let text = fs::read_to_string(file.path()).unwrap();
            let key = text.split("PRIVATE KEY-----\n").nth(1);
            secrets.extend(key.and_then(|key| key.lines().next()).map(str::to_owned));
            let account: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            secrets.extend(account["key_pkcs8"].as_str().map(str::to_owned));
        }
    }
    assert_eq!(
        secrets.len(),
        2,
        "a key of the account and one of the certificate"
    );
    let log = gateway.stopped().await;
    for secret in secrets {
        assert!(!log.contains(&secret) && !log.contains("PRIVATE KEY"));
    }

    let again = setup.start().await;
    assert_eq!(shown(&viewer, &again).await, first);
    again.stopped().await;
    assert_eq!(authority.count(ORDERED), 1);
}

#[tokio::test]
async fn a_name_is_proven_in_the_handshake() {
    let scene = Scene::set().await;
    let (_names, authority) = scene.authority(86_400).await;
    let mut gateway = scene.setup(HOST, "tls-alpn-01").start().await;
    gateway.logged(SERVED).await;
    shown(&scene.viewer(&gateway).await, &gateway).await;
    assert_eq!(authority.count(ORDERED), 1);
}

#[tokio::test]
async fn a_renewal_changes_the_certificate_and_cuts_no_download() {
    let scene = Scene::set().await;
    let (_names, _authority) = scene.authority(15).await;
    let mut gateway = scene.setup(HOST, "auto").start().await;
    gateway.logged(SERVED).await;
    let viewer = scene.viewer(&gateway).await;
    let first = shown(&viewer, &gateway).await;
    let download = viewer.get(url(&gateway, "/a.bin")).send().await.unwrap();
    gateway.logged_times(SERVED, 2).await;
    // Another client: this one would ask on the connection of its download.
    let newcomer = scene.viewer(&gateway).await;
    assert_ne!(shown(&newcomer, &gateway).await, first);
    scene.gate.open();
    assert_eq!(download.bytes().await.unwrap(), picture());
}

#[tokio::test]
async fn an_authority_that_is_down_holds_up_nobody_and_is_asked_again() {
    let scene = Scene::set().await;
    let mut gateway = scene.setup(HOST, "http-01").start().await;
    gateway
        .logged_times("the authority cannot be reached", 2)
        .await;
    let response = gateway
        .client()
        .get(gateway.url("/.well-known/acme-challenge/t"));
    assert_eq!(response.send().await.unwrap().status(), 404);
    let viewer = trusting(scene.identity.pem(), gateway.tls());
    assert!(
        viewer
            .get(url(&gateway, "/small.bin"))
            .send()
            .await
            .is_err()
    );
    let (_names, _authority) = scene.authority(86_400).await;
    gateway.logged(SERVED).await;
    shown(&scene.viewer(&gateway).await, &gateway).await;
}

#[tokio::test]
async fn a_refused_name_is_told_with_its_remedy_and_not_ordered_again_by_a_restart() {
    let scene = Scene::set().await;
    let (_names, authority) = scene.authority(86_400).await;
    let setup = scene.setup("blocked.test", "http-01");
    let mut gateway = setup.start().await;
    gateway.logged("no certificate came about").await;
    let log = gateway.stopped().await;
    assert!(log.contains("rejectedIdentifier"), "{log}");
    assert!(
        log.contains("correct it in server.tls.acme.domains"),
        "{log}"
    );
    for _ in 0..3 {
        let mut again = setup.start().await;
        again.logged("the next order waits").await;
        assert_eq!(count(&again, "no certificate came about"), 0);
        again.stopped().await;
    }
    assert_eq!(authority.count(ORDERED), 1);
}

#[tokio::test]
async fn a_reload_adds_names_and_drops_names_and_leaves_the_others_as_they_are() {
    let scene = Scene::set().await;
    let (_names, authority) = scene.authority(86_400).await;
    let setup = scene
        .setup(HOST, "auto")
        .with_others(scene.tables(&[HOST, ONE], "auto"));
    let mut gateway = setup.start().await;
    gateway.logged_times(SERVED, 2).await;
    let viewer = scene.viewer(&gateway).await;
    let kept = shown(&viewer, &gateway).await;
    shown_for(ONE, &viewer, &gateway).await.unwrap();

    let names = [HOST, TWO, "three.test", "four.test"];
    let setup = setup.with_others(scene.tables(&names, "auto"));
    setup.written();
    gateway.signal(Signal::HUP);
    gateway.logged_times(SERVED, 2 + 3).await;
    shown_for(TWO, &viewer, &gateway).await.unwrap();
    assert_eq!(shown(&viewer, &gateway).await, kept);
    assert!(shown_for(ONE, &viewer, &gateway).await.is_err());

    // What was fetched is kept for a name that comes back.
    let setup = setup.with_others(scene.tables(&[HOST, ONE], "auto"));
    setup.written();
    gateway.signal(Signal::HUP);
    gateway.logged_times("\"by\":\"SIGHUP\"", 2).await;
    shown_for(ONE, &viewer, &gateway).await.unwrap();
    assert!(shown_for(TWO, &viewer, &gateway).await.is_err());
    assert_eq!(authority.count(ORDERED), 5);
}

#[tokio::test]
async fn an_authority_that_takes_no_nonce_is_told_of_and_left_alone_for_a_while() {
    let scene = Scene::set().await;
    let (_names, authority) = scene.authority_that_rejects(100, 86_400).await;
    let setup = scene.setup(HOST, "http-01");
    let mut gateway = setup.start().await;
    gateway.logged("no certificate came about").await;
    gateway.logged("the next order waits").await;
    let log = gateway.stopped().await;
    assert!(log.contains("badNonce"), "{log}");
    // The library tries each request a few times with a new one.
    let tried = authority.count("POST /");
    assert!((2..=5).contains(&tried), "{tried} times");
    assert_eq!(authority.count(ORDERED), 0);
}

#[tokio::test]
async fn what_was_tried_and_cannot_be_read_stops_orders_until_it_can() {
    let scene = Scene::set().await;
    let (_names, authority) = scene.authority(86_400).await;
    let setup = scene.setup(HOST, "http-01");
    let mut gateway = setup.start().await;
    gateway.logged(SERVED).await;
    gateway.stopped().await;
    let kept = fs::read_dir(setup.state_directory().join("acme")).unwrap();
    let kept = kept.last().unwrap().unwrap().path();
    fs::remove_file(kept.join("media.test.pem")).unwrap();
    let attempts = kept.join("media.test.json");
    fs::write(&attempts, "{\"begun\":").unwrap();

    let mut again = setup.start().await;
    again.logged_times("a file cannot be used", 2).await;
    let log = again.log();
    assert!(log.contains(&attempts.display().to_string()), "{log}");
    assert!(!log.contains("the authority cannot be reached"), "{log}");
    assert_eq!(authority.count(ORDERED), 1);
    fs::remove_file(&attempts).unwrap();
    again.logged(SERVED).await;
    assert_eq!(authority.count(ORDERED), 2);
}
