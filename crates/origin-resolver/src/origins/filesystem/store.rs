//! The directory as a store: blocking work in other hands, and the clock watched here.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use object::ObjectKey;
use tokio::time::timeout;

use super::Filesystem;
use super::hands::Hands;
use super::listing;
use super::writing::Begun;
use crate::origins::outgoing::{Pieces, other_bytes};
use crate::{Capacity, Cursor, Erased, Failure, Page, Put, PutError, Reason, Store, Stored, Turns};

/// Written at one time.
const PIECE_BYTES: u64 = 1024 * 1024;
/// For one piece, and for a page of a listing.
const PATIENCE: Duration = Duration::from_mins(1);
/// Until a whole file is on the disk.
const SYNC_PATIENCE: Duration = Duration::from_mins(5);

impl Store for Filesystem {
    fn writable(&self) -> Result<(), Failure> {
        self.writing.allowed().map(|_| ())
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<Cursor>,
        turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Page, Failure>> {
        let (root, prefix) = (self.root.clone(), prefix.to_owned());
        Box::pin(self.once(turns, PATIENCE, move || {
            listing::page(&root, &prefix, after.as_ref())
        }))
    }

    fn put<'a>(
        &'a self,
        put: Put,
        turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Stored, PutError>> {
        Box::pin(async move {
            turns.take().await.map_err(PutError::Refused)?;
            let outcome = self.write(put).await;
            let failure = match &outcome {
                Err(PutError::Refused(failure) | PutError::Unanswered(failure)) => Err(failure),
                _ => Ok(()),
            };
            // A file is not begun again: its body is spent.
            turns.over(failure, u32::MAX);
            outcome
        })
    }

    fn delete<'a>(
        &'a self,
        key: &'a ObjectKey,
        only: Option<&'a str>,
        turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Erased, Failure>> {
        let writing = self.writing.clone();
        let (key, only) = (key.clone(), only.map(str::to_owned));
        Box::pin(self.once(turns, PATIENCE, move || {
            writing.erase(&key, only.as_deref())
        }))
    }

    fn capacity(&self) -> BoxFuture<'_, Option<Capacity>> {
        let writing = self.writing.clone();
        Box::pin(async move {
            self.hands
                .in_time(move || writing.capacity())
                .await
                .ok()?
                .ok()
        })
    }
}

impl Filesystem {
    /// One turn's worth of blocking work.
    async fn once<T: Send + 'static>(
        &self,
        turns: &dyn Turns,
        patience: Duration,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        turns.take().await?;
        let outcome = self.within(patience, work).await.and_then(|done| done);
        turns.over(outcome.as_ref().map(|_| ()), u32::MAX);
        outcome
    }

    async fn within<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let working = timeout(patience, self.hands.patiently(work));
        working.await.unwrap_or_else(|_| {
            let name = &self.name;
            let what = format!("{name}: the disk did not answer within {patience:?}");
            Err(Failure::new(Reason::Timeout, what))
        })
    }

    async fn write(&self, put: Put) -> Result<Stored, PutError> {
        let (writing, key) = (self.writing.clone(), put.key.clone());
        let (length, if_absent) = (put.length, put.if_absent);
        let begun = self.within(PATIENCE, move || writing.begin(&key, length, if_absent));
        let mut unfinished = Unfinished {
            begun: Some(begun.await.map_err(PutError::Refused)??),
            hands: &self.hands,
        };
        let mut pieces = Pieces::new(put.body);
        let mut left = put.length;
        while left > 0 {
            let piece = pieces.take(left.min(PIECE_BYTES)).await;
            let piece = piece.map_err(PutError::Broken)?;
            left -= piece.length;
            let begun = unfinished.take();
            unfinished.begun = Some(self.write_piece(begun, piece.chunks, &put.key).await?);
        }
        let digests = pieces.end().await.map_err(PutError::Broken)?;
        if put.md5.is_some_and(|md5| md5 != digests.md5) {
            return Err(PutError::Broken(other_bytes()));
        }
        let (writing, key, kept) = (self.writing.clone(), put.key, put.kept);
        let begun = unfinished.take();
        let finished = self.within(SYNC_PATIENCE, move || {
            writing.finish(begun, &key, length, &kept, digests, if_absent)
        });
        // Who gave up waiting does not know what became of it.
        finished.await.map_err(PutError::Unanswered)?
    }

    async fn write_piece(
        &self,
        mut begun: Begun,
        chunks: Vec<Bytes>,
        key: &ObjectKey,
    ) -> Result<Begun, PutError> {
        let written = self.within(PATIENCE, move || {
            let outcome = begun.write(&chunks);
            (begun, outcome)
        });
        let (begun, outcome) = written.await.map_err(PutError::Refused)?;
        match outcome {
            Ok(()) => Ok(begun),
            Err(errno) => {
                let failure = self.writing.failure(errno, key.as_str());
                // Removing it is the disk's work too.
                let _ = self.within(PATIENCE, move || drop(begun)).await;
                Err(PutError::Refused(failure))
            }
        }
    }
}

/// A file between two pieces; removed by other hands when nobody goes on with it.
struct Unfinished<'a> {
    begun: Option<Begun>,
    hands: &'a Hands,
}

impl Unfinished<'_> {
    fn take(&mut self) -> Begun {
        self.begun.take().expect("it comes back from each piece")
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.hands.afterwards(move || drop(begun));
        }
    }
}
