//! Which certificate is shown to whom, and what is said of files that cannot be used.

use std::fs;
use std::path::PathBuf;

use rustls::SignatureScheme;
use tempfile::TempDir;
use test_servers::tls::Identity;

use super::*;

/// Files in a directory of their own.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn pair(&self, certificate: &str, key: &str) -> CertificatePair {
        CertificatePair {
            certificate: self.file("fullchain.pem", certificate),
            private_key: self.file("privkey.pem", key),
        }
    }
}

/// As they would be read from files.
pub(crate) fn certificates(identities: &[&Identity]) -> Certificates {
    let pairs = identities.iter().map(|identity| {
        let files = Files::new();
        let pair = files.pair(identity.pem(), identity.key_pem());
        pair::read(&pair, &|key| key.to_owned()).unwrap()
    });
    Certificates::for_all(pairs.collect())
}

fn refused(certificate: &str, key: &str) -> Vec<Problem> {
    let files = Files::new();
    let pair = files.pair(certificate, key);
    Certificates::read(&[pair]).unwrap_err()
}

fn shown_to(certificates: &Certificates, host: Option<&str>) -> Vec<u8> {
    let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
    let chosen = certificates.choose(host, &schemes);
    chosen.expect("files are for all").cert[0].to_vec()
}

#[test]
fn a_client_is_shown_the_certificate_of_its_host_and_a_stranger_the_first() {
    let first = Identity::named(&["first.example"]);
    let wild = Identity::named(&["*.media.example", "media.example"]);
    let exact = Identity::named(&["s3.media.example"]);
    let all = certificates(&[&first, &wild, &exact]);
    for (host, expected) in [
        (None, &first),
        (Some("first.example"), &first),
        (Some("unknown.example"), &first),
        (Some("media.example"), &wild),
        (Some("other.media.example"), &wild),
        (Some("s3.media.example"), &exact),
        (Some("S3.Media.Example"), &exact),
        (Some("a.b.media.example"), &first),
    ] {
        assert!(shown_to(&all, host) == expected.der(), "{host:?}");
    }
    assert!(all.cover("other.media.example") && !all.cover("unknown.example"));
}

#[test]
fn of_two_for_one_host_a_client_is_shown_one_that_it_can_verify() {
    let one = Identity::named(&["media.example"]);
    let only = certificates(&[&one]);
    // The key is an elliptic curve's. A client that cannot use it is shown it all the same.
    let rsa = [SignatureScheme::RSA_PSS_SHA256];
    let chosen = only.choose(Some("media.example"), &rsa);
    assert!(chosen.unwrap().cert[0].as_ref() == one.der());
    // Beside it, in whichever order, another with a key that the client knows.
    let two = Identity::rsa(&["media.example"]);
    let other = Identity::rsa(&["other.example"]);
    let ecdsa = [SignatureScheme::ECDSA_NISTP256_SHA256];
    for both in [[&other, &one, &two], [&two, &one, &other]] {
        let both = certificates(&both);
        for (schemes, expected) in [(&rsa, &two), (&ecdsa, &one)] {
            let chosen = both.choose(Some("media.example"), schemes).unwrap();
            assert!(chosen.cert[0].as_ref() == expected.der());
        }
    }
}

#[test]
fn a_certificate_is_called_by_its_first_dns_name() {
    let named = certificates(&[&Identity::named(&["192.0.2.1", "B.example", "a.example"])]);
    let certificate = named.iter().next().unwrap();
    assert_eq!(certificate.name, "b.example");
    assert_eq!(certificate.hosts, ["b.example", "a.example", "192.0.2.1"]);
    let addressed = certificates(&[&Identity::named(&["192.0.2.1"])]);
    assert_eq!(addressed.iter().next().unwrap().name, "192.0.2.1");
    let nameless = certificates(&[&Identity::named(&[])]);
    assert_eq!(nameless.iter().next().unwrap().name, "fullchain.pem");
    let warned = nameless.warnings(2_000_000_000);
    assert!(warned[0].reason.contains("names no host"), "{warned:?}");
}

#[test]
fn what_is_not_valid_at_the_time_is_warned_of() {
    let all = certificates(&[&Identity::named(&["media.example"])]);
    let end = all.iter().next().unwrap().not_after;
    assert!(all.warnings(2_000_000_000).is_empty());
    for (now, words) in [
        (0, "not valid yet"),
        (end - 86_400 * 3, "ends in 3 day"),
        (end, "has expired"),
    ] {
        let warnings = all.warnings(now);
        assert!(warnings[0].reason.contains(words), "{warnings:?}");
        assert!(
            warnings[0]
                .value
                .as_ref()
                .unwrap()
                .ends_with("fullchain.pem")
        );
    }
    let expired = certificates(&[&Identity::expired()]);
    assert!(
        expired.warnings(2_000_000_000)[0]
            .reason
            .contains("has expired")
    );
}

#[test]
fn files_that_cannot_be_used_are_refused_with_what_to_do() {
    let (one, other) = (Identity::localhost(), Identity::localhost());
    let encrypted = one
        .key_pem()
        .replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let damaged = one.pem().replace("-----END", "---END");
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (certificate, key, path, words) in [
        (
            "",
            one.key_pem(),
            "server.tls.certificate",
            "no certificate",
        ),
        (
            one.key_pem(),
            one.key_pem(),
            "server.tls.certificate",
            "no certificate",
        ),
        (&damaged, one.key_pem(), "server.tls.certificate", "damaged"),
        (nonsense, one.key_pem(), "server.tls.certificate", "X.509"),
        (one.pem(), "", "server.tls.private_key", "no private key"),
        (
            one.pem(),
            one.pem(),
            "server.tls.private_key",
            "no private key",
        ),
        (one.pem(), &encrypted, "server.tls.private_key", "encrypted"),
        (
            one.pem(),
            other.key_pem(),
            "server.tls.private_key",
            "does not fit",
        ),
    ] {
        let problems = refused(certificate, key);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].path, path);
        assert!(problems[0].reason.contains(words), "{problems:?}");
        assert!(problems[0].value.as_ref().unwrap().contains(".pem"));
        assert!(!problems[0].remedy.is_empty());
    }
}

#[test]
fn every_file_that_is_missing_is_named_by_its_place_in_the_list() {
    let files = Files::new();
    let fine = Identity::localhost();
    let missing = CertificatePair {
        certificate: files.0.path().join("absent.pem"),
        private_key: files.0.path().join("absent.key"),
    };
    let problems = Certificates::read(&[files.pair(fine.pem(), fine.key_pem()), missing]);
    let problems = problems.unwrap_err();
    let paths: Vec<_> = problems.iter().map(|problem| &*problem.path).collect();
    assert_eq!(
        paths,
        ["server.tls.certificate[1]", "server.tls.private_key[1]"]
    );
    assert!(problems[0].reason.contains("No such file"), "{problems:?}");
}

#[test]
fn what_is_shown_anew_is_named() {
    let (old, new) = (
        Identity::named(&["media.example"]),
        Identity::named(&["media.example"]),
    );
    let (before, after) = (certificates(&[&old]), certificates(&[&new]));
    assert!(before.news_since(&before).is_empty());
    let news = after.news_since(&before);
    assert_eq!(
        news,
        ["certificate media.example until 2125-01-01T00:00:00Z"]
    );
}
