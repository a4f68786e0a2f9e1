//! Requests that are no plain reading: methods, bodies, hosts, and what never reaches an origin.

use test_servers::faulty::Fault;
use test_servers::faulty::On;

use super::answer::{exchange, parse};
use super::harness::{Gateway, empty, holding, picture};

#[tokio::test]
async fn media_is_only_read() {
    let bucket = holding("a.png").await;
    let gateway = Gateway::before(&bucket).await;
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "TRACE", "PURGE", "PROPFIND", "get",
    ] {
        for path in ["/a.png", "/none"] {
            let answer = gateway.ask(method, path, &[]).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
            assert!(!answer.text().contains("media.test"), "an echo");
        }
    }
    let connect =
        b"CONNECT media.test:443 HTTP/1.1\r\nHost: media.test\r\nConnection: close\r\n\r\n";
    assert!(matches!(gateway.raw(connect).await.status, 400 | 405));
    assert_eq!(bucket.counts().connections, 0);
}

#[tokio::test]
async fn an_upgrade_is_not_followed() {
    let gateway = Gateway::before(&holding("a.png").await).await;
    for upgrade in ["websocket", "h2c", "TLS/1.3"] {
        let request = format!(
            "GET /a.png HTTP/1.1\r\nHost: media.test\r\nUpgrade: {upgrade}\r\n\
             Connection: Upgrade, HTTP2-Settings, close\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        );
        let answer = gateway.raw(request.as_bytes()).await;
        assert_eq!((answer.status, answer.whole), (200, true), "{upgrade}");
        assert_eq!(answer.header("upgrade"), "");
    }
}

#[tokio::test]
async fn a_read_with_a_body_is_refused_and_its_connection_closed() {
    let bucket = holding("a.png").await;
    bucket.fault(On::key("broken"), Fault::status(500));
    let gateway = Gateway::before(&bucket).await;
    // What hides in the body must not be answered as a request of its own.
    let hidden = "GET /a.png HTTP/1.1\r\nHost: media.test\r\n\r\n";
    for method in ["GET", "HEAD", "OPTIONS"] {
        for path in ["/a.png", "/none", "/broken", "/%zz"] {
            for framing in [
                format!("Content-Length: {}\r\n\r\n{hidden}", hidden.len()),
                format!(
                    "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
                    hidden.len()
                ),
            ] {
                let request = format!("{method} {path} HTTP/1.1\r\nHost: media.test\r\n{framing}");
                let said = exchange(gateway.addr, request.as_bytes()).await;
                let text = String::from_utf8_lossy(&said);
                let answer = parse(&said, method == "HEAD").unwrap_or_else(|| panic!("{text}"));
                assert_eq!(answer.status, 413, "{request}\n{text}");
                assert_eq!(answer.header("connection"), "close");
                assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
            }
        }
    }
    assert_eq!(bucket.counts().requests, 0);
}

#[tokio::test]
async fn framing_that_two_servers_could_read_differently_is_refused() {
    let gateway = Gateway::before(&holding("a.png").await).await;
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Folded: a\r\n",
        "X: a\0b\r\n",
        "X\0: a\r\n",
    ] {
        let request = format!("GET /a.png HTTP/1.1\r\nHost: media.test\r\n{fields}\r\nGET ");
        let said = exchange(gateway.addr, request.as_bytes()).await;
        let text = String::from_utf8_lossy(&said);
        let status = parse(&said, false).map_or(0, |answer| answer.status);
        assert!(matches!(status, 400 | 413 | 501), "{fields:?}: {text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    }
}

#[tokio::test]
async fn a_request_has_one_host() {
    let gateway = Gateway::before(&holding("a.png").await).await;
    for hosts in [
        "",
        "Host: a.test\r\nHost: b.test\r\n",
        "Host: a.test\r\nHost: a.test\r\n",
        "Host: a.test, b.test\r\n",
        "Host: a test\r\n",
        "Host: a.test/x\r\n",
        "Host: u@a.test\r\n",
        "Host:\r\n",
    ] {
        let request = format!("GET /a.png HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        let answer = gateway.raw(request.as_bytes()).await;
        assert_eq!(answer.status, 400, "{hosts:?}");
    }
}

#[tokio::test]
async fn an_origin_hears_nothing_of_the_client_but_the_key() {
    let (bucket, web) = (holding("a.png").await, holding("a.png").await);
    let gateway = Gateway::with(|toml| {
        toml.signed("bucket", &bucket, "").http("web", &web, "");
        toml.route_with(&["bucket"], "name = \"s\"\nurl = \"/s/\"\nkeys = [\"\"]");
        toml.route_with(&["web"], "name = \"w\"\nurl = \"/w/\"\nkeys = [\"\"]");
    })
    .await;
    let headers = [
        ("Cookie", "session=CLIENT"),
        ("Authorization", "Bearer CLIENT"),
        ("Proxy-Authorization", "Basic CLIENT"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("Forwarded", "for=203.0.113.9"),
        ("Referer", "https://CLIENT.example/"),
        ("User-Agent", "CLIENT"),
        ("X-Amz-Acl", "CLIENT"),
        ("X-Amz-Security-Token", "CLIENT"),
        ("X-Amz-Server-Side-Encryption-Customer-Key", "CLIENT"),
        ("X-Http-Method-Override", "CLIENT"),
        ("X-Original-Url", "/CLIENT"),
        ("Connection", "Host, Range, X-CLIENT"),
        ("Accept-Encoding", "gzip, CLIENT"),
    ];
    for query in [
        "acl",
        "policy",
        "torrent",
        "uploads",
        "versionId=CLIENT",
        "partNumber=1",
        "list-type=2",
        "response-content-type=text/html",
        "response-content-disposition=CLIENT",
        "X-Amz-Signature=CLIENT",
        "AWSAccessKeyId=CLIENT",
        "a=b?c#d",
    ] {
        for route in ["s", "w"] {
            for method in ["GET", "HEAD"] {
                let path = format!("/{route}/a.png?{query}");
                let answer = gateway.ask(method, &path, &headers).await;
                assert_eq!(answer.status, 200, "{path}");
                assert_eq!(answer.header("content-type"), "image/png");
            }
        }
    }
    for request in bucket.requests().iter().chain(&web.requests()) {
        assert_eq!((&*request.method, request.path()), ("GET", "/bucket/a.png"));
        assert!(!request.target.contains("CLIENT"), "{}", request.target);
        for (name, value) in &request.headers {
            let told = value.contains("CLIENT") || value.contains("203.0.113");
            assert!(!told, "{name}: {value}");
            let forbidden = ["cookie", "authorization", "referer", "forwarded"];
            assert!(!forbidden.contains(&&*name.to_lowercase()), "{name}");
        }
    }
    let own = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        [
            "Algorithm",
            "Credential",
            "Date",
            "Expires",
            "SignedHeaders",
            "Signature",
        ]
        .contains(&name.strip_prefix("X-Amz-").unwrap_or_default())
    };
    for request in bucket.requests() {
        assert!(request.is_signed() && request.query().split('&').all(own));
    }
    assert!(
        web.requests()
            .iter()
            .all(|request| request.query().is_empty())
    );
}

#[tokio::test]
async fn head_get_head_tell_the_same_and_the_body_comes_once() {
    let bucket = holding("a.png").await;
    let gateway = Gateway::before(&bucket).await;
    let first = gateway.head("/a.png").await;
    let body = gateway.get("/a.png").await;
    let last = gateway.head("/a.png").await;
    assert_eq!((first.status, body.status, last.status), (200, 200, 200));
    assert_eq!(body.body, picture());
    assert_eq!(first.stable_headers(), body.stable_headers());
    assert_eq!(first.stable_headers(), last.stable_headers());
    // A HEAD costs its origin a byte, not a body.
    assert!(bucket.body_bytes_sent() <= picture().len() as u64 + 2);
}

#[tokio::test]
async fn a_404_does_not_outlive_the_upload() {
    let (current, old) = (empty().await, empty().await);
    let gateway = Gateway::with(|toml| {
        toml.s3("current", &current).s3("old", &old);
        toml.route(&["current", "old"]);
    })
    .await;
    for bucket in [&old, &current] {
        assert_eq!(gateway.get("/a.png").await.status, 404);
        bucket.put("a.png", super::harness::png());
        assert_eq!(gateway.get("/a.png").await.status, 200);
        bucket.remove("a.png");
    }
    assert_eq!(gateway.get("/a.png").await.status, 404);
}

#[tokio::test]
async fn a_503_does_not_outlive_the_outage() {
    let bucket = holding("a.png").await;
    bucket.fault(On::any().first(1), Fault::status(500));
    let gateway = Gateway::before(&bucket).await;
    let statuses = [
        gateway.get("/a.png").await.status,
        gateway.get("/a.png").await.status,
    ];
    assert_eq!(statuses, [503, 200]);
}
