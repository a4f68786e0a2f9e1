//! Writes an object to where promotions go, reads it back as a viewer would, and deletes it.
//!
//! Touches nothing else: the key holds 128 random bits, and only what was written is deleted.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object::{ObjectBody, ObjectKey, Part};
use origin_resolver::{GuardedOrigin, Kept, Means, Put, Verdict};
use tokio::time::{Instant, timeout_at};

/// What a probe object came to.
#[derive(Debug, Clone)]
pub(super) enum Probed {
    /// Written, read back, deleted.
    Fine,
    /// It could not be written.
    Refused(String),
    /// It was written, and a viewer would not be given it.
    Unreadable(String),
    /// It could not be deleted again.
    Left { key: String, why: String },
}

const TEXT: &str = "written by media-gateway check; it may be deleted\n";

/// Tries it under a key of a route that nobody has uploaded.
pub(super) async fn probe(
    origin: &Arc<GuardedOrigin>,
    key: &ObjectKey,
    deadline: Instant,
) -> Probed {
    let late = |what: &str| format!("{what} took too long");
    let put = Put {
        key: key.clone(),
        length: TEXT.len() as u64,
        md5: None,
        kept: Kept {
            content_type: Some("text/plain".into()),
            ..Kept::default()
        },
        body: ObjectBody::new(stream::iter([Ok(Bytes::from_static(TEXT.as_bytes()))])),
        if_absent: true,
    };
    let means = Means::default();
    let stored = match timeout_at(deadline, origin.put(put, &means)).await {
        Ok(Ok(stored)) => stored,
        Ok(Err(error)) => return Probed::Refused(error.to_string()),
        Err(_) => return Probed::Refused(late("writing")),
    };
    let read = timeout_at(deadline, read_back(origin, key)).await;
    let read = read.unwrap_or_else(|_| Err(late("reading it back")));
    let deleted = origin.delete(key, stored.etag.as_deref());
    let left = match timeout_at(deadline, deleted).await {
        Ok(Ok(_)) => None,
        Ok(Err(failure)) => Some(failure.to_string()),
        Err(_) => Some(late("deleting it")),
    };
    match (read, left) {
        (_, Some(why)) => Probed::Left {
            key: key.as_str().to_owned(),
            why,
        },
        (Err(what), None) => Probed::Unreadable(what),
        (Ok(()), None) => Probed::Fine,
    }
}

async fn read_back(origin: &Arc<GuardedOrigin>, key: &ObjectKey) -> Result<(), String> {
    match origin
        .fetch(key, Part::Whole, None, &Means::default())
        .await
    {
        Verdict::Found(reply) => {
            let read = reply
                .body
                .take(2)
                .try_fold(Vec::new(), |mut all, chunk| async move {
                    all.extend_from_slice(&chunk);
                    Ok(all)
                });
            match read.await {
                Ok(bytes) if bytes == TEXT.as_bytes() => Ok(()),
                Ok(_) => Err("other bytes came back than were written".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        }
        Verdict::Missing => Err("it is missing there".to_owned()),
        Verdict::Withheld => Err("strangers may not read it".to_owned()),
        Verdict::Unknown(failure) => Err(failure.to_string()),
    }
}
