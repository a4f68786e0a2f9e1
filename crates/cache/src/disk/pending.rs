//! Content that is being written right now, so that nobody removes an equal file under it.
//!
//! Equal slices share a file. A file may lose its last row in the moment in which another version
//! writes the same bytes; without this, that version's row would point at nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use xxhash_rust::xxh3::Xxh3;

/// What tells content apart before its sha-256 is known. Two contents with equal marks only
/// delay each other's removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mark(u64);

impl Mark {
    pub(super) fn new(length: u32, chunks: &[u64]) -> Self {
        let mut digest = Xxh3::new();
        digest.update(&length.to_be_bytes());
        for chunk in chunks {
            digest.update(&chunk.to_be_bytes());
        }
        Self(digest.digest())
    }
}

/// The contents that are being written.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    writing: HashMap<Mark, Writing>,
    /// Removals that were postponed and whose reason is gone.
    due: Vec<(Mark, [u8; 32])>,
}

#[derive(Debug, Default)]
struct Writing {
    writers: usize,
    postponed: Vec<[u8; 32]>,
}

impl Pending {
    /// Announces content, until its row is in the index or the writing has failed.
    pub(super) fn begin(self: &Arc<Self>, mark: Mark) -> Guard {
        self.with(|inner| inner.writing.entry(mark).or_default().writers += 1);
        Guard {
            pending: Arc::clone(self),
            mark,
        }
    }

    /// Removes a file unless equal content is being written; then it comes up in [`Self::due`].
    pub(super) fn unless_written<T>(
        &self,
        mark: Mark,
        sha256: [u8; 32],
        remove: impl FnOnce() -> T,
    ) -> Option<T> {
        // The lock is held while the file is removed: nobody may begin in between.
        self.with(|inner| match inner.writing.get_mut(&mark) {
            Some(writing) => {
                writing.postponed.push(sha256);
                None
            }
            None => Some(remove()),
        })
    }

    /// Files to look at again.
    pub(super) fn due(&self) -> Vec<(Mark, [u8; 32])> {
        self.with(|inner| std::mem::take(&mut inner.due))
    }

    /// Whether there are any.
    pub(super) fn is_due(&self) -> bool {
        self.with(|inner| !inner.due.is_empty())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Content that is being written.
#[derive(Debug)]
pub(super) struct Guard {
    pending: Arc<Pending>,
    mark: Mark,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pending.with(|inner| {
            let Some(writing) = inner.writing.get_mut(&self.mark) else {
                return;
            };
            writing.writers -= 1;
            if writing.writers == 0
                && let Some(done) = inner.writing.remove(&self.mark)
            {
                let mark = self.mark;
                let due = done.postponed.into_iter().map(|sha256| (mark, sha256));
                inner.due.extend(due);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_waits_for_every_writer_of_the_same_content() {
        let pending = Arc::new(Pending::default());
        let mark = Mark::new(5, &[1, 2]);
        let (one, two) = (pending.begin(mark), pending.begin(mark));
        assert_eq!(pending.unless_written(mark, [7; 32], || ()), None);
        drop(one);
        assert!(pending.due().is_empty());
        drop(two);
        assert_eq!(pending.due(), [(mark, [7; 32])]);
        assert!(pending.due().is_empty());
        assert_eq!(pending.unless_written(mark, [7; 32], || 3), Some(3));
    }

    #[test]
    fn other_content_is_not_held_up() {
        let pending = Arc::new(Pending::default());
        let _guard = pending.begin(Mark::new(5, &[1, 2]));
        let other = Mark::new(6, &[1, 2]);
        assert_eq!(pending.unless_written(other, [7; 32], || ()), Some(()));
    }
}
