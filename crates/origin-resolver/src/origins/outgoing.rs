//! A body on its way to a store: exactly as many bytes as were promised, hashed as they pass.
//!
//! Either in pieces that are held and can be sent again, or as a stream whose last bytes are held
//! back until it is known that they are the last and that the MD5 is right: a store that waits
//! for them never takes a wrong object for a whole one.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt as _;
use md5::{Digest as _, Md5};
use object::{BodyError, Digest, Interruption, ObjectBody};
use sha2::{Digest as _, Sha256};

/// Both digests of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) md5: [u8; 16],
    pub(super) sha256: Digest,
}

/// A piece of a body that can be sent more than once.
#[derive(Debug, Clone)]
pub(super) struct Rope {
    pub(super) chunks: Vec<Bytes>,
    pub(super) length: u64,
    /// Of this piece alone.
    pub(super) md5: [u8; 16],
}

impl Rope {
    /// A short text.
    pub(super) fn of(text: String) -> Self {
        Self {
            md5: Md5::digest(&text).into(),
            length: text.len() as u64,
            chunks: vec![text.into()],
        }
    }
}

/// A body that is taken piece by piece.
pub(super) struct Pieces {
    body: ObjectBody,
    /// What came with the last piece and belongs to the next.
    rest: Bytes,
    md5: Md5,
    sha256: Sha256,
}

impl Pieces {
    pub(super) fn new(body: ObjectBody) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            md5: Md5::new(),
            sha256: Sha256::new(),
        }
    }

    /// The next piece, of this many bytes.
    pub(super) async fn take(&mut self, length: u64) -> Result<Rope, BodyError> {
        let mut piece = Rope {
            chunks: Vec::new(),
            length,
            md5: [0; 16],
        };
        let (mut md5, mut left) = (Md5::new(), length);
        while left > 0 {
            if self.rest.is_empty() {
                self.rest = self.body.next().await.ok_or_else(too_short)??;
            }
            let room = usize::try_from(left).unwrap_or(usize::MAX);
            let chunk = self.rest.split_to(room.min(self.rest.len()));
            left -= chunk.len() as u64;
            md5.update(&chunk);
            self.md5.update(&chunk);
            self.sha256.update(&chunk);
            piece.chunks.push(chunk);
        }
        piece.md5 = md5.finalize().into();
        Ok(piece)
    }

    /// The digests of the whole, if there is nothing behind what was taken.
    pub(super) async fn end(&mut self) -> Result<Digests, BodyError> {
        while self.rest.is_empty() {
            match self.body.next().await {
                None => {
                    return Ok(Digests {
                        md5: self.md5.clone().finalize().into(),
                        sha256: Digest(self.sha256.clone().finalize().into()),
                    });
                }
                Some(chunk) => self.rest = chunk?,
            }
        }
        Err(too_long())
    }
}

/// How a stream ended; `None` while it has not.
pub(super) type Ending = Arc<Mutex<Option<Result<Digests, BodyError>>>>;

/// A body as a stream that never ends well with other bytes than were promised.
pub(super) struct Streamed {
    body: ObjectBody,
    left: u64,
    expected_md5: [u8; 16],
    held: Option<Bytes>,
    md5: Md5,
    sha256: Sha256,
    ending: Ending,
}

impl Streamed {
    pub(super) fn new(body: ObjectBody, length: u64, md5: [u8; 16]) -> (Self, Ending) {
        let ending = Ending::default();
        let this = Self {
            body,
            left: length,
            expected_md5: md5,
            held: None,
            md5: Md5::new(),
            sha256: Sha256::new(),
            ending: Arc::clone(&ending),
        };
        (this, ending)
    }

    fn finish(&mut self) -> Result<(), BodyError> {
        let outcome = if self.left > 0 {
            Err(too_short())
        } else {
            let md5 = self.md5.clone().finalize().into();
            if md5 == self.expected_md5 {
                let sha256 = Digest(self.sha256.clone().finalize().into());
                Ok(Digests { md5, sha256 })
            } else {
                Err(other_bytes())
            }
        };
        self.ends(outcome.clone());
        outcome.map(|_| ())
    }

    fn ends(&self, outcome: Result<Digests, BodyError>) {
        *self.ending.lock().expect("no panic under this lock") = Some(outcome);
    }
}

impl Stream for Streamed {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let next = ready!(Pin::new(&mut self.body).poll_next(cx));
            let chunk = match next {
                Some(Ok(chunk)) if chunk.is_empty() => continue,
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => {
                    self.ends(Err(error.clone()));
                    return Poll::Ready(Some(Err(error)));
                }
                None if self
                    .ending
                    .lock()
                    .expect("no panic under this lock")
                    .is_some() =>
                {
                    return Poll::Ready(None);
                }
                None => {
                    return Poll::Ready(match self.finish() {
                        Ok(()) => self.held.take().map(Ok),
                        Err(error) => Some(Err(error)),
                    });
                }
            };
            let Some(left) = self.left.checked_sub(chunk.len() as u64) else {
                self.ends(Err(too_long()));
                return Poll::Ready(Some(Err(too_long())));
            };
            self.left = left;
            self.md5.update(&chunk);
            self.sha256.update(&chunk);
            if let Some(before) = self.held.replace(chunk) {
                return Poll::Ready(Some(Ok(before)));
            }
        }
    }
}

/// A body that is not the one whose MD5 was told.
pub(super) fn other_bytes() -> BodyError {
    let what = "the body has other bytes than its MD5 says";
    BodyError::new(Interruption::Protocol, what)
}

fn too_short() -> BodyError {
    let what = "the body ended before the bytes that were promised";
    BodyError::new(Interruption::Protocol, what)
}

fn too_long() -> BodyError {
    let what = "the body has more bytes than were promised";
    BodyError::new(Interruption::Protocol, what)
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};

    use super::*;

    fn body(chunks: &[&'static str]) -> ObjectBody {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from(*chunk))).collect();
        ObjectBody::new(stream::iter(chunks))
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        future.now_or_never().expect("everything is there already")
    }

    fn md5(text: &str) -> [u8; 16] {
        Md5::digest(text).into()
    }

    #[test]
    fn pieces_are_cut_where_they_are_asked_for_and_hashed_alone_and_together() {
        let mut pieces = Pieces::new(body(&["abc", "", "defg"]));
        for (length, text) in [(2, "ab"), (3, "cde"), (2, "fg")] {
            let piece = now(pieces.take(length)).unwrap();
            assert_eq!(piece.chunks.concat(), text.as_bytes());
            assert_eq!(piece.md5, md5(text));
        }
        let digests = now(pieces.end()).unwrap();
        assert_eq!(digests.md5, md5("abcdefg"));
        assert_eq!(
            digests.sha256.0,
            <[u8; 32]>::from(Sha256::digest("abcdefg"))
        );
    }

    #[test]
    fn a_body_of_another_length_is_an_error_in_pieces() {
        assert!(now(Pieces::new(body(&["ab"])).take(3)).is_err());
        let mut long = Pieces::new(body(&["ab", "c"]));
        now(long.take(2)).unwrap();
        assert!(now(long.end()).is_err());
    }

    #[test]
    fn a_stream_gives_its_last_bytes_only_when_all_of_them_are_right() {
        let all = |chunks: &[&'static str], length, sum| {
            let (stream, ending) = Streamed::new(body(chunks), length, sum);
            let passed: Vec<_> = now(stream.collect());
            let ending = ending.lock().unwrap().clone().unwrap();
            let bytes: Vec<_> = passed.into_iter().flatten().collect();
            (bytes.concat(), ending)
        };
        let (bytes, ending) = all(&["ab", "cd"], 4, md5("abcd"));
        assert_eq!((&*bytes, ending.unwrap().md5), (&b"abcd"[..], md5("abcd")));
        for (chunks, length, sum) in [
            (&["ab", "cd"][..], 4, md5("abce")),
            (&["ab", "cd"], 3, md5("abc")),
            (&["ab", "cd"], 5, md5("abcd")),
        ] {
            let (bytes, ending) = all(chunks, length, sum);
            assert!(bytes.len() <= 2 && ending.is_err(), "{length}");
        }
        let (bytes, ending) = all(&[], 0, md5(""));
        assert!(bytes.is_empty() && ending.is_ok());
    }
}
