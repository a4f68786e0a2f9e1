//! What origins are sent: exactly what is meant, and nothing of anybody's secrets.

use std::collections::BTreeMap;

use url::Url;

use super::*;
use crate::origins::scripted::{answer, error};

const ODD_KEYS: [&str; 12] = [
    "/x",
    "//x",
    "a//b/",
    "null/x",
    "写真 1.png",
    "a+b;c#d?e&f=g",
    "100%",
    "%2F%2e%2e",
    "a b/~!$'()*,:@\"<>[]{}|^`",
    "https://other.example.com/x",
    "?versions",
    "misskey/thumbnail-0b3c.webp",
];

fn ok() -> Step {
    answer("200 OK", "x")
}

/// Method and target of a request, and its headers.
fn parse(request: &str) -> (&str, &str, BTreeMap<String, String>) {
    let mut lines = request.trim_end().split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let headers = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        })
        .collect();
    (first.next().unwrap(), first.next().unwrap(), headers)
}

#[tokio::test]
async fn keys_arrive_byte_for_byte() {
    for key in ODD_KEYS {
        let server = Scripted::new([ok(), ok(), ok()]);
        let asked = Question::new(ObjectKey::parse(key).unwrap(), Part::Whole);
        found(bucket(&server).ask(&asked).await);
        found(
            keyed_bucket(&server, ReadAs::Signed, None)
                .ask(&asked)
                .await,
        );
        found(web(&server).ask(&asked).await);
        for (request, prefix) in server
            .requests()
            .iter()
            .zip(["/media/", "/media/", "/old/"])
        {
            let (method, target, _) = parse(request);
            assert_eq!(method, "GET");
            let path = target.split('?').next().unwrap();
            let encoded = path.strip_prefix(prefix).unwrap();
            assert_eq!(
                ObjectKey::from_url_path(encoded),
                Ok(asked.key.clone()),
                "{target}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_but_what_is_meant_is_sent() {
    let server = Scripted::new([ok(), ok(), ok()]);
    found(bucket(&server).ask(&question(Part::Head)).await);
    found(web(&server).ask(&question(Part::Whole)).await);
    found(web(&server).ask(&question(MIDDLE)).await);
    let host = server.address().to_string();
    for (request, range) in server
        .requests()
        .iter()
        .zip(["bytes=0-0", "bytes=0-", "bytes=2-5"])
    {
        let (_, target, headers) = parse(request);
        assert!(!target.contains('?'));
        let agent = concat!("media-gateway/", env!("CARGO_PKG_VERSION"));
        let expected = [
            ("accept", "*/*"),
            ("accept-encoding", "identity"),
            ("host", &host),
            ("range", range),
            ("user-agent", agent),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(headers, BTreeMap::from(expected));
    }
}

#[tokio::test]
async fn checksums_are_asked_for_only_where_they_are_known() {
    for (provider, asked) in [
        (None, false),
        (Some(Provider::B2), false),
        (Some(Provider::R2), false),
        (Some(Provider::Vultr), false),
        (Some(Provider::Aws), true),
        (Some(Provider::Minio), true),
        (Some(Provider::Seaweedfs), true),
    ] {
        let server = Scripted::new([ok()]);
        let origin = keyed_bucket(&server, ReadAs::Signed, provider);
        found(origin.ask(&question(Part::Head)).await);
        let requests = server.requests();
        let (_, target, headers) = parse(&requests[0]);
        assert_eq!(headers.contains_key("x-amz-checksum-mode"), asked);
        // A header that starts with x-amz- must be signed too.
        assert_eq!(target.contains("x-amz-checksum-mode"), asked);
    }
}

#[tokio::test]
async fn a_question_is_signed_when_it_should_be() {
    for (read, access, is_signed) in [
        (ReadAs::Signed, Access::AsConfigured, true),
        (ReadAs::Anonymous, Access::AsConfigured, false),
        (ReadAs::Anonymous, Access::Signed, true),
    ] {
        let server = Scripted::new([error("403 Forbidden", "AccessDenied")]);
        let origin = keyed_bucket(&server, read, None);
        assert_eq!(origin.can_settle(), read == ReadAs::Anonymous);
        let asked = Question {
            access,
            ..question(Part::Whole)
        };
        let answer = origin.ask(&asked).await;
        let requests = server.requests();
        let (_, target, headers) = parse(&requests[0]);
        assert_eq!(target.contains("X-Amz-Signature="), is_signed);
        assert!(!headers.contains_key("authorization"));
        if is_signed {
            assert!(target.contains("X-Amz-Expires=3600"));
            assert_eq!(reason(&answer), Reason::Denied);
        } else {
            assert!(matches!(answer, Answer::Forbidden));
        }
    }
}

#[tokio::test]
async fn without_keys_nothing_can_be_settled() {
    let server = Scripted::new([]);
    let origin = bucket(&server);
    assert!(!origin.can_settle());
    let answer = origin.ask(&signed(question(Part::Head))).await;
    assert_eq!(reason(&answer), Reason::Credentials);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Scripted::new([ok()]);
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let to = format!("{status}\nLocation: http://{}/x", elsewhere.address());
        assert_eq!(
            reason(&ask_bucket(Part::Whole, [answer(&to, "")]).await),
            Reason::Protocol
        );
        assert_eq!(
            reason(&ask_web(Part::Whole, [answer(&to, "")]).await),
            Reason::Protocol
        );
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn secrets_are_in_no_error() {
    let cut = Step::SendAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012".to_vec());
    let steps = [
        Step::SendAndClose(Vec::new()),
        Step::SendAndClose(b"nonsense\r\n\r\n".to_vec()),
        error("403 Forbidden", "SignatureDoesNotMatch"),
        answer("302 Found\nLocation: /", ""),
        answer("206 Partial Content", "x"),
        cut,
    ];
    let server = Scripted::new(steps.clone());
    let origin = keyed_bucket(&server, ReadAs::Signed, None);
    let mut said = vec![format!("{:?}", keys())];
    for _ in 0..steps.len() {
        match origin.ask(&question(Part::Whole)).await {
            Answer::Found(mut reply) => {
                while let Some(chunk) = reply.body.next().await {
                    said.push(format!("{chunk:?}"));
                }
            }
            other => said.push(format!("{other:?}")),
        }
    }
    assert!(said.iter().any(|said| said.contains("Dropped")));
    assert!(said.iter().any(|said| said.contains("Cut")));
    let said = said.concat();
    for secret in [ACCESS_KEY, SECRET_KEY, "X-Amz", "http://", "a.webp"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    assert!(server.requests().len() >= steps.len());
}

#[tokio::test]
async fn a_virtual_host_is_the_buckets_name_before_the_endpoints() {
    let server = Scripted::new([ok()]);
    let hosts = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(hosts.path(), "127.0.0.1 media.storage.test\n").unwrap();
    let names = Names::reading("/does-not-exist".into(), hosts.path().into(), 53);
    let port = server.address().port();
    let settings = settings(Kind::S3(S3Settings {
        addressing: Addressing::VirtualHost,
        ..bucket_at(&format!("http://storage.test:{port}"))
    }));
    let origin = build(&settings, &names).unwrap();
    found(origin.ask(&question(Part::Whole)).await);
    let requests = server.requests();
    let (_, target, headers) = parse(&requests[0]);
    assert_eq!(target, "/a.webp");
    assert_eq!(headers["host"], format!("media.storage.test:{port}"));
}

#[test]
fn an_origin_that_cannot_exist_is_refused_with_a_remedy() {
    let refused = |kind| {
        build(&settings(kind), &Names::new())
            .err()
            .unwrap()
            .to_string()
    };
    let web = |url: &str| refused(Kind::Http(web_at(url)));
    assert!(web("https://user:pass@example.com/").contains("remove them"));
    assert!(!web("https://user:pass@example.com/").contains("pass@"));
    assert!(web("https://example.com/media").contains("slash"));
    assert!(web("https://example.com/?a=").contains("without ?"));
    assert!(web("ftp://example.com/").contains("https://host/path/"));
    let keyless = S3Settings {
        read: ReadAs::Signed,
        ..bucket_at("http://127.0.0.1:9")
    };
    assert!(refused(Kind::S3(keyless)).contains("access_key_id"));
    let by_address = S3Settings {
        addressing: Addressing::VirtualHost,
        ..bucket_at("http://127.0.0.1:9")
    };
    assert!(refused(Kind::S3(by_address)).contains("addressing = \"path\""));
}

#[test]
fn origins_are_built_without_a_runtime_and_without_a_network() {
    for scheme in ["http", "https"] {
        open(Kind::S3(bucket_at(&format!(
            "{scheme}://s3.does-not-exist.example"
        ))));
        open(Kind::Http(web_at(&format!(
            "{scheme}://cdn.does-not-exist.example/"
        ))));
    }
}

#[tokio::test]
async fn a_listing_that_fails_is_tried_in_the_old_way() {
    let listing = "<ListBucketResult><CommonPrefixes><Prefix>misskey/</Prefix></CommonPrefixes></ListBucketResult>";
    let server = Scripted::new([
        error("501 Not Implemented", "NotImplemented"),
        answer("200 OK\nContent-Type: application/xml", listing),
        error("403 Forbidden", "AccessDenied"),
    ]);
    let origin = keyed_bucket(&server, ReadAs::Signed, None);
    let listed = origin.top_prefixes(Access::Signed).await.unwrap();
    assert_eq!(listed, ["misskey/"]);
    let refused = origin.top_prefixes(Access::AsConfigured).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Denied);
    let requests = server.requests();
    let query = |at: usize| {
        let target = parse(&requests[at]).1;
        let url = Url::parse("http://x").unwrap().join(target).unwrap();
        assert_eq!(url.path(), "/media/");
        url.query_pairs().into_owned().collect::<BTreeMap<_, _>>()
    };
    assert_eq!(query(0).get("list-type").map(String::as_str), Some("2"));
    assert!(!query(1).contains_key("list-type") && !query(1).contains_key("encoding-type"));
    assert!(query(1).contains_key("X-Amz-Signature"));
    assert!(!query(2).contains_key("X-Amz-Signature"));
    assert_eq!(query(2).get("max-keys").map(String::as_str), Some("100"));
}
