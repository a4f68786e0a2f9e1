//! A small object that lies in memory whole: its bytes, without another look at anything.
//!
//! The way of most hits. Holds the object's bytes as they lie in memory, and no copy; so only what
//! is no more than any reader may hold, however long a client does not read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use object::{BodyError, ByteRange, Interruption, ObjectBody};

use crate::slice::{CHUNK_BYTES, Slice};
use crate::version::Version;

/// What any body may hold: two chunks.
pub(crate) const MOST_BYTES: usize = 2 * CHUNK_BYTES;

struct Whole {
    slice: Slice,
    version: Arc<Version>,
    at: usize,
    end: usize,
}

/// These bytes of a version that is one slice. Ends in an error if it must not be sent any more.
pub(crate) fn body(slice: Slice, version: Arc<Version>, range: ByteRange) -> ObjectBody {
    let within = |at: u64| usize::try_from(at).map_or(slice.length(), |at| at.min(slice.length()));
    let (at, end) = (within(range.start), within(range.end));
    ObjectBody::new(Whole {
        slice,
        version,
        at,
        end,
    })
}

impl Stream for Whole {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.at >= self.end {
            return Poll::Ready(None);
        }
        if self.version.life.is_cut() {
            return Poll::Ready(Some(Err(cut())));
        }
        let mut bytes = self.slice.rest_of_chunk(self.at);
        bytes.truncate(self.end - self.at);
        self.at += bytes.len();
        Poll::Ready(Some(Ok(bytes)))
    }
}

/// Why a body ends that must not be sent any more.
pub(crate) fn cut() -> BodyError {
    BodyError::new(
        Interruption::Changed,
        "the object must not be sent any more",
    )
}
