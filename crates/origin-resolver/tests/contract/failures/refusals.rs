//! Answers that are no object: which of them may lead to a 404, and that none becomes a picture.

use std::time::Duration;

use origin_resolver::{HttpSettings, Kind, OriginSettings, Outcome, Part, Reason, Resolution};
use test_servers::faulty::{Fault, Faulty, Missing, On};

use super::{
    KEY, assert_missing, assert_unknown, bucket, each_kind, failure, found, key, quick, read,
    reason, resolve, route, signed_bucket, web_server,
};
use crate::fixture::noise;
use crate::kinds::web;

#[tokio::test]
async fn an_error_document_is_never_taken_for_the_object() {
    let bytes = noise(1000);
    for fault in [
        Fault::access_denied(),
        Fault::s3(500, "InternalError"),
        Fault::s3(503, "ServiceUnavailable"),
        Fault::html(502),
        Fault::status(500),
        Fault::Garbage("HTTP/1.1 2".into()),
    ] {
        let server = Faulty::start().await;
        server.put(KEY, bytes.clone());
        for origin in each_kind(&server) {
            server.heal();
            server.fault(On::any().first(1), fault.clone());
            let route = route([origin]);
            match resolve(&route, KEY).await.outcome {
                Outcome::Unknown { .. } => {}
                // A second, fresh connection may have been tried.
                Outcome::Found(resolved) => {
                    assert_eq!(read(resolved.body).await, (bytes.to_vec(), None));
                }
                other => panic!("{fault:?}: {other:?}"),
            }
            let resolved = found(&route, KEY).await;
            assert_eq!(read(resolved.body).await, (bytes.to_vec(), None));
        }
    }
}

#[tokio::test]
async fn each_refusal_of_a_bucket_has_its_reason_and_none_is_a_404() {
    let server = Faulty::start().await;
    for (fault, expected) in [
        (Fault::no_such_bucket(), Reason::Bucket),
        (Fault::s3(301, "PermanentRedirect"), Reason::Bucket),
        (Fault::user_suspended(), Reason::Suspended),
        (Fault::s3(403, "AllAccessDisabled"), Reason::Suspended),
        (Fault::download_cap_exceeded(), Reason::Suspended),
        (Fault::invalid_access_key(), Reason::Credentials),
        (Fault::s3(403, "SignatureDoesNotMatch"), Reason::Credentials),
        (Fault::s3(403, "RequestTimeTooSkewed"), Reason::Credentials),
        (Fault::status(401), Reason::Credentials),
        (Fault::access_denied(), Reason::Denied),
        (Fault::status(402), Reason::Suspended),
        (Fault::status(407), Reason::Protocol),
        (Fault::status(429), Reason::Throttled),
        (Fault::client_closed_request(), Reason::Throttled),
        (Fault::slow_down(7), Reason::Throttled),
        (Fault::s3(500, "InternalError"), Reason::ServerError),
        (Fault::status(304), Reason::Protocol),
        (Fault::status(204), Reason::Protocol),
    ] {
        server.heal();
        server.fault(On::any(), fault.clone());
        for origin in each_kind(&server) {
            let name = origin.name.clone();
            assert_eq!(
                reason(&route([origin]), KEY).await,
                expected,
                "{name} {fault:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_404_that_does_not_name_the_key_is_not_a_buckets_word() {
    let server = Faulty::start().await;
    for missing in [Missing::Html, Missing::Plain] {
        server.missing(missing);
        for origin in [bucket("o", &server), signed_bucket("o", &server)] {
            assert_eq!(reason(&route([origin]), KEY).await, Reason::Protocol);
        }
        let web = route([web_server("o", &server)]);
        assert_missing(&resolve(&web, KEY).await, &missing);
    }
}

#[tokio::test]
async fn a_web_page_for_every_key_is_not_an_object() {
    let server = Faulty::start().await;
    server.fault(On::any(), Fault::html(200));
    let parked = web_server("o", &server);
    assert_eq!(reason(&route([parked]), KEY).await, Reason::Protocol);

    let allowed = quick(
        "o",
        Kind::Http(HttpSettings {
            allow_html: true,
            ..web(&server.base_url())
        }),
    );
    found(&route([allowed]), KEY).await;
}

#[tokio::test]
async fn an_origin_that_asks_for_rest_says_for_how_long() {
    let server = Faulty::start().await;
    server.fault(On::any(), Fault::slow_down(7));
    for origin in each_kind(&server) {
        let resolution = resolve(&route([origin]), KEY).await;
        let Resolution {
            outcome: Outcome::Unknown { retry_after },
            ..
        } = resolution
        else {
            panic!("{resolution:?}");
        };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn one_origin_that_cannot_say_keeps_all_others_from_a_404() {
    let (sick, empty) = (Faulty::start().await, Faulty::start().await);
    for fault in [
        Fault::Drop,
        Fault::Reset,
        Fault::Hang,
        Fault::no_such_bucket(),
        Fault::access_denied(),
        Fault::status(503),
        Fault::html(200),
        Fault::Garbage("SSH-2.0-OpenSSH_9.9\r\n".into()),
    ] {
        sick.heal();
        sick.fault(On::any(), fault.clone());
        for sick_first in [true, false] {
            let mut origins = vec![web_server("sick", &sick), bucket("empty", &empty)];
            if !sick_first {
                origins.reverse();
            }
            for part in [Part::Whole, Part::Head] {
                let resolution = route(origins.clone()).resolve(&key(KEY), part).await;
                assert_unknown(&resolution, &fault);
                assert_eq!(resolution.trail.len(), 2);
            }
        }
    }
    sick.stop().await;
    let down: Vec<OriginSettings> = vec![bucket("empty", &empty), bucket("down", &sick)];
    assert_unknown(&resolve(&route(down), KEY).await, &"down");
    assert_missing(
        &resolve(&route([bucket("empty", &empty)]), KEY).await,
        &"empty",
    );
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_no_404() {
    let nowhere = quick("o", Kind::Http(web("http://no-such-host.invalid/media/")));
    let failure = failure(&route([nowhere]), KEY).await;
    assert!(
        matches!(failure.reason, Reason::Dns | Reason::Timeout),
        "{failure}"
    );
}
