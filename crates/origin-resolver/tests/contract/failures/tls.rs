//! Certificates that prove nothing.

use origin_resolver::{Kind, Reason};
use test_servers::faulty::Faulty;
use test_servers::tls::Identity;

use super::{KEY, assert_unknown, bucket, each_kind, quick, reason, resolve, route};
use crate::kinds::web;

#[tokio::test]
async fn an_origin_without_a_trusted_certificate_is_asked_nothing() {
    for identity in [
        Identity::localhost(),
        Identity::wrong_host(),
        Identity::expired(),
    ] {
        let server = Faulty::start_tls(&identity).await;
        server.put(KEY, "object");
        for origin in each_kind(&server) {
            assert_eq!(reason(&route([origin]), KEY).await, Reason::Tls);
        }
        let empty = Faulty::start().await;
        let route = route([bucket("untrusted", &server), bucket("empty", &empty)]);
        assert_unknown(&resolve(&route, KEY).await, &"untrusted");
        assert!(server.requests().is_empty());
    }
}

#[tokio::test]
async fn https_never_becomes_http() {
    let plain = Faulty::start().await;
    plain.put(KEY, "object");
    let url = plain.base_url().replace("http://", "https://");
    let route = route([quick("o", Kind::Http(web(&url)))]);
    assert_unknown(&resolve(&route, KEY).await, &"plain");
    assert!(plain.requests().is_empty());
}
