//! HTTPS that ends in the gateway: certificates that change, and downloads that go on.

mod acme;
mod attacks;
mod plain;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Version;
use reqwest::tls::TlsInfo;
use rustix::process::Signal;
use test_servers::faulty::{Fault, Faulty, Gate, On};
use test_servers::tls::Identity;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::{Gateway, PATIENCE, Setup, route, web};

const HOST: &str = "media.test";
const DOWNLOADS: usize = 200;
/// What a viewer of HTTP/2 lets a download be ahead of its reader.
const WINDOW_BYTES: u32 = 65_535;
/// How long a slow reader waits after each piece.
const BREATH: Duration = Duration::from_millis(10);

fn picture() -> Bytes {
    (0..200_000u32).flat_map(u32::to_le_bytes).collect()
}

/// A directory as certbot keeps it: `live/` has links, which lead to what was issued last.
struct Certbot(tempfile::TempDir);

impl Certbot {
    fn with(identity: &Identity) -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        fs::create_dir(this.path("live")).unwrap();
        this.renews(1, identity.pem(), identity.key_pem());
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Lays the files beside the old ones and turns the links over, one after the other.
    fn renews(&self, number: u32, certificate: &str, key: &str) {
        for (name, text) in [("fullchain", certificate), ("privkey", key)] {
            let issued = self.path(&format!("{name}{number}.pem"));
            fs::write(&issued, text).unwrap();
            let new = self.path("new");
            symlink(&issued, &new).unwrap();
            fs::rename(new, self.path(&format!("live/{name}.pem"))).unwrap();
        }
    }

    /// The table of the configuration.
    fn table(&self, more: &str) -> String {
        let live = self.path("live");
        let live = live.display();
        format!(
            "[server.tls]\nlisten = \"127.0.0.1:0\"\ncertificate = \"{live}/fullchain.pem\"\n\
             private_key = \"{live}/privkey.pem\"\n{more}\n"
        )
    }
}

/// Whoever trusts these and knows where `media.test` is.
fn client(gateway: &Gateway, trusted: &[&Identity], version: Version) -> reqwest::Client {
    let roots = trusted.iter().map(|identity| identity.pem());
    let roots = roots.map(|pem| reqwest::Certificate::from_pem(pem.as_bytes()).unwrap());
    let mut client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only(roots)
        .tls_info(true)
        .http2_initial_stream_window_size(WINDOW_BYTES)
        .resolve(HOST, gateway.tls());
    client = match version {
        Version::HTTP_11 => client.http1_only(),
        // Otherwise many who ask at once have a connection each.
        _ => client.http2_prior_knowledge(),
    };
    client.build().unwrap()
}

fn url(gateway: &Gateway, path: &str) -> String {
    format!("https://{HOST}:{}{path}", gateway.tls().port())
}

/// Asks on a connection of its own, and returns the certificate that it was shown.
async fn shown(gateway: &Gateway, trusted: &Identity) -> reqwest::Result<Vec<u8>> {
    let client = client(gateway, &[trusted], Version::HTTP_2);
    let response = client.get(url(gateway, "/small.bin")).send().await?;
    assert_eq!(response.status(), 200);
    let info = response.extensions().get::<TlsInfo>().unwrap();
    Ok(info.peer_certificate().unwrap().to_vec())
}

/// Downloads that are half done, over connections of their own and over one that is shared.
async fn half_done(gateway: &Gateway, trusted: &Identity) -> Vec<reqwest::Response> {
    let mut downloads = Vec::new();
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let client = client(gateway, &[trusted], version);
        let asked = (0..DOWNLOADS / 2).map(|_| client.get(url(gateway, "/a.bin")).send());
        for response in join_all(asked).await {
            let response = response.unwrap();
            assert_eq!(
                (response.status().as_u16(), response.version()),
                (200, version)
            );
            downloads.push(response);
        }
    }
    downloads
}

/// Reads all of them slowly, and none is cut or wrong.
async fn all_come(downloads: Vec<reqwest::Response>) {
    assert_eq!(downloads.len(), DOWNLOADS);
    let read = downloads.into_iter().map(async |mut response| {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await? {
            body.extend_from_slice(&piece);
            tokio::time::sleep(BREATH).await;
        }
        reqwest::Result::Ok(body)
    });
    let bodies = join_all(read).await;
    let picture = picture();
    let is_lost = |body: &&reqwest::Result<Vec<u8>>| body.as_deref().ok() != Some(&*picture);
    assert_eq!(bodies.iter().filter(is_lost).count(), 0, "of {DOWNLOADS}");
}

struct Scene {
    origin: Faulty,
    gate: Gate,
    identity: Identity,
    certbot: Certbot,
    setup: Setup,
}

impl Scene {
    async fn set(more: &str) -> Self {
        let origin = Faulty::start().await;
        origin.put("a.bin", picture());
        origin.put("small.bin", "small");
        let gate = Gate::new();
        origin.fault(On::key("a.bin"), Fault::HoldAfter(100_000, gate.clone()));
        let identity = Identity::named(&[HOST, "127.0.0.1"]);
        let certbot = Certbot::with(&identity);
        let setup =
            Setup::new(certbot.table(more) + &web("only", &origin.base_url()) + &route(&["only"]));
        let setup = setup.limits(&format!("connections_per_client = {}", DOWNLOADS * 2));
        Self {
            origin,
            gate,
            identity,
            certbot,
            setup,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_without_a_restart_and_none_of_two_hundred_slow_downloads_notices()
 {
    let scene = Scene::set("").await;
    let mut gateway = scene.setup.start().await;
    assert!(shown(&gateway, &scene.identity).await.unwrap() == scene.identity.der());
    let downloads = half_done(&gateway, &scene.identity).await;

    let renewed = Identity::named(&[HOST]);
    let certbot = &scene.certbot;
    certbot.renews(2, renewed.pem(), renewed.key_pem());
    gateway
        .logged("certificate media.test until 2125-01-01")
        .await;
    assert!(shown(&gateway, &renewed).await.unwrap() == renewed.der());
    assert!(shown(&gateway, &scene.identity).await.is_err());

    // One that cannot be used is refused, and the one before holds.
    let other = Identity::named(&[HOST]);
    certbot.renews(3, other.pem(), renewed.key_pem());
    gateway.logged("does not fit").await;
    gateway.logged("the one before holds").await;
    let live = certbot.path("live/privkey.pem").display().to_string();
    assert!(gateway.log().contains(&live), "{}", gateway.log());
    assert!(shown(&gateway, &renewed).await.unwrap() == renewed.der());

    // By a signal it is taken at once.
    certbot.renews(4, other.pem(), other.key_pem());
    gateway.signal(Signal::HUP);
    gateway.logged("SIGHUP").await;
    assert!(shown(&gateway, &other).await.unwrap() == other.der());

    scene.gate.open();
    all_come(downloads).await;
    gateway.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_slow_downloads_over_tls_survive_a_sigterm() {
    let scene = Scene::set("").await;
    let mut gateway = scene.setup.start().await;
    let downloads = half_done(&gateway, &scene.identity).await;
    gateway.signal(Signal::TERM);
    gateway.logged("accepting nothing new").await;
    let refused = async { while TcpStream::connect(gateway.tls()).await.is_ok() {} };
    timeout(PATIENCE, refused).await.expect("it is closed");
    scene.gate.open();
    all_come(downloads).await;
    assert_eq!(gateway.ended().await.code(), Some(0));
    let log = gateway.log();
    assert!(log.contains("\"aborted\":0"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_that_the_end_cuts_off_are_seen_to_be_broken() {
    let scene = Scene::set("").await;
    let mut gateway = scene.setup.server("drain = \"1s\"").start().await;
    let downloads = half_done(&gateway, &scene.identity).await;
    gateway.signal(Signal::TERM);
    let bodies = join_all(downloads.into_iter().map(reqwest::Response::bytes)).await;
    assert!(bodies.iter().all(Result::is_err), "one looks whole");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_body_whose_origin_dies_is_seen_to_be_broken_over_tls() {
    let scene = Scene::set("").await;
    let gateway = scene.setup.start().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for chunked in [false, true] {
            let key = format!("{version:?}-{chunked}.bin").replace('/', "-");
            scene.origin.put(&key, picture());
            let on = || On::key(&key);
            if chunked {
                scene.origin.fault(on(), Fault::Chunked);
            }
            scene.origin.fault(on(), Fault::ResetAfter(300_000));
            // Nobody brings the rest.
            scene.origin.fault(on().after(1), Fault::Drop);
            let client = client(&gateway, &[&scene.identity], version);
            let path = format!("/{key}");
            let response = client.get(url(&gateway, &path)).send().await.unwrap();
            assert_eq!(response.status(), 200, "{path}");
            assert!(response.bytes().await.is_err(), "{path}");
            let response = client.get(url(&gateway, "/small.bin")).send().await;
            assert_eq!(response.unwrap().status(), 200);
        }
    }
}

#[tokio::test]
async fn operators_are_told_how_long_a_certificate_has_still() {
    let scene = Scene::set("").await;
    let gateway = scene.setup.start().await;
    let left = async || {
        let metrics = gateway.operators("/metrics").await.text();
        let mut lines = metrics.lines();
        let line = "media_gateway_certificate_expiry_seconds{name=\"media.test\"} ";
        lines.find_map(|metric| metric.strip_prefix(line)?.parse::<i64>().ok())
    };
    // To the first of January 2125.
    let seconds = left().await.unwrap();
    assert!(
        (3_000_000_000..3_200_000_000).contains(&seconds),
        "{seconds}"
    );

    let report = scene.setup.json(&["check", "--json"]).await;
    let findings = report["findings"].as_array().unwrap();
    let told: Vec<_> = findings
        .iter()
        .filter(|finding| finding["subject"] == "server.tls")
        .collect();
    let what = told[0]["what"].as_str().unwrap();
    assert!(what.starts_with("media.test, 127.0.0.1: 3"), "{what}");
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_refused_at_start_with_what_to_do() {
    let scene = Scene::set("").await;
    let live = scene.certbot.path("live/privkey.pem").display().to_string();
    let other = Identity::named(&[HOST]);
    for (certificate, key, words) in [
        (scene.identity.pem(), other.key_pem(), "does not fit"),
        (scene.identity.pem(), "", "no private key"),
    ] {
        scene.certbot.renews(2, certificate, key);
        for said in [
            scene.setup.refused().await,
            String::from_utf8(scene.setup.run(&["check", "--offline"]).await.stderr).unwrap(),
        ] {
            for word in ["server.tls.private_key", &live, words, "remedy: "] {
                assert!(said.contains(word), "{word:?} is not in: {said}");
            }
        }
    }
    fs::remove_file(scene.certbot.path("live/fullchain.pem")).unwrap();
    let said = scene.setup.refused().await;
    assert!(said.contains("server.tls.certificate"), "{said}");
    assert!(said.contains("No such file"), "{said}");
    // One that is no longer valid is better than none, and said.
    let expired = Identity::expired();
    scene.certbot.renews(3, expired.pem(), expired.key_pem());
    let mut gateway = scene.setup.start().await;
    gateway.logged("has expired").await;
}

/// The files' names in the configuration may be relative, to where the gateway was started.
#[tokio::test]
async fn relative_paths_are_those_of_the_working_directory() {
    let scene = Scene::set("").await;
    let setup = scene.setup;
    let place = |name: &str| setup.path(name);
    fs::write(place("chain.pem"), scene.identity.pem()).unwrap();
    fs::write(place("key.pem"), scene.identity.key_pem()).unwrap();
    assert!(Path::new("chain.pem").is_relative());
    let table = "[server.tls]\nlisten = \"127.0.0.1:0\"\ncertificate = \"chain.pem\"\n\
                 private_key = \"key.pem\"\n";
    let rest = web("only", &scene.origin.base_url()) + &route(&["only"]);
    let gateway = setup.with_others(table.to_owned() + &rest).start().await;
    assert!(shown(&gateway, &scene.identity).await.unwrap() == scene.identity.der());
}
