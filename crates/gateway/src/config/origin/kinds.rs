//! What each kind of origin needs, and which keys it has no use for.

use std::path::PathBuf;

use origin_resolver::{FilesystemSettings, HttpSettings, IpVersions, Kind, MissingMeans};

use super::presets::Preset;
use super::raw::{RawIp, RawKind, RawOrigin};
use super::{Writing, s3};
use crate::config::findings::Findings;
use crate::config::problem::Problem;
use crate::config::urls;

/// A key that only some kinds have.
struct Belongs {
    key: &'static str,
    to: &'static [RawKind],
    is_written: fn(&RawOrigin) -> bool,
}

macro_rules! belongs {
    ($to:expr => $($key:ident),+) => {
        [$(Belongs { key: stringify!($key), to: $to, is_written: |raw| raw.$key.is_some() }),+]
    };
}

/// Says of each key that this kind ignores which kind it is for.
pub(super) fn refuse_keys_of_other_kinds(
    kind: RawKind,
    path: &str,
    raw: &RawOrigin,
    findings: &mut Findings,
) {
    let s3 = belongs!(&[RawKind::S3] => provider, endpoint, region, bucket, addressing,
        access_key_id, access_key_id_file, secret_access_key, secret_access_key_file, read, write_acl);
    let http = belongs!(&[RawKind::Http] => url, missing_means, allow_html);
    let filesystem = belongs!(&[RawKind::Filesystem] => root, marker, writable, min_free);
    let network = belongs!(&[RawKind::S3, RawKind::Http] =>
        connect_timeout, max_egress, ip, forbidden_means);
    for belongs in s3.iter().chain(&http).chain(&filesystem).chain(&network) {
        if !belongs.to.contains(&kind) && (belongs.is_written)(raw) {
            let to: Vec<&str> = belongs.to.iter().map(|kind| kind.as_str()).collect();
            findings.refuse(Problem::new(
                format!("{path}.{}", belongs.key),
                format!(
                    "an origin of kind \"{}\" has no use for it; it belongs to kind \"{}\"",
                    kind.as_str(),
                    to.join("\" and \"")
                ),
                "remove the key, or change the kind",
            ));
        }
    }
}

/// The settings of one kind, and how it is written to.
pub(super) fn check(
    kind: RawKind,
    path: &str,
    raw: RawOrigin,
    preset: Option<Preset>,
    findings: &mut Findings,
) -> Option<(Kind, Option<Writing>)> {
    match kind {
        RawKind::S3 => s3::check(path, raw, preset, findings),
        RawKind::Http => http(path, &raw, findings).map(|kind| (kind, None)),
        RawKind::Filesystem => filesystem(path, raw, findings),
    }
}

fn http(path: &str, raw: &RawOrigin, findings: &mut Findings) -> Option<Kind> {
    let path = format!("{path}.url");
    let Some(text) = &raw.url else {
        findings.refuse(Problem::new(
            path,
            "a web server needs its URL",
            "write url = \"https://…/\"; a key is appended to it",
        ));
        return None;
    };
    match urls::parse(text) {
        Ok(mut url) => {
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            Some(Kind::Http(HttpSettings {
                url,
                missing_means: raw.missing_means.map_or(MissingMeans::Missing, Into::into),
                allow_html: raw.allow_html.unwrap_or(false),
                ip: ip(raw.ip),
            }))
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

fn filesystem(
    path: &str,
    raw: RawOrigin,
    findings: &mut Findings,
) -> Option<(Kind, Option<Writing>)> {
    let marker = raw
        .marker
        .unwrap_or_else(|| object::RESERVED_NAME.to_owned());
    if marker.is_empty() {
        findings.warn(Problem::new(
            format!("{path}.marker"),
            "without a marker a disk that is not mounted reads as \"every file is missing\"",
            "remove the line and run `media-gateway origin init` once",
        ));
    } else if marker.contains(['/', '\\', '\0']) || marker == "." || marker == ".." {
        findings.refuse(
            Problem::new(
                format!("{path}.marker"),
                "not the name of a file in the root",
                "write a plain name such as \".media-gateway\"",
            )
            .with_value(&marker),
        );
    } else if !marker.starts_with(object::RESERVED_NAME) {
        findings.warn(
            Problem::new(
                format!("{path}.marker"),
                "a marker of this name can be asked for as an object",
                "let its name begin with \".media-gateway\", which is never served",
            )
            .with_value(&marker),
        );
    }
    let Some(root) = raw.root.filter(|root| !root.is_empty()) else {
        findings.refuse(Problem::new(
            format!("{path}.root"),
            "a directory origin needs its directory",
            "write root = \"/srv/media\"",
        ));
        return None;
    };
    let min_free_bytes = raw
        .writable
        .unwrap_or(false)
        .then(|| raw.min_free.map_or(20_000_000_000, |size| size.0));
    let kind = Kind::Filesystem(FilesystemSettings {
        root: PathBuf::from(root),
        marker: marker.into(),
        min_free_bytes,
    });
    let writing = min_free_bytes.map(|min_free_bytes| Writing::Filesystem { min_free_bytes });
    Some((kind, writing))
}

pub(super) fn ip(raw: Option<RawIp>) -> IpVersions {
    match raw {
        None | Some(RawIp::Any) => IpVersions::Any,
        Some(RawIp::V4) => IpVersions::V4,
    }
}
