//! What a writable bucket does with PUT, POST and DELETE: whole objects, uploads in parts,
//! conditions, and versions where they are kept.
//!
//! Pure, like the rest of the store. Bodies are checked against their `Content-MD5`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use md5::{Digest, Md5};

use super::store::Store;
use super::{BUCKET, Object, Reply, Request};

/// Headers that come back with an object, beside its type and all metadata.
const KEPT: [&str; 4] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
];

/// What a bucket holds beside the objects that can be read.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    pub(super) heeds_conditions: bool,
    pub(super) versioned: bool,
    begun: BTreeMap<String, Begun>,
    /// Oldest first; `None` is a mark.
    versions: BTreeMap<Vec<u8>, Vec<(String, Option<Object>)>>,
    count: u64,
}

#[derive(Debug)]
struct Begun {
    key: Vec<u8>,
    like: Object,
    parts: BTreeMap<u32, Bytes>,
}

impl Uploads {
    /// Uploads that were neither completed nor aborted.
    pub(super) fn unfinished(&self) -> usize {
        self.begun.len()
    }

    /// Versions and marks of one key.
    pub(super) fn versions_of(&self, key: &[u8]) -> usize {
        self.versions.get(key).map_or(0, Vec::len)
    }

    fn name(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}{}", self.count)
    }
}

impl Store {
    /// The answer to a request that changes something, or lists versions.
    pub(super) fn change(&mut self, request: &Request, body: &Bytes) -> Reply {
        if request.bucket() != BUCKET {
            return Reply::s3_error(404, "NoSuchBucket");
        }
        if !request.is_signed() {
            return Reply::s3_error(403, "AccessDenied");
        }
        let Some(key) = request.key() else {
            return Reply::s3_error(405, "MethodNotAllowed");
        };
        let upload = request.parameter("uploadId");
        match (request.method.as_str(), upload) {
            ("PUT" | "POST", _) if wrong_sum(request, body) => Reply::s3_error(400, "BadDigest"),
            ("PUT", Some(upload)) => self.put_part(request, &upload, body),
            ("PUT", None) => self.put_object(key, object(request, body.clone()), request),
            ("POST", Some(upload)) => self.complete(key, &upload, request),
            ("POST", None) if request.parameter("uploads").is_some() => self.begin(key, request),
            ("DELETE", Some(upload)) => match self.uploads.begun.remove(&upload) {
                Some(_) => Reply::new(204),
                None => Reply::s3_error(404, "NoSuchUpload"),
            },
            ("DELETE", None) => self.delete(&key, request.parameter("versionId")),
            _ => Reply::s3_error(405, "MethodNotAllowed"),
        }
    }

    fn put_object(&mut self, key: Vec<u8>, object: Object, request: &Request) -> Reply {
        let conditional = request.header("if-none-match") == Some("*");
        if conditional && self.uploads.heeds_conditions && self.objects.contains_key(&key) {
            return Reply::s3_error(412, "PreconditionFailed");
        }
        let etag = object.etag.clone().unwrap_or_default();
        let mut reply = Reply::new(200).header("ETag", &etag);
        if self.uploads.versioned {
            let id = self.uploads.name("v");
            reply = reply.header("x-amz-version-id", &id);
            let versions = self.uploads.versions.entry(key.clone()).or_default();
            versions.push((id, Some(object.clone())));
        }
        self.objects.insert(key, object);
        reply
    }

    fn delete(&mut self, key: &[u8], version: Option<String>) -> Reply {
        if !self.uploads.versioned {
            self.objects.remove(key);
            return Reply::new(204);
        }
        let mark = self.uploads.name("m");
        let versions = self.uploads.versions.entry(key.to_vec()).or_default();
        let reply = if let Some(id) = version {
            versions.retain(|(had, _)| *had != id);
            Reply::new(204)
        } else {
            versions.push((mark, None));
            Reply::new(204).header("x-amz-delete-marker", "true")
        };
        match versions.last() {
            Some((_, Some(object))) => self.objects.insert(key.to_vec(), object.clone()),
            _ => self.objects.remove(key),
        };
        reply
    }

    fn begin(&mut self, key: Vec<u8>, request: &Request) -> Reply {
        let id = self.uploads.name("u");
        let begun = Begun {
            key,
            like: object(request, Bytes::new()),
            parts: BTreeMap::new(),
        };
        self.uploads.begun.insert(id.clone(), begun);
        let xml = format!(
            "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
        );
        Reply::new(200).body("application/xml", xml)
    }

    fn put_part(&mut self, request: &Request, upload: &str, body: &Bytes) -> Reply {
        let number = request.parameter("partNumber");
        let number = number.and_then(|number| number.parse().ok());
        match (self.uploads.begun.get_mut(upload), number) {
            (Some(begun), Some(number)) => {
                begun.parts.insert(number, body.clone());
                let etag = format!("\"{}\"", hex::encode(Md5::digest(body)));
                Reply::new(200).header("ETag", &etag)
            }
            _ => Reply::s3_error(404, "NoSuchUpload"),
        }
    }

    fn complete(&mut self, key: Vec<u8>, upload: &str, request: &Request) -> Reply {
        let Some(begun) = self.uploads.begun.get(upload) else {
            return Reply::s3_error(404, "NoSuchUpload");
        };
        if begun.key != key {
            return Reply::s3_error(404, "NoSuchUpload");
        }
        let mut sums = Md5::new();
        for part in begun.parts.values() {
            sums.update(Md5::digest(part));
        }
        let etag = format!("\"{}-{}\"", hex::encode(sums.finalize()), begun.parts.len());
        let parts: Vec<_> = begun.parts.values().cloned().collect();
        let whole = Object {
            bytes: parts.concat().into(),
            etag: Some(etag.clone()),
            ..begun.like.clone()
        };
        let stored = self.put_object(key, whole, request);
        if stored.status != 200 {
            return stored;
        }
        self.uploads.begun.remove(upload);
        let etag = etag.replace('"', "&quot;");
        let xml = format!(
            "<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
        );
        Reply {
            headers: stored.headers,
            ..Reply::new(200)
        }
        .body("application/xml", xml)
    }

    /// ListObjectVersions of one prefix, all on one page.
    pub(super) fn list_versions(&self, request: &Request) -> Reply {
        if !self.uploads.versioned {
            return Reply::s3_error(501, "NotImplemented");
        }
        let prefix = request.parameter("prefix").unwrap_or_default();
        let mut entries = String::new();
        for (key, versions) in &self.uploads.versions {
            let key = String::from_utf8_lossy(key);
            if !key.starts_with(&prefix) {
                continue;
            }
            for (id, object) in versions.iter().rev() {
                let element = match object {
                    Some(_) => "Version",
                    None => "DeleteMarker",
                };
                let etag = object.as_ref().and_then(|object| object.etag.clone());
                let etag = etag.unwrap_or_default().replace('"', "&quot;");
                let key = key.replace('&', "&amp;").replace('<', "&lt;");
                let _ = write!(
                    entries,
                    "<{element}><Key>{key}</Key><VersionId>{id}</VersionId>\
                     <ETag>{etag}</ETag></{element}>"
                );
            }
        }
        let xml = format!("<ListVersionsResult>{entries}</ListVersionsResult>");
        Reply::new(200).body("application/xml", xml)
    }
}

fn object(request: &Request, bytes: Bytes) -> Object {
    let mut object = Object::new(bytes).last_modified(Some(SystemTime::now()));
    object.content_type = request.header("content-type").map(str::to_owned);
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        if KEPT.contains(&&*name) || name.starts_with("x-amz-meta-") {
            object.headers.push((name, value.clone()));
        }
    }
    object
}

fn wrong_sum(request: &Request, body: &Bytes) -> bool {
    request
        .header("content-md5")
        .is_some_and(|sum| sum != BASE64_STANDARD.encode(Md5::digest(body)))
}
