//! What was answered before is answered at once, and only where the answer would be the same.

use test_servers::faulty::{Fault, On};

use super::client::{Told, ask, get, head, range};
use super::harness::{Gateway, PATIENCE, before, bucket, holding, metric, route};

const PATH: &str = "/a.mp4";

/// Asked for until it is answered from the head that was made before: the third time at the latest.
async fn prepared(gateway: &Gateway, path: &str) -> Told {
    for _ in 0..2 {
        assert_eq!(get(gateway, path).await.status, 200);
    }
    let told = get(gateway, path).await;
    assert_eq!(told.label(), "HIT");
    told
}

fn without_age(told: &Told) -> Vec<(String, String)> {
    let mut headers = told.stable_headers();
    headers.retain(|(name, _)| name != "age");
    headers
}

#[tokio::test]
async fn a_prepared_head_is_the_head_of_the_first_hit_and_of_a_head_request() {
    let origin = holding(&[("a.mp4", b"it")]).await;
    let gateway = before(&origin).start().await;
    assert_eq!(get(&gateway, PATH).await.label(), "MISS");
    let first = get(&gateway, PATH).await;
    assert_eq!(first.label(), "HIT");
    for _ in 0..3 {
        let again = get(&gateway, PATH).await;
        assert!(again.is(200, b"it"));
        assert_eq!(without_age(&again), without_age(&first));
    }
    let only = head(&gateway, PATH).await;
    assert_eq!(without_age(&only), without_age(&first));
    let hits = "requests_total{cache=\"hit\",method=\"GET\",route=\"media\",status=\"200\"}";
    assert_eq!(metric(&gateway, hits).await, 4);
    let held = "cache_hits_total{tier=\"memory\"}";
    assert_eq!(metric(&gateway, held).await, 5);
    let sent = "response_bytes_total{cache=\"hit\",route=\"media\"}";
    assert_eq!(metric(&gateway, sent).await, 8);
    assert_eq!(origin.requests_for("a.mp4").len(), 1);
}

#[tokio::test]
async fn a_range_and_a_condition_are_looked_at_behind_a_prepared_answer() {
    let origin = holding(&[("a.mp4", b"0123456789")]).await;
    let gateway = before(&origin).start().await;
    let told = prepared(&gateway, PATH).await;
    assert!(range(&gateway, PATH, "bytes=2-4").await.is(206, b"234"));
    assert_eq!(range(&gateway, PATH, "bytes=10-").await.status, 416);
    let tag = told.header("etag");
    for (name, value, status) in [
        ("If-None-Match", tag, 304),
        ("If-Match", "\"other\"", 412),
        ("If-None-Match", "\"other\"", 200),
    ] {
        let told = ask(&gateway, "GET", PATH, &[(name, value)]).await;
        assert_eq!(told.status, status, "{name}: {value}");
    }
    assert_eq!(ask(&gateway, "POST", PATH, &[]).await.status, 405);
}

#[tokio::test]
async fn what_was_deleted_is_gone_behind_a_prepared_answer() {
    let origin = holding(&[("a.mp4", b"it")]).await;
    let setup = before(&origin);
    let gateway = setup.start().await;
    prepared(&gateway, PATH).await;
    let said = setup.run(&["tombstone", "add", "a.mp4"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert_eq!(get(&gateway, PATH).await.status, 410);
    setup.run(&["tombstone", "remove", "a.mp4"]).await;
    assert!(prepared(&gateway, PATH).await.is(200, b"it"));
    setup.run(&["purge", "/a.mp4"]).await;
    assert_eq!(get(&gateway, PATH).await.label(), "MISS");
}

#[tokio::test]
async fn a_changed_configuration_changes_what_was_prepared() {
    let origin = holding(&[("a.mp4", b"it")]).await;
    let setup = before(&origin);
    let gateway = setup.start().await;
    let told = prepared(&gateway, PATH).await;
    assert_eq!(told.header("x-origin"), "current");
    let text = bucket("current", &origin) + &route(&["current"]);
    let setup = setup.with_others(text + "cache_control = \"public, max-age=60\"\n");
    setup.json(&["reload", "--json"]).await;
    let told = prepared(&gateway, PATH).await;
    assert_eq!(told.header("cache-control"), "public, max-age=60");
    let setup = setup.server("origin_header = false");
    setup.json(&["reload", "--json"]).await;
    let told = prepared(&gateway, PATH).await;
    assert_eq!(told.header("x-origin"), "");
    assert_eq!(origin.requests_for("a.mp4").len(), 1);
}

#[tokio::test]
async fn a_client_still_names_its_download() {
    let origin = holding(&[("a.mp4", b"it")]).await;
    let text = bucket("current", &origin) + &route(&["current"]);
    let setup = before(&origin).with_others(text + "filename_parameter = \"name\"\n");
    let gateway = setup.start().await;
    prepared(&gateway, PATH).await;
    let named = get(&gateway, "/a.mp4?name=cat.mp4").await;
    assert!(named.header("content-disposition").contains("cat.mp4"));
    let plain = get(&gateway, PATH).await;
    assert_eq!(plain.header("content-disposition"), "");
}

#[tokio::test]
async fn what_is_old_says_so_behind_a_prepared_answer() {
    let origin = holding(&[("a.mp4", b"it")]).await;
    let gateway = before(&origin).cache("found = \"1s\"").start().await;
    prepared(&gateway, PATH).await;
    origin.fault(On::any(), Fault::status(500));
    let stale = async {
        loop {
            let told = get(&gateway, PATH).await;
            assert!(told.is(200, b"it"));
            if told.label() == "STALE" {
                return told;
            }
        }
    };
    let told = tokio::time::timeout(PATIENCE, stale).await.unwrap();
    assert!(told.header("cache-status").contains("stale"));
    assert!(metric(&gateway, "stale_served_total{route=\"media\"}").await > 0);
}
