//! An object's bytes as they arrive.
//!
//! A body either yields every byte it promised or ends in a [`BodyError`]; it never ends early
//! without one.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;

type Chunks = dyn Stream<Item = Result<Bytes, BodyError>> + Send;

/// A stream of bytes that is fused: after an error or the end it yields nothing more.
pub struct ObjectBody(Option<Pin<Box<Chunks>>>);

impl ObjectBody {
    /// Wraps a stream.
    pub fn new(stream: impl Stream<Item = Result<Bytes, BodyError>> + Send + 'static) -> Self {
        Self(Some(Box::pin(stream)))
    }

    /// A body without a byte.
    pub fn empty() -> Self {
        Self(None)
    }

    /// Of this body, `take` bytes behind the first `skip`. What follows is not read; ending before
    /// is an error.
    #[must_use]
    pub fn only(self, skip: u64, take: u64) -> Self {
        Self::new(Only {
            body: self,
            skip,
            take,
        })
    }
}

struct Only {
    body: ObjectBody,
    skip: u64,
    take: u64,
}

impl Stream for Only {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let length = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        while self.take > 0 {
            let mut chunk = match ready!(Pin::new(&mut self.body).poll_next(cx)) {
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    let what = "the body ended before the bytes that were asked for";
                    let error = BodyError::new(Interruption::Protocol, what);
                    return Poll::Ready(Some(Err(error)));
                }
            };
            let skipped = chunk.len().min(length(self.skip));
            self.skip -= skipped as u64;
            let _ = chunk.split_to(skipped);
            chunk.truncate(length(self.take));
            if !chunk.is_empty() {
                self.take -= chunk.len() as u64;
                return Poll::Ready(Some(Ok(chunk)));
            }
        }
        Poll::Ready(None)
    }
}

impl Stream for ObjectBody {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(stream) = self.0.as_mut() else {
            return Poll::Ready(None);
        };
        let polled = stream.as_mut().poll_next(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.0 = None;
        }
        polled
    }
}

impl fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectBody")
    }
}

/// Why a body ended before its time, sorted by what a reader may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interruption {
    /// The connection or the disk failed; the rest may be asked for again.
    Cut,
    /// No byte came within the idle timeout; the rest may be asked for again.
    Stalled,
    /// More or fewer bytes than announced, or nonsense.
    Protocol,
    /// The origin now holds another version: the rest must not be taken from it.
    Changed,
}

/// A body that did not reach its end.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what}")]
pub struct BodyError {
    /// What a reader may do next.
    pub kind: Interruption,
    /// What happened, naming the origin; never a URL.
    pub what: Box<str>,
}

impl BodyError {
    /// An error of this kind.
    pub fn new(kind: Interruption, what: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            what: what.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;

    fn read(body: ObjectBody) -> Vec<Result<Bytes, BodyError>> {
        let all = body.collect::<Vec<_>>().now_or_never();
        all.expect("what is there already is not waited for")
    }

    #[test]
    fn only_the_wanted_bytes_of_a_body_are_brought() {
        let chunks = ["abc", "def", "ghi"].map(|chunk| Ok(Bytes::from(chunk)));
        let whole = || ObjectBody::new(stream::iter(chunks.clone()));
        let wanted: Vec<_> = read(whole().only(2, 5)).into_iter().flatten().collect();
        assert_eq!(wanted.concat(), b"cdefg");
        let short = read(whole().only(5, 9));
        assert!(short[..2].iter().all(Result::is_ok) && short[2].is_err());
    }
}
