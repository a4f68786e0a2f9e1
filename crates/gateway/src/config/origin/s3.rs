//! A bucket: where it is, and with which keys it is read.

use origin_resolver::{Addressing, Credentials, Kind, ReadAs, S3Settings};
use url::Url;

use super::Writing;
use super::kinds::ip;
use super::presets::Preset;
use super::raw::{RawAddressing, RawOrigin, RawRead, RawWriteAcl};
use crate::config::findings::Findings;
use crate::config::problem::Problem;
use crate::config::{secrets, urls};

pub(super) fn check(
    path: &str,
    raw: RawOrigin,
    preset: Option<Preset>,
    findings: &mut Findings,
) -> Option<(Kind, Option<Writing>)> {
    let ip = ip(raw.ip);
    let endpoint = endpoint(path, raw.endpoint.as_deref(), findings);
    let bucket = bucket(path, raw.bucket, findings);
    let has_id = raw.access_key_id.is_some() || raw.access_key_id_file.is_some();
    let has_secret = raw.secret_access_key.is_some() || raw.secret_access_key_file.is_some();
    if has_id != has_secret {
        let missing = if has_id {
            "secret_access_key"
        } else {
            "access_key_id"
        };
        findings.refuse(Problem::new(
            format!("{path}.{missing}"),
            "half a key pair",
            "give access_key_id and secret_access_key (or their _file keys), or neither for a public bucket",
        ));
    }
    let id = secrets::read(
        &format!("{path}.access_key_id"),
        raw.access_key_id,
        raw.access_key_id_file,
        findings,
    );
    let secret = secrets::read(
        &format!("{path}.secret_access_key"),
        raw.secret_access_key,
        raw.secret_access_key_file,
        findings,
    );
    let credentials = id
        .zip(secret)
        .map(|(access_key_id, secret_access_key)| Credentials {
            access_key_id,
            secret_access_key,
        });
    let read = match raw.read {
        Some(RawRead::Signed) if !has_id && !has_secret => {
            findings.refuse(
                Problem::new(
                    format!("{path}.read"),
                    "there are no keys to sign with",
                    "give access_key_id and secret_access_key, or remove the line",
                )
                .with_value("signed"),
            );
            ReadAs::Signed
        }
        Some(RawRead::Signed) => ReadAs::Signed,
        None if has_id || has_secret => ReadAs::Signed,
        None | Some(RawRead::Anonymous) => ReadAs::Anonymous,
    };
    let public_read = raw.write_acl == Some(RawWriteAcl::PublicRead);
    if public_read && preset.is_some_and(|preset| !preset.has_object_acls) {
        findings.warn(
            Problem::new(
                format!("{path}.write_acl"),
                "this provider has no ACLs of single objects",
                "make the bucket public at the provider, and remove the line",
            )
            .with_value("public-read"),
        );
    }
    let writing = credentials.is_some().then_some(Writing::S3 { public_read });
    let (endpoint, bucket) = (endpoint?, bucket?);
    let addressing = addressing(path, raw.addressing, preset, &endpoint, &bucket, findings);
    let region = match raw.region {
        Some(region) if is_plain_word(&region) => region.into(),
        Some(region) => {
            findings.refuse(
                Problem::new(
                    format!("{path}.region"),
                    "not a region",
                    "write it as \"us-east-1\", or remove the line",
                )
                .with_value(region),
            );
            return None;
        }
        None => preset.map_or_else(
            || "us-east-1".into(),
            |preset| preset.region.for_endpoint(&endpoint),
        ),
    };
    let kind = Kind::S3(S3Settings {
        endpoint,
        region,
        bucket,
        addressing,
        credentials,
        read,
        public_writes: public_read,
        provider: raw.provider.map(Into::into),
        ip,
    });
    Some((kind, writing))
}

fn endpoint(path: &str, written: Option<&str>, findings: &mut Findings) -> Option<Url> {
    let path = format!("{path}.endpoint");
    let Some(text) = written else {
        findings.refuse(Problem::new(
            path,
            "a bucket needs the URL of its storage",
            "write endpoint = \"https://…\" as your provider names it, without the bucket",
        ));
        return None;
    };
    match urls::parse(text) {
        Ok(url) if url.path() == "/" => Some(url),
        Ok(url) => {
            findings.refuse(
                Problem::new(
                    path,
                    format!(
                        "an endpoint has no path, and this one has \"{}\"",
                        url.path()
                    ),
                    "leave the path out; the bucket has a key of its own",
                )
                .with_value(urls::without_secrets(text)),
            );
            None
        }
        Err(unfit) => {
            findings.refuse(
                Problem::new(path, unfit.reason, unfit.remedy)
                    .with_value(urls::without_secrets(text)),
            );
            None
        }
    }
}

fn bucket(path: &str, written: Option<String>, findings: &mut Findings) -> Option<Box<str>> {
    let path = format!("{path}.bucket");
    let Some(text) = written else {
        findings.refuse(Problem::new(
            path,
            "an S3 origin needs a bucket",
            "write bucket = \"…\"",
        ));
        return None;
    };
    if is_plain_word(&text) {
        return Some(text.into());
    }
    findings.refuse(
        Problem::new(
            path,
            "not a bucket's name",
            "write the name alone, without URL and slashes",
        )
        .with_value(urls::without_secrets(&text)),
    );
    None
}

fn addressing(
    path: &str,
    written: Option<RawAddressing>,
    preset: Option<Preset>,
    endpoint: &Url,
    bucket: &str,
    findings: &mut Findings,
) -> Addressing {
    // A wildcard certificate covers one label, so a dot in the bucket's name breaks TLS.
    let needs_path = bucket.contains('.') || endpoint.domain().is_none();
    match written {
        Some(RawAddressing::VirtualHost) => {
            if needs_path && endpoint.scheme() == "https" || endpoint.domain().is_none() {
                findings.warn(
                    Problem::new(
                        format!("{path}.addressing"),
                        "the bucket's name cannot stand in this host: a dot in it breaks the certificate, and an IP address has no sub-domains",
                        "write addressing = \"path\"",
                    )
                    .with_value("virtual-host"),
                );
            }
            Addressing::VirtualHost
        }
        Some(RawAddressing::Path) => Addressing::Path,
        None if needs_path => Addressing::Path,
        None => preset.map_or(Addressing::Path, |preset| preset.addressing),
    }
}

/// Letters, digits, dots, dashes and underscores; not `.` or `..`, which a URL would lose.
fn is_plain_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && !matches!(text, "." | "..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}
