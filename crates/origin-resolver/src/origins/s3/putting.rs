//! Storing one object: in one PUT up to 64 MiB, in parts above.
//!
//! Each request carries the MD5 of what it brings, and the tag that comes back is compared with
//! it where it is made of one. A copy that turns out to be another object than was sent is taken
//! away again, unless something newer stands in its place by then.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Method;
use http::header::{ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use object::{Md5Etag, ObjectKey};

use super::S3;
use super::raw::quoted;
use super::written::Written;
use crate::origins::errand::{Answered, Cargo, Errand, Refused};
use crate::origins::head;
use crate::origins::outgoing::{Digests, Pieces, Rope, Streamed, other_bytes};
use crate::{Failure, Provider, Put, PutError, Reason, Stored, Turns};

/// Longer objects go in parts.
pub(super) const SINGLE_BYTES: u64 = 64 * 1024 * 1024;
/// For an answer after everything was sent, and for each step of a body before.
const PATIENCE: Duration = Duration::from_mins(1);
/// The name of S3's checksum header for bodies, which the HTTP library does not know.
pub(super) const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// Whether this bucket heeds `If-None-Match: *` on what is written.
pub(super) struct Conditions(AtomicU8);

const UNSURE: u8 = 0;
const HEEDED: u8 = 1;
const NOT_KNOWN: u8 = 2;

impl Conditions {
    /// What is known of a provider beforehand. Ceph's older releases do not heed it.
    pub(super) fn of(provider: Option<Provider>) -> Self {
        Self(AtomicU8::new(match provider {
            Some(
                Provider::Aws
                | Provider::R2
                | Provider::Minio
                | Provider::Seaweedfs
                | Provider::Scaleway,
            ) => HEEDED,
            Some(Provider::Garage) => NOT_KNOWN,
            _ => UNSURE,
        }))
    }

    /// Whether the header is worth sending.
    pub(super) fn are_sent(&self) -> bool {
        self.0.load(Ordering::Relaxed) != NOT_KNOWN
    }

    /// Whether the header alone is enough.
    fn are_sure(&self) -> bool {
        self.0.load(Ordering::Relaxed) == HEEDED
    }

    pub(super) fn are_refused(&self) {
        self.0.store(NOT_KNOWN, Ordering::Relaxed);
    }
}

impl S3 {
    /// Stores an object.
    pub(super) async fn store_object(
        &self,
        put: Put,
        turns: &dyn Turns,
    ) -> Result<Stored, PutError> {
        self.may_write().map_err(PutError::Refused)?;
        let (key, if_absent) = (put.key.clone(), put.if_absent);
        if if_absent && !self.conditions.are_sure() {
            let there = self.tag_of(&key, turns).await;
            if there.map_err(PutError::Refused)?.is_some() {
                return Err(PutError::Exists);
            }
        }
        let stored = if put.length > SINGLE_BYTES {
            self.put_in_parts(put, turns).await?
        } else {
            self.put_at_once(put, turns).await?
        };
        if if_absent && !self.conditions.are_sure() {
            self.still_ours(&key, &stored, turns).await?;
        }
        Ok(stored)
    }

    /// Where a condition may have been ignored: whether somebody else wrote meanwhile.
    async fn still_ours(
        &self,
        key: &ObjectKey,
        stored: &Stored,
        turns: &dyn Turns,
    ) -> Result<(), PutError> {
        match self.tag_of(key, turns).await {
            Ok(Some(tag)) if stored.etag.is_none() || tag == stored.etag => Ok(()),
            Ok(Some(_)) => Err(PutError::Exists),
            Ok(None) => Err(PutError::Unanswered(
                self.wire
                    .named(nonsense("stored an object and does not have it")),
            )),
            Err(failure) => Err(PutError::Unanswered(failure)),
        }
    }

    async fn put_at_once(&self, put: Put, turns: &dyn Turns) -> Result<Stored, PutError> {
        // A condition that turns out not to be known means sending everything again.
        let can_stream = put.length > 0 && (!put.if_absent || self.conditions.are_sure());
        match put.md5.filter(|_| can_stream) {
            Some(md5) => self.put_streamed(put, md5, turns).await,
            None => self.put_held(put, turns).await,
        }
    }

    /// Sends a body whose MD5 is known as it comes.
    async fn put_streamed(
        &self,
        put: Put,
        md5: [u8; 16],
        turns: &dyn Turns,
    ) -> Result<Stored, PutError> {
        let (stream, ending) = Streamed::new(put.body, put.length, md5);
        let head = self.head_of(&put.kept, put.length, put.kept.sha256);
        let mut cargo = Some(Cargo::Stream(Box::new(stream), put.length));
        let sent = {
            let make = || {
                let cargo = cargo.take()?;
                Some(self.put_errand(&put.key, &head, cargo, &md5, put.if_absent))
            };
            self.wire.run(turns, make).await
        };
        let ended = ending.lock().expect("no panic under this lock").take();
        match (sent, ended) {
            (_, Some(Err(error))) => Err(PutError::Broken(error)),
            (Err(refused), _) => Err(not_stored(refused)),
            (Ok(answered), Some(Ok(digests))) => {
                self.verify(&put.key, &answered, digests, turns).await
            }
            (Ok(answered), None) => {
                let etag = head::text(&answered.headers, ETAG.as_str()).and_then(quoted);
                let etag = etag.unwrap_or_default();
                Err(self.take_back(&put.key, &etag, None, turns).await)
            }
        }
    }

    /// Holds the body first, so that it can be hashed, and sent again.
    async fn put_held(&self, put: Put, turns: &dyn Turns) -> Result<Stored, PutError> {
        let mut pieces = Pieces::new(put.body);
        let rope = pieces.take(put.length).await.map_err(PutError::Broken)?;
        let digests = pieces.end().await.map_err(PutError::Broken)?;
        if put.md5.is_some_and(|md5| md5 != digests.md5) {
            return Err(PutError::Broken(other_bytes()));
        }
        let head = self.head_of(&put.kept, put.length, Some(digests.sha256));
        let condition = put.if_absent && self.conditions.are_sent();
        let refused = match self
            .send_rope(&put.key, &head, &rope, condition, turns)
            .await
        {
            Ok(answered) => return self.verify(&put.key, &answered, digests, turns).await,
            Err(refused) => refused,
        };
        let was_sent_before = refused.tries > 1;
        match not_stored(refused) {
            // An earlier try may have been the one that worked.
            PutError::Exists if was_sent_before => self.is_it_ours(&put.key, digests, turns).await,
            error => Err(error),
        }
    }

    async fn send_rope(
        &self,
        key: &ObjectKey,
        head: &Written,
        rope: &Rope,
        condition: bool,
        turns: &dyn Turns,
    ) -> Result<Answered, Refused> {
        let send = |condition| {
            let make = move || {
                let cargo = Cargo::Rope(rope.clone());
                Some(self.put_errand(key, head, cargo, &rope.md5, condition))
            };
            self.wire.run(turns, make)
        };
        match send(condition).await {
            Err(refused) if condition && refused.is_not_implemented() => {
                let again = send(false).await;
                if again.is_ok() {
                    self.conditions.are_refused();
                }
                again
            }
            outcome => outcome,
        }
    }

    fn put_errand(
        &self,
        key: &ObjectKey,
        head: &Written,
        cargo: Cargo,
        md5: &[u8; 16],
        condition: bool,
    ) -> Errand {
        let mut headers = head.headers.clone();
        headers.insert(CONTENT_MD5, base64(md5));
        if condition {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let method = rusty_s3::Method::Put;
        Errand {
            method: Method::PUT,
            url: self
                .signer
                .url(method, Some(key.as_str()), &[], &head.signed),
            headers,
            cargo,
            patience: PATIENCE,
        }
    }

    /// Compares the tag that came back.
    async fn verify(
        &self,
        key: &ObjectKey,
        answered: &Answered,
        digests: Digests,
        turns: &dyn Turns,
    ) -> Result<Stored, PutError> {
        let etag = head::text(&answered.headers, ETAG.as_str()).and_then(quoted);
        let told = etag
            .as_deref()
            .and_then(Md5Etag::parse)
            .filter(|_| !head::is_encrypted(&answered.headers));
        if let Some(told) = told
            && told.parts.is_none()
            && told.digest != digests.md5
        {
            let version = head::text(&answered.headers, "x-amz-version-id").map(str::to_owned);
            let etag = etag.unwrap_or_default();
            return Err(self.take_back(key, &etag, version.as_deref(), turns).await);
        }
        Ok(Stored {
            etag,
            md5: digests.md5,
            sha256: digests.sha256,
        })
    }

    /// Removes what was stored under this tag, and nothing newer.
    pub(super) async fn take_back(
        &self,
        key: &ObjectKey,
        etag: &str,
        version: Option<&str>,
        turns: &dyn Turns,
    ) -> PutError {
        let removed = match version.filter(|id| *id != "null") {
            Some(id) => self.remove(key, Some(id), turns).await.is_ok(),
            None => match self.tag_of(key, turns).await {
                Ok(Some(Some(there))) if *there == *etag => {
                    self.remove(key, None, turns).await.is_ok()
                }
                Ok(Some(Some(_)) | None) => true,
                Ok(Some(None)) | Err(_) => false,
            },
        };
        PutError::Unverified {
            what: "the store holds other bytes than were sent".into(),
            removed,
        }
    }

    /// Whether an object that stands in the way is the one that was just sent.
    async fn is_it_ours(
        &self,
        key: &ObjectKey,
        digests: Digests,
        turns: &dyn Turns,
    ) -> Result<Stored, PutError> {
        let there = self
            .tag_of(key, turns)
            .await
            .map_err(PutError::Unanswered)?;
        let tag = there.flatten();
        let told = tag.as_deref().and_then(Md5Etag::parse);
        if told.is_some_and(|told| told.parts.is_none() && told.digest == digests.md5) {
            return Ok(Stored {
                etag: tag,
                md5: digests.md5,
                sha256: digests.sha256,
            });
        }
        Err(PutError::Exists)
    }
}

pub(super) fn base64(md5: &[u8; 16]) -> HeaderValue {
    HeaderValue::from_str(&BASE64_STANDARD.encode(md5)).expect("base64 is visible ASCII")
}

/// What a refusal of the last request comes to.
pub(super) fn not_stored(refused: Refused) -> PutError {
    match refused.status {
        Some(412) => PutError::Exists,
        // Somebody else is writing it at this moment.
        Some(409) if refused.code.as_deref() == Some("ConditionalRequestConflict") => {
            PutError::Exists
        }
        _ if refused.may_have_worked => PutError::Unanswered(refused.failure),
        _ => PutError::Refused(refused.failure),
    }
}

/// The failure of a store that contradicts itself.
pub(super) fn nonsense(what: &str) -> Failure {
    Failure::new(Reason::Protocol, what)
}
