//! One question put to the directory, from the key to the first bytes, in one blocking go.
//!
//! Everything here may hang for as long as the disk does; whoever calls it keeps that away from
//! the rest of the process.

use std::fs::{File, Metadata as Stat};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use object::{ByteRange, ObjectHead, ObjectKey, Proofs, Validator};
use rustix::io::Errno;

use super::beneath::{Directory, Obstacle};
use super::errno::{Meaning, verdict_of};
use super::reader::Reader;
use super::root::Root;
use super::{layout, metadata, types};
use crate::{Aside, Extent, Failure, Part, Question, Reason};

/// A file that changed less than this long ago may change again without its times telling.
const SETTLES_AFTER: Duration = Duration::from_secs(2);
/// A time this far in the future is a mistake of whoever set it, not a clock that is ahead.
const NO_CLOCK_IS_AHEAD_BY: Duration = Duration::from_hours(24);

/// What the directory said.
pub(super) enum Looked {
    Found(Box<Sighting>),
    Missing,
    Changed,
    Unknown(Failure),
}

/// An object that is there.
pub(super) struct Sighting {
    pub(super) head: ObjectHead,
    pub(super) aside: Aside,
    pub(super) extent: Extent,
    /// The first of the wanted bytes.
    pub(super) first: Vec<Bytes>,
    /// Where the rest comes from, if there is more.
    pub(super) rest: Option<Reader>,
}

/// Answers a question.
pub(super) fn look(root: &Root, origin: &str, question: &Question) -> Looked {
    let directory = match root.open() {
        Ok(directory) => directory,
        Err(failure) => return Looked::Unknown(failure),
    };
    let answer = find(&directory, question).and_then(|found| found.describe(origin, question));
    match answer {
        Ok(looked) => {
            root.learn(&directory);
            looked
        }
        Err(Trouble::Absent) => match root.confirms_a_miss_in(&directory) {
            Ok(()) => Looked::Missing,
            Err(failure) => Looked::Unknown(failure),
        },
        Err(Trouble::Unknown(failure)) => Looked::Unknown(failure),
    }
}

/// Why there is nothing to describe.
enum Trouble {
    /// No file is there; whether that means anything is the root's to say.
    Absent,
    Unknown(Failure),
}

impl Trouble {
    fn disk(what: String) -> Self {
        Self::Unknown(Failure::new(Reason::Disk, what))
    }

    fn of(errno: Errno, directory: &Directory, path: &str) -> Self {
        match verdict_of(errno) {
            Meaning::Missing
                if errno == Errno::NOENT && directory.ends_in_a_dangling_link(path) =>
            {
                Self::disk(format!("{path:?} leads to a link whose target is gone"))
            }
            Meaning::Missing => Self::Absent,
            Meaning::Unknown(Reason::Denied) => Self::Unknown(Failure::new(
                Reason::Denied,
                who_may_not_read(directory, path),
            )),
            Meaning::Unknown(reason) => {
                Self::Unknown(Failure::new(reason, format!("{path:?}: {errno}")))
            }
        }
    }
}

/// A file that is open.
struct Opened<'a> {
    directory: &'a Directory,
    path: String,
    file: File,
    stat: Stat,
}

fn find<'a>(directory: &'a Directory, question: &Question) -> Result<Opened<'a>, Trouble> {
    let plain = layout::file(&question.key);
    let (path, opened) = match directory.regular_file(&plain) {
        Err(Obstacle::Directory) => {
            let inside = layout::file_inside(&plain);
            let opened = directory.regular_file(&inside);
            (inside, opened)
        }
        opened => (plain, opened),
    };
    match opened {
        Ok((file, stat)) => Ok(Opened {
            directory,
            path,
            file,
            stat,
        }),
        Err(Obstacle::Errno(errno)) => Err(Trouble::of(errno, directory, &path)),
        Err(Obstacle::Directory) => Err(Trouble::of(Errno::ISDIR, directory, &path)),
        Err(Obstacle::Irregular(kind)) => Err(Trouble::disk(format!("{path:?} is {kind}"))),
    }
}

impl Opened<'_> {
    fn describe(self, origin: &str, question: &Question) -> Result<Looked, Trouble> {
        let validator = validator(&self.stat, SystemTime::now());
        if let Some(only) = &question.only
            && !validator.as_ref().is_some_and(|now| now.proves_same(only))
        {
            return Ok(Looked::Changed);
        }
        let (head, aside) = self.head(validator, &question.key)?;
        let length = self.stat.len();
        let extent = match question.part {
            Part::Head => Extent::None,
            Part::Whole => Extent::Bytes(ByteRange::whole(length)),
            Part::Range(range) => range
                .resolve(length)
                .map_or(Extent::Unsatisfiable, Extent::Bytes),
        };
        let mut first = Vec::new();
        let mut rest = None;
        if let Extent::Bytes(range) = extent {
            let mut reader = Reader::new(origin, self.file, &self.stat, range);
            // A disk that cannot give the first bytes is asked nothing more: somebody else may.
            first = reader
                .read()
                .map_err(|error| Trouble::disk(error.what.into()))?;
            rest = (!reader.is_done()).then_some(reader);
        }
        Ok(Looked::Found(Box::new(Sighting {
            head,
            aside,
            extent,
            first,
            rest,
        })))
    }

    fn head(
        &self,
        validator: Option<Validator>,
        key: &ObjectKey,
    ) -> Result<(ObjectHead, Aside), Trouble> {
        let written = metadata::read(self.directory, &self.path, &self.file, &self.stat);
        let content_type = match written.content_type {
            Some(written) => Some(written),
            None => self.sniff(key)?,
        };
        let head = ObjectHead {
            length: Some(self.stat.len()),
            content_type,
            content_disposition: written.content_disposition,
            content_encoding: written.content_encoding,
            content_language: written.content_language,
            last_modified: written
                .last_modified
                .or_else(|| metadata::http_time(self.stat.mtime())),
            validator,
            proofs: Proofs {
                own: written.sha256,
                ..Proofs::default()
            },
        };
        Ok((head, written.aside))
    }

    fn sniff(&self, key: &ObjectKey) -> Result<Option<Box<str>>, Trouble> {
        let mut start = vec![0; types::SNIFFED_BYTES];
        let length = rustix::io::retry_on_intr(|| rustix::io::pread(&self.file, &mut start[..], 0))
            .map_err(|errno| Trouble::of(errno, self.directory, &self.path))?;
        start.truncate(length);
        // By the key's own name: an escape takes the extension away.
        Ok(types::of(key.as_str(), &start))
    }
}

/// The version of a file, unless it may still be growing.
pub(super) fn validator(stat: &Stat, now: SystemTime) -> Option<Validator> {
    let modified = u64::try_from(stat.mtime())
        .ok()
        .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    // A time before 1970 is not a recent one.
    let settled = modified.is_none_or(|modified| match now.duration_since(modified) {
        Ok(age) => age >= SETTLES_AFTER,
        Err(ahead) => ahead.duration() > NO_CLOCK_IS_AHEAD_BY,
    });
    settled.then(|| Validator::Strong(tag(stat)))
}

/// The entity tag of a file as it is now.
pub(super) fn tag(stat: &Stat) -> Box<str> {
    format!(
        "\"{:x}-{:x}-{}.{:09}-{}.{:09}\"",
        stat.ino(),
        stat.len(),
        stat.mtime(),
        stat.mtime_nsec(),
        stat.ctime(),
        stat.ctime_nsec()
    )
    .into()
}

/// Names the file or directory that is closed to this process, and both users.
fn who_may_not_read(directory: &Directory, path: &str) -> String {
    let ends = path.match_indices('/').map(|(at, _)| at);
    let mut closed = None;
    for end in ends.chain([path.len()]) {
        match directory.look_at(&path[..end]) {
            Ok(stat) => closed = Some((&path[..end], stat)),
            // The directory before it, which must not be searched, is what is closed.
            Err(_) => break,
        }
    }
    let me = rustix::process::geteuid().as_raw();
    match closed {
        Some((path, stat)) => format!(
            "{path:?} is owned by uid {}, mode {:04o}; the gateway runs as uid {me}",
            stat.uid(),
            stat.mode() & 0o7777
        ),
        None => format!("{path:?} cannot be read; the gateway runs as uid {me}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat_of(modified: SystemTime) -> Stat {
        let file = tempfile::tempfile().unwrap();
        file.set_modified(modified).unwrap();
        file.metadata().unwrap()
    }

    #[test]
    fn a_file_that_may_still_grow_has_no_validator() {
        let now = SystemTime::now();
        let hour = Duration::from_hours(1);
        for (modified, settled) in [
            (now, false),
            (now - Duration::from_secs(1), false),
            (now - SETTLES_AFTER, true),
            (now + hour, false),
            (now + 48 * hour, true),
            (UNIX_EPOCH - hour, true),
        ] {
            let stat = stat_of(modified);
            assert_eq!(validator(&stat, now).is_some(), settled, "{modified:?}");
        }
    }

    #[test]
    fn another_nanosecond_is_another_version() {
        let then = SystemTime::now() - Duration::from_hours(1);
        let file = tempfile::tempfile().unwrap();
        let version = |modified| {
            file.set_modified(modified).unwrap();
            validator(&file.metadata().unwrap(), SystemTime::now()).unwrap()
        };
        let first = version(then);
        assert!(!first.proves_same(&version(then + Duration::from_nanos(1))));
    }
}
