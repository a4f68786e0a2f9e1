//! More than one request on a connection, other versions of HTTP, and limits on bodies.

use std::time::Duration;

use test_servers::faulty::{Fault, Faulty, Gate, Object, On};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::answer::{PATIENCE, exchange, parse};
use super::harness::{Gateway, holding, noise, picture};

#[tokio::test]
async fn requests_in_a_row_are_answered_in_their_order() {
    let bucket = holding("a.png").await;
    bucket.put("b", Object::new("bee").content_type("image/png"));
    bucket.fault(On::key("a.png"), Fault::Delay(Duration::from_millis(50)));
    let gateway = Gateway::before(&bucket).await;
    let one = |method: &str, path: &str, last: &str| {
        format!("{method} {path} HTTP/1.1\r\nHost: media.test\r\n{last}\r\n")
    };
    let request = [
        one("GET", "/none", ""),
        one("HEAD", "/a.png", ""),
        one("GET", "/b", "Range: bytes=0-0\r\n"),
        one("GET", "/%zz", ""),
        one("OPTIONS", "/b", ""),
        one("GET", "/a.png", "If-None-Match: *\r\n"),
        one("GET", "/b", "Connection: close\r\n"),
    ]
    .concat();
    let said = exchange(gateway.addr, request.as_bytes()).await;
    let text = String::from_utf8_lossy(&said);
    let statuses: Vec<_> = text
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| &answer[..3])
        .collect();
    assert_eq!(statuses, ["404", "200", "206", "400", "204", "304", "200"]);
    assert!(text.ends_with("\r\n\r\nbee"));
}

#[tokio::test]
async fn an_old_client_is_answered_where_any_host_will_do() {
    let bucket = holding("a.png").await;
    let gateway = Gateway::before(&bucket).await;
    let answer = gateway.raw(b"GET /a.png HTTP/1.0\r\n\r\n").await;
    assert_eq!((answer.status, answer.whole), (200, true));
    assert_eq!(answer.body, picture());
    let strict = Gateway::with(|toml| {
        toml.s3("s3", &bucket);
        toml.route_with(&["s3"], "url = \"http://media.test/\"\nkeys = [\"\"]");
    })
    .await;
    assert_eq!(strict.raw(b"GET /a.png HTTP/1.0\r\n\r\n").await.status, 421);
    let named = b"GET /a.png HTTP/1.0\r\nHost: media.test\r\n\r\n";
    assert_eq!(strict.raw(named).await.status, 200);
}

#[tokio::test]
async fn an_old_client_sees_a_cut_where_only_the_end_tells_the_length() {
    let bytes = noise(300_000);
    let web = Faulty::start().await;
    web.put("a", Object::new(bytes.clone()).content_type("video/mp4"));
    web.fault(On::any(), Fault::Chunked);
    web.fault(On::any(), Fault::IgnoreRange);
    let gateway = Gateway::with(|toml| {
        toml.http("web", &web, "").route(&["web"]);
    })
    .await;
    let read = async || {
        let mut stream = TcpStream::connect(gateway.addr).await.unwrap();
        stream.write_all(b"GET /a HTTP/1.0\r\n\r\n").await.unwrap();
        let mut said = Vec::new();
        let ended = stream.read_to_end(&mut said).await;
        (ended, said)
    };
    let (ended, said) = tokio::time::timeout(PATIENCE, read()).await.unwrap();
    assert!(ended.is_ok() && said.ends_with(&bytes));
    web.fault(On::any(), Fault::CutAfter(150_000));
    let (ended, said) = tokio::time::timeout(PATIENCE, read()).await.unwrap();
    assert!(ended.is_err(), "a clean end after {} bytes", said.len());
}

#[tokio::test]
async fn http2_is_answered_alike() {
    let bucket = holding("a.png").await;
    let gateway = Gateway::before(&bucket).await;
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let url = |path: &str| format!("http://{}{path}", gateway.addr);
    for path in ["/a.png", "/none", "/%zz"] {
        let old = gateway.get(path).await;
        let new = client.get(url(path)).send().await.unwrap();
        assert_eq!(
            (new.version(), new.status().as_u16()),
            (http::Version::HTTP_2, old.status)
        );
        for (name, value) in &old.headers {
            if !matches!(name.as_str(), "connection" | "date") {
                assert_eq!(new.headers().get(name), Some(value), "{path}");
            }
        }
        assert_eq!(new.bytes().await.unwrap(), old.body);
    }
    let head = client.head(url("/a.png")).send().await.unwrap();
    assert_eq!(
        head.headers()["content-length"],
        picture().len().to_string()
    );
    let fat = client
        .get(url("/a.png"))
        .body("a body")
        .send()
        .await
        .unwrap();
    assert_eq!(fat.status(), 413);
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>("a body")]);
    let unannounced = client
        .get(url("/a.png"))
        .body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(unannounced.send().await.unwrap().status(), 413);
    let two = client
        .get(url("/a.png"))
        .header("Host", "other.test")
        .send()
        .await;
    assert!(two.is_err() || two.unwrap().status() == 400);
}

#[tokio::test]
async fn more_bodies_than_allowed_are_told_to_come_back() {
    let bucket = Faulty::start().await;
    bucket.put(
        "slow",
        Object::new(noise(100_000)).content_type("image/png"),
    );
    bucket.put("b", Object::new("bee").content_type("image/png"));
    let gate = Gate::new();
    bucket.fault(On::key("slow"), Fault::HoldAfter(50_000, gate.clone()));
    let gateway = Gateway::with(|toml| {
        toml.add("[server.limits]\nbodies = 1");
        toml.s3("s3", &bucket).route(&["s3"]);
    })
    .await;
    let mut slow = TcpStream::connect(gateway.addr).await.unwrap();
    let request = b"GET /slow HTTP/1.1\r\nHost: media.test\r\nConnection: close\r\n\r\n";
    slow.write_all(request).await.unwrap();
    let mut said = vec![0; 1000];
    slow.read_exact(&mut said).await.unwrap();
    let refused = gateway.get("/b").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert_eq!(refused.header("cache-control"), "no-store");
    assert_eq!(gateway.head("/b").await.status, 200);
    assert_eq!(gateway.head("/none").await.status, 404);
    assert!(
        bucket
            .requests_for("b")
            .iter()
            .all(|asked| asked.header("range") == Some("bytes=0-0")),
        "no body is asked for that could not be sent"
    );
    gate.open();
    slow.read_to_end(&mut said).await.unwrap();
    assert!(parse(&said, false).unwrap().whole);
    assert_eq!(gateway.get("/b").await.body, b"bee");
}

#[tokio::test]
async fn one_client_of_a_proxy_cannot_take_the_places_of_all() {
    let bucket = holding("b").await;
    bucket.put(
        "slow",
        Object::new(noise(100_000)).content_type("image/png"),
    );
    let gate = Gate::new();
    bucket.fault(On::key("slow"), Fault::HoldAfter(50_000, gate.clone()));
    let gateway = Gateway::with(|toml| {
        toml.server("trusted_proxies = [\"127.0.0.1\"]");
        toml.add("[server.limits]\nconnections_per_client = 1");
        toml.s3("s3", &bucket).route(&["s3"]);
    })
    .await;
    let mut slow = TcpStream::connect(gateway.addr).await.unwrap();
    let request = b"GET /slow HTTP/1.1\r\nHost: media.test\r\nX-Forwarded-For: 203.0.113.9\r\n\
                    Connection: close\r\n\r\n";
    slow.write_all(request).await.unwrap();
    let mut said = vec![0; 1000];
    slow.read_exact(&mut said).await.unwrap();
    let from = async |client: &str| {
        let headers = [("X-Forwarded-For", client)];
        gateway.ask("GET", "/b", &headers).await
    };
    let refused = from("203.0.113.9").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert_eq!(refused.header("cache-control"), "no-store");
    assert_eq!(from("198.51.100.7, 203.0.113.10").await.status, 200);
    gate.open();
    slow.read_to_end(&mut said).await.unwrap();
    assert!(parse(&said, false).unwrap().whole);
    assert_eq!(from("203.0.113.9").await.status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    let bucket = Faulty::start().await;
    bucket.put(
        "a",
        Object::new(noise(20_000_000)).content_type("image/png"),
    );
    bucket.put("b", Object::new("bee").content_type("image/png"));
    let gateway = Gateway::with(|toml| {
        toml.add("[server.limits]\nbodies = 1");
        toml.s3("s3", &bucket).route(&["s3"]);
    })
    .await;
    let mut leaving = TcpStream::connect(gateway.addr).await.unwrap();
    let request = b"GET /a HTTP/1.1\r\nHost: media.test\r\n\r\n";
    leaving.write_all(request).await.unwrap();
    leaving.read_exact(&mut [0; 1000]).await.unwrap();
    assert_eq!(gateway.get("/b").await.status, 503);
    drop(leaving);
    let again = async {
        while gateway.get("/b").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
    bucket
        .wait_until("the origin is left too", |counts| counts.open <= 1)
        .await;
}

#[tokio::test]
async fn what_operators_ask_is_not_answered_to_viewers() {
    let gateway = Gateway::before(&holding("a.png").await).await;
    for path in [
        "/metrics",
        "/api/status",
        "/api/explain?url=x",
        "/healthz",
        "/readyz",
    ] {
        assert_eq!(gateway.get(path).await.status, 404, "{path}");
    }
    assert_eq!(gateway.ask_admin("/a.png").await.status, 404);
    assert_eq!(
        gateway.ask_admin("/api/explain?url=nonsense").await.status,
        400
    );
    assert_eq!(gateway.ask_admin("/readyz").await.status, 200);
    let post =
        b"POST /api/explain HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let refused = parse(&exchange(gateway.admin, post).await, false).unwrap();
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn conditions_on_what_is_not_there_do_not_make_it_be() {
    let bucket = holding("a.png").await;
    bucket.fault(On::key("broken"), Fault::status(500));
    let gateway = Gateway::before(&bucket).await;
    for (path, status) in [("/none", 404), ("/broken", 503)] {
        for field in ["If-Match", "If-None-Match", "If-Range"] {
            for value in ["*", "\"a\""] {
                let headers = [(field, value), ("Range", "bytes=0-9")];
                let answer = gateway.ask("GET", path, &headers).await;
                assert_eq!(answer.status, status, "{path} {field}: {value}");
            }
        }
    }
}
