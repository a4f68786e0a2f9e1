//! Reads the log from its beginning, one frame in memory at a time.
//!
//! Tells the end of a file whose last append did not finish from damage: a torn frame is shorter
//! than the longest one and nothing good stands behind it. Changes nothing, and needs no lock: an
//! append that runs at the same time looks like a torn one.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::error::TombstoneError;
use super::frame::{self, HEAD_BYTES, Head, MAX_PAYLOAD_BYTES};
use super::record::{BadRecord, MAX_RECORDS, Record};

const MAGIC: &[u8; 8] = b"MGTOMBS\n";
const FORMAT: u32 = 1;
/// What a log begins with: magic, format, seal of both.
pub(super) const HEADER_BYTES: usize = 20;

const BUFFER_BYTES: usize = 256 * 1024;

/// What a log begins with.
pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_be_bytes());
    let seal = xxh3_64(&header[..12]).to_be_bytes();
    header[12..].copy_from_slice(&seal);
    header
}

/// A log that is being read.
pub(super) struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    /// Where the log ends: where the file ended when it was opened, or where a torn frame begins.
    end: u64,
    /// Where the next frame begins.
    next: u64,
    /// The records of the present frame, and how many of their bytes have been handed out.
    payload: Vec<u8>,
    used: usize,
    records: u32,
    torn_bytes: u64,
}

impl Reader {
    /// Opens a log and checks its header; `None` where there is no file.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, TombstoneError> {
        let unreadable = |error| TombstoneError::unreadable(path, "it cannot be read", error);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let end = file.metadata().map_err(unreadable)?.len();
        let mut input = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut found = Vec::new();
        (&mut input)
            .take(HEADER_BYTES as u64)
            .read_to_end(&mut found)
            .map_err(unreadable)?;
        check_header(path, &found)?;
        Ok(Some(Self {
            path: path.to_owned(),
            input,
            end,
            next: HEADER_BYTES as u64,
            payload: Vec::new(),
            used: 0,
            records: 0,
            torn_bytes: 0,
        }))
    }

    /// The next record and its number; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Record<'_>)>, TombstoneError> {
        if self.used == self.payload.len() && !self.next_frame()? {
            return Ok(None);
        }
        let decoded = Record::decode(&self.payload[self.used..]);
        let offset = self.next - (self.payload.len() - self.used) as u64;
        let (record, length) = match decoded {
            Ok(decoded) => decoded,
            Err(BadRecord::Version(found)) => {
                return Err(TombstoneError::OtherFormat {
                    path: self.path.clone(),
                    found: u32::from(found),
                    known: FORMAT,
                });
            }
            Err(BadRecord::Nonsense) => {
                let reason = "its seal is right, and it is no record";
                return Err(TombstoneError::damaged(&self.path, offset, reason));
            }
        };
        self.used += length;
        let number = self.records;
        if number == MAX_RECORDS {
            let reason = "there are more records than a log can hold";
            return Err(TombstoneError::damaged(&self.path, offset, reason));
        }
        self.records += 1;
        Ok(Some((number, record)))
    }

    /// Starts again, and ends where it ended.
    pub(super) fn rewind(&mut self) -> Result<(), TombstoneError> {
        self.input
            .seek(SeekFrom::Start(HEADER_BYTES as u64))
            .map_err(|error| TombstoneError::unreadable(&self.path, "it cannot be read", error))?;
        self.next = HEADER_BYTES as u64;
        self.payload.clear();
        self.used = 0;
        self.records = 0;
        Ok(())
    }

    /// How many records were read.
    pub(super) fn records(&self) -> u32 {
        self.records
    }

    /// Once the end is reached: the length of what is good.
    pub(super) fn good_bytes(&self) -> u64 {
        self.next
    }

    /// Once the end is reached: how many bytes an append that did not finish left behind that.
    pub(super) fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    fn next_frame(&mut self) -> Result<bool, TombstoneError> {
        self.payload.clear();
        self.used = 0;
        if self.next == self.end {
            return Ok(false);
        }
        match self.read_frame() {
            Ok(true) => {
                self.next += (HEAD_BYTES + self.payload.len()) as u64;
                Ok(true)
            }
            Ok(false) => self.judge_rest(),
            // The file has become shorter since it was opened: an append was taken back.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.judge_rest(),
            Err(error) => Err(TombstoneError::unreadable(
                &self.path,
                "it cannot be read",
                error,
            )),
        }
    }

    /// Fills the payload; `false` where no good frame stands.
    fn read_frame(&mut self) -> io::Result<bool> {
        let left = self.end - self.next;
        if left < HEAD_BYTES as u64 {
            return Ok(false);
        }
        let mut head = [0; HEAD_BYTES];
        self.input.read_exact(&mut head)?;
        let Some(head) = Head::read(&head) else {
            return Ok(false);
        };
        if head.offset != self.next || head.payload_bytes as u64 > left - HEAD_BYTES as u64 {
            return Ok(false);
        }
        self.payload.resize(head.payload_bytes, 0);
        self.input.read_exact(&mut self.payload)?;
        Ok(head.fits(&self.payload))
    }

    /// What stands where a frame should: the rest of an append that did not finish, or damage.
    fn judge_rest(&mut self) -> Result<bool, TombstoneError> {
        self.payload.clear();
        let left = self.end - self.next;
        let damaged = |reason| Err(TombstoneError::damaged(&self.path, self.next, reason));
        if left > (HEAD_BYTES + MAX_PAYLOAD_BYTES) as u64 {
            return damaged("a record's seal is wrong, and more follows than one write leaves");
        }
        let rest = read_rest(self.input.get_ref(), self.next, left)
            .map_err(|error| TombstoneError::unreadable(&self.path, "it cannot be read", error))?;
        if frame::any_in(&rest) {
            return damaged("a record's seal is wrong, and good records follow");
        }
        self.torn_bytes = left;
        self.end = self.next;
        Ok(false)
    }
}

/// Up to `length` bytes; fewer where the file has become shorter.
fn read_rest(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).unwrap_or(HEAD_BYTES + MAX_PAYLOAD_BYTES);
    let mut rest = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut rest[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    rest.truncate(filled);
    Ok(rest)
}

fn check_header(path: &Path, found: &[u8]) -> Result<(), TombstoneError> {
    // Logs are made under another name and renamed: a crash leaves no short one.
    let Some(found) = found.first_chunk::<HEADER_BYTES>() else {
        return Err(TombstoneError::damaged(
            path,
            0,
            "it ends within its header",
        ));
    };
    if found[..8] != MAGIC[..] {
        return Err(TombstoneError::damaged(path, 0, "it is no tombstone log"));
    }
    let format = u32::from_be_bytes([found[8], found[9], found[10], found[11]]);
    if found[12..] != xxh3_64(&found[..12]).to_be_bytes() {
        return Err(TombstoneError::damaged(
            path,
            8,
            "its header's seal is wrong",
        ));
    }
    if format != FORMAT {
        return Err(TombstoneError::OtherFormat {
            path: path.to_owned(),
            found: format,
            known: FORMAT,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_these_bytes_for_ever() {
        assert_eq!(
            hex::encode(header()),
            "4d47544f4d42530a00000001b7ec5f96e11ae8d5"
        );
    }
}
