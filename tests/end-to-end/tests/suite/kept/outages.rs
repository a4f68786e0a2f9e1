//! Every origin down: what is kept is served, and it can be seen that it is.

use std::time::{Duration, Instant};

use test_servers::faulty::Faulty;

use super::client::{get, get_until, head};
use super::harness::{before, bucket, film, holding, keeping, metric, metric_is, route};

#[tokio::test]
async fn what_is_kept_is_served_in_an_outage_and_the_outage_is_seen() {
    let origin = Faulty::start().await;
    for n in 0..10 {
        origin.put(&format!("{n}.mp4"), film(b"kept"));
    }
    let gateway = before(&origin).cache("found = \"1s\"").start().await;
    for n in 0..10 {
        assert_eq!(get(&gateway, &format!("/{n}.mp4")).await.label(), "MISS");
    }
    assert_eq!(metric(&gateway, "origin_up{origin=\"current\"}").await, 1);
    origin.stop().await;
    let began = Instant::now();
    for n in 0..10 {
        let path = format!("/{n}.mp4");
        let told = get_until(&gateway, &path, |told| told.label() == "STALE").await;
        assert!(told.is(200, b"kept"), "{}", told.summary());
        let status = told.header("cache-status");
        assert_eq!(status, "media-gateway; hit; detail=stale");
        assert!(told.header("age").parse::<u64>().unwrap() >= 1);
        assert_eq!(head(&gateway, &path).await.label(), "STALE");
    }
    metric_is(&gateway, "origin_up{origin=\"current\"}", |up| up == 0).await;
    let seen = began.elapsed();
    println!("seen after {seen:?}");
    assert!(seen < Duration::from_secs(15), "{seen:?}");
    let stale = "stale_served_total{route=\"media\"}";
    assert!(metric(&gateway, stale).await >= 10);
    let unknown = "origin_unknown_total{origin=\"current\",reason=\"connect\"}";
    assert!(metric(&gateway, unknown).await > 0);
    // What is not kept is unknown, and what is unknown is no 404.
    let told = get(&gateway, "/other.mp4").await;
    assert_eq!(
        (told.status, told.header("cache-control")),
        (503, "no-store")
    );
    origin.restart();
    let told = get_until(&gateway, "/0.mp4", |told| told.label() == "HIT").await;
    assert!(told.is(200, b"kept"));
}

#[tokio::test]
async fn a_part_that_is_not_kept_is_no_short_body_in_an_outage() {
    let bytes = super::harness::noise(1, 3 * super::harness::MIB);
    let origin = holding(&[("a.mp4", &bytes)]).await;
    let gateway = before(&origin).start().await;
    super::client::range(&gateway, "/a.mp4", "bytes=0-99").await;
    origin.stop().await;
    let held = super::client::range(&gateway, "/a.mp4", "bytes=50-149").await;
    assert!(held.is(206, &bytes[50..150]), "{}", held.summary());
    let told = get(&gateway, "/a.mp4").await;
    assert!(told.status == 503 || !told.whole, "{}", told.summary());
}

#[tokio::test]
async fn what_no_origin_has_any_more_since_its_own_left_is_an_orphan_and_served() {
    let (old, current) = (
        holding(&[("a.mp4", b"old")]).await,
        holding(&[("b.mp4", b"b")]).await,
    );
    let both = bucket("current", &current) + &bucket("old", &old) + &route(&["current", "old"]);
    let setup = keeping(both).cache("found = \"1s\"");
    let gateway = setup.start().await;
    for path in ["/a.mp4", "/b.mp4"] {
        assert_eq!(get(&gateway, path).await.status, 200);
    }
    gateway.stopped().await;
    let asked = old.counts().requests;
    let setup = setup.with_others(bucket("current", &current) + &route(&["current"]));
    let gateway = setup.start().await;
    assert_eq!(get(&gateway, "/a.mp4").await.status, 200);
    metric_is(&gateway, "orphans", |orphans| orphans == 1).await;
    assert!(get(&gateway, "/a.mp4").await.is(200, b"old"));
    assert_eq!(old.counts().requests, asked, "a retired origin is asked");
}

#[tokio::test]
async fn what_the_application_deleted_is_404_once_that_is_known() {
    let origin = holding(&[("a.mp4", b"a"), ("b.mp4", b"b")]).await;
    let gateway = before(&origin).cache("found = \"1s\"").start().await;
    for path in ["/a.mp4", "/b.mp4"] {
        assert_eq!(get(&gateway, path).await.status, 200);
    }
    origin.remove("a.mp4");
    let told = get_until(&gateway, "/a.mp4", |told| told.status != 200).await;
    assert_eq!(
        (told.status, told.header("cache-control")),
        (404, "no-store")
    );
    assert_eq!(get(&gateway, "/b.mp4").await.status, 200);
}
