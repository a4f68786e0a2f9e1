//! An object in parts, one after the other, of which one is held in memory.
//!
//! What was begun and not completed is aborted, also where the work is dropped: parts of an
//! upload that nobody completes are stored, and paid for, and shown in no listing.

use std::time::Duration;

use http::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use http::{HeaderMap, Method};
use md5::{Digest as _, Md5};
use object::{Md5Etag, ObjectKey};
use tokio_util::task::TaskTracker;

use super::S3;
use super::erasing::error_in;
use super::putting::{CONTENT_MD5, SINGLE_BYTES, base64, nonsense, not_stored};
use super::raw::quoted;
use super::signer::Signer;
use super::written::Written;
use crate::origins::errand::{Answered, Cargo, Errand, Refused};
use crate::origins::outgoing::{Pieces, Rope, other_bytes};
use crate::origins::{head, xml};
use crate::{Provider, Put, PutError, Stored, Turns};

const PART_BYTES: u64 = 8 * 1024 * 1024;
const MEBIBYTE: u64 = 1024 * 1024;
/// S3's own limit.
const MOST_PARTS: u64 = 10_000;
const PATIENCE: Duration = Duration::from_mins(1);
/// Providers put the parts together before they answer.
const COMPLETION_PATIENCE: Duration = Duration::from_mins(5);

/// How long each part of an object is.
fn part_bytes(length: u64) -> u64 {
    let needed = length.div_ceil(MOST_PARTS);
    needed
        .div_ceil(MEBIBYTE)
        .saturating_mul(MEBIBYTE)
        .max(PART_BYTES)
}

/// How many requests it takes to store an object of so many bytes in a bucket.
pub fn put_requests(length: u64) -> u64 {
    if length <= SINGLE_BYTES {
        1
    } else {
        // One begins, one ends.
        length.div_ceil(part_bytes(length)) + 2
    }
}

/// The most bytes of an object of this length that are in memory while it is stored in a bucket: a
/// single request holds the whole where its checksum is not known before, a longer one a part.
pub fn put_held_bytes(length: u64) -> u64 {
    if length <= SINGLE_BYTES {
        length
    } else {
        part_bytes(length)
    }
}

impl S3 {
    pub(super) async fn put_in_parts(
        &self,
        put: Put,
        turns: &dyn Turns,
    ) -> Result<Stored, PutError> {
        let head = self.head_of(&put.kept, put.length, put.kept.sha256);
        let upload = self.begin(&put.key, &head, turns).await;
        let mut upload = upload.map_err(|refused| PutError::Refused(refused.failure))?;
        let mut pieces = Pieces::new(put.body);
        let size = part_bytes(put.length);
        let (mut left, mut tags, mut sums) = (put.length, Vec::new(), Md5::new());
        while left > 0 {
            let part = pieces.take(size.min(left)).await;
            let part = part.map_err(PutError::Broken)?;
            left -= part.length;
            sums.update(part.md5);
            let answered = self.send_part(&upload, tags.len() + 1, &part, turns).await;
            let answered = answered.map_err(|refused| PutError::Refused(refused.failure))?;
            tags.push(self.part_tag(&answered, &part)?);
        }
        let digests = pieces.end().await.map_err(PutError::Broken)?;
        if put.md5.is_some_and(|md5| md5 != digests.md5) {
            return Err(PutError::Broken(other_bytes()));
        }
        let completed = self.complete(&upload, &tags, put.if_absent, turns).await;
        let answered = match completed {
            Ok(answered) => answered,
            // Should it have worked all the same, aborting is refused and harms nothing.
            Err(refused) => return Err(not_stored(refused)),
        };
        upload.is_over();
        let etag = xml::texts(&answered.text, "ETag")
            .next()
            .and_then(|tag| quoted(&tag));
        let told = etag.as_deref().and_then(Md5Etag::parse);
        let expected = Md5Etag {
            digest: sums.finalize().into(),
            parts: u32::try_from(tags.len()).ok(),
        };
        let is_comparable = self.tags_are_sums() && !head::is_encrypted(&answered.headers);
        if let Some(told) = told
            && is_comparable
            && told.parts == expected.parts
            && told != expected
        {
            let version = head::text(&answered.headers, "x-amz-version-id");
            let etag = etag.unwrap_or_default();
            return Err(self.take_back(&put.key, &etag, version, turns).await);
        }
        Ok(Stored {
            etag,
            md5: digests.md5,
            sha256: digests.sha256,
        })
    }

    /// R2's tags of parts are random.
    fn tags_are_sums(&self) -> bool {
        self.provider != Some(Provider::R2)
    }

    async fn begin(
        &self,
        key: &ObjectKey,
        head: &Written,
        turns: &dyn Turns,
    ) -> Result<Upload, Refused> {
        let make = || {
            let method = rusty_s3::Method::Post;
            let query = [("uploads", "")];
            Some(Errand {
                method: Method::POST,
                url: self
                    .signer
                    .url(method, Some(key.as_str()), &query, &head.signed),
                headers: head.headers.clone(),
                cargo: Cargo::Nothing,
                patience: PATIENCE,
            })
        };
        let answered = self.wire.run(turns, make).await?;
        let id = xml::texts(&answered.text, "UploadId").next();
        let id = id.filter(|id| !id.is_empty()).ok_or_else(|| {
            Refused::unsent(self.wire.named(nonsense("began an upload without a name")))
        })?;
        Ok(Upload {
            key: key.clone(),
            id,
            signer: self.signer.clone(),
            client: self.wire.client().clone(),
            tasks: self.leftovers.clone(),
            over: false,
        })
    }

    async fn send_part(
        &self,
        upload: &Upload,
        number: usize,
        part: &Rope,
        turns: &dyn Turns,
    ) -> Result<Answered, Refused> {
        let number = number.to_string();
        let make = || {
            let query = [("partNumber", number.as_str()), ("uploadId", &*upload.id)];
            let method = rusty_s3::Method::Put;
            Some(Errand {
                method: Method::PUT,
                url: self
                    .signer
                    .url(method, Some(upload.key.as_str()), &query, &[]),
                headers: HeaderMap::from_iter([(CONTENT_MD5, base64(&part.md5))]),
                cargo: Cargo::Rope(part.clone()),
                patience: PATIENCE,
            })
        };
        self.wire.run(turns, make).await
    }

    /// The tag of a part, if it is not that of other bytes.
    fn part_tag(&self, answered: &Answered, part: &Rope) -> Result<Box<str>, PutError> {
        let tag = head::text(&answered.headers, ETAG.as_str()).and_then(quoted);
        let tag = tag.ok_or_else(|| {
            PutError::Refused(self.wire.named(nonsense("stored a part without a tag")))
        })?;
        let told = Md5Etag::parse(&tag)
            .filter(|_| self.tags_are_sums() && !head::is_encrypted(&answered.headers));
        if told.is_some_and(|told| told.parts.is_none() && told.digest != part.md5) {
            return Err(PutError::Unverified {
                what: "the store holds other bytes of a part than were sent".into(),
                removed: true,
            });
        }
        Ok(tag)
    }

    async fn complete(
        &self,
        upload: &Upload,
        tags: &[Box<str>],
        if_absent: bool,
        turns: &dyn Turns,
    ) -> Result<Answered, Refused> {
        let condition = if_absent && self.conditions.are_sent();
        let list = Rope::of(list_of_parts(tags));
        let send = |condition: bool| {
            let list = list.clone();
            let make = move || {
                let method = rusty_s3::Method::Post;
                let query = [("uploadId", &*upload.id)];
                let mut headers = HeaderMap::new();
                if condition {
                    headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
                }
                Some(Errand {
                    method: Method::POST,
                    url: self
                        .signer
                        .url(method, Some(upload.key.as_str()), &query, &[]),
                    headers,
                    cargo: Cargo::Rope(list.clone()),
                    patience: COMPLETION_PATIENCE,
                })
            };
            self.wire.run(turns, make)
        };
        let answered = match send(condition).await {
            Err(refused) if condition && refused.is_not_implemented() => {
                let again = send(false).await?;
                self.conditions.are_refused();
                again
            }
            outcome => outcome?,
        };
        // The answer begins before the work is done, so a success may tell of a failure.
        match error_in(&answered.text) {
            None => Ok(answered),
            Some(refused) => Err(Refused {
                may_have_worked: refused.status == Some(500),
                failure: self.wire.named(refused.failure),
                ..refused
            }),
        }
    }
}

fn list_of_parts(tags: &[Box<str>]) -> String {
    let parts = tags.iter().enumerate().map(|(index, tag)| {
        let tag = tag
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;");
        let number = index + 1;
        format!("<Part><ETag>{tag}</ETag><PartNumber>{number}</PartNumber></Part>")
    });
    format!(
        "<CompleteMultipartUpload>{}</CompleteMultipartUpload>",
        parts.collect::<String>()
    )
}

/// An upload that was begun; aborted when it is dropped before it is over.
struct Upload {
    key: ObjectKey,
    id: String,
    signer: Signer,
    client: reqwest::Client,
    tasks: TaskTracker,
    over: bool,
}

impl Upload {
    fn is_over(&mut self) {
        self.over = true;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.over || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let method = rusty_s3::Method::Delete;
        let query = [("uploadId", &*self.id)];
        let url = self
            .signer
            .url(method, Some(self.key.as_str()), &query, &[]);
        let request = self.client.delete(url).timeout(PATIENCE);
        let key = self.key.clone();
        self.tasks.spawn(async move {
            let aborted = match request.send().await {
                // Not there: it was completed after all, or aborted already.
                Ok(answer) => answer.status().is_success() || answer.status() == 404,
                Err(_) => false,
            };
            if !aborted {
                tracing::warn!(
                    %key,
                    "an upload in parts could not be aborted; the bucket keeps its parts \
                     until a lifecycle rule removes them"
                );
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_so_that_there_are_never_too_many() {
        for (length, size) in [
            (PART_BYTES * 5, PART_BYTES),
            (PART_BYTES * MOST_PARTS, PART_BYTES),
            (PART_BYTES * MOST_PARTS + 1, PART_BYTES + MEBIBYTE),
        ] {
            assert_eq!(part_bytes(length), size, "{length}");
        }
        let longest = 5 * 1024 * 1024 * MEBIBYTE;
        assert!(longest.div_ceil(part_bytes(longest)) <= MOST_PARTS);
        assert!(u64::MAX.div_ceil(part_bytes(u64::MAX)) <= MOST_PARTS);
    }

    #[test]
    fn the_list_of_parts_is_what_s3_describes() {
        let list = list_of_parts(&["\"a\"".into(), "\"b&\"".into()]);
        assert_eq!(
            list,
            "<CompleteMultipartUpload>\
             <Part><ETag>&quot;a&quot;</ETag><PartNumber>1</PartNumber></Part>\
             <Part><ETag>&quot;b&amp;&quot;</ETag><PartNumber>2</PartNumber></Part>\
             </CompleteMultipartUpload>"
        );
    }
}
