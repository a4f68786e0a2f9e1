//! What the application deletes from its own bucket, and an older one still has.

mod copies;
mod order;
mod told;

use std::fs;
use std::time::Duration;

use serde_json::Value;
use test_servers::faulty::{Fault, Faulty, On};
use tokio::time::{Instant, sleep};

use super::client::{ask, get, get_until, head, range};
use super::harness::{
    Gateway, MIB, PATIENCE, Setup, bucket, film, holding, keeping, metric, noise, route,
};

const WITHDRAWN: &str = "withdrawn_total{route=\"media\"}";
const BRAKE: &str = "withdrawn_brake{route=\"media\"}";

/// A bucket where the application writes and deletes, and an older one that keeps everything.
struct Buckets {
    current: Faulty,
    old: Faulty,
}

impl Buckets {
    /// Both hold these keys.
    async fn with(films: &[(&str, &[u8])]) -> Self {
        let (current, old) = (holding(films).await, holding(films).await);
        Self { current, old }
    }

    /// Behind one route with more lines of its own.
    fn behind(&self, lines: &str) -> Setup {
        keeping(self.text(&route(&["current", "old"])) + lines)
    }

    fn text(&self, routes: &str) -> String {
        bucket("current", &self.current) + &bucket("old", &self.old) + routes
    }
}

const FOLLOW: &str = "deletes = \"follow\"\n";

/// Asks for each key, so that the ledger knows where it is, and forgets the copies.
async fn seen(setup: &Setup, gateway: &Gateway, paths: &[&str]) {
    for path in paths {
        let told = get(gateway, path).await;
        assert_eq!(told.header("x-origin"), "current", "{}", told.summary());
    }
    without_copies(setup).await;
}

async fn without_copies(setup: &Setup) {
    let said = setup.run(&["purge", "--all", "--yes"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
}

async fn json(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.operators(path).await;
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

/// What is listed as soon as it is written down: so many keys.
async fn listed(gateway: &Gateway, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = json(gateway, "/api/withdrawn").await;
        let rows = list["withdrawn"].as_array().unwrap();
        if rows.len() == count {
            assert_eq!(list["next"], Value::Null);
            return rows.clone();
        }
        assert!(Instant::now() < deadline, "{list}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn is_gone(gateway: &Gateway, path: &str) {
    for told in [
        get(gateway, path).await,
        head(gateway, path).await,
        range(gateway, path, "bytes=0-9").await,
        ask(gateway, "GET", path, &[("If-None-Match", "*")]).await,
    ] {
        assert_eq!(told.status, 410, "{path}: {}", told.summary());
        assert_eq!(told.header("cache-control"), "max-age=3600", "{path}");
    }
}

fn times_logged(gateway: &Gateway, what: &str) -> usize {
    gateway.log().matches(what).count()
}

#[tokio::test]
async fn held_is_what_an_older_bucket_still_has_and_it_is_counted_and_listed_once() {
    let buckets = Buckets::with(&[("a.mp4", b"a"), ("b.mp4", b"b")]).await;
    let setup = buckets.behind("");
    let gateway = setup.start().await;
    seen(&setup, &gateway, &["/a.mp4", "/b.mp4"]).await;
    buckets.current.remove("a.mp4");
    for _ in 0..3 {
        let told = get(&gateway, "/a.mp4").await;
        assert!(told.is(200, b"a"), "{}", told.summary());
        assert_eq!(told.header("x-origin"), "old");
        assert_eq!(get(&gateway, "/a.mp4").await.label(), "HIT");
        without_copies(&setup).await;
    }
    assert_eq!(get(&gateway, "/b.mp4").await.header("x-origin"), "current");
    assert_eq!(metric(&gateway, WITHDRAWN).await, 1);
    assert_eq!(times_logged(&gateway, "withdrawn: it was verified"), 1);
    let rows = listed(&gateway, 1).await;
    assert_eq!(rows[0]["route"], "media");
    assert_eq!(rows[0]["origin"], "current");
    assert_eq!(rows[0]["key"], "a.mp4");
    assert_eq!(rows[0]["followed"], Value::Null);
    assert!(rows[0]["since"].as_u64().unwrap() > 1_700_000_000);
    // It is known after a restart, and not counted again.
    let log = gateway.stopped().await;
    assert!(!log.contains("\"level\":\"ERROR\""), "{log}");
    fs::remove_dir_all(setup.cache_directory()).unwrap();
    let gateway = setup.start().await;
    assert_eq!(listed(&gateway, 1).await, rows);
    assert!(get(&gateway, "/a.mp4").await.is(200, b"a"));
    assert_eq!(metric(&gateway, WITHDRAWN).await, 0);
}

#[tokio::test]
async fn followed_is_410_without_the_cache_and_after_a_restart_until_it_is_uploaded_again() {
    let bytes = noise(1, 2 * MIB);
    let buckets = Buckets::with(&[("a.mp4", &bytes), ("b.mp4", b"b")]).await;
    let setup = buckets.behind(FOLLOW).cache("missing = \"0s\"");
    let gateway = setup.start().await;
    seen(&setup, &gateway, &["/a.mp4", "/b.mp4"]).await;
    buckets.current.remove("a.mp4");
    is_gone(&gateway, "/a.mp4").await;
    assert_eq!(metric(&gateway, WITHDRAWN).await, 1);
    assert_eq!(metric(&gateway, BRAKE).await, 0);
    let rows = listed(&gateway, 1).await;
    assert!(rows[0]["followed"].as_u64() >= rows[0]["since"].as_u64());
    let asked = buckets.old.requests_for("a.mp4").len();
    is_gone(&gateway, "/a.mp4").await;
    // Nobody reads from the old bucket what will not be sent.
    assert_eq!(buckets.old.requests_for("a.mp4").len(), asked);
    gateway.stopped().await;
    fs::remove_dir_all(setup.cache_directory()).unwrap();
    let gateway = setup.start().await;
    is_gone(&gateway, "/a.mp4").await;
    assert!(get(&gateway, "/b.mp4").await.is(200, b"b"));
    // Nor does it come back while nobody can say.
    buckets.current.stop().await;
    is_gone(&gateway, "/a.mp4").await;
    buckets.current.restart();
    assert_eq!(metric(&gateway, WITHDRAWN).await, 0);
    let again = noise(2, MIB);
    buckets.current.put("a.mp4", film(&again));
    let told = get_until(&gateway, "/a.mp4", |told| told.status == 200).await;
    assert!(told.is(200, &again), "{}", told.summary());
    assert_eq!(told.header("x-origin"), "current");
    listed(&gateway, 0).await;
}

#[tokio::test]
async fn what_only_the_upload_origin_had_is_missing_when_held_and_gone_when_followed() {
    for (lines, status) in [("", 404), (FOLLOW, 410)] {
        let buckets = Buckets::with(&[("b.mp4", b"b")]).await;
        buckets.current.put("a.mp4", film(b"a"));
        let setup = buckets.behind(lines);
        let gateway = setup.start().await;
        seen(&setup, &gateway, &["/a.mp4"]).await;
        buckets.current.remove("a.mp4");
        assert_eq!(get(&gateway, "/a.mp4").await.status, status, "{lines}");
        listed(&gateway, 1).await;
        // What was never there was not deleted.
        assert_eq!(get(&gateway, "/c.mp4").await.status, 404);
        assert_eq!(metric(&gateway, WITHDRAWN).await, 1);
    }
}

#[tokio::test]
async fn what_was_never_seen_at_the_upload_origin_is_not_withdrawn() {
    let buckets = Buckets::with(&[]).await;
    buckets.old.put("a.mp4", film(b"a"));
    let setup = buckets.behind(FOLLOW);
    let gateway = setup.start().await;
    for _ in 0..3 {
        assert!(get(&gateway, "/a.mp4").await.is(200, b"a"));
        without_copies(&setup).await;
    }
    assert_eq!(metric(&gateway, WITHDRAWN).await, 0);
    listed(&gateway, 0).await;
}

#[tokio::test]
async fn an_emptied_bucket_withdraws_nothing() {
    let films: [(&str, &[u8]); 3] = [("a.mp4", b"a"), ("b.mp4", b"b"), ("c.mp4", b"c")];
    for lines in ["", FOLLOW] {
        let buckets = Buckets::with(&films).await;
        let setup = buckets.behind(lines);
        let gateway = setup.start().await;
        seen(&setup, &gateway, &["/a.mp4", "/b.mp4", "/c.mp4"]).await;
        // What was found within the last minute would speak for it.
        gateway.stopped().await;
        for (key, _) in films {
            buckets.current.remove(key);
        }
        let gateway = setup.start().await;
        for (key, bytes) in films {
            let told = get(&gateway, &format!("/{key}")).await;
            assert!(told.is(200, bytes), "{lines}: {}", told.summary());
        }
        let suspect = "origin_suspect{origin=\"current\"}";
        assert_eq!(metric(&gateway, suspect).await, 1, "{lines}");
        assert_eq!(metric(&gateway, WITHDRAWN).await, 0, "{lines}");
        listed(&gateway, 0).await;
    }
}

#[tokio::test]
async fn a_bucket_that_fails_or_is_swapped_for_none_withdraws_nothing() {
    let buckets = Buckets::with(&[("a.mp4", b"a")]).await;
    let setup = buckets.behind(FOLLOW).cache("missing = \"0s\"");
    let gateway = setup.start().await;
    for fault in [Fault::s3(503, "SlowDown"), Fault::s3(404, "NoSuchBucket")] {
        seen(&setup, &gateway, &["/a.mp4"]).await;
        buckets.current.fault(On::any(), fault);
        assert!(get(&gateway, "/a.mp4").await.is(200, b"a"));
        without_copies(&setup).await;
        buckets.current.heal();
    }
    assert_eq!(metric(&gateway, WITHDRAWN).await, 0);
}

#[tokio::test]
async fn the_brake_lets_so_many_follow_and_holds_the_others_also_after_a_restart() {
    let keys: Vec<String> = (0..5).map(|n| format!("{n}.mp4")).collect();
    let films: Vec<(&str, &[u8])> = keys.iter().map(|key| (&**key, &b"x"[..])).collect();
    let buckets = Buckets::with(&films).await;
    buckets.current.put("canary.mp4", film(b"c"));
    let lines = format!("{FOLLOW}deletes_brake = \"2/h\"\n");
    let setup = buckets.behind(&lines).cache("missing = \"0s\"");
    let gateway = setup.start().await;
    let paths: Vec<String> = keys.iter().map(|key| format!("/{key}")).collect();
    let paths: Vec<&str> = paths.iter().map(|path| &**path).collect();
    seen(&setup, &gateway, &paths).await;
    for key in &keys {
        buckets.current.remove(key);
    }
    let told = async |gateway: &Gateway| {
        let mut statuses = Vec::new();
        for path in &paths {
            statuses.push(get(gateway, path).await.status);
        }
        statuses
    };
    assert_eq!(told(&gateway).await, [410, 410, 200, 200, 200]);
    without_copies(&setup).await;
    assert_eq!(told(&gateway).await, [410, 410, 200, 200, 200]);
    assert_eq!(metric(&gateway, WITHDRAWN).await, 5);
    assert_eq!(metric(&gateway, BRAKE).await, 1);
    assert_eq!(times_logged(&gateway, "more keys are missing"), 1);
    let rows = listed(&gateway, 5).await;
    let followed = rows.iter().filter(|row| row["followed"].is_u64());
    assert_eq!(followed.count(), 2);
    gateway.stopped().await;
    fs::remove_dir_all(setup.cache_directory()).unwrap();
    let gateway = setup.start().await;
    assert_eq!(told(&gateway).await, [410, 410, 200, 200, 200]);
    assert_eq!(metric(&gateway, WITHDRAWN).await, 0);
    // Who changes their mind is followed at once.
    gateway.stopped().await;
    let setup = setup.with_others(buckets.text(&route(&["current", "old"])));
    let gateway = setup.start().await;
    without_copies(&setup).await;
    assert_eq!(told(&gateway).await, [200; 5]);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_used_withdraws_nothing_and_stops_nobody() {
    let buckets = Buckets::with(&[("a.mp4", b"a"), ("b.mp4", b"b")]).await;
    let setup = buckets.behind(FOLLOW);
    let gateway = setup.start().await;
    seen(&setup, &gateway, &["/a.mp4", "/b.mp4"]).await;
    gateway.stopped().await;
    let file = setup.state_directory().join("ledger.redb");
    let kept = fs::read(&file).unwrap();
    fs::write(&file, b"not a database").unwrap();
    let mut gateway = setup.start().await;
    gateway.logged("nothing is known of withdrawn keys").await;
    buckets.current.remove("a.mp4");
    assert!(get(&gateway, "/a.mp4").await.is(200, b"a"));
    assert_eq!(metric(&gateway, WITHDRAWN).await, 0);
    let answer = gateway.operators("/api/withdrawn").await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    gateway.stopped().await;
    fs::write(&file, kept).unwrap();
    let gateway = setup.start().await;
    without_copies(&setup).await;
    is_gone(&gateway, "/a.mp4").await;
}
