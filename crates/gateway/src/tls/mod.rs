//! TLS as it ends here: certificates from files or from the state directory, and which of them a client is shown.
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

use crate::acme::{self, Proofs, Store};
use crate::config::{self, CertificatePair, Config, Problem};

/// What is spoken on top, in the order of preference.
const PROTOCOLS: [&[u8]; 3] = [b"h2", b"http/1.1", acme::PROTOCOL];
/// A certificate that ends sooner than this should have been renewed.
const NEAR_SECONDS: i64 = 14 * 86_400;

/// Certificates, in the order of the configuration; empty only where none was fetched yet.
#[derive(Debug)]
pub(crate) struct Certificates {
    list: Vec<Certificate>,
    /// Whether a client that asks for another host is shown the first one all the same.
    for_all: bool,
}

impl Certificates {
    /// Reads what the configuration names, or what was fetched; `None` where TLS does not end here.
    /// Blocks.
    ///
    /// # Errors
    /// Every file that cannot be used.
    pub(crate) fn of(config: &Config) -> Result<Option<Self>, Vec<Problem>> {
        match config.server.tls.as_ref().map(|tls| &tls.certificates) {
            Some(config::Certificates::Files(pairs)) => Self::read(pairs).map(Some),
            Some(config::Certificates::Acme(acme)) => {
                Ok(Some(Self::fetched(&Store::of(config, acme), &acme.domains)))
            }
            None => Ok(None),
        }
    }

    /// Those that were fetched. One that is damaged is as good as none: it is fetched anew.
    fn fetched(store: &Store, domains: &[String]) -> Self {
        let mut list = Vec::new();
        for domain in domains {
            let file = store.certificate(domain);
            if !file.exists() {
                continue;
            }
            let pair = CertificatePair {
                certificate: file.clone(),
                private_key: file,
            };
            match pair::read(&pair, &|_| "server.tls.acme".to_owned()) {
                Ok(certificate) => list.push(certificate),
                Err(problems) => {
                    for problem in problems {
                        tracing::warn!(%problem, "a certificate that was fetched cannot be used");
                    }
                }
            }
        }
        Self {
            list,
            for_all: false,
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
            Ok(Self::for_all(certificates))
        } else {
            Err(problems)
        }
    }

    fn for_all(list: Vec<Certificate>) -> Self {
        Self {
            list,
            for_all: true,
        }
    }

    /// From when and until when this very name has one, in seconds since 1970.
    pub(crate) fn span_of(&self, domain: &str) -> Option<(u64, u64)> {
        let held = self.list.iter().find(|one| one.names(domain))?;
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        Some((seconds(held.not_before), seconds(held.not_after)))
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Certificate> {
        self.list.iter()
    }

    /// Whether a client that asks for this host (lower case) is shown one that is made for it.
    pub(crate) fn cover(&self, host: &str) -> bool {
        self.list.iter().any(|certificate| certificate.covers(host))
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
            let remedy = if self.for_all {
                "renew it; the files are read again when they change"
            } else {
                "the gateway renews it; its log says what keeps it from that"
            };
            let warning = Problem::new(certificate.path.clone(), reason, remedy);
            Some(warning.with_value(certificate.file.display().to_string()))
        };
        self.list.iter().filter_map(warn).collect()
    }

    /// An exact name before a wildcard, and the first certificate for a client that names no host
    /// or, where they are from files, an unknown one. Of several for one name, such as RSA beside ECDSA, the first whose key
    /// the client can verify.
    fn choose(
        &self,
        host: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<&Arc<CertifiedKey>> {
        let named = |test: fn(&Certificate, &str) -> bool| {
            let host = host.unwrap_or_default();
            let fits = move |certificate: &&Certificate| test(certificate, host);
            self.list.iter().filter(fits).collect::<Vec<_>>()
        };
        let mut candidates = named(Certificate::names);
        if candidates.is_empty() {
            candidates = named(Certificate::covers);
        }
        if candidates.is_empty() {
            let is_known = host.is_some() && !self.for_all;
            candidates.extend(self.list.first().filter(|_| !is_known));
        }
        let verifiable = |certificate: &&&Certificate| {
            let key = &certificate.keyed.key;
            key.choose_scheme(schemes).is_some()
        };
        let chosen = candidates.iter().find(verifiable).or(candidates.first());
        chosen.map(|certificate| &certificate.keyed)
    }
}

/// The certificates of the moment, for those who connect.
#[derive(Debug)]
pub(crate) struct Shown {
    certificates: ArcSwap<Certificates>,
    /// What is shown to an authority instead.
    proofs: Arc<Proofs>,
}

impl Shown {
    pub(crate) fn new(certificates: Certificates) -> Arc<Self> {
        Arc::new(Self {
            certificates: ArcSwap::from_pointee(certificates),
            proofs: Arc::default(),
        })
    }

    /// What an authority is shown while a name is proven.
    pub(crate) fn proofs(&self) -> &Arc<Proofs> {
        &self.proofs
    }

    /// From now on new connections are shown these.
    pub(crate) fn become_these(&self, certificates: Certificates) {
        self.certificates.store(Arc::new(certificates));
    }

    /// The certificates of the moment.
    pub(crate) fn now(&self) -> Arc<Certificates> {
        self.certificates.load_full()
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
        let is_challenge = hello
            .alpn()
            .is_some_and(|mut protocols| protocols.any(|one| one == acme::PROTOCOL));
        if is_challenge {
            return self.proofs.certificate(hello.server_name()?);
        }
        let certificates = self.certificates.load();
        let chosen = certificates.choose(hello.server_name(), hello.signature_schemes());
        chosen.map(Arc::clone)
    }
}
