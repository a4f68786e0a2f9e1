//! Gone is gone: whatever an origin or the cache still holds, a tombstoned key is 410.

use std::fs;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use test_servers::faulty::{Fault, Faulty, Gate, On};

use super::client::{ask, get, head, range, rest};
use super::harness::{Gateway, MIB, Setup, before, bucket, film, holding, keeping, noise, route};

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

async fn tombstoned(setup: &Setup, key: &str) {
    let said = setup.run(&["tombstone", "add", key]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
}

#[tokio::test]
async fn what_was_deleted_stays_gone_without_the_cache_and_after_a_restart() {
    let bytes = noise(1, 2 * MIB);
    let (current, old) = (
        holding(&[("a.mp4", &bytes), ("b.mp4", b"b")]).await,
        Faulty::start().await,
    );
    old.put("a.mp4", film(&bytes));
    let text = bucket("current", &current) + &bucket("old", &old) + &route(&["current", "old"]);
    let setup = keeping(text);
    let gateway = setup.start().await;
    assert!(get(&gateway, "/a.mp4").await.is(200, &bytes));
    // As an application does: in its own bucket only.
    current.remove("a.mp4");
    tombstoned(&setup, "a.mp4").await;
    is_gone(&gateway, "/a.mp4").await;
    let asked = (current.counts().requests, old.counts().requests);
    gateway.stopped().await;
    fs::remove_dir_all(setup.cache_directory()).unwrap();
    let gateway = setup.start().await;
    is_gone(&gateway, "/a.mp4").await;
    assert_eq!(get(&gateway, "/b.mp4").await.status, 200);
    drop(gateway);
    let gateway = setup.start().await;
    is_gone(&gateway, "/a.mp4").await;
    let origins = (
        current.requests_for("a.mp4").len(),
        old.requests_for("a.mp4").len(),
    );
    assert!(origins.0 + origins.1 <= asked.0 + asked.1);
    // The cache holds nothing of it that a removal could bring back.
    let said = setup.run(&["tombstone", "remove", "a.mp4"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let told = get(&gateway, "/a.mp4").await;
    assert!(told.is(200, &bytes) && told.header("x-origin") == "old");
    assert_eq!(told.label(), "MISS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_tombstoned_while_twenty_download_it_is_cut_for_all_of_them() {
    let bytes = noise(2, 8 * MIB);
    // Kept, and passed through; on its way, and held.
    for (kept, held) in [(true, false), (true, true), (false, false)] {
        let origin = holding(&[("a.mp4", &bytes)]).await;
        let gate = Gate::new();
        let mut text = bucket("current", &origin).replace("500ms", "20s");
        if !kept {
            text += "cache = \"none\"\n";
        }
        let setup = keeping(text + &route(&["current"]));
        let gateway = setup.start().await;
        if held {
            assert!(get(&gateway, "/a.mp4").await.is(200, &bytes));
        } else {
            origin.fault(On::any(), Fault::HoldAfter(4 * MIB, gate.clone()));
        }
        // Clients that have taken the head, and no more than their kernel takes for them.
        let running = join_all((0..20).map(|_| gateway.ask("/a.mp4"))).await;
        let running: Vec<_> = running.into_iter().map(Result::unwrap).collect();
        tombstoned(&setup, "a.mp4").await;
        is_gone(&gateway, "/a.mp4").await;
        let asked = origin.counts().requests;
        let began = Instant::now();
        for told in join_all(running.into_iter().map(rest)).await {
            assert_eq!(told.status, 200);
            assert!(!told.whole, "kept {kept}, held {held}: {}", told.summary());
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        // What arrives late brings nothing back.
        gate.open();
        is_gone(&gateway, "/a.mp4").await;
        assert_eq!(origin.counts().requests, asked);
        assert_eq!(setup.json(&["cache", "stat", "--json"]).await["objects"], 0);
    }
}

#[tokio::test]
async fn a_tombstone_means_its_own_key_and_route_and_no_other() {
    let origin = holding(&[("a.mp4", b"a"), ("a.mp4x", b"x"), ("A.mp4", b"A")]).await;
    let setup = before(&origin);
    let gateway = setup.start().await;
    tombstoned(&setup, "a.mp4").await;
    is_gone(&gateway, "/a.mp4").await;
    is_gone(&gateway, "/%61.mp4").await;
    assert!(get(&gateway, "/a.mp4x").await.is(200, b"x"));
    assert!(get(&gateway, "/A.mp4").await.is(200, b"A"));
    assert!(origin.requests_for("a.mp4").is_empty());
}
