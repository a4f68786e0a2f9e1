//! What the gateway and a migration beside it may read and send together.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use test_servers::faulty::{BUCKET, Fault, Faulty, Gate, On};

use super::harness::{Gateway, Setup, directory, route};

const OBJECTS: u64 = 10;
const SIZE: u64 = 800_000;
const LIMIT: u64 = 10_000_000;
/// No lease is longer than an eighth of what is left.
const LEASE: u64 = LIMIT / 8;
/// What listings and questions of one byte take.
const ASIDE: u64 = 30_000;

const MIGRATE: [&str; 10] = [
    "migrate", "--json", "--from", "old", "--to", "disk", "--jobs", "1", "--prefix", "m/",
];

/// A bucket with objects to be copied, a directory to copy them to, and a gateway before the bucket.
struct Stage {
    old: Faulty,
    _room: TempDir,
    setup: Setup,
}

impl Stage {
    async fn with(limits: &str) -> Self {
        Self::of(OBJECTS, SIZE, limits).await
    }

    async fn of(objects: u64, size: u64, limits: &str) -> Self {
        let old = Faulty::start().await;
        let bytes = vec![b'm'; usize::try_from(size).unwrap()];
        for n in 0..objects {
            old.put(&format!("m/{n:02}"), bytes.clone());
        }
        let room = tempfile::tempdir().unwrap();
        fs::write(room.path().join(".media-gateway"), b"").unwrap();
        let origins = format!(
            "[origins.old]\nkind = \"s3\"\nendpoint = \"{}\"\nbucket = \"{BUCKET}\"\ncache = \"none\"\n\
             access_key_id = \"k\"\nsecret_access_key = \"s\"\nidle_timeout = \"60s\"\n{limits}\n{}writable = true\nmin_free = \"1 MB\"\n",
            old.endpoint(),
            directory("disk", room.path()).replace("marker = \"\"\n", ""),
        );
        let setup = Setup::new(origins + &route(&["old"]));
        Self {
            old,
            _room: room,
            setup,
        }
    }

    /// Copies one object after the other, and returns how that ended and what was reported.
    async fn migrate(&self) -> (i32, Value) {
        let output = self.setup.run(&MIGRATE).await;
        let said = String::from_utf8_lossy(&output.stderr);
        let report = serde_json::from_slice(&output.stdout);
        let report = report.unwrap_or_else(|error| panic!("{error}: {said}"));
        (output.status.code().unwrap(), report)
    }

    /// Holds the first copy in its middle until the gate is opened.
    fn hold(&self) -> Gate {
        let gate = Gate::new();
        self.old.fault(
            On::key("m/00").first(1),
            Fault::HoldAfter(1000, gate.clone()),
        );
        gate
    }

    async fn is_copying(&self) {
        self.old.wait_for_requests_for("m/00", 1).await;
    }
}

async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let text = gateway.operators("/metrics").await.text();
    let line = format!("media_gateway_{name} ");
    let value = text.lines().find_map(|one| one.strip_prefix(&line));
    value
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .parse()
        .unwrap()
}

async fn left(gateway: &Gateway) -> u64 {
    metric(gateway, "egress_budget_bytes{origin=\"old\"}").await
}

fn copied(report: &Value) -> u64 {
    report["results"]["copied"]["bytes"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_and_a_migration_beside_it_read_no_more_than_max_egress_together() {
    let stage = Stage::with("max_egress = \"10 MB/month\"").await;
    stage.old.put("viewed", vec![b'v'; 6_000_000]);
    let gateway = stage.setup.start().await;
    let gate = stage.hold();
    // It fits when it begins, and then viewers take the most of it.
    let ((code, report), ()) = tokio::join!(stage.migrate(), async {
        stage.is_copying().await;
        assert_eq!(gateway.get("/viewed").await.body.len(), 6_000_000);
        gate.open();
    });
    assert_eq!(code, 1, "{report}");
    let sent = stage.old.body_bytes_sent();
    assert!(sent <= LIMIT + ASIDE, "{sent} bytes were read: {report}");
    assert!(sent > LIMIT - SIZE, "{sent} bytes were read: {report}");
    let why = report["remarks"]["failed"][0]["why"].as_str().unwrap();
    assert!(why.contains("max_egress leaves"), "{why}");
    assert_eq!(
        metric(
            &gateway,
            "origin_bytes_total{origin=\"old\",use=\"background\"}"
        )
        .await,
        copied(&report)
    );
    assert_eq!(left(&gateway).await, LIMIT - 6_000_000 - copied(&report));

    // Viewers are never refused, and what does not fit is not begun.
    assert_eq!(gateway.get("/viewed").await.body.len(), 6_000_000);
    let before = stage.old.body_bytes_sent();
    let output = stage.setup.run(&MIGRATE).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("max_egress leaves 0"), "{said}");
    assert!(stage.old.body_bytes_sent() < before + ASIDE);
    gateway.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_forgets_no_lease_and_a_migration_goes_on_with_the_next_one() {
    let stage = Stage::with("max_egress = \"10 MB/month\"").await;
    let mut gateway = stage.setup.start().await;
    let gate = stage.hold();
    let ((code, report), gateway) = tokio::join!(stage.migrate(), async {
        stage.is_copying().await;
        assert_eq!(left(&gateway).await, LIMIT - LEASE);
        gateway.signal(Signal::KILL);
        gateway.ended().await;
        let gateway = stage.setup.start().await;
        assert_eq!(left(&gateway).await, LIMIT - LEASE);
        gate.open();
        gateway
    });
    assert_eq!(code, 0, "{report}");
    assert_eq!(copied(&report), OBJECTS * SIZE);
    assert_eq!(left(&gateway).await, LIMIT - OBJECTS * SIZE);
    gateway.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_is_killed_takes_one_lease_with_it() {
    let stage = Stage::with("max_egress = \"10 MB/month\"").await;
    let gateway = stage.setup.start().await;
    let _gate = stage.hold();
    let begun = stage.setup.begin(&MIGRATE);
    stage.is_copying().await;
    drop(begun);
    assert_eq!(left(&gateway).await, LIMIT - LEASE);
    gateway.stopped().await;
    // Alone, it counts in the same file.
    let (code, report) = stage.migrate().await;
    assert_eq!(code, 0, "{report}");
    let gateway = stage.setup.start().await;
    assert_eq!(left(&gateway).await, LIMIT - LEASE - OBJECTS * SIZE);
    gateway.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_whose_body_breaks_is_read_on_from_there_and_billed_once() {
    const BROKEN: usize = 123_456;
    let stage = Stage::with("max_egress = \"10 MB/month\"").await;
    stage
        .old
        .fault(On::key("m/07").first(1), Fault::CutAfter(BROKEN));
    let (code, report) = stage.migrate().await;
    assert_eq!(code, 0, "{report}");
    let asked = stage.old.requests_for("m/07");
    let ranges: Vec<_> = asked.iter().map(|one| one.header("range")).collect();
    let rest = format!("bytes={BROKEN}-{}", SIZE - 1);
    assert_eq!(ranges, [Some("bytes=0-"), Some(&*rest)]);
    assert!(asked[1].header("if-match").is_some());
    let sent = stage.old.body_bytes_sent();
    assert!(sent < OBJECTS * SIZE + ASIDE, "{sent}");
    let gateway = stage.setup.start().await;
    assert_eq!(left(&gateway).await, LIMIT - OBJECTS * SIZE);
    gateway.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_and_a_migration_beside_it_send_no_more_than_max_requests_together() {
    const PER_SECOND: u128 = 20;
    let stage = Stage::of(30, 10, "max_requests = \"20/s\"").await;
    stage.old.put("viewed", "v");
    let gateway = stage.setup.start().await;
    let began = Instant::now();
    let before = stage.old.counts().requests;
    // So many at one time that everything viewers may send is sent.
    let viewers = futures_util::future::join_all((0..4).map(|_| async {
        loop {
            gateway.get("/viewed").await;
        }
    }));
    let (code, report) = tokio::select! {
        migrated = stage.migrate() => migrated,
        _ = viewers => unreachable!("they go on until they are dropped"),
    };
    assert_eq!(code, 0, "{report}");
    let took = began.elapsed();
    let sent = stage.old.counts().requests - before;
    // One second's worth may be sent at once, and half of one by the migration.
    let most = PER_SECOND * (took.as_millis() + 1000) / 1000 + PER_SECOND / 2;
    assert!(sent as u128 <= most, "{sent} requests in {took:?}");
    assert!(
        took > Duration::from_secs(2),
        "a migration takes at most half"
    );
    gateway.stopped().await;
}
