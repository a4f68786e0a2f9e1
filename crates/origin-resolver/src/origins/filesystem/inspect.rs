//! What an operator wants to see of a directory before it becomes an origin, and the marker that
//! makes it one.
//!
//! For commands; nothing here is on the way of a request.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, ReadDir};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::io::Errno;

use super::root::Root;

/// How many entries are looked at: enough to tell a media directory from an empty mount point.
const SAMPLE: usize = 1000;

const MARKER_TEXT: &str = "\
This file tells media-gateway that the right volume is mounted here.
While it is absent, no file counts as missing. Do not delete it.
";

/// What stands at a root's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootReport {
    /// The device's number, as `stat` gives it.
    pub device: u64,
    /// The size of the file system in bytes.
    pub total_bytes: u64,
    /// What is free for this user, in bytes.
    pub free_bytes: u64,
    /// Whether the marker is there; `false` where it is turned off.
    pub marker_present: bool,
    /// Entries of the directory and of those in it, up to 1000, without the gateway's own.
    pub entries_sampled: usize,
    /// The first file among them that this process may not read, with its owner and mode.
    pub unreadable: Option<String>,
}

pub(super) fn inspect(root: &Root) -> io::Result<RootReport> {
    let directory = File::open(root.path())?;
    let space = rustix::fs::fstatvfs(&directory)?;
    let mut sample = Sample::default();
    sample.take(std::fs::read_dir(root.path())?, 1)?;
    Ok(RootReport {
        device: directory.metadata()?.dev(),
        total_bytes: space.f_blocks.saturating_mul(space.f_frsize),
        free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
        marker_present: !root.marker().is_empty()
            && root.path().join(root.marker()).try_exists()?,
        entries_sampled: sample.entries,
        unreadable: sample.unreadable,
    })
}

pub(super) fn create_marker(root: &Root) -> io::Result<()> {
    if root.marker().is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "this origin's marker is turned off",
        ));
    }
    let path = root.path().join(root.marker());
    let mut options = OpenOptions::new();
    // Another user's gateway has to see it.
    options.write(true).create_new(true).mode(0o644);
    let mut marker = options.open(&path)?;
    marker.write_all(MARKER_TEXT.as_bytes())?;
    marker.sync_all()?;
    File::open(path.parent().unwrap_or(root.path()))?.sync_all()
}

/// The first path segments of keys, as `misskey/`; at most `most` of them, sorted.
pub(super) fn top_prefixes(root: &Path, most: usize) -> io::Result<Vec<String>> {
    let mut prefixes = Vec::new();
    for entry in std::fs::read_dir(root)?.take(100 * SAMPLE) {
        let entry = entry?;
        if is_ours(&entry.file_name()) || !entry.file_type()?.is_dir() {
            continue;
        }
        if let Ok(name) = entry.file_name().into_string() {
            prefixes.push(format!("{name}/"));
            if prefixes.len() == most {
                break;
            }
        }
    }
    prefixes.sort_unstable();
    Ok(prefixes)
}

/// Whether a name belongs to the gateway or the file system, and so to no object.
fn is_ours(name: &OsStr) -> bool {
    name.as_bytes()
        .starts_with(object::RESERVED_NAME.as_bytes())
        || name == "lost+found"
}

#[derive(Default)]
struct Sample {
    entries: usize,
    unreadable: Option<String>,
}

impl Sample {
    fn take(&mut self, directory: ReadDir, deeper: usize) -> io::Result<()> {
        for entry in directory {
            if self.entries == SAMPLE {
                break;
            }
            let entry = entry?;
            if is_ours(&entry.file_name()) {
                continue;
            }
            self.entries += 1;
            let kind = entry.file_type()?;
            if kind.is_file() {
                self.try_to_read(&entry.path());
            } else if kind.is_dir() && deeper > 0 {
                match std::fs::read_dir(entry.path()) {
                    Ok(inside) => self.take(inside, deeper - 1)?,
                    Err(error) => self.note(&entry.path(), &error),
                }
            }
        }
        Ok(())
    }

    fn try_to_read(&mut self, path: &Path) {
        if self.unreadable.is_none()
            && let Err(error) = File::open(path)
        {
            self.note(path, &error);
        }
    }

    fn note(&mut self, path: &Path, error: &io::Error) {
        let denied = Errno::from_io_error(error) == Some(Errno::ACCESS);
        if denied
            && self.unreadable.is_none()
            && let Ok(stat) = path.symlink_metadata()
        {
            self.unreadable = Some(format!(
                "{} is owned by uid {}, mode {:04o}; this process runs as uid {}",
                path.display(),
                stat.uid(),
                stat.mode() & 0o7777,
                rustix::process::geteuid().as_raw()
            ));
        }
    }
}
