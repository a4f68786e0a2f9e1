//! A body that goes on elsewhere when its origin dies in the middle.
//!
//! The bytes of one response come from one version. Going on needs, with equal length, one proof:
//! the same strong validator at the same origin, an equal digest or content tag, or the prefix
//! already sent read again and found equal. Without one, the body ends in an error: a client that
//! is cut off asks again, a client that was given two versions never notices.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object::{BodyError, ByteRange, Interruption, ObjectBody, ObjectHead, ObjectKey, RangeRequest};
use sha2::{Digest as _, Sha256};

use crate::guarded::Cost;
use crate::resolver::Places;
use crate::{Extent, OriginState, Part, Reply, SaveCause, Verdict};

/// The longest prefix that is read again to prove a version.
const LONGEST_PREFIX: u64 = 16 * 1024 * 1024;
/// Attempts without a byte of progress before the reader is cut off.
const FRUITLESS: u32 = 3;

/// Wraps the body of `origins[index]` so that it continues elsewhere. `missing` are the origins
/// known not to have the object.
pub(crate) fn continuing(
    places: Arc<Places>,
    key: ObjectKey,
    head: ObjectHead,
    range: ByteRange,
    index: usize,
    missing: Vec<usize>,
    body: ObjectBody,
) -> ObjectBody {
    let prefix = (places.origins.len() > 1).then(Sha256::new);
    let asked = vec![index];
    let state = Continuing {
        places,
        key,
        head,
        range,
        at: range.start,
        origin: index,
        body,
        prefix,
        missing,
        asked,
        fruitless: 0,
    };
    ObjectBody::new(stream::unfold(state, |mut state| async move {
        let item = state.next().await?;
        Some((item, state))
    }))
}

struct Continuing {
    places: Arc<Places>,
    key: ObjectKey,
    head: ObjectHead,
    range: ByteRange,
    /// The next byte the reader wants.
    at: u64,
    /// Whose bytes are being read.
    origin: usize,
    body: ObjectBody,
    /// Digest of what was sent, while it is short enough to be read again.
    prefix: Option<Sha256>,
    missing: Vec<usize>,
    /// Who was asked for this response before; the first question to an origin is free.
    asked: Vec<usize>,
    fruitless: u32,
}

impl Continuing {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            match self.body.next().await? {
                Ok(chunk) => {
                    self.sent(&chunk);
                    return Some(Ok(chunk));
                }
                Err(error) => {
                    if !self.reconnect(&error).await {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    fn sent(&mut self, chunk: &Bytes) {
        self.at += chunk.len() as u64;
        self.fruitless = 0;
        if self.at - self.range.start > LONGEST_PREFIX {
            self.prefix = None;
        }
        if let Some(prefix) = &mut self.prefix {
            prefix.update(chunk);
        }
    }

    /// Finds the rest, at the same origin first where only its connection broke.
    async fn reconnect(&mut self, error: &BodyError) -> bool {
        let others = (0..self.places.origins.len()).filter(|index| *index != self.origin);
        let same = [self.origin];
        let candidates: Vec<_> = match error.kind {
            Interruption::Changed => others.collect(),
            // It may bring a few bytes and stall again, each time for the whole idle timeout.
            Interruption::Stalled => others.chain(same).collect(),
            Interruption::Cut | Interruption::Protocol => same.into_iter().chain(others).collect(),
        };
        for candidate in candidates {
            if self.fruitless >= FRUITLESS {
                break;
            }
            let origin = Arc::clone(&self.places.origins[candidate]);
            if self.missing.contains(&candidate) || !origin.is_trusted(&self.key) {
                continue;
            }
            let Some(Reply { head, body, .. }) = self.rest_from(candidate).await else {
                continue;
            };
            tracing::info!(
                from = self.places.origins[self.origin].name(),
                to = origin.name(),
                at = self.at,
                %error,
                "a broken body continues"
            );
            origin.observer.resumed();
            if candidate != self.origin && origin.state() == OriginState::Rehearsal {
                origin.observer.rehearsal_save(SaveCause::Unknown);
            }
            self.origin = candidate;
            // What it is asked next time is its own mark of this version.
            self.head.validator = head.validator;
            self.body = body;
            return true;
        }
        false
    }

    /// The rest of the same version, if this origin has it and can prove that it is the same.
    async fn rest_from(&mut self, candidate: usize) -> Option<Reply> {
        let same_origin = candidate == self.origin;
        if same_origin && self.head.validator.as_ref()?.if_match().is_none() {
            return None;
        }
        let rest = ByteRange {
            start: self.at,
            end: self.range.end,
        };
        let reply = self.ask(candidate, rest).await?;
        let proven = if same_origin {
            let (ours, theirs) = (&self.head.validator, &reply.head.validator);
            Some(matches!((ours, theirs), (Some(ours), Some(theirs)) if ours.proves_same(theirs)))
        } else {
            self.head.proofs.agree(&reply.head.proofs)
        };
        match proven {
            Some(true) => return Some(reply),
            Some(false) => return None,
            None => {}
        }
        drop(reply);
        self.rest_behind_equal_prefix(candidate).await
    }

    /// Reads again what was sent, and goes on only if it is equal.
    async fn rest_behind_equal_prefix(&mut self, candidate: usize) -> Option<Reply> {
        let sent = self.at - self.range.start;
        let ours = self.prefix.clone().filter(|_| sent > 0)?.finalize();
        let mut reply = self.ask(candidate, self.range).await?;
        let mut theirs = Sha256::new();
        let mut left = sent;
        while left > 0 {
            let chunk = reply.body.next().await?.ok()?;
            let length = usize::try_from(left).map_or(chunk.len(), |left| left.min(chunk.len()));
            theirs.update(&chunk[..length]);
            left -= length as u64;
            if left == 0 && theirs.finalize_reset() == ours {
                let surplus = chunk.slice(length..);
                let first = (!surplus.is_empty()).then_some(Ok(surplus));
                reply.body = ObjectBody::new(stream::iter(first).chain(reply.body));
                return Some(reply);
            }
        }
        None
    }

    /// A reply with exactly these bytes of an object of the same length.
    async fn ask(&mut self, candidate: usize, range: ByteRange) -> Option<Reply> {
        let origin = Arc::clone(&self.places.origins[candidate]);
        let cost = if self.asked.contains(&candidate) {
            origin.take_token().then_some(Cost::Paid)?
        } else {
            self.asked.push(candidate);
            Cost::Primary
        };
        self.fruitless += 1;
        let part = Part::Range(RangeRequest::FromTo {
            first: range.start,
            last: range.end - 1,
        });
        let only = (candidate == self.origin)
            .then(|| self.head.validator.clone())
            .flatten();
        match origin.ask(&self.key, part, only, cost).await {
            Verdict::Found(reply)
                if reply.extent == Extent::Bytes(range)
                    && reply.head.length == self.head.length =>
            {
                Some(reply)
            }
            Verdict::Missing => {
                self.missing.push(candidate);
                None
            }
            Verdict::Found(_) | Verdict::Withheld | Verdict::Unknown(_) => None,
        }
    }
}
