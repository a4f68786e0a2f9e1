//! What monitoring reads after real traffic: the contract's names, and nothing of a client's.

use test_servers::faulty::{Fault, On};

use super::harness::{Gateway, empty, holding, noise};

/// Names that a gateway without a cache has something to tell by.
const NAMES: [&str; 17] = [
    "requests_total",
    "request_seconds",
    "first_byte_seconds",
    "response_bytes_total",
    "unrouted_total",
    "refused_keys_total",
    "origin_requests_total",
    "origin_unknown_total",
    "origin_seconds",
    "origin_bytes_total",
    "origin_up",
    "origin_suspect",
    "origin_served_total",
    "rehearsal_saves_total",
    "resumed_bodies_total",
    "connections",
    "build_info",
];

#[tokio::test]
async fn every_name_of_the_contract_is_there_and_no_label_is_a_clients() {
    let (current, old) = (empty().await, holding("misskey/secretname.png").await);
    current.fault(On::key("misskey/broken"), Fault::status(500));
    let gateway = Gateway::with(|toml| {
        toml.s3("current", &current).signed("old", &old, "");
        let more = "url = \"http://media.test/\"\nkeys = [\"misskey/\"]";
        toml.route_with(&["current", "old"], more);
    })
    .await;
    for (method, host, path) in [
        ("GET", "media.test", "/misskey/secretname.png"),
        ("HEAD", "media.test", "/misskey/secretname.png"),
        ("GET", "media.test", "/misskey/none-secretname"),
        ("GET", "media.test", "/misskey/broken"),
        ("GET", "media.test", "/secretname"),
        ("GET", "secrethost.test", "/misskey/secretname.png"),
        ("SECRETVERB", "media.test", "/misskey/secretname.png"),
    ] {
        gateway.ask(method, path, &[("Host", host)]).await;
    }
    let text = gateway.metrics().await;
    for name in NAMES {
        let sample = format!("media_gateway_{name}");
        assert!(text.lines().any(|line| line.starts_with(&sample)), "{name}");
    }
    for told in [
        "secretname",
        "secrethost",
        "SECRETVERB",
        "misskey/",
        "AKID",
        "media.test",
    ] {
        assert!(!text.contains(told), "{told}");
    }
    assert!(text.contains("\nprocess_resident_memory_bytes "));
}

#[tokio::test]
async fn requests_are_counted_as_they_were_answered() {
    let bucket = holding("misskey/a.png").await;
    bucket.fault(On::key("misskey/broken"), Fault::status(500));
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &bucket);
        toml.route_with(&["s3"], "url = \"/\"\nkeys = [\"misskey/\"]");
    })
    .await;
    let mut served = 0;
    for (path, range) in [
        ("/misskey/a.png", "bytes=0-"),
        ("/misskey/a.png", "bytes=5-9"),
        ("/misskey/a.png", "bytes=99999-"),
        ("/misskey/none", "bytes=0-"),
        ("/misskey/broken", "bytes=0-"),
        ("/other", "bytes=0-"),
    ] {
        let answer = gateway.range(path, range).await;
        served += if answer.status == 206 {
            answer.body.len() as u64
        } else {
            0
        };
    }
    for (status, count) in [(206, 2), (416, 1), (404, 1), (503, 1), (403, 1), (200, 0)] {
        let sample = format!(
            "requests_total{{cache=\"bypass\",method=\"GET\",route=\"media\",status=\"{status}\"}}"
        );
        assert_eq!(gateway.metric(&sample).await, count, "{status}");
    }
    let bytes = "response_bytes_total{cache=\"bypass\",route=\"media\"}";
    assert_eq!(gateway.metric(bytes).await, served);
    let verdict =
        |verdict: &str| format!("origin_requests_total{{origin=\"s3\",verdict=\"{verdict}\"}}");
    assert_eq!(gateway.metric(&verdict("missing")).await, 1);
    assert_eq!(gateway.metric(&verdict("unknown")).await, 1);
    let reason = "origin_unknown_total{origin=\"s3\",reason=\"server_error\"}";
    assert_eq!(gateway.metric(reason).await, 1);
    assert_eq!(gateway.metric("origin_up{origin=\"s3\"}").await, 1);
}

#[tokio::test]
async fn an_origin_that_is_down_is_seen_and_seen_to_come_back() {
    let bucket = holding("a").await;
    let gateway = Gateway::before(&bucket).await;
    bucket.stop().await;
    for _ in 0..10 {
        assert_eq!(gateway.get("/a").await.status, 503);
    }
    assert_eq!(gateway.metric("origin_up{origin=\"current\"}").await, 0);
    // A tripped origin that nobody can stand in for is still asked.
    bucket.restart();
    assert_eq!(gateway.get("/a").await.status, 200);
    assert_eq!(gateway.metric("connections").await, 0);
}

#[tokio::test]
async fn bytes_are_counted_once_where_a_body_was_cut() {
    let bucket = empty().await;
    bucket.put("a", noise(100_000));
    bucket.fault(On::key("a").nth(1), Fault::CutAfter(50_000));
    bucket.fault(On::key("a").after(1), Fault::status(500));
    let gateway = Gateway::before(&bucket).await;
    let answer = gateway.get("/a").await;
    assert!(!answer.whole);
    let bytes = "response_bytes_total{cache=\"bypass\",route=\"media\"}";
    assert_eq!(gateway.metric(bytes).await, answer.body.len() as u64);
}
