//! What an origin says when it fails or has nothing: never kept as media, never for long.

use std::time::{Duration, Instant};

use test_servers::faulty::{Fault, Faulty, On};

use super::client::{get, get_once_up, get_until};
use super::harness::{before, bucket, film, holding, keeping, noise, route};

#[tokio::test]
async fn an_error_body_is_never_kept_or_sent_as_the_picture() {
    let origin = Faulty::start().await;
    let gateway = before(&origin).start().await;
    for (n, fault) in [
        Fault::s3(403, "InvalidAccessKeyId"),
        Fault::s3(500, "InternalError"),
        Fault::slow_down(1),
        Fault::html(404),
        Fault::html(502),
        Fault::no_such_bucket(),
    ]
    .into_iter()
    .enumerate()
    {
        let (key, bytes) = (format!("{n}.mp4"), noise(n as u64, 40_000));
        origin.put(&key, film(&bytes));
        origin.fault(On::key(&key), fault.clone());
        let path = format!("/{key}");
        let told = get(&gateway, &path).await;
        assert_eq!(told.status, 503, "{fault:?}");
        assert_eq!(told.header("cache-control"), "no-store", "{fault:?}");
        assert!(!String::from_utf8_lossy(&told.body).contains('<'));
        origin.heal();
        let told = get_once_up(&gateway, &path).await;
        assert!(told.is(200, &bytes), "{fault:?}: {}", told.summary());
        let told = get(&gateway, &path).await;
        assert!(told.is(200, &bytes) && told.label() == "HIT", "{fault:?}");
        assert_eq!(told.header("content-type"), "video/mp4");
    }
}

#[tokio::test]
async fn what_was_missing_is_served_seconds_after_it_was_uploaded() {
    let origin = holding(&[("other.mp4", b"other")]).await;
    let setup = before(&origin).cache("missing = \"1s\"");
    let gateway = setup.start().await;
    // Something is found first: an origin that has nothing at all is not believed.
    assert_eq!(get(&gateway, "/other.mp4").await.status, 200);
    let told = get(&gateway, "/a.mp4").await;
    assert_eq!(
        (told.status, told.header("cache-control")),
        (404, "no-store")
    );
    let asked = origin.requests_for("a.mp4").len();
    assert_eq!(get(&gateway, "/a.mp4").await.status, 404);
    assert_eq!(
        origin.requests_for("a.mp4").len(),
        asked,
        "it is remembered"
    );
    let uploaded = Instant::now();
    origin.put("a.mp4", film(b"uploaded"));
    let told = get_until(&gateway, "/a.mp4", |told| told.status == 200).await;
    assert!(told.is(200, b"uploaded") && told.label() == "MISS");
    let took = uploaded.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(get(&gateway, "/a.mp4").await.label(), "HIT");
}

#[tokio::test]
async fn missing_is_not_remembered_where_an_origin_could_not_say() {
    let (current, old) = (holding(&[("x.mp4", b"x")]).await, Faulty::start().await);
    let text = bucket("current", &current) + &bucket("old", &old) + &route(&["current", "old"]);
    let gateway = keeping(text).cache("missing = \"1m\"").start().await;
    old.fault(On::any(), Fault::status(500));
    assert_eq!(get(&gateway, "/a.mp4").await.status, 503);
    old.heal();
    old.put("a.mp4", film(b"found"));
    let told = get_once_up(&gateway, "/a.mp4").await;
    assert!(told.is(200, b"found"), "{}", told.summary());
}
