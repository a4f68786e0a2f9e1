//! Certificates that the gateway fetches itself, from a real authority: Pebble, which is Let's
//! Encrypt's own for tests.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use reqwest::tls::TlsInfo;
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
                .env("PEBBLE_WFE_NONCEREJECT", "0");
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
        let root = self.directory.path().join("authority.pem");
        fs::write(&root, self.identity.pem()).unwrap();
        let table = format!(
            "[server.tls]\nlisten = \"{}\"\n[server.tls.acme]\ndomains = [\"{domain}\"]\n\
             contact = \"mailto:admin@media.test\"\ndirectory = \"https://localhost:{}/dir\"\n\
             challenge = \"{challenge}\"\ndirectory_root = \"{}\"\n",
            self.tls.addr(),
            self.authority.addr().port(),
            root.display(),
        );
        Setup::new(table + &web("only", &self.origin.base_url()) + &route(&["only"]))
            .server(&format!("listen = \"{}\"", self.plain.addr()))
            .tracing()
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
        .build()
        .unwrap()
}

/// Asks on a connection of its own, and returns the certificate that was shown.
async fn shown(viewer: &reqwest::Client, gateway: &Gateway) -> Vec<u8> {
    let response = viewer.get(url(gateway, "/small.bin")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let info = response.extensions().get::<TlsInfo>().unwrap();
    info.peer_certificate().unwrap().to_vec()
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
