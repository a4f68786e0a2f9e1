//! The headers with which an object is stored, and which of them are signed.
//!
//! Refuses nothing: metadata that no provider would take is left out, because an object that is
//! not stored for its metadata would be worse.

use std::time::UNIX_EPOCH;

use http::HeaderMap;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE,
    HeaderName, HeaderValue,
};
use object::Digest;

use super::S3;
use crate::Kept;
use crate::origins::head;

/// All metadata of one object, names and values: 2 KB at S3.
const MAX_META_BYTES: usize = 2048;

impl S3 {
    /// The headers that are kept with an object.
    pub(super) fn head_of(&self, kept: &Kept, length: u64, sha256: Option<Digest>) -> Written {
        let mut written = Written::default();
        let plain = [
            (CONTENT_TYPE, &kept.content_type),
            (CACHE_CONTROL, &kept.aside.cache_control),
            (CONTENT_DISPOSITION, &kept.content_disposition),
            (CONTENT_ENCODING, &kept.content_encoding),
            (CONTENT_LANGUAGE, &kept.content_language),
        ];
        for (name, value) in plain {
            if let Some(value) = value
                && let Ok(value) = HeaderValue::from_bytes(value.as_bytes())
            {
                written.headers.insert(name, value);
            }
        }
        if self.public_writes {
            written.sign("x-amz-acl", "public-read".to_owned());
        }
        let since = kept
            .modified
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        if let Some(since) = since {
            written.sign(head::OWN_TIME, since.as_secs().to_string());
        }
        if let Some(Digest(sha256)) = sha256 {
            written.sign(head::OWN_DIGEST, hex::encode(sha256));
            written.sign(head::OWN_LENGTH, length.to_string());
        }
        if let Some(etag) = &kept.aside.etag {
            written.sign(head::OWN_TAG, etag.to_string());
        }
        let mut room = MAX_META_BYTES;
        room = room.saturating_sub(
            written
                .signed
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len())
                .sum(),
        );
        for (name, value) in &kept.aside.metadata {
            if let Some(left) = room.checked_sub(name.len() + value.len())
                && value.bytes().all(|byte| matches!(byte, 0x20..=0x7e))
            {
                written.sign(&format!("x-amz-meta-{name}"), value.to_string());
                room = left;
            }
        }
        written
    }
}

/// Headers, and which of them are signed.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    pub(super) headers: HeaderMap,
    pub(super) signed: Vec<(HeaderName, String)>,
}

impl Written {
    /// Adds what the signature covers, as it must cover all that begins with `x-amz-`.
    fn sign(&mut self, name: &str, value: String) {
        let (Ok(name), Ok(sent)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value))
        else {
            return;
        };
        if self.headers.insert(name.clone(), sent).is_none() {
            self.signed.push((name, value));
        }
    }
}
