//! A certificate of RSA beside one of ECDSA for the same name: each client is shown what it can verify.

use std::sync::Arc;

use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use test_servers::tls::Identity;

use super::fixture::{get, limits};
use super::tls::Secured;

/// A client that knows no signatures but those of such names.
fn knowing(
    family: &str,
    identities: &[&Identity],
    version: &'static SupportedProtocolVersion,
) -> ClientConfig {
    let mut provider = aws_lc_rs::default_provider();
    let all = provider.signature_verification_algorithms;
    let is_known = |scheme: &SignatureScheme| format!("{scheme:?}").starts_with(family);
    let known = all.mapping.iter().copied();
    let known: Vec<_> = known.filter(|(scheme, _)| is_known(scheme)).collect();
    assert!(!known.is_empty() && known.len() < all.mapping.len());
    // The library wants them for as long as the process lives.
    provider.signature_verification_algorithms = WebPkiSupportedAlgorithms {
        all: all.all,
        mapping: Vec::leak(known),
    };
    let mut roots = RootCertStore::empty();
    for identity in identities {
        let root = CertificateDer::from(identity.der().to_vec());
        roots.add(root).unwrap();
    }
    ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[tokio::test]
async fn a_client_that_knows_only_rsa_is_shown_rsa_and_others_what_comes_first() {
    let identity = |key: &str| match key {
        "RSA" => Identity::rsa(&["media.test"]),
        _ => Identity::named(&["media.test"]),
    };
    for order in [["ECDSA", "RSA"], ["RSA", "ECDSA"]] {
        let identities = order.map(identity);
        let ders = [0, 1].map(|n: usize| identities[n].der().to_vec());
        let secured = Secured::showing(identities.into(), &limits());
        let trusted: Vec<_> = secured.identities().iter().collect();
        for (family, shown) in [("RSA", "RSA"), ("ECDSA", "ECDSA")] {
            let expected = &ders[order.iter().position(|key| *key == shown).unwrap()];
            for version in [&TLS12, &TLS13] {
                let client = knowing(family, &trusted, version);
                let mut client = secured.try_connect(client, "media.test").await.unwrap();
                let certificates = client.0.get_ref().1.peer_certificates();
                assert!(certificates.unwrap()[0].as_ref() == expected, "{family}");
                client.send(&get("/hello")).await;
                assert_eq!(client.answer().await.body, b"hello");
            }
        }
        let both = secured.client(&["http/1.1"]);
        let both = secured.try_connect(both, "media.test").await.unwrap();
        let certificates = both.0.get_ref().1.peer_certificates();
        assert!(certificates.unwrap()[0].as_ref() == ders[0]);
    }
}
