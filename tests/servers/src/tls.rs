//! Certificates of our own making, good and bad.
//!
//! All are self-signed, so a client that verifies refuses each of them unless it was told to
//! trust [`Identity::pem`].

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize, date_time_ymd};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate and its key.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key_pem: String,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Identity {
    /// For `localhost` and 127.0.0.1, valid now.
    pub fn localhost() -> Self {
        Self::make(&["localhost", "127.0.0.1"], 2125)
    }

    /// For another host than the one it is reached by.
    pub fn wrong_host() -> Self {
        Self::make(&["elsewhere.example"], 2125)
    }

    /// For these names, valid now.
    pub fn named(names: &[&str]) -> Self {
        Self::make(names, 2125)
    }

    /// For these names, valid now, with a key of RSA where those of the others are elliptic curves'.
    pub fn rsa(names: &[&str]) -> Self {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
        Self::of(&key.expect("the system has randomness"), names, 2125)
    }

    /// For `localhost` and 127.0.0.1, no longer valid.
    pub fn expired() -> Self {
        Self::make(&["localhost", "127.0.0.1"], 2021)
    }

    fn make(names: &[&str], until_year: i32) -> Self {
        let key = KeyPair::generate().expect("the system has randomness");
        Self::of(&key, names, until_year)
    }

    fn of(key: &KeyPair, names: &[&str], until_year: i32) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("the names are ASCII");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until_year, 1, 1);
        let certificate = params.self_signed(key).expect("the key fits the algorithm");
        Self {
            pem: certificate.pem(),
            certificate: certificate.into(),
            key_pem: key.serialize_pem(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        }
    }

    /// The certificate, for a client that shall trust it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificate in DER, as a client sees it.
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// The private key, for a server that reads files.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider supports them")
            .with_no_client_auth()
            .with_single_cert(
                vec![self.certificate.clone()],
                PrivateKeyDer::from(self.key.clone_key()),
            )
            .expect("the key is the certificate's");
        TlsAcceptor::from(Arc::new(config))
    }
}
