//! TLS as it ends here: certificates from files, and which of them a client is shown.
//!
//! Built on rustls with one provider of cryptography (aws-lc-rs, as requests to origins use it).
//! TLS 1.2 and 1.3 with rustls' own suites, which have forward secrecy and are authenticated;
//! there is nothing to configure, so there is nothing to weaken. Refuses to judge who has issued a
//! certificate: that is the clients' to say.
//!
//! | file | what it knows |
//! |---|---|
//! | `pair` | one chain and its key: from their files, checked to fit |
//! | `names` | whether a certificate's name covers a host; pure |

mod names;
mod pair;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureScheme};
use tokio_rustls::TlsAcceptor;

pub(crate) use pair::Certificate;
#[cfg(test)]
pub(crate) use tests::certificates;

use crate::config::{self, CertificatePair, Problem};

/// What is spoken on top, in the order of preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// A certificate that ends sooner than this should have been renewed.
const NEAR_SECONDS: i64 = 14 * 86_400;

/// Certificates, in the order of the configuration; never empty.
#[derive(Debug)]
pub(crate) struct Certificates(Vec<Certificate>);

impl Certificates {
    /// Reads what the configuration names; `None` where TLS does not end here by files. Blocks.
    ///
    /// # Errors
    /// Every file that cannot be used.
    pub(crate) fn of(server: &config::Server) -> Result<Option<Self>, Vec<Problem>> {
        match server.tls.as_ref().map(|tls| &tls.certificates) {
            Some(config::Certificates::Files(pairs)) => Self::read(pairs).map(Some),
            Some(config::Certificates::Acme(_)) | None => Ok(None),
        }
    }

    fn read(pairs: &[CertificatePair]) -> Result<Self, Vec<Problem>> {
        let (mut certificates, mut problems) = (Vec::new(), Vec::new());
        for (index, pair) in pairs.iter().enumerate() {
            let place = |key: &str| match pairs {
                [_] => format!("server.tls.{key}"),
                _ => format!("server.tls.{key}[{index}]"),
            };
            match pair::read(pair, &place) {
                Ok(certificate) => certificates.push(certificate),
                Err(unfit) => problems.extend(unfit),
            }
        }
        if problems.is_empty() {
            Ok(Self(certificates))
        } else {
            Err(problems)
        }
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Certificate> {
        self.0.iter()
    }

    /// Whether a client that asks for this host (lower case) is shown one that is made for it.
    pub(crate) fn cover(&self, host: &str) -> bool {
        self.0.iter().any(|certificate| certificate.covers(host))
    }

    /// What clients are shown and were not shown before, a line for each.
    pub(crate) fn news_since(&self, before: &Self) -> Vec<String> {
        let is_known = |new: &&Certificate| {
            let mut known = before.iter();
            known.any(|known| known.keyed.cert == new.keyed.cert)
        };
        let news = self.iter().filter(|new| !is_known(new));
        let news = news.map(|new| format!("certificate {} until {}", new.name, new.end()));
        news.collect()
    }

    /// What is usable and should be looked at, at this time in seconds since 1970.
    pub(crate) fn warnings(&self, now: i64) -> Vec<Problem> {
        let warn = |certificate: &Certificate| {
            let name = &certificate.name;
            let reason = if now < certificate.not_before {
                format!("the certificate {name} is not valid yet; is this machine's clock right?")
            } else if now >= certificate.not_after {
                format!("the certificate {name} has expired; clients refuse it")
            } else if now + NEAR_SECONDS > certificate.not_after {
                let days = (certificate.not_after - now) / 86_400;
                format!("the certificate {name} ends in {days} day(s)")
            } else if certificate.is_nameless() {
                format!("the certificate {name} names no host; clients refuse it")
            } else {
                return None;
            };
            let remedy = "renew it; the files are read again when they change";
            let warning = Problem::new(certificate.path.clone(), reason, remedy);
            Some(warning.with_value(certificate.file.display().to_string()))
        };
        self.0.iter().filter_map(warn).collect()
    }

    /// An exact name before a wildcard, and the first certificate for a client that names no host
    /// or an unknown one. Of several for one name, such as RSA beside ECDSA, the first whose key
    /// the client can verify.
    fn choose(&self, host: Option<&str>, schemes: &[SignatureScheme]) -> &Arc<CertifiedKey> {
        let named = |test: fn(&Certificate, &str) -> bool| {
            let host = host.unwrap_or_default();
            let fits = move |certificate: &&Certificate| test(certificate, host);
            self.0.iter().filter(fits).collect::<Vec<_>>()
        };
        let mut candidates = named(Certificate::names);
        if candidates.is_empty() {
            candidates = named(Certificate::covers);
        }
        if candidates.is_empty() {
            candidates.extend(self.0.first());
        }
        let verifiable = |certificate: &&&Certificate| {
            let key = &certificate.keyed.key;
            key.choose_scheme(schemes).is_some()
        };
        let chosen = candidates.iter().find(verifiable).or(candidates.first());
        &chosen.expect("there is a first certificate").keyed
    }
}

/// The certificates of the moment, for those who connect.
#[derive(Debug)]
pub(crate) struct Shown(ArcSwap<Certificates>);

impl Shown {
    pub(crate) fn new(certificates: Certificates) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(certificates)))
    }

    /// From now on new connections are shown these.
    pub(crate) fn become_these(&self, certificates: Certificates) {
        self.0.store(Arc::new(certificates));
    }

    /// The certificates of the moment.
    pub(crate) fn now(&self) -> Arc<Certificates> {
        self.0.load_full()
    }

    /// What does handshakes. Sessions are resumed by tickets, whose keys live and change in this
    /// process; a change of certificates leaves them as they are.
    pub(crate) fn acceptor(self: &Arc<Self>) -> TlsAcceptor {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider supports TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        match aws_lc_rs::Ticketer::new() {
            Ok(ticketer) => config.ticketer = ticketer,
            Err(error) => tracing::warn!(%error, "TLS sessions cannot be resumed by tickets"),
        }
        TlsAcceptor::from(Arc::new(config))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.0.load();
        let chosen = certificates.choose(hello.server_name(), hello.signature_schemes());
        Some(Arc::clone(chosen))
    }
}
