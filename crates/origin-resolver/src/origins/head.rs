//! Turns response headers into an [`ObjectHead`]: an allow-list, with caps.
//!
//! Which headers prove content is decided here, because only who knows the provider can: an
//! encrypted object's ETag, or a random one of R2, must never be compared.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG,
    LAST_MODIFIED,
};
use object::{Digest, Md5Etag, ObjectHead, Proofs, Validator};

use crate::{Aside, Provider};

/// A stored header longer than this is not believed to be one.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// How the names of an application's metadata begin.
const META: &str = "x-amz-meta-";
/// More metadata than this is not kept; S3 allows 2 KB.
const MAX_META_BYTES: usize = 8 * 1024;

/// The object's own time, as rclone writes it: seconds since 1970 with a fraction.
pub(super) const OWN_TIME: &str = "x-amz-meta-mtime";
/// The digest that our own promotion and migration write beside an object. Other tools write it
/// too, so it counts only beside [`OWN_LENGTH`].
pub(super) const OWN_DIGEST: &str = "x-amz-meta-sha256";
/// The length of what [`OWN_DIGEST`] was made of.
pub(super) const OWN_LENGTH: &str = "x-amz-meta-media-gateway-length";
/// The entity tag under which clients know the object.
pub(super) const OWN_TAG: &str = "x-amz-meta-media-gateway-etag";
/// A digest under a name that nobody else writes.
const OWN_DIGEST_ALONE: &str = "x-amz-meta-media-gateway-sha256";

/// Who sent the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// A bucket.
    S3(Option<Provider>),
    /// A web server, behind which there may be a bucket.
    Web,
}

/// Reads the head of an object of this length.
pub(super) fn read(headers: &HeaderMap, length: Option<u64>, sender: Sender) -> ObjectHead {
    let dated = text(headers, LAST_MODIFIED.as_str()).and_then(httpdate);
    let is_s3 = match sender {
        Sender::S3(_) => true,
        // Every S3 server sends it and a proxy that hides the storage does not.
        Sender::Web => headers.contains_key("x-amz-request-id"),
    };
    let validator = text(headers, ETAG.as_str())
        .and_then(Validator::from_etag)
        .or(dated.map(Validator::Modified));
    let uploaded = is_s3.then(|| text(headers, OWN_TIME)).flatten();
    ObjectHead {
        length,
        content_type: owned(headers, CONTENT_TYPE.as_str()),
        content_disposition: owned(headers, CONTENT_DISPOSITION.as_str()),
        content_encoding: owned(headers, CONTENT_ENCODING.as_str()),
        content_language: owned(headers, CONTENT_LANGUAGE.as_str()),
        // rclone keeps the file's own time there; `Last-Modified` is only when it was copied.
        last_modified: uploaded.and_then(seconds).or(dated),
        proofs: if is_s3 {
            proofs(headers, length, validator.as_ref(), sender)
        } else {
            Proofs::default()
        },
        validator,
    }
}

/// A header's value, if it is one that may be stored: short, UTF-8, without control characters.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.as_bytes();
    let text = std::str::from_utf8(value).ok()?.trim();
    let fits = !text.is_empty() && value.len() <= MAX_HEADER_BYTES;
    (fits && !text.chars().any(char::is_control)).then_some(text)
}

fn owned(headers: &HeaderMap, name: &str) -> Option<Box<str>> {
    text(headers, name).map(Into::into)
}

fn httpdate(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

/// rclone's `mtime`: seconds since 1970 with a fraction, which a head does not keep.
fn seconds(text: &str) -> Option<SystemTime> {
    let whole = text.split('.').next()?;
    let digits = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: u64 = digits.then(|| whole.parse().ok()).flatten()?;
    // The year 9999, the last that an HTTP date can spell.
    (seconds < 253_402_300_800).then_some(())?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Reads what copies keep and no client is told. A web server's metadata is nobody's.
pub(super) fn aside(headers: &HeaderMap, sender: Sender) -> Aside {
    let cache_control = owned(headers, CACHE_CONTROL.as_str());
    if !matches!(sender, Sender::S3(_)) {
        return Aside {
            cache_control,
            ..Aside::default()
        };
    }
    let mut metadata = Vec::new();
    let mut bytes = 0;
    for name in headers.keys() {
        let Some(bare) = name.as_str().strip_prefix(META) else {
            continue;
        };
        if is_ours(name.as_str()) || bare.is_empty() {
            continue;
        }
        if let Some(value) = text(headers, name.as_str()) {
            bytes += bare.len() + value.len();
            if bytes <= MAX_META_BYTES {
                metadata.push((bare.into(), value.into()));
            }
        }
    }
    metadata.sort_unstable();
    Aside {
        cache_control,
        etag: text(headers, OWN_TAG).and_then(strong_tag),
        metadata,
    }
}

/// Whether a copy writes this name anew, so that the old value is no application's metadata.
fn is_ours(name: &str) -> bool {
    [OWN_TIME, OWN_DIGEST, OWN_LENGTH, OWN_TAG, OWN_DIGEST_ALONE].contains(&name)
}

/// A tag that may be shown to clients.
fn strong_tag(text: &str) -> Option<Box<str>> {
    match Validator::from_etag(text)? {
        Validator::Strong(tag) => Some(tag),
        Validator::Weak(_) | Validator::Modified(_) => None,
    }
}

/// The digest that we wrote, where it was made of as many bytes as there are.
fn own_digest(headers: &HeaderMap, length: Option<u64>) -> Option<Digest> {
    if let Some(alone) = text(headers, OWN_DIGEST_ALONE) {
        return hex_digest(alone);
    }
    let made_of: u64 = text(headers, OWN_LENGTH)?.parse().ok()?;
    let digest = text(headers, OWN_DIGEST).filter(|_| length == Some(made_of))?;
    hex_digest(digest)
}

fn proofs(
    headers: &HeaderMap,
    length: Option<u64>,
    validator: Option<&Validator>,
    sender: Sender,
) -> Proofs {
    let md5 = match validator {
        Some(Validator::Strong(tag)) => Md5Etag::parse(tag),
        _ => None,
    };
    let random = |tag: &Md5Etag| sender == Sender::S3(Some(Provider::R2)) && tag.parts.is_some();
    Proofs {
        checksum: checksum(headers),
        md5: md5.filter(|tag| !is_encrypted(headers) && !random(tag)),
        own: own_digest(headers, length),
    }
}

/// Whether the ETag of this object is not derived from its content alone: SSE-KMS and SSE-C.
pub(super) fn is_encrypted(headers: &HeaderMap) -> bool {
    let kms = headers
        .get("x-amz-server-side-encryption")
        .is_some_and(|value| value.as_bytes().starts_with(b"aws:kms"));
    kms || headers.contains_key("x-amz-server-side-encryption-customer-algorithm")
}

fn checksum(headers: &HeaderMap) -> Option<Digest> {
    let whole = text(headers, "x-amz-checksum-type")
        .is_none_or(|kind| kind.eq_ignore_ascii_case("FULL_OBJECT"));
    let value = text(headers, "x-amz-checksum-sha256").filter(|_| whole)?;
    // A multipart upload's checksum of checksums ends in `-N`, which is no base64.
    let bytes = BASE64_STANDARD.decode(value).ok()?;
    bytes.try_into().ok().map(Digest)
}

fn hex_digest(text: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).ok()?;
    Some(Digest(digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    const MD5: &str = "\"0123456789abcdef0123456789abcdef\"";
    const PARTS: &str = "\"0123456789abcdef0123456789abcdef-3\"";
    const S3: Sender = Sender::S3(None);

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_bytes(value.as_bytes()).unwrap(),
                )
            })
            .collect()
    }

    fn head(pairs: &[(&str, &str)], sender: Sender) -> ObjectHead {
        read(&headers(pairs), Some(1), sender)
    }

    #[test]
    fn only_the_listed_headers_are_kept() {
        let head = head(
            &[
                ("content-type", "image/webp"),
                ("content-disposition", "inline; filename=\"写真.webp\""),
                ("content-encoding", "gzip"),
                ("content-language", "ja"),
                ("set-cookie", "a=b"),
                ("x-amz-meta-secret", "c"),
                ("cache-control", "no-store"),
            ],
            S3,
        );
        assert_eq!(head.content_type.as_deref(), Some("image/webp"));
        assert_eq!(
            head.content_disposition.as_deref(),
            Some("inline; filename=\"写真.webp\"")
        );
        assert_eq!(head.content_encoding.as_deref(), Some("gzip"));
        assert_eq!(head.content_language.as_deref(), Some("ja"));
        assert_eq!(head.validator, None);
    }

    #[test]
    fn poisonous_headers_are_dropped() {
        let long = "x".repeat(MAX_HEADER_BYTES + 1);
        let head = head(
            &[
                ("content-type", &long),
                ("content-disposition", "a\tb"),
                ("etag", "\"a b\""),
            ],
            S3,
        );
        assert_eq!(head.content_type, None);
        assert_eq!(head.content_disposition, None);
        assert_eq!(head.validator, None);
        let latin = HeaderValue::from_bytes(b"inline; filename=\xe9.png").unwrap();
        let map = HeaderMap::from_iter([(CONTENT_DISPOSITION, latin)]);
        assert_eq!(read(&map, None, S3).content_disposition, None);
    }

    #[test]
    fn an_etag_proves_content_only_where_it_is_derived_from_it() {
        let proves = |pairs: &[(&str, &str)], sender| head(pairs, sender).proofs.md5.is_some();
        assert!(proves(&[("etag", MD5)], S3));
        assert!(proves(&[("etag", PARTS)], S3));
        assert!(!proves(&[("etag", &format!("W/{MD5}"))], S3));
        let kms = ("x-amz-server-side-encryption", "aws:kms:dsse");
        assert!(!proves(&[("etag", MD5), kms], S3));
        let aes = ("x-amz-server-side-encryption", "AES256");
        assert!(proves(&[("etag", MD5), aes], S3));
        let own_key = ("x-amz-server-side-encryption-customer-algorithm", "AES256");
        assert!(!proves(&[("etag", MD5), own_key], S3));
        let r2 = Sender::S3(Some(Provider::R2));
        assert!(proves(&[("etag", MD5)], r2));
        assert!(!proves(&[("etag", PARTS)], r2));
        assert!(!proves(&[("etag", MD5)], Sender::Web));
        assert!(proves(
            &[("etag", MD5), ("x-amz-request-id", "1")],
            Sender::Web
        ));
    }

    #[test]
    fn only_a_checksum_of_the_whole_object_counts() {
        let sum = BASE64_STANDARD.encode([7; 32]);
        let digest = |pairs: &[(&str, &str)]| head(pairs, S3).proofs.checksum;
        let header = ("x-amz-checksum-sha256", sum.as_str());
        assert_eq!(digest(&[header]), Some(Digest([7; 32])));
        let whole = ("x-amz-checksum-type", "FULL_OBJECT");
        assert_eq!(digest(&[header, whole]), Some(Digest([7; 32])));
        let composite = ("x-amz-checksum-type", "COMPOSITE");
        assert_eq!(digest(&[header, composite]), None);
        let parts = format!("{sum}-4");
        assert_eq!(digest(&[("x-amz-checksum-sha256", &parts)]), None);
        assert_eq!(digest(&[("x-amz-checksum-sha256", "aGk=")]), None);
    }

    #[test]
    fn our_own_digest_is_read() {
        let hex = "07".repeat(32);
        let own = |pairs: &[(&str, &str)]| head(pairs, S3).proofs.own;
        assert_eq!(own(&[(OWN_DIGEST_ALONE, &hex)]), Some(Digest([7; 32])));
        assert_eq!(own(&[(OWN_DIGEST_ALONE, "07")]), None);
        let (one, two) = ((OWN_LENGTH, "1"), (OWN_LENGTH, "2"));
        assert_eq!(own(&[(OWN_DIGEST, &hex), one]), Some(Digest([7; 32])));
        assert_eq!(own(&[(OWN_DIGEST, &hex), two]), None, "of other bytes");
        assert_eq!(own(&[(OWN_DIGEST, &hex)]), None, "anybody's");
    }

    #[test]
    fn what_copies_keep_is_read_apart_from_what_we_write_anew() {
        let pairs = [
            ("cache-control", "max-age=31536000, immutable"),
            ("x-amz-meta-uploader", "alice"),
            ("x-amz-meta-album", "b c"),
            (OWN_TIME, "1600000000"),
            (OWN_TAG, "\"abc\""),
            (OWN_LENGTH, "1"),
        ];
        let kept = aside(&headers(&pairs), S3);
        let pair = |name: &str, value: &str| (Box::from(name), Box::from(value));
        assert_eq!(
            kept.metadata,
            [pair("album", "b c"), pair("uploader", "alice")]
        );
        assert_eq!(
            kept.cache_control.as_deref(),
            Some("max-age=31536000, immutable")
        );
        assert_eq!(kept.etag.as_deref(), Some("\"abc\""));
        let web = aside(&headers(&pairs), Sender::Web);
        assert!(web.metadata.is_empty() && web.etag.is_none());
        assert_eq!(web.cache_control, kept.cache_control);
        assert_eq!(aside(&headers(&[(OWN_TAG, "W/\"a\"")]), S3).etag, None);
    }

    #[test]
    fn the_time_that_a_copy_tool_kept_wins() {
        let copied = ("last-modified", "Tue, 15 Nov 1994 12:45:26 GMT");
        let kept = head(&[copied, ("x-amz-meta-mtime", "1600000000.123456789")], S3);
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(kept.last_modified, at(1_600_000_000));
        assert_eq!(kept.validator, at(784_903_526).map(Validator::Modified));
        for nonsense in ["-5", "NaN", "", "1e9", "999999999999999"] {
            let head = head(&[copied, ("x-amz-meta-mtime", nonsense)], S3);
            assert_eq!(head.last_modified, at(784_903_526), "{nonsense}");
        }
    }
}
