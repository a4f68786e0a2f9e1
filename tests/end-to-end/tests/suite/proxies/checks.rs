//! What holds behind every proxy whose lines are right.

use http::StatusCode;
use test_servers::faulty::{Fault, Gate, On};
use tokio::time::{Duration, sleep};

use super::harness::{MOST, Proxy, Scene};

/// Paths as viewers write them, and the keys that they are.
const KEYS: [(&str, &str); 12] = [
    ("/a.bin", "a.bin"),
    ("//x.bin", "/x.bin"),
    ("/null//y.bin", "null//y.bin"),
    ("/z//", "z//"),
    ("/a%20b.bin", "a b.bin"),
    ("/a+b.bin", "a+b.bin"),
    ("/%E3%81%82.bin", "\u{3042}.bin"),
    ("/c%2Fd.bin", "c/d.bin"),
    ("/e%25f.bin", "e%f.bin"),
    ("/g%23h.bin", "g#h.bin"),
    ("/i%3Bj;k.bin", "i;j;k.bin"),
    ("/l%3Fm.bin?name=n", "l?m.bin"),
];
const PICTURE_BYTES: usize = 400_000;

/// Everything of it, one after the other. `shows_breaks` is whether the proxy hands on that a body of
/// unknown length has broken off; all do of others.
pub(super) async fn all_is_well(scene: &Scene, proxy: &Proxy, shows_breaks: bool) {
    keys_arrive_as_they_are(scene, proxy).await;
    answers_come_as_they_are(scene, proxy).await;
    a_broken_body_is_seen_to_be_broken(scene, proxy, shows_breaks).await;
    connections_are_kept(scene, proxy).await;
    clients_are_known(scene, proxy).await;
}

async fn keys_arrive_as_they_are(scene: &Scene, proxy: &Proxy) {
    let viewer = proxy.viewer(2);
    for (path, key) in KEYS {
        scene.origin.put(key, key.as_bytes().to_vec());
        let expected = (200, Some(key.as_bytes().to_vec()));
        assert_eq!(viewer.whole(path).await, expected, "{path}");
    }
}

async fn answers_come_as_they_are(scene: &Scene, proxy: &Proxy) {
    let viewer = proxy.viewer(2);
    scene.origin.put("picture.bin", vec![7; PICTURE_BYTES]);
    let whole = viewer.get("/picture.bin").send().await.unwrap();
    let headers = whole.headers().clone();
    assert_eq!(headers["content-length"], PICTURE_BYTES.to_string());
    assert!(
        headers["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    assert!(headers.contains_key("x-cache") && headers.contains_key("accept-ranges"));
    let tag = headers["etag"].clone();
    assert!(!tag.to_str().unwrap().starts_with("W/"), "{tag:?}");
    whole.bytes().await.unwrap();

    let part = viewer.get("/picture.bin").header("range", "bytes=100-199");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    let range = format!("bytes 100-199/{PICTURE_BYTES}");
    assert_eq!(part.headers()["content-range"], range);
    assert_eq!(part.bytes().await.unwrap().len(), 100);
    let same = viewer.get("/picture.bin").header("if-none-match", tag);
    assert_eq!(
        same.send().await.unwrap().status(),
        StatusCode::NOT_MODIFIED
    );

    let absent = viewer.get("/absent.bin").send().await.unwrap();
    assert_eq!(absent.status(), StatusCode::NOT_FOUND);
    assert_eq!(absent.headers()["cache-control"], "no-store");
    scene.origin.fault(On::key("down.bin"), Fault::status(500));
    let down = viewer.get("/down.bin").send().await.unwrap();
    assert_eq!(down.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(down.headers()["cache-control"], "no-store");
    assert!(down.headers().contains_key("retry-after"));
}

async fn a_broken_body_is_seen_to_be_broken(scene: &Scene, proxy: &Proxy, shows_breaks: bool) {
    let viewer = proxy.viewer(2);
    for (key, chunked) in [("known.bin", false), ("unknown.bin", true)] {
        let on = || On::key(key);
        scene.origin.put(key, vec![7; PICTURE_BYTES]);
        if chunked {
            scene.origin.fault(on(), Fault::Chunked);
            scene.origin.fault(on(), Fault::IgnoreRange);
            let (status, body) = viewer.whole("/unknown.bin").await;
            assert_eq!((status, body.unwrap().len()), (200, PICTURE_BYTES));
        }
        scene.origin.fault(on(), Fault::ResetAfter(150_000));
        // Nobody brings the rest.
        scene.origin.fault(on().after(1), Fault::Drop);
        let (status, body) = viewer.whole(&format!("/{key}")).await;
        let looks_whole = body.is_some();
        assert_eq!(
            (status, looks_whole),
            (200, chunked && !shows_breaks),
            "{key}"
        );
    }
}

async fn connections_are_kept(scene: &Scene, proxy: &Proxy) {
    let viewer = proxy.viewer(2);
    for _ in 0..20 {
        assert_eq!(viewer.whole("/a.bin").await.0, 200);
    }
    // One that is not kept is gone by then.
    sleep(Duration::from_millis(200)).await;
    let connections = scene.connections().await;
    assert!((1..=5).contains(&connections), "{connections} connections");
}

/// By their own addresses, whatever they say of themselves.
async fn clients_are_known(scene: &Scene, proxy: &Proxy) {
    scene.origin.put("held.bin", vec![7; PICTURE_BYTES]);
    let gate = Gate::new();
    let held = Fault::HoldAfter(100_000, gate.clone());
    scene.origin.fault(On::key("held.bin"), held);
    let (viewer, other) = (proxy.viewer(2), proxy.viewer(3));
    let mut downloads = Vec::new();
    for n in 0..=MOST {
        let asked = viewer
            .get("/held.bin")
            .header("x-forwarded-for", format!("198.51.100.{n}"));
        let response = asked.send().await.unwrap();
        let expected = if n < MOST { 200 } else { 503 };
        assert_eq!(
            response.status(),
            expected,
            "the {n}th: {}",
            scene.gateway.log()
        );
        downloads.push(response);
    }
    assert_eq!(other.whole("/a.bin").await.0, 200);
    gate.open();
}
