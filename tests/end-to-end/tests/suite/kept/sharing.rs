//! Two processes on one directory, and a directory of another version.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::client::get;
use super::harness::{before, holding, metric, metric_is, noise};

#[tokio::test]
async fn the_second_on_one_cache_serves_without_it_and_takes_over_when_the_first_stops() {
    let bytes = noise(1, 300_000);
    let origin = holding(&[("a.mp4", &bytes)]).await;
    let first = before(&origin);
    let gateway = first.start().await;
    assert!(get(&gateway, "/a.mp4").await.is(200, &bytes));
    let second = before(&origin).cache_in(first.cache_directory());
    let mut other = second.start().await;
    other.logged("give each a directory of its own").await;
    let told = get(&other, "/a.mp4").await;
    assert!(told.is(200, &bytes) && told.label() == "MISS");
    assert_eq!(metric(&other, "cache_up").await, 0);
    assert_eq!(metric(&gateway, "cache_up").await, 1);
    assert_eq!(get(&gateway, "/a.mp4").await.label(), "HIT");
    gateway.stopped().await;
    metric_is(&other, "cache_up", |up| up == 1).await;
    metric_is(&other, "cache_entries", |entries| entries >= 1).await;
    other.stopped().await;
    // And the other way round: nobody has lost anything.
    let gateway = first.start().await;
    assert!(get(&gateway, "/a.mp4").await.is(200, &bytes));
    assert_eq!(metric(&gateway, "cache_up").await, 1);
}

#[tokio::test]
async fn the_second_on_one_state_is_refused_whatever_its_cache() {
    let origin = holding(&[]).await;
    let first = before(&origin);
    let gateway = first.start().await;
    let second = before(&origin).state(first.state_directory());
    let said = second.refused().await;
    assert!(said.contains("in use by another process"), "{said}");
    assert_eq!(gateway.operators("/healthz").await.status, 200);
}

/// Every file below a directory with its bytes.
fn files(of: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(of).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

#[tokio::test]
async fn a_cache_of_another_version_is_left_alone_and_the_remedy_is_said() {
    let bytes = noise(2, 300_000);
    let origin = holding(&[("a.mp4", &bytes)]).await;
    let setup = before(&origin);
    let gateway = setup.start().await;
    get(&gateway, "/a.mp4").await;
    gateway.stopped().await;
    let lock = setup.cache_directory().join("lock");
    let text = fs::read_to_string(&lock).unwrap();
    assert!(text.contains("format 1"), "{text}");
    fs::write(&lock, text.replace("format 1", "format 99")).unwrap();
    let untouched = files(&setup.cache_directory());
    let mut gateway = setup.start().await;
    gateway
        .logged("run the version of media-gateway that wrote it")
        .await;
    assert!(gateway.log().contains("format 99"), "{}", gateway.log());
    assert_eq!(metric(&gateway, "cache_up").await, 0);
    for _ in 0..2 {
        let told = get(&gateway, "/a.mp4").await;
        assert!(told.is(200, &bytes), "{}", told.summary());
    }
    gateway.stopped().await;
    for command in ["stat", "verify"] {
        let said = setup.run(&["cache", command]).await;
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.contains("nothing in it was changed"), "{said}");
    }
    assert!(files(&setup.cache_directory()) == untouched);
    // Where the cache is required, that is a reason not to start.
    let setup = setup.cache("required = true");
    let said = setup.refused().await;
    assert!(said.contains("cache.required"), "{said}");
    fs::write(&lock, text).unwrap();
    let gateway = setup.start().await;
    assert_eq!(get(&gateway, "/a.mp4").await.label(), "HIT");
}
