//! What answers are taken for: bodies, ranges, lies about lengths, errors.

use object::{ByteRange, Validator};

use super::*;
use crate::Extent;
use crate::origins::scripted::{answer, error, last_words, raw};

fn bytes(start: u64, end: u64) -> Extent {
    Extent::Bytes(ByteRange { start, end })
}

#[tokio::test]
async fn the_whole_comes_with_its_head() {
    let head =
        "206 Partial Content\nContent-Range: bytes 0-9/10\nContent-Type: image/webp\nETag: \"abc\"";
    let reply = found(ask_bucket(Part::Whole, [answer(head, "0123456789")]).await);
    assert_eq!(reply.extent, bytes(0, 10));
    assert_eq!(reply.head.length, Some(10));
    assert_eq!(reply.head.content_type.as_deref(), Some("image/webp"));
    assert_eq!(reply.head.validator, Validator::from_etag("\"abc\""));
    assert_eq!(read(reply).await, ("0123456789".into(), None));
}

#[tokio::test]
async fn a_head_brings_no_bytes() {
    for step in [
        answer("206 Partial Content\nContent-Range: bytes 0-0/10", "0"),
        answer("200 OK", "0123456789"),
    ] {
        let reply = found(ask_bucket(Part::Head, [step]).await);
        assert_eq!((reply.extent, reply.head.length), (Extent::None, Some(10)));
        assert_eq!(read(reply).await, (String::new(), None));
    }
}

#[tokio::test]
async fn a_probe_leaves_its_connection_to_the_next() {
    let head = "206 Partial Content\nContent-Range: bytes 0-0/10";
    let server = Scripted::new([answer(head, "0"), answer(head, "0")]);
    let origin = bucket(&server);
    for _ in 0..2 {
        found(origin.ask(&question(Part::Head)).await);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_range_is_taken_from_a_206_and_cut_out_of_a_200() {
    for step in [
        answer("206 Partial Content\nContent-Range: bytes 2-5/10", "2345"),
        answer("200 OK", "0123456789"),
    ] {
        let reply = found(ask_bucket(MIDDLE, [step]).await);
        assert_eq!((reply.extent, reply.head.length), (bytes(2, 6), Some(10)));
        assert_eq!(read(reply).await, ("2345".into(), None));
    }
}

#[tokio::test]
async fn a_206_that_does_not_fit_the_question_is_nonsense() {
    for head in [
        "206 Partial Content",
        "206 Partial Content\nContent-Range: bytes 0-3/10",
        "206 Partial Content\nContent-Range: bytes 2-6/10",
        "206 Partial Content\nContent-Range: bytes 2-5/*",
        "206 Partial Content\nContent-Range: 2-5/10",
        "206 Partial Content\nContent-Type: multipart/byteranges; boundary=x",
    ] {
        let answer = ask_bucket(MIDDLE, [answer(head, "2345")]).await;
        assert_eq!(reason(&answer), Reason::Protocol, "{head}");
    }
    let longer = answer("206 Partial Content\nContent-Range: bytes 2-5/10", "23456");
    assert_eq!(
        reason(&ask_bucket(MIDDLE, [longer]).await),
        Reason::Protocol
    );
}

#[tokio::test]
async fn a_chunked_answer_is_the_whole_whatever_range_was_asked_for() {
    let chunks = "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n";
    let step = || Step::Send(raw("200 OK\nTransfer-Encoding: chunked", chunks));
    for part in [Part::Whole, MIDDLE] {
        let reply = found(ask_web(part, [step()]).await);
        assert_eq!((reply.extent, reply.head.length), (Extent::Unbounded, None));
        assert_eq!(read(reply).await, ("0123456789".into(), None));
    }
    let head = found(ask_web(Part::Head, [step()]).await).head;
    assert_eq!(head.length, None);
}

#[tokio::test]
async fn a_body_that_only_the_close_ends_is_not_trusted() {
    for part in [Part::Head, Part::Whole, MIDDLE] {
        let answer = ask_web(part, [last_words("200 OK", "0123456789")]).await;
        assert_eq!(reason(&answer), Reason::Protocol);
    }
}

#[tokio::test]
async fn a_body_that_is_cut_never_ends_cleanly() {
    let cut = Some(Interruption::Cut);
    for (head, body) in [
        ("200 OK\nContent-Length: 10", ""),
        ("200 OK\nContent-Length: 10", "0"),
        ("200 OK\nContent-Length: 10", "01234"),
        ("200 OK\nContent-Length: 10", "012345678"),
        (
            "206 Partial Content\nContent-Range: bytes 0-9/10\nContent-Length: 10",
            "01234",
        ),
        (
            "206 Partial Content\nContent-Range: bytes 0-9/10\nTransfer-Encoding: chunked",
            "5\r\n01234\r\n0\r\n\r\n",
        ),
        ("200 OK\nTransfer-Encoding: chunked", "5\r\n01234\r\n"),
        ("200 OK\nTransfer-Encoding: chunked", "5\r\n01"),
    ] {
        let reply = found(ask_web(Part::Whole, [last_words(head, body)]).await);
        assert_eq!(read(reply).await.1, cut, "{head} {body}");
    }
    let reply = found(ask_web(MIDDLE, [last_words("200 OK\nContent-Length: 10", "0123")]).await);
    assert_eq!(read(reply).await, ("23".into(), cut));
}

#[tokio::test]
async fn a_body_that_is_longer_than_announced_is_an_error() {
    let head = "206 Partial Content\nContent-Range: bytes 2-5/10\nTransfer-Encoding: chunked";
    let step = Step::Send(raw(head, "5\r\n23456\r\n0\r\n\r\n"));
    let reply = found(ask_bucket(MIDDLE, [step]).await);
    assert_eq!(read(reply).await.1, Some(Interruption::Protocol));
}

#[tokio::test]
async fn an_empty_object_is_found_only_by_a_plain_get() {
    let refused = || answer("416 Range Not Satisfiable\nContent-Range: bytes */0", "");
    let untold = || error("416 Range Not Satisfiable", "InvalidRange");
    for first in [refused(), untold()] {
        for (part, extent) in [(Part::Head, Extent::None), (Part::Whole, bytes(0, 0))] {
            let server = Scripted::new([first.clone(), answer("200 OK\nETag: \"e\"", "")]);
            let reply = found(bucket(&server).ask(&question(part)).await);
            assert_eq!((reply.extent, reply.head.length), (extent, Some(0)));
            assert_eq!(reply.head.validator, Validator::from_etag("\"e\""));
            let requests = server.requests();
            assert!(requests[0].contains("\r\nrange: bytes=0-"));
            assert!(!requests[1].contains("\r\nrange:"));
        }
    }
    let missing = ask_bucket(Part::Head, [refused(), error("404 Not Found", "NoSuchKey")]).await;
    assert!(matches!(missing, Answer::Missing));
    let failed = ask_bucket(Part::Head, [refused(), error("503 Busy", "SlowDown")]).await;
    assert_eq!(reason(&failed), Reason::Throttled);
}

#[tokio::test]
async fn a_416_that_contradicts_itself_is_nonsense() {
    let long = || answer("416 Range Not Satisfiable\nContent-Range: bytes */9", "");
    assert_eq!(
        reason(&ask_bucket(MIDDLE, [long()]).await),
        Reason::Protocol
    );
    let empty = answer("200 OK", "");
    assert_eq!(
        reason(&ask_bucket(Part::Head, [long(), empty]).await),
        Reason::Protocol
    );
}

#[tokio::test]
async fn a_range_beyond_the_end_tells_the_length() {
    let told = answer(
        "416 Range Not Satisfiable\nContent-Range: bytes */2\nContent-Type: text/html",
        "no",
    );
    let reply = found(ask_bucket(MIDDLE, [told]).await);
    assert_eq!(
        (reply.extent, reply.head.length),
        (Extent::Unsatisfiable, Some(2))
    );
    assert_eq!(reply.head.content_type, None);
    let steps = [
        error("416 Range Not Satisfiable", "InvalidRange"),
        answer("200 OK", "01"),
    ];
    let reply = found(ask_bucket(MIDDLE, steps).await);
    assert_eq!(
        (reply.extent, reply.head.length),
        (Extent::Unsatisfiable, Some(2))
    );
    let whole = found(ask_bucket(MIDDLE, [answer("200 OK", "01")]).await);
    assert_eq!(whole.extent, Extent::Unsatisfiable);
}

#[tokio::test]
async fn errors_are_judged_by_their_code() {
    for (step, expected) in [
        (error("404 Not Found", "NoSuchBucket"), Reason::Bucket),
        (
            error("403 Forbidden", "InvalidAccessKeyId"),
            Reason::Credentials,
        ),
        (error("403 Forbidden", "UserSuspended"), Reason::Suspended),
        (error("503 Slow Down", "SlowDown"), Reason::Throttled),
        (error("500 Oops", "InternalError"), Reason::ServerError),
        (
            answer(
                "403 Forbidden\nContent-Type: application/json",
                "{\"code\":\"download_cap_exceeded\"}",
            ),
            Reason::Suspended,
        ),
    ] {
        assert_eq!(
            reason(&ask_bucket(Part::Head, [step.clone()]).await),
            expected
        );
        assert_eq!(reason(&ask_web(Part::Head, [step]).await), expected);
    }
    let missing = || error("404 Not Found", "NoSuchKey");
    assert!(matches!(
        ask_bucket(Part::Whole, [missing()]).await,
        Answer::Missing
    ));
    assert!(matches!(
        ask_web(Part::Whole, [missing()]).await,
        Answer::Missing
    ));
    let denied = error("403 Forbidden", "AccessDenied");
    assert!(matches!(
        ask_bucket(MIDDLE, [denied]).await,
        Answer::Forbidden
    ));
}

#[tokio::test]
async fn a_404_that_is_a_web_page_says_missing_only_on_the_web() {
    let page = || {
        answer(
            "404 Not Found\nContent-Type: text/html",
            "<html>gone</html>",
        )
    };
    assert_eq!(
        reason(&ask_bucket(Part::Head, [page()]).await),
        Reason::Protocol
    );
    assert!(matches!(
        ask_web(Part::Head, [page()]).await,
        Answer::Missing
    ));
}

#[tokio::test]
async fn a_404_whose_body_was_cut_says_nothing() {
    let cut = || last_words("404 Not Found\nContent-Length: 200", "<Error><Co");
    assert_eq!(
        reason(&ask_bucket(Part::Head, [cut()]).await),
        Reason::Protocol
    );
    assert_eq!(
        reason(&ask_web(Part::Head, [cut()]).await),
        Reason::Protocol
    );
}

#[tokio::test]
async fn an_error_page_is_read_neither_to_its_end_nor_for_ever() {
    let page = "x".repeat(1_000_000);
    assert!(matches!(
        ask_web(Part::Head, [answer("404 Not Found", &page)]).await,
        Answer::Missing
    ));
    let stall = Step::SendAndStall(raw("404 Not Found\nContent-Length: 100", "<Error>"));
    assert_eq!(
        reason(&ask_web(Part::Head, [stall]).await),
        Reason::Protocol
    );
}

#[tokio::test]
async fn a_web_page_where_an_object_was_expected_is_a_parked_domain() {
    let page = || {
        answer(
            "200 OK\nContent-Type: Text/HTML; charset=utf-8",
            "<html>buy me</html>",
        )
    };
    for part in [Part::Head, Part::Whole] {
        assert_eq!(reason(&ask_web(part, [page()]).await), Reason::Protocol);
    }
    let server = Scripted::new([page()]);
    let allowed = open(Kind::Http(HttpSettings {
        allow_html: true,
        ..web_at(&format!("http://{}/", server.address()))
    }));
    found(allowed.ask(&question(Part::Whole)).await);
    // In a bucket it is a page that somebody uploaded.
    found(ask_bucket(Part::Whole, [page()]).await);
}

#[tokio::test]
async fn another_version_is_a_change_whether_or_not_the_origin_looked() {
    let only = |part| Question {
        only: Validator::from_etag("\"old\""),
        ..question(part)
    };
    for (step, changed) in [
        (error("412 Precondition Failed", "PreconditionFailed"), true),
        (
            answer(
                "206 Partial Content\nContent-Range: bytes 2-5/10\nETag: \"new\"",
                "2345",
            ),
            true,
        ),
        (
            answer("206 Partial Content\nContent-Range: bytes 2-5/10", "2345"),
            true,
        ),
        (
            answer(
                "206 Partial Content\nContent-Range: bytes 2-5/10\nETag: \"old\"",
                "2345",
            ),
            false,
        ),
    ] {
        let server = Scripted::new([step]);
        let answer = bucket(&server).ask(&only(MIDDLE)).await;
        assert_eq!(matches!(answer, Answer::Changed), changed, "{answer:?}");
        assert!(server.requests()[0].contains("\r\nif-match: \"old\"\r\n"));
    }
}

#[tokio::test]
async fn throttling_says_for_how_long() {
    let step = answer("429 Too Many Requests\nRetry-After: 7", "");
    let Answer::Unknown(failure) = ask_bucket(Part::Head, [step]).await else {
        panic!("throttling is unknown")
    };
    assert_eq!(failure.reason, Reason::Throttled);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
    assert!(failure.what.starts_with("current: "));
}

#[tokio::test]
async fn the_clock_of_an_origin_is_noticed() {
    let server = Scripted::new([answer("200 OK\nDate: Fri, 01 Jan 2100 00:00:00 GMT", "x")]);
    let origin = bucket(&server);
    assert_eq!(origin.clock_ahead_seconds(), None);
    found(origin.ask(&question(Part::Head)).await);
    assert!(
        origin
            .clock_ahead_seconds()
            .is_some_and(|ahead| ahead > 3_600)
    );
}

#[tokio::test]
async fn an_error_that_r2_compresses_is_asked_for_without_compression() {
    let gzip = "404 Not Found\nContent-Type: application/xml\nContent-Encoding: gzip";
    let server = Scripted::new([answer(gzip, "\u{1f}"), error("404 Not Found", "NoSuchKey")]);
    let r2 = open(Kind::S3(S3Settings {
        provider: Some(Provider::R2),
        ..bucket_at(&format!("http://{}", server.address()))
    }));
    assert!(matches!(
        r2.ask(&question(Part::Whole)).await,
        Answer::Missing
    ));
    let requests = server.requests();
    assert!(requests[0].contains("\r\naccept-encoding: gzip\r\n"));
    assert!(requests[1].contains("\r\naccept-encoding: identity\r\n"));
    assert!(!requests[1].contains("gzip"));
    // Anybody else's is taken for what it is: unreadable.
    assert_eq!(
        reason(&ask_web(Part::Head, [answer(gzip, "\u{1f}")]).await),
        Reason::Protocol
    );
}
