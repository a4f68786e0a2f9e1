//! What is sent: nothing but the question, only where the configuration says, and nothing of it
//! comes back in words.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Mutex;

use futures_util::StreamExt;
use origin_resolver::{Kind, Names, OriginSettings, Outcome, Reason, build};
use test_servers::Keys;
use test_servers::faulty::{BUCKET, Fault, Faulty, On, Request};

use super::{KEY, each_kind, failure, found, quick, read, route};
use crate::fixture::noise;
use crate::kinds::private_bucket;

/// Every S3 subresource and response override, as a stranger would write them.
const HOSTILE_KEYS: &[&str] = &[
    "a?acl",
    "a?policy=",
    "a?tagging&versionId=1",
    "a?response-content-type=text/html",
    "a?X-Amz-Signature=00&X-Amz-Expires=604800",
    "a%3Facl",
    "a#b",
    "a&b=c",
    "a HTTP/1.1\r\nx-amz-acl: public-read\r\n\r\n",
    "//evil.example/x",
    "@evil.example/x",
    "http://evil.example/x",
];

#[tokio::test]
async fn a_request_holds_the_question_and_nothing_else() {
    let server = Faulty::start().await;
    for text in [KEY].iter().chain(HOSTILE_KEYS) {
        server.put(text, text.as_bytes().to_vec());
        for origin in each_kind(&server) {
            let asked = server.requests().len();
            let signed = &*origin.name == "signed";
            let resolved = found(&route([origin]), text).await;
            assert_eq!(read(resolved.body).await, (text.as_bytes().to_vec(), None));
            let [request] = &server.requests()[asked..] else {
                panic!("{text:?}: not one request");
            };
            assert_plain(request, signed);
            assert_eq!(request.key().unwrap(), text.as_bytes());
        }
    }
}

fn assert_plain(request: &Request, signed: bool) {
    assert_eq!(request.method, "GET");
    let mut names: Vec<_> = request
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["accept", "accept-encoding", "host", "range", "user-agent"]
    );
    let mut parameters: Vec<_> = request
        .query()
        .split('&')
        .filter_map(|pair| pair.split('=').next().filter(|name| !name.is_empty()))
        .collect();
    parameters.sort_unstable();
    let signature = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
    ];
    assert_eq!(parameters, if signed { &signature[..] } else { &[] });
}

#[tokio::test]
async fn a_redirect_is_not_followed_anywhere() {
    let (server, trap) = (Faulty::start().await, Faulty::start().await);
    trap.put(KEY, "trapped");
    for status in [301, 302, 303, 307, 308] {
        for location in [
            "http://169.254.169.254/latest/meta-data/",
            &format!("{}{KEY}", trap.base_url()),
            &format!("/{BUCKET}/elsewhere"),
            "file:///etc/passwd",
        ] {
            server.heal();
            server.fault(On::any(), Fault::redirect(status, location));
            for origin in each_kind(&server) {
                let asked = server.requests().len();
                let failure = failure(&route([origin]), KEY).await;
                assert_eq!(failure.reason, Reason::Protocol, "{status} {location}");
                assert_eq!(server.requests().len(), asked + 1);
            }
        }
    }
    assert!(trap.requests().is_empty());
}

#[tokio::test]
async fn a_broken_connection_is_replaced_by_a_fresh_one() {
    let server = Faulty::start().await;
    server.put(KEY, noise(1000));
    server.fault(On::any(), Fault::CloseIdle);
    for origin in each_kind(&server) {
        let asked = server.requests().len();
        let route = route([origin]);
        for _ in 0..100 {
            let resolved = found(&route, KEY).await;
            assert_eq!(read(resolved.body).await.1, None);
        }
        assert!(server.requests().len() - asked <= 120);
    }
}

#[tokio::test]
async fn a_connection_that_dies_under_its_second_request_is_no_outage() {
    let server = Faulty::start().await;
    server.put(KEY, noise(1000));
    let used = Mutex::new(BTreeSet::new());
    let second = On::when(move |request| !used.lock().unwrap().insert(request.connection));
    server.fault(second, Fault::Drop);
    for origin in each_kind(&server) {
        let asked = server.requests().len();
        let route = route([origin]);
        for _ in 0..100 {
            let resolved = found(&route, KEY).await;
            assert_eq!(read(resolved.body).await.1, None);
        }
        assert!(server.requests().len() - asked <= 120);
    }
}

#[tokio::test]
async fn no_secret_stands_in_what_is_said_of_a_failure() {
    let keys = Keys {
        access_key_id: "AKIASPARROW".to_owned(),
        secret_access_key: "secretsparrow".to_owned(),
    };
    let server = Faulty::start().await;
    let origin = |endpoint: &str| quick("o", Kind::S3(private_bucket(endpoint, BUCKET, &keys)));
    for fault in [
        Fault::Drop,
        Fault::Hang,
        Fault::access_denied(),
        Fault::invalid_access_key(),
        Fault::status(500),
        Fault::redirect(301, "http://elsewhere.example/?X-Amz-Signature=1"),
        Fault::Garbage("not http\r\n\r\n".into()),
        Fault::CutAfter(1),
    ] {
        server.heal();
        server.put(KEY, noise(1000));
        server.fault(On::any(), fault);
        assert_silent(origin(&server.endpoint())).await;
    }
    server.stop().await;
    assert_silent(origin(&server.endpoint())).await;
    assert_silent(origin("https://no-such-host.invalid")).await;
}

async fn assert_silent(origin: OriginSettings) {
    let built = build(&origin, &Names::new());
    let configured = format!("{origin:?} {:?}", built.err());
    let route = route([origin]);
    let mut said = format!("{configured} {:?}", super::resolve(&route, KEY).await);
    if let Outcome::Found(resolved) = super::resolve(&route, KEY).await.outcome {
        let mut body = resolved.body;
        while let Some(chunk) = body.next().await {
            if let Err(error) = chunk {
                write!(said, "{error} {error:?}").unwrap();
            }
        }
    }
    for standing in route.origins().iter().map(|origin| origin.standing()) {
        write!(said, "{standing:?}").unwrap();
    }
    for secret in ["SPARROW", "sparrow", "Signature", "X-Amz", "%2F"] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}
