//! What each origin's answer amounts to, alone and in company (law 1: a truthful 404).

use std::os::unix::fs::symlink;
use std::time::Duration;

use test_servers::faulty::{self, Fault, Faulty, On, Reply};

use super::harness::{Gateway, Toml, empty, holding, marked_root, png};

const KEY: &str = "misskey/a.png";
const HOST: &str = "media.test";

/// What the odd origin says of [`KEY`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Says {
    Missing,
    Withheld,
    Unknown,
}
use Says::{Missing, Unknown, Withheld};

/// The routes on which each odd origin stands, and their places there: `odd`, `none` (missing),
/// `full` (found).
const PLACES: [(&str, &[&str]); 9] = [
    ("only", &["odd"]),
    ("first", &["odd", "none", "none2"]),
    ("middle", &["none", "odd", "none2"]),
    ("last", &["none", "none2", "odd"]),
    ("before", &["odd", "full"]),
    ("between", &["none", "odd", "full"]),
    ("behind", &["full", "odd"]),
    ("beside", &["odd", "down"]),
    ("below", &["down", "odd"]),
];

fn expected(says: Says, place: &str) -> u16 {
    match (place, says) {
        ("behind", _) | ("before" | "between", Missing | Unknown) => 200,
        ("beside", Missing) | ("below", _) | (_, Unknown) => 503,
        // Who withholds it is believed, whoever comes behind.
        (_, Missing | Withheld) => 404,
    }
}

/// Puts `odd` in every place and compares what is answered, and what `explain` says, with what
/// its verdict must lead to.
async fn judge(what: &str, says: Says, odd: impl FnOnce(&mut Toml)) {
    let (none, none2, full, down) = (
        empty().await,
        empty().await,
        holding(KEY).await,
        empty().await,
    );
    down.stop().await;
    let gateway = Gateway::with(|toml| {
        odd(toml);
        toml.s3("none", &none)
            .s3("none2", &none2)
            .s3("full", &full)
            .s3("down", &down);
        for (place, origins) in PLACES {
            let more = format!("name = \"{place}\"\nurl = \"/{place}/\"\nkeys = [\"\"]");
            toml.route_with(origins, &more);
        }
    })
    .await;
    // All places at once: a hanging origin takes its time in each.
    futures_util::future::join_all(PLACES.map(async |(place, _)| {
        let path = format!("/{place}/{KEY}");
        let wanted = expected(says, place);
        for method in ["GET", "HEAD"] {
            let answer = gateway.ask(method, &path, &[]).await;
            assert_eq!(answer.status, wanted, "{what}, {place}, {method}");
            if wanted != 200 {
                assert_eq!(answer.header("cache-control"), "no-store", "{what}");
                let retry = answer.header("retry-after").parse::<u64>();
                assert_eq!(retry.is_ok(), wanted == 503, "{what}, {place}");
            }
        }
        let ranged = gateway.range(&path, "bytes=0-9").await.status;
        let partial = if wanted == 200 { 206 } else { wanted };
        assert_eq!(ranged, partial, "{what}, {place}, a range");
        let explained = gateway.explain(HOST, &path).await;
        assert_eq!(explained["status"], wanted, "{what}: {explained:#}");
    }))
    .await;
}

async fn failing(fault: Fault) -> Faulty {
    let origin = holding(KEY).await;
    origin.fault(On::any(), fault);
    origin
}

async fn s3(what: &str, says: Says, fault: Fault) {
    let odd = failing(fault).await;
    judge(what, says, |toml| {
        toml.s3("odd", &odd);
    })
    .await;
}

async fn web(what: &str, says: Says, fault: Fault) {
    let odd = failing(fault).await;
    judge(what, says, |toml| {
        toml.http("odd", &odd, "");
    })
    .await;
}

#[tokio::test]
async fn only_no_such_key_is_missing_at_a_bucket() {
    s3("NoSuchKey", Missing, Fault::s3(404, "NoSuchKey")).await;
    s3("NoSuchBucket", Unknown, Fault::no_such_bucket()).await;
    s3("UserSuspended", Unknown, Fault::user_suspended()).await;
    s3("InvalidAccessKeyId", Unknown, Fault::invalid_access_key()).await;
    s3("a cap", Unknown, Fault::download_cap_exceeded()).await;
    s3("a bare 404", Unknown, Fault::status(404)).await;
    s3("an HTML 404", Unknown, Fault::html(404)).await;
    s3("a 410", Unknown, Fault::status(410)).await;
}

#[tokio::test]
async fn codes_of_a_refused_account_are_never_missing() {
    for (status, code) in [
        (403, "AccountProblem"),
        (403, "AllAccessDisabled"),
        (403, "SignatureDoesNotMatch"),
        (403, "RequestTimeTooSkewed"),
        (404, "UserSuspended"),
        (400, "ExpiredToken"),
        (404, "NoSuchUpload"),
    ] {
        s3(code, Unknown, Fault::s3(status, code)).await;
    }
}

#[tokio::test]
async fn a_status_that_is_not_listed_is_unknown() {
    s3("SlowDown", Unknown, Fault::slow_down(7)).await;
    s3("499", Unknown, Fault::client_closed_request()).await;
    for status in [
        204, 302, 400, 401, 402, 405, 407, 409, 412, 416, 429, 451, 500, 502, 504,
    ] {
        s3(&status.to_string(), Unknown, Fault::status(status)).await;
    }
}

#[tokio::test]
async fn a_web_server_is_believed_where_it_says_404_or_410() {
    web("404", Missing, Fault::status(404)).await;
    web("410", Missing, Fault::status(410)).await;
    web("an HTML 404", Missing, Fault::html(404)).await;
    web("NoSuchKey", Missing, Fault::s3(404, "NoSuchKey")).await;
    web("NoSuchBucket", Unknown, Fault::no_such_bucket()).await;
    web(
        "UserSuspended as 404",
        Unknown,
        Fault::s3(404, "UserSuspended"),
    )
    .await;
}

#[tokio::test]
async fn a_web_server_in_trouble_is_unknown() {
    web("an HTML 200", Unknown, Fault::html(200)).await;
    for status in [301, 302, 307, 401, 402, 403, 407, 429, 499, 500, 503] {
        web(&status.to_string(), Unknown, Fault::status(status)).await;
    }
    let odd = failing(Fault::status(404)).await;
    judge("a 404 that means nothing", Unknown, |toml| {
        toml.http("odd", &odd, "missing_means = \"unknown\"");
    })
    .await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = holding(KEY).await;
    let there = format!("{}{KEY}", elsewhere.base_url());
    for status in [301, 302, 303, 307, 308] {
        s3("a redirect", Unknown, Fault::redirect(status, &there)).await;
        web("a redirect", Unknown, Fault::redirect(status, &there)).await;
    }
    assert_eq!(elsewhere.counts().connections, 0);
}

#[tokio::test]
async fn an_origin_that_does_not_answer_is_unknown() {
    s3("a hang", Unknown, Fault::Hang).await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_unknown() {
    let odd = holding(KEY).await;
    odd.stop().await;
    judge("a refused connection", Unknown, |toml| {
        toml.s3("odd", &odd);
    })
    .await;
    s3("a drop", Unknown, Fault::Drop).await;
    s3("a reset", Unknown, Fault::Reset).await;
    s3("garbage", Unknown, Fault::Garbage("SSH-2.0-x\r\n".into())).await;
}

#[tokio::test]
async fn a_head_without_a_first_byte_is_no_answer() {
    for fault in [
        Fault::StallAfter(0),
        Fault::CutAfter(0),
        Fault::ResetAfter(0),
    ] {
        let (odd, old) = (failing(fault.clone()).await, holding(KEY).await);
        let gateway = Gateway::with(|toml| {
            toml.s3("odd", &odd).s3("old", &old);
            toml.route_with(&["odd"], "name = \"only\"\nurl = \"/only/\"\nkeys = [\"\"]");
            toml.route_with(
                &["odd", "old"],
                "name = \"two\"\nurl = \"/two/\"\nkeys = [\"\"]",
            );
        })
        .await;
        let alone = gateway.get("/only/misskey/a.png").await;
        assert_eq!(alone.status, 503, "{fault:?}");
        let rescued = gateway.get("/two/misskey/a.png").await;
        assert_eq!((rescued.status, rescued.whole), (200, true), "{fault:?}");
        assert_eq!(rescued.header("x-origin"), "old");
    }
}

#[tokio::test]
async fn a_403_without_proof_is_unknown() {
    s3("403", Unknown, Fault::access_denied()).await;
    let odd = failing(Fault::access_denied()).await;
    judge("403, signed", Unknown, |toml| {
        toml.signed("odd", &odd, "");
    })
    .await;
}

#[tokio::test]
async fn a_403_is_missing_where_a_canary_proves_it() {
    let odd = empty().await;
    odd.missing(faulty::Missing::Forbidden);
    odd.put("canary.png", png());
    judge("403 with a canary", Missing, |toml| {
        toml.s3_with("odd", &odd, "canary = \"canary.png\"");
    })
    .await;
    // A closed bucket refuses its canary too.
    let closed = failing(Fault::access_denied()).await;
    judge("403 without the canary", Unknown, |toml| {
        toml.s3_with("odd", &closed, &format!("canary = \"{KEY}\""));
    })
    .await;
    judge("403 by configuration", Missing, |toml| {
        toml.s3_with("odd", &closed, "forbidden_means = \"missing\"");
    })
    .await;
}

#[tokio::test]
async fn keys_tell_what_the_public_may_not_see_from_what_is_not_there() {
    let odd = empty().await;
    odd.put(KEY, png().private());
    judge("private", Withheld, |toml| {
        toml.signed("odd", &odd, "read = \"anonymous\"");
    })
    .await;
    let absent = empty().await;
    absent.missing(faulty::Missing::ForbiddenToStrangers);
    judge("absent", Missing, |toml| {
        toml.signed("odd", &absent, "read = \"anonymous\"");
    })
    .await;
}

#[tokio::test]
async fn an_emptied_bucket_is_suspect_and_says_nothing() {
    let odd = empty().await;
    judge("an emptied bucket", Unknown, |toml| {
        toml.s3_with("odd", &odd, "canary = [\"was/here.png\", \"and/this.png\"]");
    })
    .await;
}

#[tokio::test]
async fn a_directory_says_missing_only_below_its_marker() {
    let root = marked_root(&[("misskey/b.png", b"b")]);
    let directory = async |what: &str, says| {
        judge(what, says, |toml| {
            toml.directory("odd", root.path());
        })
        .await;
    };
    directory("ENOENT", Missing).await;
    std::fs::create_dir(root.path().join(KEY)).unwrap();
    directory("EISDIR", Missing).await;
    std::fs::remove_dir(root.path().join(KEY)).unwrap();
    symlink("/etc/passwd", root.path().join(KEY)).unwrap();
    directory("a link out", Unknown).await;
    std::fs::remove_file(root.path().join(KEY)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.path().join(KEY),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    directory("a FIFO", Unknown).await;
    std::fs::remove_file(root.path().join(KEY)).unwrap();
    std::fs::remove_file(root.path().join(".media-gateway")).unwrap();
    directory("no marker", Unknown).await;
}

#[tokio::test]
async fn a_file_where_a_directory_should_be_is_missing() {
    let root = marked_root(&[("misskey", b"a file")]);
    judge("ENOTDIR", Missing, |toml| {
        toml.directory("odd", root.path());
    })
    .await;
    let gone = root.path().join("nowhere");
    judge("no root", Unknown, |toml| {
        toml.directory("odd", &gone);
    })
    .await;
}

#[tokio::test]
async fn a_client_is_told_to_come_back_when_the_origin_says() {
    let bucket = failing(Fault::slow_down(7)).await;
    let gateway = Gateway::before(&bucket).await;
    assert_eq!(
        gateway.get("/misskey/a.png").await.header("retry-after"),
        "7"
    );
    bucket.heal();
    bucket.fault(
        On::any(),
        Fault::Answer(Reply::s3_error(503, "SlowDown").header("Retry-After", "99999999")),
    );
    let answer = gateway.get("/misskey/a.png").await;
    assert_eq!(answer.header("retry-after"), "120");
}

#[tokio::test]
async fn a_hanging_origin_costs_a_viewer_no_more_than_its_hedge() {
    let (hanging, old) = (failing(Fault::Hang).await, holding(KEY).await);
    let gateway = Gateway::with(|toml| {
        toml.s3("hanging", &hanging).s3("old", &old);
        toml.route(&["hanging", "old"]);
    })
    .await;
    for _ in 0..3 {
        let began = std::time::Instant::now();
        let answer = gateway.get("/misskey/a.png").await;
        assert_eq!((answer.status, answer.header("x-origin")), (200, "old"));
        assert!(began.elapsed() < Duration::from_secs(3));
    }
}
