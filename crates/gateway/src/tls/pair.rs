//! One certificate chain and its key: from their files, checked to fit.
//!
//! Says of a file what is wrong with it and what to do; never prints what it holds.

use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use secrecy::{ExposeSecret, SecretSlice};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::names;
use crate::config::{CertificatePair, Problem};

/// A chain is a few kilobytes; a path to something else is a mistake.
const MAX_BYTES: u64 = 1024 * 1024;

/// A certificate with its chain and key, ready to be shown.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// What it is called in metrics and messages: its first DNS name, else its first address,
    /// else the name of its file.
    pub(crate) name: String,
    /// Its place in the configuration.
    pub(crate) path: String,
    /// The file that it came from.
    pub(crate) file: PathBuf,
    /// From when, in seconds since 1970.
    pub(crate) not_before: i64,
    /// Until when, in seconds since 1970.
    pub(crate) not_after: i64,
    /// Every DNS name and then every address, as text.
    pub(crate) hosts: Vec<String>,
    pub(super) keyed: Arc<CertifiedKey>,
}

impl Certificate {
    /// Whether it has this very name.
    pub(super) fn names(&self, host: &str) -> bool {
        self.hosts.iter().any(|name| names::is(name, host))
    }

    /// Whether it has this name, or a wildcard for it.
    pub(super) fn covers(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        self.hosts.iter().any(|name| names::covers(name, bare))
    }

    /// When it ends, for people.
    pub(crate) fn end(&self) -> String {
        let end = u64::try_from(self.not_after).unwrap_or(0);
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(end));
        end.map_or_else(
            || "for ever".to_owned(),
            |end| humantime::format_rfc3339_seconds(end).to_string(),
        )
    }

    pub(super) fn is_nameless(&self) -> bool {
        self.hosts.is_empty()
    }
}

/// Reads a pair; `place` gives the path of a key in the configuration. Blocks.
pub(super) fn read(
    pair: &CertificatePair,
    place: &impl Fn(&str) -> String,
) -> Result<Certificate, Vec<Problem>> {
    let file = &pair.certificate;
    let chain = chain(file).map_err(|unfit| unfit.at(place("certificate"), file));
    let key =
        key(&pair.private_key).map_err(|unfit| unfit.at(place("private_key"), &pair.private_key));
    let (chain, key) = match (chain, key) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => return Err(chain.err().into_iter().chain(key.err()).collect()),
    };
    let facts = Facts::of(&chain[0]).map_err(|unfit| vec![unfit.at(place("certificate"), file)])?;
    let provider = aws_lc_rs::default_provider();
    let keyed = CertifiedKey::from_der(chain, key, &provider).map_err(|error| {
        let unfit = unfit_key(&error, file);
        vec![unfit.at(place("private_key"), &pair.private_key)]
    })?;
    let of_file = || file.file_name().unwrap_or_default().to_string_lossy();
    Ok(Certificate {
        name: match facts.hosts.first() {
            Some(host) => host.clone(),
            None => of_file().into_owned(),
        },
        path: place("certificate"),
        file: file.clone(),
        not_before: facts.not_before,
        not_after: facts.not_after,
        hosts: facts.hosts,
        keyed: Arc::new(keyed),
    })
}

/// Why a file cannot be used, and what to do.
#[derive(Debug)]
struct Unfit {
    reason: String,
    remedy: String,
}

impl Unfit {
    fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }

    fn at(self, path: String, file: &Path) -> Problem {
        Problem::new(path, self.reason, self.remedy).with_value(file.display().to_string())
    }
}

const CHAIN: &str =
    "give the chain in PEM: the server's own certificate first, then those in between";
const KEY: &str = "give the certificate's private key in PEM, without a password";

fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, Unfit> {
    let bytes = bytes(file)?;
    let chain = CertificateDer::pem_slice_iter(bytes.expose_secret());
    let chain = chain.collect::<Result<Vec<_>, pem::Error>>();
    match chain {
        Ok(chain) if chain.is_empty() => Err(Unfit::new("the file holds no certificate", CHAIN)),
        Ok(chain) => Ok(chain),
        Err(_) => Err(Unfit::new("the file is damaged PEM", CHAIN)),
    }
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, Unfit> {
    let bytes = bytes(file)?;
    let bytes = bytes.expose_secret();
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(bytes) => Unfit::new(
            "the private key is encrypted, and nobody is there to type its password",
            "decrypt it: openssl pkey -in OLD -out NEW",
        ),
        pem::Error::NoItemsFound => Unfit::new("the file holds no private key", KEY),
        // What it says may repeat what the file holds.
        _ => Unfit::new("the file is damaged PEM", KEY),
    })
}

fn is_encrypted(pem: &[u8]) -> bool {
    let marker = b"ENCRYPTED PRIVATE KEY";
    pem.windows(marker.len()).any(|window| window == marker)
}

/// What a file holds; wiped when dropped, since it may be a key.
fn bytes(file: &Path) -> Result<SecretSlice<u8>, Unfit> {
    let read = || {
        let mut bytes = Vec::new();
        let file = File::open(file)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "write where the file is, as this process sees it",
            io::ErrorKind::PermissionDenied => {
                "let the gateway's user read the file and enter the directories above it"
            }
            _ => "name a readable file",
        };
        Unfit::new(format!("the file cannot be read: {error}"), remedy)
    })?;
    let bytes = SecretSlice::from(bytes);
    if bytes.expose_secret().len() as u64 > MAX_BYTES {
        return Err(Unfit::new(
            "more than 1 MiB is neither a chain nor a key",
            "name the file in PEM",
        ));
    }
    Ok(bytes)
}

fn unfit_key(error: &Error, certificate: &Path) -> Unfit {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Unfit::new(
            format!(
                "the key does not fit to the first certificate of {}",
                certificate.display()
            ),
            "give the key that the certificate was issued for, and put the server's own certificate first in its file",
        ),
        other => Unfit::new(format!("the key cannot be used: {other}"), KEY),
    }
}

/// What a certificate says of itself.
struct Facts {
    hosts: Vec<String>,
    not_before: i64,
    not_after: i64,
}

impl Facts {
    fn of(certificate: &CertificateDer<'_>) -> Result<Self, Unfit> {
        let unfit = || Unfit::new("the first certificate is not one by X.509", CHAIN);
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| unfit())?;
        let names = parsed.subject_alternative_name().map_err(|_| unfit())?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let (mut hosts, mut addresses) = (Vec::new(), Vec::new());
        for name in names {
            match name {
                GeneralName::DNSName(name) => hosts.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(octets) => addresses.extend(address(octets)),
                _ => {}
            }
        }
        hosts.extend(addresses);
        Ok(Self {
            hosts,
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }
}

fn address(octets: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(octets).map(|octets| Ipv4Addr::from(octets).to_string());
    let v6 = <[u8; 16]>::try_from(octets).map(|octets| Ipv6Addr::from(octets).to_string());
    v4.or(v6).ok()
}
