//! What a client is told of an object, before its bytes.
//!
//! A type that a copy tool lost is told by the object's first bytes. A type that cannot be told
//! right now is no answer: a year in somebody's cache is a long time for a guess.

use std::time::Duration;

use axum::body::Bytes;
use bytes::BytesMut;
use cache::Passing;
use futures_util::{StreamExt, stream};
use http::HeaderValue;
use object::{ByteRange, Extent, ObjectBody, ObjectHead, Part, RangeRequest};

use crate::http::respond::{Refusal, Representation};
use crate::http::{disposition, types};
use crate::located::Located;
use crate::media::{RETRY_AFTER_SECONDS, Viewer};

/// How much of an object is looked at to repair its type.
const SNIFFED_LENGTH: usize = 4096;
const SNIFFED: u64 = SNIFFED_LENGTH as u64;

/// An origin that takes longer for them is as good as silent.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) const UNREADABLE: Refusal = Refusal::Unavailable {
    retry_after_seconds: RETRY_AFTER_SECONDS,
};

impl Viewer<'_> {
    /// What the client is told of an object. `first` are its first bytes, where they are at hand.
    pub(crate) async fn represent(
        &self,
        located: &mut Located,
        first: Option<&[u8]>,
    ) -> Result<Representation, Refusal> {
        let route = &self.route.config;
        let shown = if self.repairs(located.head()) {
            self.repaired_type(located, first).await?
        } else {
            types::present(
                located.head().content_type.as_deref(),
                None,
                &route.inline_types,
            )
        };
        let head = located.head();
        let filename = route
            .filename_parameter
            .as_deref()
            .and_then(|name| disposition::filename_from_query(self.query, name));
        Ok(Representation {
            etag: located.etag().map(str::to_owned),
            last_modified: head.last_modified,
            content_type: shown.content_type,
            disposition: disposition::disposition(
                head.content_disposition.as_deref(),
                shown.attachment,
                filename.as_deref(),
            ),
            encoding: header(head.content_encoding.as_deref()),
            language: header(head.content_language.as_deref()),
            length: located.total(),
        })
    }

    /// Whether the stored type says nothing and the route wants better.
    fn repairs(&self, head: &ObjectHead) -> bool {
        self.route.config.repair_types && types::is_generic(head.content_type.as_deref())
    }

    /// The first bytes of what is about to be passed through, where they are needed and the body
    /// brings enough of them: a short range must not show another type than the whole.
    pub(crate) async fn first_of(&self, passing: &mut Passing) -> Result<Option<Bytes>, Refusal> {
        let enough = match (passing.extent(), passing.head().length) {
            (Extent::Bytes(range), Some(total)) => {
                range.start == 0 && range.end >= total.min(SNIFFED)
            }
            (Extent::Unbounded, _) => true,
            _ => false,
        };
        if enough && self.repairs(passing.head()) {
            peek(passing.body_mut()).await.map(Some)
        } else {
            Ok(None)
        }
    }

    /// A generic type is replaced by what the first bytes say, if that is safe to show. Looked at
    /// once for each version, downloads included.
    async fn repaired_type(
        &self,
        located: &mut Located,
        first: Option<&[u8]>,
    ) -> Result<types::Presentation, Refusal> {
        let inline = &self.route.config.inline_types;
        let version = self.app.version_hash((
            &*self.route.config.name,
            self.key,
            located.origin(),
            located.total(),
            located.head().last_modified,
            located.etag(),
        ));
        if let Some(known) = self.app.repaired.get(&version) {
            return Ok(types::present(known.to_str().ok(), None, inline));
        }
        let (read, same_version);
        let first = if let Some(first) = first {
            same_version = true;
            first
        } else {
            (read, same_version) = self.first_bytes(located).await?;
            &read
        };
        let stored = located.head().content_type.as_deref();
        let shown = types::present(stored, Some(first), inline);
        if same_version {
            self.app
                .repaired
                .insert(version, shown.content_type.clone());
        }
        Ok(shown)
    }

    /// The first bytes, and whether they are certainly those of this very version.
    async fn first_bytes(&self, located: &mut Located) -> Result<(Bytes, bool), Refusal> {
        let total = located.total();
        if total == Some(0) {
            return Ok((Bytes::new(), true));
        }
        let part = Part::Range(RangeRequest::FromTo {
            first: 0,
            last: SNIFFED - 1,
        });
        match located {
            Located::Held(held) => {
                let range = ByteRange {
                    start: 0,
                    end: SNIFFED.min(held.total()),
                };
                let mut body = held.begin(range, part).await.map_err(|_| UNREADABLE)?;
                Ok((peek(&mut body).await?, true))
            }
            Located::Passing(passing) => {
                let (answer, _) = self.app.open(self.route, self.key, part).await;
                match answer {
                    Ok(Located::Passing(mut again)) if again.head().length == total => {
                        let same = again.origin() == passing.origin()
                            && again.head().validator == passing.head().validator;
                        Ok((peek(again.body_mut()).await?, same))
                    }
                    _ => Err(UNREADABLE),
                }
            }
        }
    }
}

/// The first bytes of a body, which keeps them.
async fn peek(body: &mut ObjectBody) -> Result<Bytes, Refusal> {
    tokio::time::timeout(PATIENCE, take_first(body))
        .await
        .unwrap_or(Err(UNREADABLE))
}

async fn take_first(found: &mut ObjectBody) -> Result<Bytes, Refusal> {
    let mut body = std::mem::replace(found, ObjectBody::empty());
    let mut chunks = Vec::new();
    let mut seen = BytesMut::new();
    while seen.len() < SNIFFED_LENGTH {
        match body.next().await {
            Some(Ok(chunk)) => {
                seen.extend_from_slice(&chunk[..chunk.len().min(SNIFFED_LENGTH - seen.len())]);
                chunks.push(Ok(chunk));
            }
            // Nothing was sent yet, so nothing need be cut.
            Some(Err(_)) => return Err(UNREADABLE),
            None => break,
        }
    }
    *found = ObjectBody::new(stream::iter(chunks).chain(body));
    Ok(seen.freeze())
}

/// What an origin stored may not be a header value; then it is left out.
fn header(stored: Option<&str>) -> Option<HeaderValue> {
    HeaderValue::from_bytes(stored?.as_bytes()).ok()
}
