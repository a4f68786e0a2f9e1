//! One process per directory, and which format lies in it.
//!
//! The lock is the kernel's and goes with the process, so nothing is left behind by a crash. The
//! format stands in a file of its own, because opening an index changes it.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::error::{Broken, Kind};

/// The format that this program reads and writes. DISK-FORMAT.md says what belongs to one.
pub(super) const FORMAT: u64 = 1;

/// Longer than the steps of the clock by which files are marked.
const CLOCK_TICK: Duration = Duration::from_millis(15);

const NAME: &str = "lock";
const FIRST_WORDS: &str = "media-gateway disk cache, format ";

/// Held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// When it was taken, by the clock of the file system: that of a file server may be another
    /// than ours.
    pub(super) fn taken(&self) -> SystemTime {
        let modified = self.0.metadata().and_then(|metadata| metadata.modified());
        modified.unwrap_or_else(|_| SystemTime::now())
    }
}

impl Drop for Lock {
    /// Closing the file is not enough while a child that this process has just forked has it too.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Lock {
    /// Takes the lock and writes down the format, if the directory has none yet.
    pub(super) fn take(directory: &Path) -> Result<Self, Broken> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options
            .open(directory.join(NAME))
            .map_err(|error| Broken::io("cannot open the lock", &error))?;
        let mut lock = Self::of(file)?;
        // What was written before gets an older time than what is written from here on.
        std::thread::sleep(CLOCK_TICK);
        // The process is named for people; nothing relies on it.
        let text = format!("{FIRST_WORDS}{FORMAT}\nprocess {}\n", std::process::id());
        let written = lock.0.set_len(0).and_then(|()| {
            lock.0.rewind()?;
            lock.0.write_all(text.as_bytes())
        });
        match written {
            // A full disk must not keep the cache from being opened: opening it is how room is made.
            Err(error) if !super::error::is_full(&error) => {
                Err(Broken::io("cannot write the lock", &error))
            }
            _ => Ok(lock),
        }
    }

    /// Takes the lock of a cache that exists, and changes nothing.
    pub(super) fn borrow(directory: &Path) -> Result<Self, Broken> {
        let path = directory.join(NAME);
        let mut options = OpenOptions::new();
        let file = options.read(true).open(path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                Broken::new(Kind::Absent, "there is no cache in it")
            } else {
                Broken::io("cannot open the lock", &error)
            }
        })?;
        Self::of(file)
    }

    fn of(file: File) -> Result<Self, Broken> {
        let mut lock = Self(file);
        let text = lock.text();
        match flock(&lock.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let holder = text.lines().nth(1).unwrap_or("another process");
                return Err(Broken::new(Kind::Locked, format!("{holder} uses it")));
            }
            Err(error) => return Err(Broken::io("cannot lock it", &error.into())),
        }
        match text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix(FIRST_WORDS))
        {
            Some(format) if format == FORMAT.to_string() => Ok(lock),
            // A crash or a full disk may have cut it; the index has the format too.
            Some("") => Ok(lock),
            None if FIRST_WORDS.starts_with(&text) => Ok(lock),
            Some(format) => Err(Broken::new(
                Kind::Format,
                format!("it has format {format}, and this program knows format {FORMAT}"),
            )),
            None => Err(Broken::new(
                Kind::Format,
                "its file \"lock\" is not of this program",
            )),
        }
    }

    fn text(&mut self) -> String {
        let mut bytes = Vec::new();
        // What cannot be read is no format that could be refused.
        let _ = (&mut self.0).take(200).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
