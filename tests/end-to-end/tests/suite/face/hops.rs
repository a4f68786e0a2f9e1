//! What ends at the gateway: headers that name other headers, and clocks that are wrong.

use std::time::{Duration, SystemTime};

use test_servers::faulty::{Fault, Faulty, Object, On};

use super::harness::{Gateway, holding, picture};

const PATH: &str = "/misskey/a.png";

#[tokio::test]
async fn a_connection_header_cannot_take_the_host_or_the_range_away() {
    let bucket = holding("misskey/a.png").await;
    let gateway = Gateway::before(&bucket).await;
    let request = format!(
        "GET {PATH} HTTP/1.1\r\nHost: gateway\r\nRange: bytes=1-2\r\nX: y\r\n\
         Connection: close, Host, Range, X\r\nKeep-Alive: timeout=9\r\nTE: trailers\r\n\
         Proxy-Authorization: Basic eDp5\r\n\r\n"
    );
    let answer = gateway.raw(request.as_bytes()).await;
    assert_eq!(answer.status, 206);
    assert_eq!(answer.body, &picture()[1..3]);
    for asked in bucket.requests() {
        for name in ["x", "keep-alive", "te", "proxy-authorization"] {
            assert_eq!(asked.header(name), None, "{name}");
        }
        assert_eq!(asked.header("range"), Some("bytes=1-2"));
    }
}

#[tokio::test]
async fn an_origin_whose_clock_is_years_off_is_served_all_the_same() {
    for date in [
        "Sat, 01 Jan 2000 00:00:00 GMT",
        "Sat, 01 Jan 2050 00:00:00 GMT",
        "nonsense",
    ] {
        let bucket = holding("misskey/a.png").await;
        let odd = vec![("Date".into(), date.into())];
        bucket.fault(On::any(), Fault::Headers(odd));
        let gateway = Gateway::before(&bucket).await;
        let answer = gateway.get(PATH).await;
        assert_eq!((answer.status, answer.body), (200, picture()), "{date}");
    }
}

#[tokio::test]
async fn an_object_from_the_far_past_or_future_is_served_with_conditions_that_work() {
    let hour = Duration::from_hours(1);
    let decade = hour * 24 * 3652;
    let now = SystemTime::now();
    for modified in [now - hour, now + hour, now - decade, now + decade] {
        let bucket = Faulty::start().await;
        let object = Object::new(picture())
            .content_type("image/png")
            .without_etag()
            .last_modified(Some(modified));
        bucket.put("misskey/a.png", object);
        let gateway = Gateway::before(&bucket).await;
        let answer = gateway.get(PATH).await;
        assert_eq!(answer.status, 200);
        let date = answer.header("last-modified").to_owned();
        let since = [("If-Modified-Since", date.as_str())];
        assert_eq!(gateway.ask("GET", PATH, &since).await.status, 304, "{date}");
    }
}
