//! Why tombstones cannot be read or kept; each message carries what to do.

use std::io;
use std::path::{Path, PathBuf};

use super::record::TooLong;
use crate::files;

/// What mends a damaged log. Said in full: moving it away is easy, and has a price.
const MEND: &str = "put the file back from a backup of the state directory; or move it away and \
    run `media-gateway state import FILE` with an export. Without either, moving it away lets \
    whatever was deleted be served again";

/// Why tombstones cannot be read or kept; the message carries the remedy.
#[derive(Debug, thiserror::Error)]
pub enum TombstoneError {
    /// The file system refuses to give the log.
    #[error("{}: {what}: {source}; {remedy}", path.display())]
    Unreadable {
        /// The log.
        path: PathBuf,
        /// What failed.
        what: &'static str,
        /// What mends it.
        remedy: String,
        /// The refusal.
        source: io::Error,
    },
    /// There is something in the log that this program did not write.
    #[error("{}: damaged at byte {offset}: {reason}; {MEND}", path.display())]
    Damaged {
        /// The log.
        path: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// Another version of this program wrote the log. It was left as it is.
    #[error(
        "{}: its format is {found}, and this version knows {known}; run the version that wrote it, and there `media-gateway state export FILE`",
        path.display()
    )]
    OtherFormat {
        /// The log.
        path: PathBuf,
        /// The format that it says it has.
        found: u32,
        /// The format known here.
        known: u32,
    },
    /// Nothing was recorded, and nothing has changed.
    #[error("{}: nothing was recorded: {source}", path.display())]
    NotRecorded {
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An earlier failure left the log in a state that cannot be put right; until it can, nothing
    /// is recorded.
    #[error(
        "{}: nothing was recorded: an earlier failed write cannot be undone: {source}",
        path.display()
    )]
    Unmended {
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The log was moved, replaced or deleted under the running process.
    #[error(
        "{}: nothing was recorded: the file was replaced or removed while in use; put it back, or restart the gateway to work with what is there now",
        path.display()
    )]
    Replaced {
        /// The log.
        path: PathBuf,
    },
    /// A part of what shall be recorded is too long.
    #[error("nothing was recorded: a {what} cannot be longer than {most} bytes")]
    TooLong {
        /// Which part.
        what: &'static str,
        /// The most bytes.
        most: usize,
    },
}

impl TombstoneError {
    pub(super) fn unreadable(path: &Path, what: &'static str, source: io::Error) -> Self {
        let directory = path.parent().unwrap_or(path);
        let remedy = match source.kind() {
            io::ErrorKind::PermissionDenied => files::chown_remedy(directory),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "make room on its file system".to_owned()
            }
            _ => "look after its disk and file system".to_owned(),
        };
        Self::Unreadable {
            path: path.to_owned(),
            what,
            remedy,
            source,
        }
    }

    pub(super) fn damaged(path: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            offset,
            reason: reason.into(),
        }
    }
}

impl From<TooLong> for TombstoneError {
    fn from(TooLong { what, most }: TooLong) -> Self {
        Self::TooLong { what, most }
    }
}
