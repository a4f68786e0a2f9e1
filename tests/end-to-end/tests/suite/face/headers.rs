//! What stands in an answer's head: types, safety, validators, and that HEAD tells what GET does.

use test_servers::faulty::{Fault, Faulty, Object, On};

use super::answer::Answer;
use super::harness::{Gateway, holding, marked_root, noise, picture, png};

const WEBP: &[u8] = b"RIFF\x24\x10\x00\x00WEBPVP8 \x18\x10\x00\x00\x30\x01\x00\x9d\x01\x2a";

fn webp() -> Vec<u8> {
    let mut bytes = WEBP.to_vec();
    bytes.extend(noise(10_000));
    bytes
}

/// One object behind an s3, an http and a filesystem origin, on routes of those names.
async fn of_each_kind(name: &str, object: Object, bytes: &[u8]) -> (Gateway, impl Drop + use<>) {
    let bucket = Faulty::start().await;
    bucket.put(name, object);
    let root = marked_root(&[(name, bytes)]);
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &bucket)
            .signed("signed", &bucket, "")
            .http("http", &bucket, "allow_html = true")
            .directory("disk", root.path());
        for kind in KINDS {
            let more = format!("name = \"{kind}\"\nurl = \"/{kind}/\"\nkeys = [\"\"]");
            toml.route_with(&[kind], &more);
        }
    })
    .await;
    (gateway, root)
}

const KINDS: [&str; 4] = ["s3", "signed", "http", "disk"];

fn has_safety(answer: &Answer, what: &str) {
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(
        answer.header("content-security-policy"),
        "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox",
        "{what}"
    );
    assert_eq!(answer.header("access-control-allow-origin"), "*", "{what}");
    let exposed = answer.header("access-control-expose-headers");
    for name in ["Content-Range", "Accept-Ranges", "Content-Length"] {
        assert!(exposed.contains(name), "{what}: {exposed}");
    }
}

#[tokio::test]
async fn head_tells_every_header_that_get_does() {
    for (name, object, bytes) in [
        ("a.png", png(), picture()),
        ("b.bin", Object::new(webp()), webp()),
        (
            "c.html",
            Object::new("<p>").content_type("text/html"),
            b"<p>".to_vec(),
        ),
        (
            "empty.png",
            Object::new("").content_type("image/png"),
            Vec::new(),
        ),
        (
            "d",
            Object::new("?").without_etag().last_modified(None),
            b"?".to_vec(),
        ),
    ] {
        let (gateway, _held) = of_each_kind(name, object, &bytes).await;
        for kind in KINDS {
            let path = format!("/{kind}/{name}");
            for order in [["HEAD", "GET"], ["GET", "HEAD"]] {
                let first = gateway.ask(order[0], &path, &[]).await;
                let second = gateway.ask(order[1], &path, &[]).await;
                assert_eq!((first.status, first.whole), (200, true), "{path}");
                assert!(second.whole);
                assert_eq!(first.stable_headers(), second.stable_headers(), "{path}");
            }
            let get = gateway.get(&path).await;
            assert_eq!(get.body, bytes, "{path}");
            assert_eq!(get.header("content-length"), bytes.len().to_string());
            assert_eq!(get.header("accept-ranges"), "bytes");
            has_safety(&get, &path);
        }
    }
}

#[tokio::test]
async fn head_of_a_refusal_tells_every_header_that_get_does() {
    let bucket = holding("misskey/a.png").await;
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &bucket);
        toml.route_with(&["s3"], "url = \"/\"\nkeys = [\"misskey/\"]");
    })
    .await;
    bucket.fault(On::key("misskey/broken"), Fault::status(500));
    for (path, status) in [
        ("/misskey/none", 404),
        ("/misskey/broken", 503),
        ("/other/a", 403),
        ("/misskey/../a", 400),
    ] {
        let (head, get) = (gateway.head(path).await, gateway.get(path).await);
        assert_eq!((head.status, get.status), (status, status), "{path}");
        assert_eq!(head.stable_headers(), get.stable_headers(), "{path}");
        assert!(head.whole && get.whole && !get.body.is_empty());
    }
}

#[tokio::test]
async fn a_type_that_was_lost_is_found_again_in_every_answer() {
    for first in ["GET", "HEAD", "range", "start"] {
        let (gateway, _held) = of_each_kind("a", Object::new(webp()), &webp()).await;
        for kind in KINDS {
            let path = format!("/{kind}/a");
            let answer = match first {
                "range" => gateway.range(&path, "bytes=5000-5999").await,
                "start" => gateway.range(&path, "bytes=0-1").await,
                method => gateway.ask(method, &path, &[]).await,
            };
            let (kind, disposition) = (
                answer.header("content-type"),
                answer.header("content-disposition"),
            );
            assert_eq!((kind, disposition), ("image/webp", ""), "{first} {path}");
            assert!(answer.whole);
        }
    }
}

#[tokio::test]
async fn looking_for_a_type_costs_one_request_once() {
    for bytes in [webp(), noise(10_000)] {
        let bucket = Faulty::start().await;
        bucket.put("a", bytes);
        let gateway = Gateway::before(&bucket).await;
        for _ in 0..5 {
            assert_eq!(gateway.range("/a", "bytes=5000-5009").await.status, 206);
        }
        assert_eq!(bucket.counts().requests, 6);
    }
}

#[tokio::test]
async fn repairing_types_can_be_turned_off() {
    let bucket = Faulty::start().await;
    bucket.put("a", webp());
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &bucket);
        toml.route_with(&["s3"], "url = \"/\"\nkeys = [\"\"]\nrepair_types = false");
    })
    .await;
    for answer in [gateway.get("/a").await, gateway.head("/a").await] {
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("content-disposition"), "attachment");
    }
}

#[tokio::test]
async fn what_a_browser_could_run_is_a_download() {
    let html = "<!doctype html><script>alert(1)</script>";
    let svg = "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
    for (name, kind, body) in [
        ("a.html", "text/html", html),
        ("a.svg", "image/svg+xml", svg),
        ("a.pdf", "application/pdf", "%PDF-1.7\n"),
        ("a.xml", "application/xml", "<?xml version='1.0'?><a/>"),
        ("a.js", "text/javascript", "alert(1)"),
        ("html.png", "text/html", html),
        ("lost.html", "application/octet-stream", html),
        ("lost.svg", "binary/octet-stream", svg),
    ] {
        let object = Object::new(body).content_type(kind);
        let (gateway, _held) = of_each_kind(name, object, body.as_bytes()).await;
        // What a file is follows from its name, not from a header.
        let kinds = if name == "html.png" {
            &KINDS[..3]
        } else {
            &KINDS
        };
        for kind in kinds {
            for answer in [
                gateway.get(&format!("/{kind}/{name}")).await,
                gateway.head(&format!("/{kind}/{name}")).await,
                gateway.range(&format!("/{kind}/{name}"), "bytes=2-5").await,
            ] {
                assert!(matches!(answer.status, 200 | 206), "{kind} {name}");
                assert_eq!(answer.header("content-type"), "application/octet-stream");
                assert_eq!(answer.header("content-disposition"), "attachment", "{name}");
                has_safety(&answer, name);
            }
        }
    }
}

#[tokio::test]
async fn a_type_can_be_declared_safe() {
    let bucket = Faulty::start().await;
    bucket.put(
        "a.pdf",
        Object::new("%PDF-1.7\n").content_type("application/pdf"),
    );
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &bucket);
        let more = "url = \"/\"\nkeys = [\"\"]\ninline_types = [\"application/pdf\"]";
        toml.route_with(&["s3"], more);
    })
    .await;
    let answer = gateway.get("/a.pdf").await;
    assert_eq!(answer.header("content-type"), "application/pdf");
    assert_eq!(answer.header("content-disposition"), "");
}

#[tokio::test]
async fn every_status_carries_the_same_protection() {
    let bucket = holding("misskey/a.png").await;
    bucket.fault(On::key("misskey/broken"), Fault::status(500));
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &bucket);
        let url = "url = \"https://media.test/\"\nkeys = [\"misskey/\"]";
        toml.route_with(&["s3"], url);
    })
    .await;
    let path = "/misskey/a.png";
    let etag = gateway.get(path).await.header("etag").to_owned();
    for (status, method, path, header) in [
        (200, "GET", path, ("X", "")),
        (204, "OPTIONS", path, ("Origin", "https://a.example")),
        (206, "GET", path, ("Range", "bytes=0-0")),
        (304, "GET", path, ("If-None-Match", &*etag)),
        (400, "GET", "/misskey/%zz", ("X", "")),
        (403, "GET", "/backup.sql", ("X", "")),
        (404, "GET", "/misskey/none", ("X", "")),
        (405, "DELETE", path, ("X", "")),
        (412, "GET", path, ("If-Match", "\"other\"")),
        (413, "GET", path, ("Transfer-Encoding", "chunked")),
        (416, "GET", path, ("Range", "bytes=99999-")),
        (421, "GET", path, ("Host", "other.test")),
        (503, "GET", "/misskey/broken", ("X", "")),
    ] {
        let answer = gateway.ask(method, path, &[header]).await;
        assert_eq!(answer.status, status, "{method} {path} {header:?}");
        assert!(answer.whole, "{status}");
        has_safety(&answer, &status.to_string());
        if matches!(status, 403 | 404 | 421 | 503) {
            assert_eq!(answer.header("cache-control"), "no-store", "{status}");
        }
    }
}

#[tokio::test]
async fn any_page_may_ask_before_it_reads() {
    let gateway = Gateway::before(&holding("a.png").await).await;
    for path in ["/a.png", "/none"] {
        let headers = [
            ("Origin", "https://a.example"),
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "range"),
        ];
        let answer = gateway.ask("OPTIONS", path, &headers).await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let allowed = answer.header("access-control-allow-headers").to_lowercase();
        assert!(allowed.contains("range"), "{allowed}");
        assert!(
            answer
                .header("access-control-allow-methods")
                .contains("GET")
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
}

#[tokio::test]
async fn only_what_is_listed_is_passed_on() {
    let bucket = Faulty::start().await;
    let object = png()
        .header("Content-Disposition", "inline; filename=\"a b.png\"")
        .header("Content-Encoding", "gzip")
        .header("Content-Language", "ja");
    bucket.put("a.png", object);
    bucket.fault(On::any(), Fault::hostile_headers());
    let gateway = Gateway::before(&bucket).await;
    let answer = gateway.get("/a.png").await;
    assert_eq!(answer.status, 200);
    let mut names: Vec<_> = answer
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    names.sort_unstable();
    names.retain(|name| !matches!(*name, "connection" | "date"));
    assert_eq!(
        names,
        [
            "accept-ranges",
            "access-control-allow-origin",
            "access-control-expose-headers",
            "cache-control",
            "cache-status",
            "content-disposition",
            "content-encoding",
            "content-language",
            "content-length",
            "content-security-policy",
            "content-type",
            "etag",
            "last-modified",
            "x-cache",
            "x-content-type-options",
            "x-origin",
        ]
    );
    assert!(answer.header("content-disposition").contains("a b.png"));
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert_eq!(answer.header("content-language"), "ja");
    assert_eq!(
        answer.header("last-modified"),
        "Thu, 01 Jan 2026 00:00:00 GMT"
    );
    assert_eq!(answer.body, picture());
    has_safety(&answer, "hostile");
}

#[tokio::test]
async fn an_answer_says_who_had_it_and_that_no_cache_did() {
    let gateway = Gateway::before(&holding("a.png").await).await;
    let answer = gateway.get("/a.png").await;
    assert_eq!(answer.header("x-origin"), "current");
    assert_eq!(answer.header("x-cache"), "BYPASS");
    assert!(answer.header("cache-status").starts_with("media-gateway;"));
    assert_eq!(
        answer.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    let quiet = holding("a.png").await;
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &quiet);
        let more = "url = \"/\"\nkeys = [\"\"]\ncache_control = \"private, max-age=60\"";
        toml.route_with(&["s3"], more);
    })
    .await;
    let answer = gateway.get("/a.png").await;
    assert_eq!(answer.header("cache-control"), "private, max-age=60");
}

#[tokio::test]
async fn a_filename_in_the_query_is_offered_where_the_route_says_so() {
    let bucket = holding("a.png").await;
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &bucket);
        let more = "url = \"/\"\nkeys = [\"\"]\nfilename_parameter = \"name\"";
        toml.route_with(&["s3"], more);
    })
    .await;
    let answer = gateway.get("/a.png?name=cat%20picture.png").await;
    let offered = answer.header("content-disposition");
    assert!(
        offered.contains("filename=\"cat picture.png\""),
        "{offered}"
    );
    assert!(!offered.starts_with("attachment"), "{offered}");
    let hostile = gateway.get("/a.png?name=a%22%0d%0aX-Evil:%201").await;
    assert_eq!(hostile.header("x-evil"), "");
    assert_eq!(hostile.status, 200);
    assert!(
        bucket
            .requests()
            .iter()
            .all(|request| request.query().is_empty())
    );
}
