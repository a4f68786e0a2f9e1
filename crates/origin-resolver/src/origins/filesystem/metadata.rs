//! What was written beside a file about it: the headers that a bucket would have kept.
//!
//! JSON in the extended attribute `user.media-gateway.meta`, else in the sidecar
//! `<directory>/.media-gateway-meta/<name>.json`. Damage costs only itself: whatever cannot be
//! read, is too large or could not stand in a header counts as not written. Nothing here is
//! needed to serve a file.

use std::collections::BTreeMap;
use std::fs::{File, Metadata as Stat};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object::{Digest, ObjectKey, Validator};
use rustix::fs::{fgetxattr, fgetxattr_query};
use serde::{Deserialize, Serialize};

use super::beneath::Directory;
use super::layout;
use crate::{Aside, Kept};

/// The attribute that file managers and web servers write.
const TYPE_ATTRIBUTE: &str = "user.mime_type";
pub(super) const META_ATTRIBUTE: &str = "user.media-gateway.meta";
/// No honest description is longer; also the kernel's own limit for an attribute.
pub(super) const LONGEST_BYTES: usize = 64 * 1024;
/// No honest header value is longer.
const LONGEST_VALUE_BYTES: usize = 2048;
/// The first second of the year 10000, which no HTTP date can spell.
const YEAR_10000: i64 = 253_402_300_800;

/// What is known of a file beyond its bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) content_type: Option<Box<str>>,
    pub(super) content_disposition: Option<Box<str>>,
    pub(super) content_encoding: Option<Box<str>>,
    pub(super) content_language: Option<Box<str>>,
    pub(super) last_modified: Option<SystemTime>,
    /// Only where the file still has the length that was written with it, and is no younger than
    /// its sidecar.
    pub(super) sha256: Option<Digest>,
    pub(super) aside: Aside,
    /// The key, where the file's name could not spell it.
    pub(super) key: Option<ObjectKey>,
}

/// The JSON, as it is read and written.
#[derive(Deserialize, Serialize, Clone, Default)]
#[serde(default)]
pub(super) struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_language: Option<String>,
    /// RFC 3339, or as in an HTTP header.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    /// The length that `sha256` belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    /// 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<String>,
    /// As clients know it, quotes included.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    /// The key, where the file's name cannot spell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl Written {
    /// What is to be written about a file of `length` bytes that holds this.
    pub(super) fn of(kept: &Kept, length: u64, sha256: Digest, key: Option<&ObjectKey>) -> Self {
        let text = |value: &Option<Box<str>>| value.as_deref().map(str::to_owned);
        let metadata = kept.aside.metadata.iter();
        Self {
            content_type: text(&kept.content_type),
            content_disposition: text(&kept.content_disposition),
            content_encoding: text(&kept.content_encoding),
            content_language: text(&kept.content_language),
            last_modified: kept.modified.map(httpdate::fmt_http_date),
            length: Some(length),
            sha256: Some(hex::encode(sha256.0)),
            cache_control: text(&kept.aside.cache_control),
            etag: text(&kept.aside.etag),
            metadata: metadata
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            key: key.map(|key| key.as_str().to_owned()),
        }
    }

    /// Whether the file tells all of this without it, if its bytes show this type and its time is
    /// the object's. A digest alone is no reason for a file beside each file.
    pub(super) fn goes_without_saying(&self, sniffed: Option<&str>) -> bool {
        let typed = self.content_type.is_none() || self.content_type.as_deref() == sniffed;
        let more = [
            &self.content_disposition,
            &self.content_encoding,
            &self.content_language,
            &self.cache_control,
            &self.etag,
            &self.key,
        ];
        typed && self.metadata.is_empty() && more.iter().all(|value| value.is_none())
    }

    /// The same without what the application wrote.
    pub(super) fn without_metadata(&self) -> Self {
        Self {
            metadata: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// As it is written.
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text and numbers become JSON")
    }
}

/// Reads what is written about the file at `path`.
pub(super) fn read(root: &Directory, path: &str, file: &File, stat: &Stat) -> Metadata {
    let mut metadata = match attribute(file, META_ATTRIBUTE) {
        Some(json) => parse(&json, stat.len()),
        None => sidecar(root, path, stat),
    };
    if let Some(value) = attribute(file, TYPE_ATTRIBUTE)
        && let Some(content_type) = str::from_utf8(&value).ok().and_then(header_value)
    {
        metadata.content_type = Some(content_type);
    }
    metadata
}

/// A time that an HTTP date can spell, from seconds since 1970.
pub(super) fn http_time(seconds: i64) -> Option<SystemTime> {
    let seconds = u64::try_from(seconds)
        .ok()
        .filter(|_| seconds < YEAR_10000)?;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn attribute(file: &File, name: &str) -> Option<Vec<u8>> {
    let length = fgetxattr_query(file, name).ok()?;
    let mut value = vec![0; length.min(LONGEST_BYTES)];
    let length = fgetxattr(file, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

fn sidecar(root: &Directory, path: &str, stat: &Stat) -> Metadata {
    let Ok((file, sidecar)) = root.regular_file(&layout::sidecar(path)) else {
        return Metadata::default();
    };
    let mut json = Vec::new();
    // One byte more than allowed tells a file that is too large from one that just fits.
    let limit = LONGEST_BYTES as u64 + 1;
    if file.take(limit).read_to_end(&mut json).is_err() || json.len() > LONGEST_BYTES {
        return Metadata::default();
    }
    let mut metadata = parse(&json, stat.len());
    // The file was written again since: its digest is of other bytes.
    if sidecar.mtime() < stat.mtime() {
        metadata.sha256 = None;
    }
    metadata
}

fn parse(json: &[u8], length: u64) -> Metadata {
    let Written {
        content_type,
        content_disposition,
        content_encoding,
        content_language,
        last_modified,
        length: written_length,
        sha256,
        cache_control,
        etag,
        metadata,
        key,
    } = serde_json::from_slice(json).unwrap_or_default();
    Metadata {
        content_type: content_type.as_deref().and_then(header_value),
        content_disposition: content_disposition.as_deref().and_then(header_value),
        content_encoding: content_encoding.as_deref().and_then(header_value),
        content_language: content_language.as_deref().and_then(header_value),
        last_modified: last_modified.and_then(|text| time(&text)),
        sha256: sha256
            .filter(|_| written_length == Some(length))
            .and_then(|text| digest(&text)),
        aside: Aside {
            cache_control: cache_control.as_deref().and_then(header_value),
            etag: etag.as_deref().and_then(strong_tag),
            metadata: metadata
                .into_iter()
                .filter_map(|(name, value)| Some((header_value(&name)?, header_value(&value)?)))
                .collect(),
        },
        key: key.and_then(|key| ObjectKey::parse(&key).ok()),
    }
}

/// Refuses what could split a header (RFC 9110 section 5.5).
fn header_value(text: &str) -> Option<Box<str>> {
    let value = text.trim();
    let allowed = !value.is_empty()
        && value.len() <= LONGEST_VALUE_BYTES
        && !value.chars().any(char::is_control);
    allowed.then(|| value.into())
}

fn strong_tag(text: &str) -> Option<Box<str>> {
    match Validator::from_etag(&header_value(text)?)? {
        Validator::Strong(tag) => Some(tag),
        Validator::Weak(_) | Validator::Modified(_) => None,
    }
}

fn time(text: &str) -> Option<SystemTime> {
    let time = httpdate::parse_http_date(text)
        .ok()
        .or_else(|| Some(text.parse::<jiff::Timestamp>().ok()?.into()))?;
    let seconds = time.duration_since(UNIX_EPOCH).ok()?.as_secs();
    http_time(i64::try_from(seconds).ok()?)
}

fn digest(text: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(Digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn everything_written_is_read() {
        let sha256 = "ab".repeat(32);
        let json = format!(
            r#"{{"content_type": "image/webp", "content_disposition": "inline; filename=\"a\"",
                "content_encoding": "gzip", "content_language": "ja", "length": 3,
                "last_modified": "2018-09-01T09:00:00.5+09:00", "sha256": "{sha256}", "later": 1}}"#
        );
        let metadata = parse(json.as_bytes(), 3);
        assert_eq!(metadata.content_type.as_deref(), Some("image/webp"));
        assert_eq!(
            metadata.content_disposition.as_deref(),
            Some("inline; filename=\"a\"")
        );
        assert_eq!(metadata.content_encoding.as_deref(), Some("gzip"));
        assert_eq!(metadata.content_language.as_deref(), Some("ja"));
        assert_eq!(metadata.last_modified, http_time(1_535_760_000));
        assert_eq!(metadata.sha256, Some(Digest([0xab; 32])));
    }

    #[test]
    fn both_spellings_of_a_date_mean_the_same_second() {
        assert_eq!(
            time("Sat, 01 Sep 2018 00:00:00 GMT"),
            http_time(1_535_760_000)
        );
        assert_eq!(time("2018-09-01T00:00:00Z"), http_time(1_535_760_000));
        for odd in ["", "yesterday", "1969-12-31T23:59:59Z", "2018-09-01"] {
            assert_eq!(time(odd), None, "{odd}");
        }
        assert_eq!(http_time(-1), None);
        assert_eq!(http_time(YEAR_10000), None);
    }

    #[test]
    fn a_digest_counts_only_beside_the_length_it_was_made_of() {
        let sha256 = "ab".repeat(32);
        let with_length = format!(r#"{{"length": 3, "sha256": "{sha256}"}}"#);
        assert!(parse(with_length.as_bytes(), 3).sha256.is_some());
        assert!(parse(with_length.as_bytes(), 4).sha256.is_none());
        let without = format!(r#"{{"sha256": "{sha256}"}}"#);
        assert!(parse(without.as_bytes(), 3).sha256.is_none());
    }

    #[test]
    fn damage_counts_as_nothing_written() {
        for damaged in [
            "",
            "{",
            "[]",
            "null",
            r#"{"content_type": 5}"#,
            r#"{"content_type": "a\r\nSet-Cookie: b"}"#,
            r#"{"content_type": "  "}"#,
            r#"{"sha256": "abc", "length": 1}"#,
        ] {
            assert_eq!(
                parse(damaged.as_bytes(), 1),
                Metadata::default(),
                "{damaged}"
            );
        }
        assert_eq!(header_value(&"x".repeat(2049)), None);
    }

    proptest! {
        #[test]
        fn reading_anything_never_panics(json in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&json, 1);
        }
    }
}
