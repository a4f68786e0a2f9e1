//! Reads a range of one file, a few chunks at a time, and notices when the file is changed
//! meanwhile.
//!
//! Blocking; the caller decides where that may happen. The last chunks are given out only after
//! the file has been found unchanged, so a reader never sees the clean end of a mixture.

use std::fs::{File, Metadata as Stat};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use bytes::Bytes;
use object::{BodyError, ByteRange, Interruption};
use rustix::buffer::spare_capacity;

/// What one chunk of a body holds at most.
const CHUNK_BYTES: u64 = 64 * 1024;
/// How much is read at a time: what a body may keep in memory.
const READ_BYTES: u64 = 2 * CHUNK_BYTES;

/// An open file and what is still wanted of it.
pub(super) struct Reader {
    origin: Arc<str>,
    file: File,
    rest: ByteRange,
    /// Length and time of modification when the file was opened.
    version: (u64, i64, i64),
}

impl Reader {
    pub(super) fn new(origin: &str, file: File, stat: &Stat, range: ByteRange) -> Self {
        Self {
            origin: origin.into(),
            file,
            rest: range,
            version: version(stat),
        }
    }

    /// Whether every wanted byte has been read.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The origin whose file it is, for messages.
    pub(super) fn origin(&self) -> &Arc<str> {
        &self.origin
    }

    /// The next bytes; none at the end.
    pub(super) fn read(&mut self) -> Result<Vec<Bytes>, BodyError> {
        let stop = self
            .rest
            .start
            .saturating_add(READ_BYTES)
            .min(self.rest.end);
        let mut chunks = Vec::with_capacity(2);
        while self.rest.start < stop {
            let wanted = (stop - self.rest.start).min(CHUNK_BYTES);
            let chunk = self.chunk(wanted)?;
            self.rest.start += wanted;
            chunks.push(chunk);
        }
        if self.is_done() && self.has_changed()? {
            return Err(self.changed());
        }
        Ok(chunks)
    }

    fn chunk(&self, wanted: u64) -> Result<Bytes, BodyError> {
        let wanted = usize::try_from(wanted).expect("a chunk is 64 KiB at most");
        let mut chunk = Vec::with_capacity(wanted);
        while chunk.len() < wanted {
            let at = self.rest.start + chunk.len() as u64;
            let read = rustix::io::retry_on_intr(|| {
                rustix::io::pread(&self.file, spare_capacity(&mut chunk), at)
            })
            .map_err(|errno| self.cut(&errno))?;
            if read == 0 {
                return Err(if self.has_changed()? {
                    self.changed()
                } else {
                    self.error(Interruption::Protocol, "a file is shorter than it says")
                });
            }
        }
        // An allocator may give more room than was asked for.
        chunk.truncate(wanted);
        Ok(chunk.into())
    }

    fn has_changed(&self) -> Result<bool, BodyError> {
        let stat = self.file.metadata().map_err(|error| self.cut(&error))?;
        Ok(version(&stat) != self.version)
    }

    fn changed(&self) -> BodyError {
        self.error(
            Interruption::Changed,
            "a file was changed while it was read",
        )
    }

    fn cut(&self, error: &dyn std::fmt::Display) -> BodyError {
        self.error(
            Interruption::Cut,
            &format!("a file could not be read on: {error}"),
        )
    }

    fn error(&self, kind: Interruption, what: &str) -> BodyError {
        BodyError::new(kind, format!("origin {}: {what}", self.origin))
    }
}

fn version(stat: &Stat) -> (u64, i64, i64) {
    (stat.len(), stat.mtime(), stat.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::{Duration, SystemTime};

    /// A reader of the whole of a file of `length` bytes, written an hour ago.
    fn reader(length: usize) -> (File, Reader) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; length]).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_hours(1))
            .unwrap();
        let stat = file.metadata().unwrap();
        let whole = ByteRange::whole(stat.len());
        let reader = Reader::new("disk", file.try_clone().unwrap(), &stat, whole);
        (file, reader)
    }

    #[test]
    fn no_more_is_held_than_two_chunks() {
        let (_file, mut reader) = reader(300_000);
        let mut lengths = Vec::new();
        while !reader.is_done() {
            let chunks = reader.read().unwrap();
            assert!(chunks.len() <= 2);
            lengths.extend(chunks.iter().map(Bytes::len));
        }
        assert_eq!(lengths, [65536, 65536, 65536, 65536, 37856]);
    }

    #[test]
    fn a_file_cut_short_while_it_is_read_never_ends_cleanly() {
        let (file, mut reader) = reader(300_000);
        reader.read().unwrap();
        file.set_len(200_000).unwrap();
        assert_eq!(reader.read().unwrap_err().kind, Interruption::Changed);
    }

    #[test]
    fn a_file_rewritten_while_it_is_read_never_ends_cleanly() {
        for (length, change) in [(300_000, 300_000), (1, 1), (300_000, 300_001)] {
            let (mut file, mut reader) = reader(length);
            if length > 1 {
                reader.read().unwrap();
            }
            file.set_len(change).unwrap();
            file.write_all(b"x").unwrap();
            let error = loop {
                match reader.read() {
                    Ok(_) => assert!(!reader.is_done()),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind, Interruption::Changed);
            assert!(error.what.contains("disk"));
        }
    }

    #[test]
    fn a_file_shorter_than_it_says_is_nonsense_and_not_its_end() {
        let (file, _) = reader(10);
        let stat = file.metadata().unwrap();
        let mut reader = Reader::new("disk", file, &stat, ByteRange::whole(11));
        assert_eq!(reader.read().unwrap_err().kind, Interruption::Protocol);
    }
}
