//! An object as the store keeps it: bytes and the headers that go with them.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use md5::{Digest, Md5};

/// A stored object. Made from bytes, with an MD5 ETag, type `application/octet-stream` and a
/// fixed date; every part can be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub(super) bytes: Bytes,
    pub(super) content_type: Option<String>,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<SystemTime>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) private: bool,
}

impl Object {
    /// An object of these bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            etag: Some(format!("\"{}\"", hex::encode(Md5::digest(&bytes)))),
            bytes,
            content_type: Some("application/octet-stream".to_owned()),
            // 2026-01-01: a date that no test reaches by running late.
            last_modified: Some(SystemTime::UNIX_EPOCH + Duration::from_hours(490_896)),
            headers: Vec::new(),
            private: false,
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The value of a header that is stored with it, by its name in lower case.
    pub fn stored(&self, name: &str) -> Option<&str> {
        if name == "content-type" {
            return self.content_type.as_deref();
        }
        let found = self.headers.iter().find(|(had, _)| had == name);
        found.map(|(_, value)| value.as_str())
    }

    /// With this `Content-Type`.
    #[must_use]
    pub fn content_type(mut self, value: &str) -> Self {
        self.content_type = Some(value.to_owned());
        self
    }

    /// With this `ETag`, exactly as it shall stand in the header.
    #[must_use]
    pub fn etag(mut self, value: &str) -> Self {
        self.etag = Some(value.to_owned());
        self
    }

    /// Without an `ETag`.
    #[must_use]
    pub fn without_etag(mut self) -> Self {
        self.etag = None;
        self
    }

    /// With this `Last-Modified`; `None` leaves it out.
    #[must_use]
    pub fn last_modified(mut self, value: Option<SystemTime>) -> Self {
        self.last_modified = value;
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Readable with a signature only: strangers get 403 `AccessDenied`, as after an application
    /// has taken the public's right to it away.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }
}

impl<T: Into<Bytes>> From<T> for Object {
    fn from(bytes: T) -> Self {
        Self::new(bytes)
    }
}
