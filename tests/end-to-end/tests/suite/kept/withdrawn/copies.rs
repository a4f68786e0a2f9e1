//! Copies of what the application has deleted, and what is being sent of it.

use std::time::Duration;

use test_servers::faulty::{Fault, Gate, On};
use tokio::time::{Instant, sleep};

use super::super::client::{get, get_until, rest};
use super::super::harness::{MIB, PATIENCE, bucket, keeping, metric, noise, route};
use super::{Buckets, FOLLOW, WITHDRAWN, film, is_gone, listed, seen};

#[tokio::test]
async fn a_copy_whose_key_was_deleted_stays_when_held_and_goes_when_followed() {
    for (lines, status) in [("", 200), (FOLLOW, 410)] {
        let buckets = Buckets::with(&[("a.mp4", b"a"), ("b.mp4", b"b")]).await;
        let setup = buckets.behind(lines).cache("found = \"1s\"");
        let gateway = setup.start().await;
        assert!(get(&gateway, "/a.mp4").await.is(200, b"a"));
        buckets.current.remove("a.mp4");
        let deadline = Instant::now() + PATIENCE;
        while metric(&gateway, WITHDRAWN).await == 0 {
            get(&gateway, "/a.mp4").await;
            assert!(Instant::now() < deadline, "{}", gateway.log());
            sleep(Duration::from_millis(50)).await;
        }
        let told = get_until(&gateway, "/a.mp4", |told| {
            told.status == status && told.label() != "STALE"
        });
        let told = told.await;
        assert_eq!(told.status, status, "{}", told.summary());
        if status == 410 {
            assert_eq!(setup.json(&["cache", "stat", "--json"]).await["objects"], 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_sent_is_cut_when_its_deletion_is_followed() {
    let bytes = noise(3, 8 * MIB);
    let buckets = Buckets::with(&[("a.mp4", &bytes), ("b.mp4", b"b")]).await;
    let text = buckets.text(&route(&["current", "old"]));
    let text = text.replace("500ms", "20s") + FOLLOW;
    let setup = keeping(text).cache("found = \"1s\"");
    let gateway = setup.start().await;
    let gate = Gate::new();
    buckets.current.fault(
        On::key("a.mp4").first(1),
        Fault::HoldAfter(4 * MIB, gate.clone()),
    );
    let running = gateway.ask("/a.mp4").await.unwrap();
    buckets.current.remove("a.mp4");
    get_until(&gateway, "/a.mp4", |told| told.status == 410).await;
    let told = rest(running).await;
    assert!(told.status == 200 && !told.whole, "{}", told.summary());
    gate.open();
    is_gone(&gateway, "/a.mp4").await;
}

#[tokio::test]
async fn a_deleted_copy_is_not_rescued_when_its_old_bucket_is_retired() {
    let buckets = Buckets::with(&[("a.mp4", b"a"), ("b.mp4", b"b")]).await;
    buckets.old.put("c.mp4", film(b"c"));
    let setup = buckets.behind("").cache("found = \"1s\"\nmissing = \"0s\"");
    let gateway = setup.start().await;
    seen(&setup, &gateway, &["/a.mp4", "/b.mp4"]).await;
    buckets.current.remove("a.mp4");
    for path in ["/a.mp4", "/c.mp4"] {
        assert_eq!(get(&gateway, path).await.header("x-origin"), "old");
    }
    listed(&gateway, 1).await;
    gateway.stopped().await;
    let setup = setup.with_others(bucket("current", &buckets.current) + &route(&["current"]));
    let gateway = setup.start().await;
    // The cache is the last home of the one, and not of the other.
    get_until(&gateway, "/a.mp4", |told| told.status == 404).await;
    let orphans = async || setup.json(&["cache", "stat", "--json"]).await["orphans"].clone();
    let deadline = Instant::now() + PATIENCE;
    while orphans().await != 1 {
        assert!(get(&gateway, "/c.mp4").await.is(200, b"c"));
        assert!(Instant::now() < deadline, "{}", gateway.log());
    }
    assert_eq!(get(&gateway, "/a.mp4").await.status, 404);
}
