//! HTTPS without a proxy in front: certificates from files, or from an ACME directory.
//!
//! Only the configuration is checked here; whether a file holds a certificate is seen when it is
//! opened.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::findings::Findings;
use super::problem::Problem;
use super::server::addresses;
use super::urls;
use super::values::{OneOrMany, Span};

/// Let's Encrypt's production directory.
const DEFAULT_DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// `[server.tls]` as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    /// Address and port, or a list of them. Default `"[::]:8443"`.
    listen: Option<OneOrMany>,
    /// The certificate chain in PEM, or a list of such files for several host names; read again
    /// when a file changes.
    certificate: Option<OneOrMany>,
    /// The private key in PEM, or a list in the order of the certificates.
    private_key: Option<OneOrMany>,
    /// How long browsers shall come by HTTPS only (`Strict-Transport-Security`), such as `"180d"`.
    /// It cannot be taken back before its time. Default: they are told nothing.
    hsts: Option<Span>,
    /// Certificates fetched automatically, instead of files.
    acme: Option<RawAcme>,
}

/// `[server.tls.acme]` as written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawAcme {
    /// The host names to get certificates for.
    domains: Option<Vec<String>>,
    /// Where the certificate authority writes to, such as `"mailto:admin@example.com"`.
    contact: Option<String>,
    /// The authority's directory. Default: Let's Encrypt, production.
    directory: Option<String>,
    /// How the names are proven. Default `"auto"`: over plain HTTP first, and after a failure the
    /// other way.
    challenge: Option<RawChallenge>,
    /// The root certificate, in PEM, of an authority of your own, by which alone its directory is
    /// believed. Default: the authorities that the system knows.
    directory_root: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
enum RawChallenge {
    #[serde(rename = "auto")]
    Auto,
    #[serde(rename = "http-01")]
    Http01,
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// HTTPS here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Where; never empty.
    pub listen: Vec<SocketAddr>,
    /// Whose certificates.
    pub certificates: Certificates,
    /// How long browsers are told to come by HTTPS only.
    pub hsts: Option<Duration>,
}

/// Where certificates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificates {
    /// Files, chosen by host name.
    Files(Vec<CertificatePair>),
    /// An ACME directory.
    Acme(Acme),
}

/// One certificate chain and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePair {
    /// The chain, PEM.
    pub certificate: PathBuf,
    /// The key, PEM.
    pub private_key: PathBuf,
}

/// Certificates fetched automatically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// Host names, lower case; never empty.
    pub domains: Vec<String>,
    /// `mailto:…`, if given.
    pub contact: Option<String>,
    /// The authority's directory.
    pub directory: Url,
    /// How the names are proven.
    pub challenge: Challenge,
    /// What the directory's own certificate is issued by, where the system does not know it.
    pub directory_root: Option<PathBuf>,
}

/// How a name is proven to an authority (RFC 8555 section 8, RFC 8737).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// Whichever the listeners allow.
    Auto,
    /// Over plain HTTP.
    Http01,
    /// In the TLS handshake.
    TlsAlpn01,
}

pub(super) fn check(raw: RawTls, findings: &mut Findings) -> Option<Tls> {
    let listen = match &raw.listen {
        Some(listen) => addresses("server.tls.listen", listen, "[::]:8443", findings),
        None => vec![SocketAddr::from(([0_u16; 8], 8443))],
    };
    let certificates = match (raw.acme, raw.certificate, raw.private_key) {
        (Some(acme), None, None) => Certificates::Acme(check_acme(acme, findings)?),
        (Some(_), _, _) => {
            findings.refuse(Problem::new(
                "server.tls.acme",
                "certificates come from files or from ACME, not from both",
                "remove certificate and private_key, or [server.tls.acme]",
            ));
            return None;
        }
        (None, Some(certificates), Some(keys)) => {
            Certificates::Files(pairs(&certificates, &keys, findings)?)
        }
        (None, certificate, _) => {
            let (missing, given) = match certificate {
                Some(_) => ("private_key", "a certificate"),
                None => ("certificate", "TLS"),
            };
            findings.refuse(Problem::new(
                format!("server.tls.{missing}"),
                format!("{given} without its {missing} serves nobody"),
                "give certificate and private_key, or [server.tls.acme]",
            ));
            return None;
        }
    };
    Some(Tls {
        listen,
        certificates,
        hsts: raw.hsts.map(|span| span.0),
    })
}

fn pairs(
    certificates: &OneOrMany,
    keys: &OneOrMany,
    findings: &mut Findings,
) -> Option<Vec<CertificatePair>> {
    if certificates.items.len() != keys.items.len() || certificates.items.is_empty() {
        findings.refuse(Problem::new(
            "server.tls.private_key",
            format!(
                "{} certificate(s) and {} key(s) make no pairs",
                certificates.items.len(),
                keys.items.len()
            ),
            "list one private_key for each certificate, in the same order",
        ));
        return None;
    }
    let pairs = certificates.items.iter().zip(&keys.items);
    let pairs: Vec<_> = pairs
        .map(|(certificate, key)| CertificatePair {
            certificate: certificate.into(),
            private_key: key.into(),
        })
        .collect();
    for pair in &pairs {
        findings.depends_on(&pair.certificate);
        findings.depends_on(&pair.private_key);
    }
    Some(pairs)
}

fn check_acme(raw: RawAcme, findings: &mut Findings) -> Option<Acme> {
    let before = findings.problem_count();
    let domains = raw.domains.unwrap_or_default();
    if domains.is_empty() {
        findings.refuse(Problem::new(
            "server.tls.acme.domains",
            "there is no name to get a certificate for",
            "list the host names of your routes",
        ));
    }
    for (index, domain) in domains.iter().enumerate() {
        let is_same = |other: &String| other.eq_ignore_ascii_case(domain);
        if domains[..index].iter().any(is_same) {
            findings.refuse(
                Problem::new(
                    format!("server.tls.acme.domains[{index}]"),
                    "listed twice",
                    "remove one of the two",
                )
                .with_value(urls::without_secrets(domain)),
            );
        }
        if !is_host_name(domain) {
            findings.refuse(
                Problem::new(
                    format!("server.tls.acme.domains[{index}]"),
                    "not a host name",
                    "write it as \"s3.example.com\", without https:// and without *",
                )
                .with_value(urls::without_secrets(domain)),
            );
        }
    }
    if let Some(contact) = raw.contact.as_deref().filter(|text| !is_mail(text)) {
        findings.refuse(
            Problem::new(
                "server.tls.acme.contact",
                "not a mailto: address",
                "write it as \"mailto:admin@example.com\"",
            )
            .with_value(contact),
        );
    }
    let directory = raw.directory.as_deref().unwrap_or(DEFAULT_DIRECTORY);
    let directory = match urls::parse(directory) {
        Ok(url) => url,
        Err(unfit) => {
            findings.refuse(
                Problem::new("server.tls.acme.directory", unfit.reason, unfit.remedy)
                    .with_value(urls::without_secrets(directory)),
            );
            return None;
        }
    };
    let challenge = match raw.challenge {
        None | Some(RawChallenge::Auto) => Challenge::Auto,
        Some(RawChallenge::Http01) => Challenge::Http01,
        Some(RawChallenge::TlsAlpn01) => Challenge::TlsAlpn01,
    };
    let directory_root = raw.directory_root.map(PathBuf::from);
    if let Some(root) = &directory_root {
        findings.depends_on(root);
    }
    (findings.problem_count() == before).then(|| Acme {
        domains: domains
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect(),
        contact: raw.contact,
        directory,
        challenge,
        directory_root,
    })
}

fn is_mail(text: &str) -> bool {
    let address = text.strip_prefix("mailto:").unwrap_or_default();
    let (user, host) = address.split_once('@').unwrap_or_default();
    // RFC 8555 section 7.3: one address, without header fields.
    !user.is_empty() && is_host_name(host) && !address.contains([',', '?', ' '])
}

fn is_host_name(text: &str) -> bool {
    text.contains('.')
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}
