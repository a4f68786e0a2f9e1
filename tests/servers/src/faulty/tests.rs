//! The origin's own promises, over real sockets.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const KEY: &str = "misskey/a.webp";

async fn with_object(length: usize) -> Faulty {
    let origin = Faulty::start().await;
    origin.put(
        KEY,
        Object::new(vec![b'x'; length]).content_type("image/webp"),
    );
    origin
}

/// Sends one request and reads until the server closes; the error is how it closed.
async fn exchange(origin: &Faulty, target: &str, headers: &str) -> (String, std::io::Result<()>) {
    let mut stream = TcpStream::connect(origin.addr()).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer).await.map(drop);
    (String::from_utf8_lossy(&answer).into_owned(), end)
}

async fn get(origin: &Faulty) -> (String, String) {
    let (answer, end) = exchange(origin, "/bucket/misskey/a.webp", "").await;
    end.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn without_faults_it_answers_like_a_bucket() {
    let origin = with_object(1000).await;
    let client = reqwest::Client::new();
    let url = format!("{}{KEY}", origin.base_url());
    let whole = client.get(&url).send().await.unwrap();
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.headers()["content-type"], "image/webp");
    assert_eq!(whole.headers()["etag"].len(), 34);
    assert_eq!(whole.bytes().await.unwrap().len(), 1000);

    let head = client.head(&url).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "1000");
    let part = client
        .get(&url)
        .header("range", "bytes=10-19")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], "bytes 10-19/1000");
    assert_eq!(part.bytes().await.unwrap().len(), 10);

    let absent = client.get(format!("{url}x")).send().await.unwrap();
    assert_eq!(absent.status(), 404);
    assert!(
        absent
            .text()
            .await
            .unwrap()
            .contains("<Code>NoSuchKey</Code>")
    );
    let bucket = client
        .get(format!("{}/other/x", origin.endpoint()))
        .send()
        .await
        .unwrap();
    assert!(
        bucket
            .text()
            .await
            .unwrap()
            .contains("<Code>NoSuchBucket</Code>")
    );

    assert_eq!(origin.requests_for(KEY).len(), 3);
    assert_eq!(origin.counts().requests, 5);
    let used_once = origin
        .requests()
        .iter()
        .all(|request| request.connection == 0);
    assert!(used_once, "keep-alive works");
}

#[tokio::test]
async fn a_body_is_cut_where_the_script_says() {
    let origin = with_object(1000).await;
    for at in [0, 1, 500, 999] {
        for framing in [None, Some(Fault::Chunked)] {
            origin.heal();
            origin.fault(On::key(KEY), Fault::CutAfter(at));
            let chunked = framing.is_some();
            if let Some(fault) = framing {
                origin.fault(On::any(), fault);
            }
            let (head, body) = get(&origin).await;
            assert_eq!(body.matches('x').count(), at);
            assert_eq!(head.contains("Content-Length: 1000"), !chunked, "{head}");
            assert!(!body.contains("0\r\n\r\n"), "a cut body has no last chunk");
        }
    }
    origin.heal();
    origin.fault(On::key(KEY), Fault::ResetAfter(10));
    let (_, end) = exchange(&origin, "/bucket/misskey/a.webp", "").await;
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn it_lies_about_lengths_and_ranges_when_told() {
    let origin = with_object(1000).await;
    origin.fault(On::any().nth(1), Fault::WrongLength(7));
    origin.fault(On::any().nth(2), Fault::WrongLength(-7));
    assert!(get(&origin).await.0.contains("Content-Length: 1007"));
    assert!(get(&origin).await.0.contains("Content-Length: 993"));
    assert!(get(&origin).await.0.contains("Content-Length: 1000"));

    let range = "Range: bytes=0-9\r\n";
    let target = "/bucket/misskey/a.webp";
    origin.fault(
        On::any().nth(1),
        Fault::ContentRange(Some("bytes 5-14/1000".into())),
    );
    origin.fault(On::any().nth(2), Fault::ContentRange(None));
    origin.fault(On::any().nth(3), Fault::IgnoreRange);
    let wrong = exchange(&origin, target, range).await.0;
    assert!(
        wrong.contains("206") && wrong.contains("bytes 5-14/1000"),
        "{wrong}"
    );
    assert!(
        !exchange(&origin, target, range)
            .await
            .0
            .contains("Content-Range")
    );
    assert!(
        exchange(&origin, target, range)
            .await
            .0
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn errors_come_first_and_then_the_object() {
    let origin = with_object(10).await;
    origin.fault(On::key(KEY).first(2), Fault::slow_down(7));
    for _ in 0..2 {
        let (head, body) = get(&origin).await;
        assert!(
            head.starts_with("HTTP/1.1 503") && head.contains("Retry-After: 7"),
            "{head}"
        );
        assert!(body.contains("<Code>SlowDown</Code>"));
    }
    assert!(get(&origin).await.0.starts_with("HTTP/1.1 200"));
    origin.fault(On::any().nth(1), Fault::html(200));
    assert!(get(&origin).await.0.contains("text/html"));
    origin.fault(
        On::any().nth(1),
        Fault::redirect(301, "http://169.254.169.254/"),
    );
    assert!(
        get(&origin)
            .await
            .0
            .contains("Location: http://169.254.169.254/")
    );
    origin.fault(On::any().nth(1), Fault::huge_headers(70_000));
    assert!(get(&origin).await.0.len() > 70_000);
}

#[tokio::test]
async fn strangers_see_only_what_they_may() {
    let origin = with_object(10).await;
    origin.put("hidden", Object::new("x").private());
    let signed = "Authorization: AWS4-HMAC-SHA256 x\r\n";
    let status = async |target: &str, headers: &str| {
        let (answer, _) = exchange(&origin, target, headers).await;
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status("/bucket/hidden", "").await, "403");
    assert_eq!(status("/bucket/hidden", signed).await, "200");
    assert_eq!(status("/bucket?list-type=2", "").await, "403");
    assert_eq!(status("/bucket?list-type=2", signed).await, "200");
    origin.listable(true);
    assert_eq!(status("/bucket?list-type=2", "").await, "200");
    origin.missing(Missing::ForbiddenToStrangers);
    assert_eq!(status("/bucket/none", "").await, "403");
    assert_eq!(status("/bucket/none", signed).await, "404");
    origin.private(true);
    assert_eq!(status("/bucket/misskey/a.webp", "").await, "403");
}

#[tokio::test]
async fn a_stopped_origin_refuses_and_comes_back_at_the_same_address() {
    let origin = with_object(10).await;
    let idle = TcpStream::connect(origin.addr()).await.unwrap();
    origin
        .wait_until("a connection", |counts| counts.open == 1)
        .await;
    origin.stop().await;
    assert_eq!(origin.counts().open, 0);
    let mut idle = idle;
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0);
    let refused = TcpStream::connect(origin.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    origin.restart();
    assert!(get(&origin).await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_stalled_answer_ends_when_the_peer_goes() {
    let origin = with_object(1000).await;
    origin.fault(On::any(), Fault::StallAfter(100));
    let asked = tokio::time::timeout(Duration::from_millis(50), get(&origin)).await;
    assert!(asked.is_err(), "the body stalls");
    origin
        .wait_until("the end of the connection", |counts| counts.open == 0)
        .await;
    assert_eq!(origin.body_bytes_sent(), 100);
}

#[tokio::test]
async fn a_blackholed_origin_hears_and_says_nothing() {
    let origin = with_object(10).await;
    origin.blackhole(true);
    let asking = get(&origin);
    tokio::pin!(asking);
    tokio::select! {
        _ = &mut asking => panic!("it answered"),
        () = origin.wait_for_requests(1) => {}
    }
    origin.blackhole(false);
    assert!(get(&origin).await.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_gate_holds_an_answer_until_the_test_says() {
    let origin = with_object(10).await;
    let gate = Gate::new();
    origin.fault(On::any(), Fault::Hold(gate.clone()));
    let (answer, ()) = tokio::join!(get(&origin), async {
        origin.wait_for_requests_for(KEY, 1).await;
        assert_eq!(origin.body_bytes_sent(), 0);
        gate.open();
    });
    assert!(answer.0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_object_can_be_replaced_while_it_is_sent() {
    let origin = with_object(1000).await;
    origin.fault(
        On::any().nth(1),
        Fault::ReplaceAfter(500, Object::new("new").etag("\"v2\"")),
    );
    let (head, body) = get(&origin).await;
    assert!(!head.contains("v2") && body == "x".repeat(1000));
    let (head, body) = get(&origin).await;
    assert!(head.contains("ETag: \"v2\"") && body == "new");
}

#[tokio::test]
async fn idle_connections_are_closed_without_a_word() {
    let origin = with_object(10).await;
    origin.fault(On::any().nth(1), Fault::CloseIdle);
    let mut stream = TcpStream::connect(origin.addr()).await.unwrap();
    stream
        .write_all(b"GET /bucket/misskey/a.webp HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.ends_with("xxxxxxxxxx") && !answer.contains("close"),
        "{answer}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_drip_takes_its_time() {
    let origin = with_object(30).await;
    origin.fault(On::any().nth(1), Fault::drip());
    let begun = tokio::time::Instant::now();
    assert_eq!(get(&origin).await.1.len(), 30);
    assert!(begun.elapsed() >= Duration::from_secs(29));
    origin.fault(On::any().nth(1), Fault::Delay(Duration::from_secs(5)));
    let begun = tokio::time::Instant::now();
    get(&origin).await;
    assert!(begun.elapsed() >= Duration::from_secs(5));
}

#[tokio::test]
async fn behind_tls_only_those_who_trust_the_certificate_are_answered() {
    for (identity, accepted) in [
        (Identity::localhost(), true),
        (Identity::wrong_host(), false),
        (Identity::expired(), false),
    ] {
        let origin = Faulty::start_tls(&identity).await;
        origin.put(KEY, "hello");
        let url = format!("{}{KEY}", origin.base_url());
        let stranger = reqwest::Client::new().get(&url).send().await;
        assert!(stranger.is_err(), "a self-signed certificate is refused");
        let trusted = reqwest::Certificate::from_pem(identity.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only([trusted])
            .resolve("localhost", origin.addr())
            .build()
            .unwrap();
        let answer = client.get(&url).send().await;
        assert_eq!(answer.is_ok(), accepted, "{answer:?}");
    }
}
