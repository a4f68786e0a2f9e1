//! A program with a cache of its own in front of origins that fail on demand.
//!
//! Origins have short timeouts, so that a hanging one costs a test half a second and not five.

use std::time::Duration;

use test_servers::faulty::{BUCKET, Faulty, Object};
use tokio::time::{Instant, sleep};

pub(super) use crate::process::harness::{Gateway, PATIENCE, Setup, route};

pub(super) const MIB: usize = 1 << 20;

const QUICK: &str = "connect_timeout = \"300ms\"\nfirst_byte_timeout = \"500ms\"\n\
                     idle_timeout = \"500ms\"\nhedge_after = \"100ms\"\n";

/// A public bucket of which everything is kept.
pub(super) fn bucket(name: &str, at: &Faulty) -> String {
    let endpoint = at.endpoint();
    format!(
        "[origins.{name}]\nkind = \"s3\"\nendpoint = \"{endpoint}\"\nbucket = \"{BUCKET}\"\n{QUICK}"
    )
}

/// A web server of which everything is kept.
pub(super) fn web(name: &str, at: &Faulty) -> String {
    let url = at.base_url();
    format!("[origins.{name}]\nkind = \"http\"\nurl = \"{url}\"\n{QUICK}")
}

/// With these origins and routes. However full the disk of the machine is, something is kept.
pub(super) fn keeping(origins_and_routes: impl Into<String>) -> Setup {
    Setup::new(origins_and_routes)
        .cache("min_free = \"0 B\"")
        .limits("connections_per_client = 5000\nbodies = 5000")
}

/// One bucket behind one route.
pub(super) fn before(origin: &Faulty) -> Setup {
    keeping(bucket("current", origin) + &route(&["current"]))
}

/// One sample of the metrics, by its name and labels without our prefix; 0 where it is not there.
pub(crate) async fn metric(gateway: &Gateway, sample: &str) -> u64 {
    let sample = format!("media_gateway_{sample} ");
    let text = gateway.operators("/metrics").await.text();
    let value = text.lines().find_map(|line| line.strip_prefix(&sample));
    value.map_or(0, |value| value.parse().expect("a whole number"))
}

/// Returns once a sample is enough.
pub(super) async fn metric_is(gateway: &Gateway, sample: &str, enough: impl Fn(u64) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = metric(gateway, sample).await;
        if enough(now) {
            return;
        }
        let log = gateway.log();
        assert!(Instant::now() < deadline, "{sample} stays {now}: {log}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Returns once so many files are kept: a viewer may have the last byte before that.
pub(super) async fn files_are(setup: &Setup, count: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = setup.json(&["cache", "stat", "--json"]).await;
        if said["files"] == count {
            return;
        }
        assert!(Instant::now() < deadline, "{said}");
    }
}

/// Whether the tests that go on for long are wanted.
pub(crate) fn soak() -> bool {
    std::env::var_os("MEDIA_GATEWAY_SOAK").is_some()
}

/// A film of these bytes.
pub(super) fn film(bytes: &[u8]) -> Object {
    Object::new(bytes.to_vec()).content_type("video/mp4")
}

/// An origin with films under these keys.
pub(super) async fn holding(films: &[(&str, &[u8])]) -> Faulty {
    let origin = Faulty::start().await;
    for (key, bytes) in films {
        origin.put(key, film(bytes));
    }
    origin
}

/// Bytes of which no two places look alike, nor two seeds.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Numbers that can be had again by their seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// The next number (Steele, Lea and Flood's SplitMix64).
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below another.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
