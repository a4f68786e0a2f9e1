//! Why the disk cannot be used, and what an operator can do about it.
//!
//! Sorted by what happens next; nothing in here reaches a viewer.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The disk cannot be used now. The text ends with a remedy.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the disk cache in {directory} cannot be used: {what}; {remedy}")]
pub struct DiskError {
    directory: Arc<str>,
    what: Arc<str>,
    remedy: Arc<str>,
    absent: bool,
}

impl DiskError {
    pub(super) fn new(directory: &Path, broken: &Broken) -> Self {
        Self {
            directory: directory.display().to_string().into(),
            what: broken.what.as_str().into(),
            remedy: remedy(directory, broken.kind).into(),
            absent: broken.kind == Kind::Absent,
        }
    }

    /// Whether there is no cache at all, and so no copy either.
    pub fn is_absence(&self) -> bool {
        self.absent
    }
}

/// What went wrong, by what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// No room: files have to go first.
    Full,
    /// The bytes of the index are not those that were written.
    Damaged,
    /// The disk failed, or refuses.
    Io,
    /// The process may not.
    Denied,
    /// It can only be read.
    ReadOnly,
    /// Another process has it.
    Locked,
    /// Of another version of this program, or of another program.
    Format,
    /// There is no cache.
    Absent,
    /// No answer in time.
    Hangs,
    /// It was closed.
    Closed,
}

/// A failure inside the disk tier.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    pub(super) kind: Kind,
    pub(super) what: String,
}

impl Broken {
    pub(super) fn new(kind: Kind, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { kind, what }
    }

    /// An error of the file system, with what was attempted.
    pub(super) fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(kind_of(error), format!("{what}: {error}"))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn kind_of(error: &io::Error) -> Kind {
    match error.kind() {
        _ if is_full(error) => Kind::Full,
        io::ErrorKind::PermissionDenied => Kind::Denied,
        io::ErrorKind::ReadOnlyFilesystem => Kind::ReadOnly,
        _ => Kind::Io,
    }
}

impl From<redb::Error> for Broken {
    fn from(error: redb::Error) -> Self {
        let kind = match &error {
            // What it says of a file that is not one of its own.
            redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Kind::Damaged,
            redb::Error::Io(error) => kind_of(error),
            redb::Error::Corrupted(text) if text.contains("file format version") => Kind::Format,
            redb::Error::UpgradeRequired(_) => Kind::Format,
            redb::Error::Corrupted(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableDoesNotExist(_)
            | redb::Error::TypeDefinitionChanged { .. } => Kind::Damaged,
            redb::Error::DatabaseAlreadyOpen => Kind::Locked,
            _ => Kind::Io,
        };
        Self::new(kind, format!("the index: {error}"))
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for Broken {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError,
    redb::SetDurabilityError
);

fn remedy(directory: &Path, kind: Kind) -> String {
    let path = directory.display();
    match kind {
        Kind::Full => format!("free space on the file system of {path}, or lower cache.max_size"),
        Kind::Damaged => format!("it is begun anew by itself; if this comes back, test the disk, or empty {path}"),
        Kind::Io | Kind::Hangs => "look at the kernel's log and test the disk; it is tried again by itself".to_owned(),
        Kind::Denied => {
            let uid = rustix::process::geteuid().as_raw();
            let gid = rustix::process::getegid().as_raw();
            format!("run: mkdir -p {path} && chown -R {uid}:{gid} {path}")
        }
        Kind::ReadOnly => format!("mount the file system of {path} so that it can be written"),
        Kind::Locked => "stop the other process, or give each a directory of its own; this one takes over when the other ends".to_owned(),
        Kind::Format => format!("run the version of media-gateway that wrote it, or empty {path}; nothing in it was changed"),
        Kind::Absent => "check cache.directory".to_owned(),
        Kind::Closed => "start it again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_somebody_else_is_answered_with_the_exact_line() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let broken = Broken::io("cannot open it", &denied);
        let text = DiskError::new(Path::new("/var/cache/x"), &broken).to_string();
        let owner = format!(
            "chown -R {}:{} /var/cache/x",
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw()
        );
        assert!(text.ends_with(&owner), "{text}");
    }

    #[test]
    fn no_room_and_no_quota_are_the_same() {
        for number in [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT] {
            assert!(is_full(&number.into()));
        }
        assert!(!is_full(&rustix::io::Errno::IO.into()));
    }
}
