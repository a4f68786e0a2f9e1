//! The append-only file that holds the tombstones.
//!
//! Records are durable when [`Log::append`] returns; where it fails the file is as it was before,
//! or the log refuses every further append until it can be put right. Only the holder of the
//! directory's lock has one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::FILE;
use super::error::TombstoneError;
use super::frame::Framing;
use super::reader::{HEADER_BYTES, Reader, header};
use super::record::{MAX_RECORDS, Record};
use crate::files;

/// A log shorter than this is not rewritten while it is in use.
const SMALL_RECORDS: u32 = 65_536;

/// An open log.
#[derive(Debug)]
pub(super) struct Log {
    directory: PathBuf,
    path: PathBuf,
    file: File,
    /// The length of what is durable.
    good_bytes: u64,
    records: u32,
    /// From how many records on it is worth looking for superseded ones.
    crowded_at: u32,
    /// Bytes of a failed append may stand behind the good ones.
    dirty_tail: bool,
    /// A rewritten log is in place, and that may not be durable.
    dirty_name: bool,
}

impl Log {
    /// Makes an empty log.
    pub(super) fn create(directory: &Path) -> Result<Self, TombstoneError> {
        let path = directory.join(FILE);
        let create = || {
            let file = files::replace(directory, FILE, |file| file.write_all(&header()))?;
            files::sync_directory(directory)?;
            Ok(file)
        };
        let file = create()
            .map_err(|error| TombstoneError::unreadable(&path, "it cannot be made", error))?;
        Ok(Self::new(directory, file, HEADER_BYTES as u64, 0))
    }

    /// Opens a log that was read to its end, and takes away what an append that did not finish
    /// has left there.
    pub(super) fn open(directory: &Path, read: &Reader) -> Result<Self, TombstoneError> {
        let path = directory.join(FILE);
        let unwritable =
            |error| TombstoneError::unreadable(&path, "it cannot be opened for writing", error);
        let file = files::private().open(&path).map_err(unwritable)?;
        files::make_private(&file).map_err(unwritable)?;
        if read.torn_bytes() > 0 {
            tracing::warn!(
                file = %path.display(),
                offset = read.good_bytes(),
                bytes = read.torn_bytes(),
                "the last write to the tombstones is not whole, as after a crash in the middle of it, and is taken away; if there was no crash, look for it in a backup"
            );
            file.set_len(read.good_bytes())
                .and_then(|()| file.sync_all())
                .map_err(unwritable)?;
        }
        Ok(Self::new(
            directory,
            file,
            read.good_bytes(),
            read.records(),
        ))
    }

    fn new(directory: &Path, file: File, good_bytes: u64, records: u32) -> Self {
        Self {
            directory: directory.to_owned(),
            path: directory.join(FILE),
            file,
            good_bytes,
            records,
            crowded_at: crowded(records),
            dirty_tail: false,
            dirty_name: false,
        }
    }

    /// How many records are in it.
    pub(super) fn records(&self) -> u32 {
        self.records
    }

    /// Reads what is in it.
    pub(super) fn reader(&self) -> Result<Reader, TombstoneError> {
        Reader::open(&self.path)?.ok_or_else(|| TombstoneError::Replaced {
            path: self.path.clone(),
        })
    }

    /// Whether it has grown so much that rewriting it may be worth while.
    pub(super) fn is_crowded(&self) -> bool {
        self.records >= self.crowded_at
    }

    /// Asks again when it has doubled.
    pub(super) fn leave_crowded(&mut self) {
        self.crowded_at = crowded(self.records);
    }

    /// Appends records that have been checked. They are durable when this returns.
    pub(super) fn append<'a>(
        &mut self,
        records: impl Iterator<Item = Record<'a>>,
    ) -> Result<(), TombstoneError> {
        self.mend().map_err(|source| TombstoneError::Unmended {
            path: self.path.clone(),
            source,
        })?;
        self.check_in_place()?;
        let file = &self.file;
        // One after the other, so that only the last frame of a log can be torn.
        let mut framing = Framing::new(self.good_bytes, |frame, at| {
            file.write_all_at(frame, at)?;
            file.sync_data()
        });
        let written = records
            .into_iter()
            .try_for_each(|record| framing.push(&record))
            .and_then(|()| framing.finish())
            .and_then(|(end, count)| Ok((end, total(self.records, count)?)));
        match written {
            Ok((end, records)) => {
                self.good_bytes = end;
                self.records = records;
                Ok(())
            }
            Err(source) => {
                self.dirty_tail = true;
                if let Err(error) = self.mend() {
                    tracing::error!(%error, file = %self.path.display(), "a failed write of tombstones cannot be undone; nothing more is recorded until it can");
                }
                Err(TombstoneError::NotRecorded {
                    path: self.path.clone(),
                    source,
                })
            }
        }
    }

    /// Writes a log with other records in this one's place: all or nothing. The records are
    /// handed to `push` in their order, and have been checked.
    pub(super) fn rewrite(
        &mut self,
        emit: impl FnOnce(&mut dyn FnMut(&Record<'_>) -> io::Result<()>) -> Result<(), RewriteError>,
    ) -> Result<(), RewriteError> {
        self.check_in_place()?;
        let mut end = (0, 0);
        let file = files::replace(&self.directory, FILE, |file| {
            file.write_all(&header())?;
            let mut framing = Framing::new(HEADER_BYTES as u64, |frame, _| file.write_all(frame));
            emit(&mut |record| framing.push(record))?;
            end = framing.finish()?;
            Ok::<_, RewriteError>(())
        })?;
        self.file = file;
        (self.good_bytes, self.records) = end;
        self.crowded_at = crowded(self.records);
        self.dirty_tail = false;
        // From here on the new log is what everybody reads. Until its name is durable, a power
        // cut may bring back the old one, without what is appended from now on.
        self.dirty_name = true;
        self.mend().map_err(RewriteError::NotDurable)
    }

    /// Makes durable what an earlier rewrite has left.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.mend()
    }

    /// Puts right what an earlier failure has left.
    fn mend(&mut self) -> io::Result<()> {
        if self.dirty_tail {
            self.file.set_len(self.good_bytes)?;
            self.file.sync_data()?;
            self.dirty_tail = false;
        }
        if self.dirty_name {
            files::sync_directory(&self.directory)?;
            self.dirty_name = false;
        }
        Ok(())
    }

    /// An append to a file that has lost its name would be acknowledged and forgotten.
    fn check_in_place(&self) -> Result<(), TombstoneError> {
        let same = || {
            let (ours, there) = (self.file.metadata()?, fs::metadata(&self.path)?);
            Ok::<_, io::Error>((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
        };
        match same() {
            Ok(true) => Ok(()),
            Ok(false) => Err(TombstoneError::Replaced {
                path: self.path.clone(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(TombstoneError::Replaced {
                    path: self.path.clone(),
                })
            }
            Err(source) => Err(TombstoneError::NotRecorded {
                path: self.path.clone(),
                source,
            }),
        }
    }
}

/// Why a log was not rewritten; but for one case the old one is still there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RewriteError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Log(#[from] TombstoneError),
    /// The new one is in place.
    #[error("it is written, and may not survive a power cut: {0}")]
    NotDurable(io::Error),
}

fn total(records: u32, more: u32) -> io::Result<u32> {
    Some(records + more)
        .filter(|all| *all <= MAX_RECORDS)
        .ok_or_else(|| io::Error::other("a log cannot hold more records"))
}

fn crowded(records: u32) -> u32 {
    records.saturating_mul(2).max(SMALL_RECORDS)
}

#[cfg(test)]
mod tests {
    use super::super::record::Kind;
    use super::*;

    fn record(key: &str) -> Record<'_> {
        Record {
            kind: Kind::Add,
            time: 1,
            scope: "media",
            key: key.as_bytes(),
            reason: "",
        }
    }

    fn keys(log: &Log) -> Vec<String> {
        let mut reader = log.reader().unwrap();
        let mut keys = Vec::new();
        while let Some((_, record)) = reader.next().unwrap() {
            keys.push(String::from_utf8(record.key.to_vec()).unwrap());
        }
        assert_eq!(reader.torn_bytes(), 0);
        keys
    }

    #[test]
    fn a_failed_write_that_cannot_be_undone_refuses_the_next_until_it_can() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::create(directory.path()).unwrap();
        log.append([record("a")].into_iter()).unwrap();
        // A handle that may not write: neither the append nor its undoing can work.
        let writable = std::mem::replace(&mut log.file, File::open(&log.path).unwrap());
        let error = log.append([record("b")].into_iter()).unwrap_err();
        assert!(
            matches!(error, TombstoneError::NotRecorded { .. }),
            "{error}"
        );
        let error = log.append([record("c")].into_iter()).unwrap_err();
        assert!(matches!(error, TombstoneError::Unmended { .. }), "{error}");
        log.file = writable;
        log.append([record("d")].into_iter()).unwrap();
        assert_eq!(keys(&log), ["a", "d"]);
    }

    #[test]
    fn bytes_of_a_failed_write_are_taken_away_before_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::create(directory.path()).unwrap();
        log.append([record("a")].into_iter()).unwrap();
        log.file.write_all_at(&[7; 5000], log.good_bytes).unwrap();
        log.dirty_tail = true;
        log.append([record("b")].into_iter()).unwrap();
        assert_eq!(keys(&log), ["a", "b"]);
        assert_eq!(fs::metadata(&log.path).unwrap().len(), log.good_bytes);
    }

    #[test]
    fn a_log_that_lost_its_name_acknowledges_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::create(directory.path()).unwrap();
        fs::rename(&log.path, directory.path().join("elsewhere")).unwrap();
        let replaced = |log: &mut Log| {
            let error = log.append([record("a")].into_iter()).unwrap_err();
            assert!(matches!(error, TombstoneError::Replaced { .. }), "{error}");
        };
        replaced(&mut log);
        fs::copy(directory.path().join("elsewhere"), &log.path).unwrap();
        replaced(&mut log);
        fs::rename(directory.path().join("elsewhere"), &log.path).unwrap();
        log.append([record("a")].into_iter()).unwrap();
        assert_eq!(keys(&log), ["a"]);
    }

    #[test]
    fn a_rewrite_that_fails_leaves_the_old_log() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::create(directory.path()).unwrap();
        log.append([record("a")].into_iter()).unwrap();
        log.rewrite(|push| {
            push(&record("b"))?;
            Err(RewriteError::Io(io::Error::other("a test")))
        })
        .unwrap_err();
        assert_eq!(keys(&log), ["a"]);
        log.rewrite(|push| Ok(push(&record("b"))?)).unwrap();
        log.append([record("c")].into_iter()).unwrap();
        assert_eq!(keys(&log), ["b", "c"]);
    }
}
