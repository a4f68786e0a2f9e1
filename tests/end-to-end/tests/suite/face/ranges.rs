//! Parts of objects, and conditions on them, as RFC 9110 says.

use std::fmt::Write as _;

use test_servers::faulty::{Faulty, Object};

use super::answer::{exchange, parse};
use super::harness::{Gateway, holding, marked_root, noise, picture, png};

/// 10,000 bytes behind a bucket, a web server and a directory.
async fn ten_thousand() -> (Gateway, impl Drop + use<>, Vec<u8>) {
    let bytes = noise(10_000);
    let bucket = Faulty::start().await;
    bucket.put("a", Object::new(bytes.clone()).content_type("video/mp4"));
    let root = marked_root(&[("a", &bytes)]);
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &bucket)
            .http("http", &bucket, "")
            .directory("disk", root.path());
        for kind in KINDS {
            let more = format!("name = \"{kind}\"\nurl = \"/{kind}/\"\nkeys = [\"\"]");
            toml.route_with(&[kind], &more);
        }
    })
    .await;
    (gateway, root, bytes)
}

const KINDS: [&str; 3] = ["s3", "http", "disk"];

#[tokio::test]
async fn one_range_is_answered_with_exactly_its_bytes() {
    let (gateway, _held, bytes) = ten_thousand().await;
    for kind in KINDS {
        let path = format!("/{kind}/a");
        for (range, first, last) in [
            ("bytes=0-0", 0, 0),
            ("bytes=0-99", 0, 99),
            ("bytes=5000-5999", 5000, 5999),
            ("bytes=9999-", 9999, 9999),
            ("bytes=9000-", 9000, 9999),
            ("bytes=9000-999999", 9000, 9999),
            ("bytes=-1", 9999, 9999),
            ("bytes=-500", 9500, 9999),
            ("bytes=-10000", 0, 9999),
            ("bytes=-99999", 0, 9999),
            ("bytes=0-", 0, 9999),
            ("bytes=0-9999", 0, 9999),
            ("bytes=0-9223372036854775807", 0, 9999),
            ("bytes=1-18446744073709551615", 1, 9999),
            ("bytes=-9223372036854775808", 0, 9999),
        ] {
            let answer = gateway.range(&path, range).await;
            assert_eq!((answer.status, answer.whole), (206, true), "{kind} {range}");
            let said = format!("bytes {first}-{last}/10000");
            assert_eq!(answer.header("content-range"), said, "{kind}");
            assert_eq!(answer.body, bytes[first..=last], "{kind} {range}");
        }
    }
}

#[tokio::test]
async fn several_ranges_and_nonsense_are_the_whole() {
    let (gateway, _held, bytes) = ten_thousand().await;
    let mut killer = "bytes=0-".to_owned();
    for n in 0..1000 {
        let _ = write!(killer, ",5-{n}");
    }
    for range in [
        "bytes=0-1,3-4",
        "bytes=0-1, 0-1",
        killer.as_str(),
        "bytes=5-2",
        "bytes=a-b",
        "bytes=--1",
        "bytes=1--2",
        "bytes=-",
        "bytes=",
        "lines=0-1",
        "0-1",
        "bytes=0x0-0x1",
        "bytes=+1-2",
    ] {
        for kind in KINDS {
            let answer = gateway.range(&format!("/{kind}/a"), range).await;
            assert_eq!((answer.status, answer.whole), (200, true), "{kind} {range}");
            assert_eq!(answer.header("content-range"), "");
            assert_eq!(answer.body, bytes, "{kind}");
        }
    }
}

#[tokio::test]
async fn a_range_beyond_the_end_is_told_where_the_end_is() {
    let (gateway, _held, _) = ten_thousand().await;
    for range in [
        "bytes=10000-",
        "bytes=10000-10001",
        "bytes=9223372036854775808-",
        "bytes=18446744073709551615-",
        "bytes=18446744073709551616-",
        "bytes=18446744073709551616-18446744073709551617",
        "bytes=-0",
    ] {
        for kind in KINDS {
            let answer = gateway.range(&format!("/{kind}/a"), range).await;
            assert_eq!((answer.status, answer.whole), (416, true), "{kind} {range}");
            assert_eq!(answer.header("content-range"), "bytes */10000", "{kind}");
            assert!(answer.body.is_empty());
        }
    }
}

#[tokio::test]
async fn a_range_of_what_is_not_there_is_not_a_416() {
    let gateway = Gateway::before(&holding("a.png").await).await;
    for range in ["bytes=0-1", "bytes=99999-", "bytes=18446744073709551616-"] {
        assert_eq!(gateway.range("/none", range).await.status, 404, "{range}");
    }
}

#[tokio::test]
async fn an_empty_object_has_no_ranges() {
    let bucket = Faulty::start().await;
    bucket.put("a", Object::new("").content_type("image/png"));
    let root = marked_root(&[("a", b"")]);
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &bucket)
            .http("http", &bucket, "")
            .directory("disk", root.path());
        for kind in KINDS {
            let more = format!("name = \"{kind}\"\nurl = \"/{kind}/\"\nkeys = [\"\"]");
            toml.route_with(&[kind], &more);
        }
    })
    .await;
    for kind in KINDS {
        let path = format!("/{kind}/a");
        let whole = gateway.get(&path).await;
        assert_eq!((whole.status, whole.header("content-length")), (200, "0"));
        assert!(whole.whole && whole.body.is_empty());
        for range in ["bytes=0-0", "bytes=0-", "bytes=-1", "bytes=5-9"] {
            let answer = gateway.range(&path, range).await;
            assert_eq!(answer.status, 416, "{kind} {range}");
            assert_eq!(answer.header("content-range"), "bytes */0", "{kind}");
        }
    }
}

#[tokio::test]
async fn head_ignores_a_range() {
    let (gateway, _held, _) = ten_thousand().await;
    let answer = gateway
        .ask("HEAD", "/s3/a", &[("Range", "bytes=0-9")])
        .await;
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, "10000")
    );
}

#[tokio::test]
async fn the_tag_that_was_sent_is_the_tag_that_matches() {
    let (gateway, _held, bytes) = ten_thousand().await;
    for kind in KINDS {
        let path = format!("/{kind}/a");
        let first = gateway.get(&path).await;
        let (etag, date) = (first.header("etag"), first.header("last-modified"));
        if kind != "disk" {
            assert!(!etag.is_empty(), "{kind}");
        }
        assert!(!date.is_empty(), "{kind}");
        let conditional = async |headers: &[(&str, &str)]| {
            let answer = gateway.ask("GET", &path, headers).await;
            let head = gateway.ask("HEAD", &path, headers).await;
            assert!(answer.whole && head.whole);
            if !headers.iter().any(|(name, _)| *name == "Range") {
                assert_eq!(answer.status, head.status, "{kind} {headers:?}");
            }
            answer
        };
        assert_eq!(
            conditional(&[("If-Modified-Since", date)]).await.status,
            304
        );
        let past = "Thu, 01 Jan 1970 00:00:01 GMT";
        assert_eq!(
            conditional(&[("If-Modified-Since", past)]).await.status,
            200
        );
        assert_eq!(
            conditional(&[("If-Unmodified-Since", past)]).await.status,
            412
        );
        assert_eq!(conditional(&[("If-Match", "\"other\"")]).await.status, 412);
        assert_eq!(conditional(&[("If-Match", "*")]).await.status, 200);
        assert_eq!(
            conditional(&[("If-None-Match", "\"other\"")]).await.status,
            200
        );
        assert_eq!(conditional(&[("If-None-Match", "*")]).await.status, 304);
        let other = conditional(&[("If-Range", "\"other\""), ("Range", "bytes=0-9")]).await;
        assert_eq!(
            (other.status, other.body.len()),
            (200, bytes.len()),
            "{kind}"
        );
        if etag.is_empty() {
            continue;
        }
        let unchanged = conditional(&[("If-None-Match", etag)]).await;
        assert_eq!((unchanged.status, unchanged.header("etag")), (304, etag));
        let weak = format!("W/{etag}");
        assert_eq!(conditional(&[("If-None-Match", &weak)]).await.status, 304);
        assert_eq!(conditional(&[("If-Match", etag)]).await.status, 200);
        let same = conditional(&[("If-Range", etag), ("Range", "bytes=10-19")]).await;
        assert_eq!(
            (same.status, &same.body[..]),
            (206, &bytes[10..20]),
            "{kind}"
        );
        assert_eq!(same.header("etag"), etag);
        let dated = conditional(&[("If-Range", past), ("Range", "bytes=10-19")]).await;
        assert_eq!(dated.status, 200);
    }
}

#[tokio::test]
async fn the_tag_stays_when_the_object_moves_and_never_shows_the_origins_own() {
    let (current, old) = (holding("a.png").await, holding("a.png").await);
    let gateway = Gateway::with(|toml| {
        toml.s3("current", &current).http("old", &old, "");
        toml.route(&["current", "old"]);
    })
    .await;
    let before = gateway.get("/a.png").await;
    current.empty();
    let after = gateway.get("/a.png").await;
    assert_eq!(
        (before.header("x-origin"), after.header("x-origin")),
        ("current", "old")
    );
    assert_eq!(before.header("etag"), after.header("etag"));
    current.put("a.png", png());
    let own = own_tag(&current).await;
    assert!(own.len() == 34 && own != before.header("etag"));
    current.empty();
    old.put("a.png", png().etag("\"opaque\""));
    let replaced = gateway.get("/a.png").await;
    assert_ne!(replaced.header("etag"), before.header("etag"));
    assert!(!replaced.header("etag").contains("opaque"));
    assert_eq!(replaced.body, picture());
}

/// The tag that a bucket itself gives, which a client never sees.
async fn own_tag(bucket: &Faulty) -> String {
    let request = b"GET /bucket/a.png HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let said = exchange(bucket.addr(), request).await;
    parse(&said, false).unwrap().header("etag").to_owned()
}
