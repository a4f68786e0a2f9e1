//! A body that is read once: where it breaks, its rest is asked for, of the very same version.
//!
//! Refuses to go on without proof of that, and never begins again: what has been read was paid
//! for, and reading it again was not announced to anybody.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use object::{
    BodyError, ByteRange, Extent, Interruption, ObjectBody, ObjectKey, RangeRequest, Validator,
};
use origin_resolver::{Reason, Reply};

use crate::end::{Asked, End};

/// How often it is tried to go on without a byte of progress.
pub(crate) const TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long to wait behind so many attempts that failed.
pub(crate) fn pause(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE)
}

/// The body of a whole object, which goes on where it breaks off. Where the origin does not tell
/// the length or names no version, it is left as it is.
pub(crate) fn continuing(end: &End, key: &ObjectKey, reply: Reply) -> Reply {
    let (Some(validator @ Validator::Strong(_)), Extent::Bytes(range)) =
        (reply.head.validator.clone(), reply.extent)
    else {
        return reply;
    };
    let state = Continuing {
        end: end.clone(),
        key: key.clone(),
        validator,
        at: range.start,
        total: range.end,
        body: reply.body,
        fruitless: 0,
    };
    Reply {
        body: state.into_body(),
        ..reply
    }
}

struct Continuing {
    end: End,
    key: ObjectKey,
    validator: Validator,
    /// The next byte that is wanted.
    at: u64,
    total: u64,
    body: ObjectBody,
    fruitless: u32,
}

impl Continuing {
    fn into_body(self) -> ObjectBody {
        ObjectBody::new(stream::unfold(self, |mut this| async move {
            let item = this.next().await?;
            Some((item, this))
        }))
    }

    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        loop {
            let error = match self.body.next().await? {
                Ok(chunk) => {
                    self.at += chunk.len() as u64;
                    self.fruitless = 0;
                    return Some(Ok(chunk));
                }
                Err(error) => error,
            };
            match error.kind {
                Interruption::Cut | Interruption::Stalled if self.at < self.total => {}
                _ => return Some(Err(error)),
            }
            match self.go_on(error).await {
                Ok(body) => self.body = body,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The rest, as soon as it can be had.
    async fn go_on(&mut self, mut error: BodyError) -> Result<ObjectBody, BodyError> {
        let rest = ByteRange {
            start: self.at,
            end: self.total,
        };
        while self.fruitless < TRIES {
            if self.fruitless > 0 {
                tokio::time::sleep(pause(self.fruitless)).await;
            }
            self.fruitless += 1;
            let asked = self.end.rest(&self.key, rest, self.validator.clone());
            match asked.await {
                Asked::Found(reply) if self.is_rest(&reply, rest) => {
                    let origin = self.end.name();
                    tracing::info!(origin, key = %self.key, at = self.at, %error, "a broken body continues");
                    return Ok(reply.body);
                }
                Asked::Found(_) => {
                    let what = format!("{error}; it answers with something else than the rest");
                    return Err(BodyError::new(Interruption::Protocol, what));
                }
                Asked::Missing => return Err(changed(&error)),
                Asked::Unknown(failure) => {
                    error = BodyError::new(error.kind, format!("{error}; {failure}"));
                    if !(failure.reason.trips() || failure.reason == Reason::Breaker) {
                        // A condition that fails does not tell why: it, or the origin.
                        return Err(match self.end.head(&self.key).await {
                            Asked::Found(head)
                                if head.validator.as_ref() != Some(&self.validator) =>
                            {
                                changed(&error)
                            }
                            _ => error,
                        });
                    }
                }
            }
        }
        Err(error)
    }

    fn is_rest(&self, reply: &Reply, rest: ByteRange) -> bool {
        let is_same = |is: &Validator| is.proves_same(&self.validator);
        reply.extent == Extent::Bytes(rest)
            && reply.head.length == Some(self.total)
            && reply.head.validator.as_ref().is_some_and(is_same)
    }
}

fn changed(error: &BodyError) -> BodyError {
    let what = format!("{error}; it was replaced meanwhile");
    BodyError::new(Interruption::Changed, what)
}

/// The question for these bytes.
pub(crate) fn part(range: ByteRange) -> RangeRequest {
    RangeRequest::FromTo {
        first: range.start,
        last: range.end - 1,
    }
}
