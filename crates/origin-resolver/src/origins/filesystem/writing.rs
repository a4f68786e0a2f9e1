//! Storing an object as a file, and deleting one.
//!
//! A file gets its name when it is whole and on the disk, with all that is known of it in an
//! extended attribute. Where the file system has none, that goes into a sidecar, unless the file
//! tells it by itself. Nothing is written below a root that cannot prove itself, and the marker is
//! never made here.

use std::fs::{File, FileTimes};
use std::io::{IoSlice, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use object::ObjectKey;
use rustix::fs::{XattrFlags, fsetxattr, fstatvfs};
use rustix::io::Errno;

use super::beneath::Directory;
use super::changes::{self, Temporary};
use super::errno::{Meaning, verdict_of};
use super::metadata::{self, Written};
use super::root::Root;
use super::{layout, look, types};
use crate::origins::outgoing::Digests;
use crate::{Capacity, Erased, Failure, Kept, PutError, Reason, Stored};

/// What is not finished and was not touched for so long belongs to a process that is gone.
const ABANDONED: Duration = Duration::from_hours(1);

/// What writing at one root needs to remember.
pub(super) struct Writing {
    root: Arc<Root>,
    min_free_bytes: Option<u64>,
    /// Held while names change, so that a file and its sidecar change together.
    names: Mutex<()>,
    swept: Mutex<Option<Instant>>,
}

/// A file that is being written.
pub(super) struct Begun {
    root: Directory,
    temporary: Temporary,
    file: File,
}

impl Writing {
    pub(super) fn new(root: Arc<Root>, min_free_bytes: Option<u64>) -> Self {
        Self {
            root,
            min_free_bytes,
            names: Mutex::new(()),
            swept: Mutex::new(None),
        }
    }

    /// Whether the configuration lets objects be written here.
    pub(super) fn allowed(&self) -> Result<u64, Failure> {
        self.min_free_bytes.ok_or_else(|| {
            let path = self.root.path().display();
            let what = format!("{path} is not to be written: set writable = true");
            Failure::new(Reason::Denied, what)
        })
    }

    /// The root, if it proves to be the right one.
    fn trusted(&self) -> Result<Directory, Failure> {
        let directory = self.root.open()?;
        self.root.confirms_a_miss_in(&directory)?;
        Ok(directory)
    }

    /// What may still be written.
    pub(super) fn capacity(&self) -> Result<Capacity, Failure> {
        let root = self.root.open()?;
        self.room_in(&root)
    }

    fn room_in(&self, root: &Directory) -> Result<Capacity, Failure> {
        let space = root
            .opened()
            .and_then(|open| fstatvfs(&open))
            .map_err(|errno| self.failure(errno, "its free space"))?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        Ok(Capacity {
            free_bytes: free.saturating_sub(self.min_free_bytes.unwrap_or(0)),
            free_inodes: if space.f_files == 0 {
                u64::MAX
            } else {
                space.f_favail
            },
        })
    }

    /// Makes a file for an object of this length.
    pub(super) fn begin(
        &self,
        key: &ObjectKey,
        length: u64,
        if_absent: bool,
    ) -> Result<Begun, PutError> {
        let min_free = self.allowed().map_err(PutError::Refused)?;
        if key.is_reserved() {
            let what = "names that begin with .media-gateway are the gateway's own";
            return Err(PutError::Refused(Failure::new(Reason::Denied, what)));
        }
        let root = self.trusted().map_err(PutError::Refused)?;
        self.sweep(&root);
        let free = self.room_in(&root).map_err(PutError::Refused)?;
        if free.free_bytes < length || free.free_inodes == 0 {
            let what = format!(
                "{} has no room for {length} bytes: {} are free beyond the {min_free} of min_free",
                self.root.path().display(),
                free.free_bytes
            );
            return Err(PutError::Refused(Failure::new(Reason::Disk, what)));
        }
        let failed = |errno| PutError::Refused(self.failure(errno, key.as_str()));
        if if_absent && Place::of(&root, key).map_err(failed)?.is_taken {
            return Err(PutError::Exists);
        }
        let (temporary, file) = Temporary::file(&root).map_err(failed)?;
        Ok(Begun {
            root,
            temporary,
            file,
        })
    }

    /// Puts the written file in its place.
    pub(super) fn finish(
        &self,
        begun: Begun,
        key: &ObjectKey,
        length: u64,
        kept: &Kept,
        digests: Digests,
        if_absent: bool,
    ) -> Result<Stored, PutError> {
        let failed = |errno| PutError::Refused(self.failure(errno, key.as_str()));
        let Begun {
            root,
            temporary,
            file,
        } = begun;
        let place = Place::of(&root, key).map_err(failed)?;
        let spelled = match layout::key_at(&place.path) {
            layout::Named::Key(_) => None,
            layout::Named::Shortened | layout::Named::Ours => Some(key),
        };
        let written = Written::of(kept, length, digests.sha256, spelled);
        let modified = kept.modified.unwrap_or_else(SystemTime::now);
        let json = written.to_json();
        // Readers take a longer one for damage.
        let json = if json.len() > metadata::LONGEST_BYTES {
            written.without_metadata().to_json()
        } else {
            json
        };
        let in_attribute =
            fsetxattr(&file, metadata::META_ATTRIBUTE, &json, XattrFlags::empty()).is_ok();
        let sidecar = if in_attribute || says_it_itself(&file, key, &written).map_err(failed)? {
            None
        } else {
            Some(json)
        };
        let times = FileTimes::new().set_modified(modified);
        file.set_times(times)
            .and_then(|()| file.sync_all())
            .map_err(|error| failed(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        self.name(&root, temporary, key, sidecar, if_absent)?;
        let stat = file.metadata();
        Ok(Stored {
            etag: stat.ok().map(|stat| look::tag(&stat)),
            md5: digests.md5,
            sha256: digests.sha256,
        })
    }

    fn name(
        &self,
        root: &Directory,
        temporary: Temporary,
        key: &ObjectKey,
        sidecar: Option<Vec<u8>>,
        if_absent: bool,
    ) -> Result<(), PutError> {
        let failed = |errno| PutError::Refused(self.failure(errno, key.as_str()));
        let _names = self.names.lock().expect("no panic under this lock");
        changes::make_directories_above(root, &layout::file(key)).map_err(failed)?;
        let place = Place::of(root, key).map_err(failed)?;
        if if_absent && place.is_taken {
            return Err(PutError::Exists);
        }
        let beside = layout::sidecar(&place.path);
        if place.is_taken {
            // The old description must not describe the new bytes, nor the new one the old.
            changes::remove(root, &beside).map_err(failed)?;
        } else if let Some(json) = &sidecar {
            write_sidecar(root, &beside, json).map_err(failed)?;
        }
        match temporary.becomes(&place.path, if_absent) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(PutError::Exists),
            Err(errno) => {
                if !place.is_taken && sidecar.is_some() {
                    let _ = changes::remove(root, &beside);
                }
                return Err(failed(errno));
            }
        }
        match sidecar {
            Some(json) if place.is_taken => write_sidecar(root, &beside, &json).map_err(failed),
            Some(_) => Ok(()),
            // Something may have been left there by whoever deleted the file by hand.
            None => changes::remove(root, &beside).map_err(failed),
        }
    }

    /// Deletes an object and what is written about it. Directories stay.
    pub(super) fn erase(&self, key: &ObjectKey, only: Option<&str>) -> Result<Erased, Failure> {
        self.allowed()?;
        let root = self.trusted()?;
        let failed = |errno| self.failure(errno, key.as_str());
        let _names = self.names.lock().expect("no panic under this lock");
        let place = Place::of(&root, key).map_err(failed)?;
        if !place.is_taken {
            return Ok(Erased::default());
        }
        if let Some(only) = only {
            let there = root.look_at(&place.path).map_err(failed)?;
            if *look::tag(&there) != *only {
                return Ok(Erased {
                    versions: 0,
                    spared: true,
                });
            }
        }
        changes::remove(&root, &place.path).map_err(failed)?;
        changes::remove(&root, &layout::sidecar(&place.path)).map_err(failed)?;
        Ok(Erased {
            versions: 1,
            spared: false,
        })
    }

    /// Removes what died unfinished, at most once in [`ABANDONED`].
    fn sweep(&self, root: &Directory) {
        let mut swept = self.swept.lock().expect("no panic under this lock");
        if swept.is_some_and(|at| at.elapsed() < ABANDONED) {
            return;
        }
        *swept = Some(Instant::now());
        match changes::sweep(root, ABANDONED) {
            Ok(0) => {}
            Ok(files) => tracing::info!(
                root = %self.root.path().display(),
                files,
                "removed what an earlier run had not finished"
            ),
            Err(error) => tracing::warn!(
                root = %self.root.path().display(),
                %error,
                "what an earlier run had not finished cannot be removed"
            ),
        }
    }

    pub(super) fn failure(&self, errno: Errno, what: &str) -> Failure {
        let reason = match verdict_of(errno) {
            Meaning::Missing => Reason::Disk,
            Meaning::Unknown(reason) => reason,
        };
        let path = self.root.path().display();
        let said = match errno {
            Errno::XDEV => "the place of this key is on another file system than the root; make \
                            that directory an origin of its own"
                .to_owned(),
            Errno::NOSPC | Errno::DQUOT => "the disk is full".to_owned(),
            errno => errno.to_string(),
        };
        Failure::new(reason, format!("{path}: {what:?}: {said}"))
    }
}

impl Begun {
    /// Writes what comes next.
    pub(super) fn write(&mut self, chunks: &[Bytes]) -> Result<(), Errno> {
        let mut slices: Vec<_> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut slices = &mut slices[..];
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match self.file.write_vectored(slices) {
                Ok(0) => return Err(Errno::IO),
                Ok(count) => IoSlice::advance_slices(&mut slices, count),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
            }
        }
        Ok(())
    }
}

/// Where the file of a key is, or would be.
struct Place {
    path: String,
    is_taken: bool,
}

impl Place {
    fn of(root: &Directory, key: &ObjectKey) -> Result<Self, Errno> {
        let plain = layout::file(key);
        let taken = |path: &str| match root.look_at_itself(path) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(errno),
        };
        let at_plain = taken(&plain)?;
        let is_directory = at_plain.is_some()
            && root
                .look_at(&plain)
                .is_ok_and(|stat| stat.file_type().is_dir());
        if !is_directory {
            return Ok(Self {
                path: plain,
                is_taken: at_plain.is_some(),
            });
        }
        let inside = layout::file_inside(&plain);
        Ok(Self {
            is_taken: taken(&inside)?.is_some(),
            path: inside,
        })
    }
}

/// Whether nothing need be written beside the file.
fn says_it_itself(file: &File, key: &ObjectKey, written: &Written) -> Result<bool, Errno> {
    let mut start = vec![0; types::SNIFFED_BYTES];
    let length = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut start[..], 0))?;
    start.truncate(length);
    Ok(written.goes_without_saying(types::of(key.as_str(), &start).as_deref()))
}

fn write_sidecar(root: &Directory, path: &str, json: &[u8]) -> Result<(), Errno> {
    changes::make_directories_above(root, path)?;
    let (temporary, mut file) = Temporary::file(root)?;
    file.write_all(json)
        .and_then(|()| file.sync_all())
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    temporary.becomes(path, false)
}
