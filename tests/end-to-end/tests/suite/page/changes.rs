//! The forms that change something: who may, and what they say.

use std::net::SocketAddr;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::browser::Browser;
use super::harness::{Stage, TOKEN};

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_dropped_only_with_the_right_token_and_after_a_second_look() {
    let stage = Stage::new().await;
    for key in ["1.mp4", "1.mp4", "10.mp4"] {
        stage.view(key).await;
    }
    let browser = Browser::start().await;
    browser.open(&stage.page("/")).await;
    browser.types("#purge-target", "/1.mp4").await;
    browser.clicks("form[action='/purge'] button").await;
    let text = browser.shows("These copies will be dropped:").await;
    assert!(text.contains("1.mp4"), "{text}");
    assert_eq!(stage.view("1.mp4").await.1, "HIT");
    browser.types("#token", "something-else").await;
    browser.clicks("button.danger").await;
    browser.shows("The token is not admin.token.").await;
    assert!(!browser.source().await.contains("something-else"));
    assert_eq!(stage.view("1.mp4").await.1, "HIT");
    browser
        .open(&stage.page("/purge?target=%2F1&below=yes&lang=ja"))
        .await;
    browser.types("#token", TOKEN).await;
    browser.clicks("button.danger").await;
    browser.shows("2個、").await;
    assert!(!browser.source().await.contains(TOKEN));
    for key in ["1.mp4", "10.mp4"] {
        assert_eq!(stage.view(key).await.1, "MISS", "{key}");
    }
    assert!(!stage.gateway.log().contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stays_gone_once_it_is_said_twice() {
    let stage = Stage::new().await;
    stage.view("1.mp4").await;
    let browser = Browser::start().await;
    browser.open(&stage.page("/")).await;
    browser.types("#tombstone-target", "1.mp4").await;
    browser.clicks("form[action='/tombstone'] button").await;
    assert_eq!(stage.view("1.mp4").await.0, 200);
    browser.types("#reason", "a <b>court</b>").await;
    browser.types("#token", TOKEN).await;
    browser.clicks("button.danger").await;
    browser.shows("Keys that stay gone from now on: 1.").await;
    assert_eq!(stage.view("1.mp4").await.0, 410);
    let listed = stage.gateway.operators("/api/tombstones").await.text();
    assert!(listed.contains("a <b>court</b>"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_changes_nothing_even_with_the_token() {
    let stage = Stage::new().await;
    stage.view("1.mp4").await;
    let target = stage.page("/purge");
    let trap = format!(
        "<form method=post action='{target}'><input name=target value=/1.mp4>\
         <input name=token value={TOKEN}><button>x</button></form>"
    );
    let browser = Browser::start().await;
    let site = Site::of(trap).await;
    browser.open(&site.url()).await;
    browser.clicks("button").await;
    let refused = "A page of another site may not change anything here.";
    browser.shows(refused).await;
    assert_eq!(stage.view("1.mp4").await.1, "HIT");
    // Nor does one get in by a frame around the page.
    let frame = format!("<iframe id=frame src='{}'></iframe>", stage.page("/"));
    let site = Site::of(frame).await;
    browser.open(&site.url()).await;
    let complaints = browser.complaints().await.join("\n");
    assert!(complaints.contains("frame-ancestors"), "{complaints}");
}

/// A form, headers beside it, and what is answered.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], StatusCode);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_from_this_page_is_refused_as_by_the_api() {
    let stage = Stage::new().await;
    stage.view("1.mp4").await;
    let own = stage.page("");
    let right = format!("target=%2F1.mp4&token={TOKEN}");
    let cases: [Case<'_>; 8] = [
        (
            &right,
            &[("origin", "https://evil.example")],
            StatusCode::FORBIDDEN,
        ),
        (&right, &[("origin", "null")], StatusCode::FORBIDDEN),
        (
            &right,
            &[("sec-fetch-site", "same-site")],
            StatusCode::FORBIDDEN,
        ),
        ("target=%2F1.mp4", &[], StatusCode::UNAUTHORIZED),
        (
            "target=%2F1.mp4&token=",
            &[("cookie", "token=correct-horse-battery-staple")],
            StatusCode::UNAUTHORIZED,
        ),
        (
            "target=%2F1.mp4&token=correct-horse-battery-stapl",
            &[],
            StatusCode::UNAUTHORIZED,
        ),
        (
            "target=%2F..%2F1&token=correct-horse-battery-staple",
            &[],
            StatusCode::BAD_REQUEST,
        ),
        (&right, &[("origin", &own)], StatusCode::OK),
    ];
    for path in ["/purge", "/tombstone"] {
        for (body, headers, status) in cases {
            if path == "/tombstone" && status == StatusCode::OK {
                continue;
            }
            let request = stage
                .gateway
                .client()
                .post(stage.page(path))
                .body(body.to_owned());
            let mut request = request.header("content-type", "application/x-www-form-urlencoded");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), status, "{path} {body} {headers:?}");
            let said = answer.text().await.unwrap();
            assert!(!said.contains(TOKEN), "{said}");
        }
    }
    assert_eq!(stage.view("1.mp4").await, (200, "MISS".to_owned()));
}

/// A web server of one page, on a port of its own, which makes it another origin.
struct Site {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Site {
    async fn of(page: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n{page}",
                    page.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }));
        Self {
            address,
            _stop: stop.drop_guard(),
        }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}
