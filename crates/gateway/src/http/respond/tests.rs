//! Every head, header by header: what is missing from a table here must not be sent.

use proptest::prelude::{any, prop_assert, proptest};

use super::*;

static CONFIGURED: HeaderValue = HeaderValue::from_static("public, max-age=9");

fn context(cache: CacheResult) -> Context<'static> {
    Context {
        cache_control: &CONFIGURED,
        cache,
        age_seconds: None,
        origin: Some("old".into()),
    }
}

fn picture() -> Representation {
    Representation {
        etag: Some("\"t\"".to_owned()),
        last_modified: UNIX_EPOCH.checked_add(Duration::from_millis(784_111_777_900)),
        content_type: HeaderValue::from_static("image/png"),
        disposition: Some(HeaderValue::from_static("inline")),
        encoding: Some(HeaderValue::from_static("gzip")),
        language: Some(HeaderValue::from_static("ja")),
        length: Some(100),
    }
}

/// The headers as lines, sorted; those that every answer must carry are checked and left out.
fn lines(parts: &Parts) -> Vec<String> {
    let mut headers = parts.headers.clone();
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        (
            "content-security-policy",
            "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox",
        ),
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", EXPOSED),
    ] {
        assert_eq!(headers.remove(name).unwrap(), value);
    }
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    lines
}

const CACHE: [&str; 3] = [
    "cache-status: media-gateway; hit",
    "x-cache: HIT",
    "x-origin: old",
];

fn check(parts: &Parts, status: u16, expected: &[&str]) {
    assert_eq!(parts.status, status);
    let mut expected: Vec<_> = expected.iter().chain(&CACHE).copied().collect();
    expected.sort_unstable();
    assert_eq!(lines(parts), expected);
}

#[test]
fn found_objects_carry_what_the_contract_lists_and_nothing_else() {
    let hit = context(CacheResult::Hit);
    let described = [
        "accept-ranges: bytes",
        "cache-control: public, max-age=9",
        "content-disposition: inline",
        "content-encoding: gzip",
        "content-language: ja",
        "content-type: image/png",
        "etag: \"t\"",
        "last-modified: Sun, 06 Nov 1994 08:49:37 GMT",
    ];
    let with = |more: &[&'static str]| [&described, more].concat();
    check(&ok(&hit, &picture()), 200, &with(&["content-length: 100"]));
    let range = ByteRange { start: 10, end: 20 };
    let expected = with(&["content-length: 10", "content-range: bytes 10-19/100"]);
    check(&partial(&hit, &picture(), range), 206, &expected);
}

#[test]
fn answers_without_a_body_carry_no_more_than_they_need() {
    let hit = context(CacheResult::Hit);
    let kept = "cache-control: public, max-age=9";
    let date = "last-modified: Sun, 06 Nov 1994 08:49:37 GMT";
    let expected = ["accept-ranges: bytes", kept, "etag: \"t\""];
    check(&not_modified(&hit, &picture()), 304, &expected);
    let mut untagged = picture();
    untagged.etag = None;
    let expected = ["accept-ranges: bytes", kept, date];
    check(&not_modified(&hit, &untagged), 304, &expected);
    let refused = [
        "accept-ranges: bytes",
        "cache-control: no-store",
        "content-length: 0",
    ];
    let failed = precondition_failed(&hit, &picture());
    check(
        &failed,
        412,
        &[&refused[..], &["etag: \"t\"", date]].concat(),
    );
    let beyond = unsatisfiable(&hit, 100);
    let expected = [&refused[..], &["content-range: bytes */100"]].concat();
    check(&beyond, 416, &expected);
}

#[test]
fn what_is_not_known_is_left_out() {
    let unknown = Representation {
        etag: None,
        last_modified: UNIX_EPOCH.checked_sub(Duration::from_secs(1)),
        content_type: HeaderValue::from_static("image/png"),
        disposition: None,
        encoding: None,
        language: None,
        length: None,
    };
    let mut quiet = context(CacheResult::Bypass);
    quiet.origin = None;
    assert_eq!(
        lines(&ok(&quiet, &unknown)),
        [
            "accept-ranges: bytes",
            "cache-control: public, max-age=9",
            "cache-status: media-gateway; fwd=bypass",
            "content-type: image/png",
            "x-cache: BYPASS",
        ]
    );
    quiet.origin = Some("a\r\nx-injected: 1".into());
    assert!(!ok(&quiet, &unknown).headers.contains_key(X_ORIGIN));
}

#[test]
fn each_cache_result_has_its_words() {
    for (result, label, metrics, status) in [
        (CacheResult::Hit, "HIT", "hit", "hit"),
        (CacheResult::Miss, "MISS", "miss", "fwd=miss"),
        (CacheResult::Stale, "STALE", "stale", "hit; detail=stale"),
        (
            CacheResult::Revalidated,
            "REVALIDATED",
            "revalidated",
            "fwd=stale; fwd-status=304",
        ),
        (CacheResult::Bypass, "BYPASS", "bypass", "fwd=bypass"),
    ] {
        let parts = ok(&context(result), &picture());
        assert_eq!(parts.headers[X_CACHE], label);
        assert_eq!(result.metrics_label(), metrics);
        let expected = format!("media-gateway; {status}");
        assert_eq!(parts.headers[CACHE_STATUS], expected);
    }
}

#[test]
fn a_preflight_allows_ranges_and_conditions_from_any_page() {
    let parts = preflight();
    assert_eq!(parts.status, 204);
    let allowed = parts.headers[ACCESS_CONTROL_ALLOW_HEADERS]
        .to_str()
        .unwrap();
    for name in ["*", "Range", "If-Range", "If-None-Match"] {
        assert!(allowed.split(", ").any(|listed| listed == name), "{name}");
    }
    assert_eq!(parts.headers[ACCESS_CONTROL_ALLOW_METHODS], METHODS);
    assert!(!parts.headers.contains_key(CONTENT_LENGTH));
    assert_eq!(lines(&parts).len(), 4);
}

#[test]
fn every_refusal_has_its_status_and_headers() {
    let misdirected = Refusal::Misdirected {
        host: "h.example".into(),
        path: "/p".into(),
    };
    let unavailable = Refusal::Unavailable {
        retry_after_seconds: 7,
    };
    let store = "cache-control: no-store";
    for (refusal, status, expected) in [
        (Refusal::BadKey(object::InvalidKey::Nul), 400, vec![store]),
        (Refusal::BadRequest("because"), 400, vec![store]),
        (
            Refusal::BodyNotAllowed,
            413,
            vec![store, "connection: close"],
        ),
        (Refusal::KeyOutside, 403, vec![store]),
        (Refusal::NotFound, 404, vec![store]),
        (
            Refusal::MethodNotAllowed,
            405,
            vec!["allow: GET, HEAD, OPTIONS", store],
        ),
        (Refusal::Gone, 410, vec!["cache-control: max-age=3600"]),
        (misdirected, 421, vec![store]),
        (unavailable, 503, vec![store, "retry-after: 7"]),
        (Refusal::TooManyBodies, 503, vec![store, "retry-after: 1"]),
    ] {
        let (parts, body) = refuse(&refusal);
        assert_eq!(parts.status, status, "{refusal:?}");
        assert_eq!(parts.status, refusal.status());
        let mut expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
        expected.push(format!("content-length: {}", body.len()));
        expected.push("content-type: text/plain; charset=utf-8".to_owned());
        expected.sort();
        assert_eq!(lines(&parts), expected, "{refusal:?}");
        assert!(body.ends_with('\n') && body.len() < 500, "{body}");
    }
}

#[test]
fn a_misdirected_client_learns_what_it_asked_and_what_is_probably_wrong() {
    let told = |host: &str| {
        let path = "/a".to_owned();
        refuse(&Refusal::Misdirected {
            host: host.to_owned(),
            path,
        })
        .1
    };
    let outside = told("h.example");
    assert!(outside.contains("host: h.example\npath: /a\n"));
    assert!(outside.contains("in no route's url") && outside.contains("Host header"));
    for host in ["", "gateway", "10.0.0.1", "[::1]"] {
        assert!(told(host).contains("inside your own network"), "{host}");
    }
}

proptest! {
    #[test]
    fn a_clients_text_stays_short_and_printable(host in any::<String>(), path in "\\PC{0,400}") {
        let (_, body) = refuse(&Refusal::Misdirected { host, path });
        prop_assert!(body.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n')));
        prop_assert!(body.lines().count() == 4 && body.len() < 800);
    }
}
