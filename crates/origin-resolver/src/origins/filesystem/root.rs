//! Whether the directory that stands at the root's path is the one that was meant.
//!
//! A volume that is not mounted leaves an empty directory behind, and everything would be
//! missing. So no absence counts before the root has been opened anew and shown its marker (or,
//! where the operator turned the marker off, at least one entry), on the device on which this
//! process first found it so. What is found needs no such proof.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::io::Errno;

use super::beneath::Directory;
use super::errno::{Meaning, verdict_of};
use crate::{Failure, FilesystemSettings, Reason};

/// The root's path and what is remembered of it.
pub(super) struct Root {
    path: PathBuf,
    marker: Box<str>,
    /// The device of the first root that proved itself.
    device: OnceLock<u64>,
}

impl Root {
    /// Touches nothing.
    pub(super) fn new(settings: &FilesystemSettings) -> Self {
        Self {
            path: settings.root.clone(),
            marker: settings.marker.clone(),
            device: OnceLock::new(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The marker's name; empty where the operator turned it off.
    pub(super) fn marker(&self) -> &str {
        &self.marker
    }

    /// Opens what stands at the root's path now.
    pub(super) fn open(&self) -> Result<Directory, Failure> {
        Directory::open(&self.path).map_err(|errno| self.failure(errno))
    }

    /// Whether a key that was not found in `looked_in` is really not there.
    pub(super) fn confirms_a_miss_in(&self, looked_in: &Directory) -> Result<(), Failure> {
        let now = self.open()?;
        if self.identity(&now)? != self.identity(looked_in)? {
            return Err(self.untrusted("was replaced while it was read"));
        }
        self.prove(&now)
    }

    /// Remembers the device of a root that proves itself, once; what is found tells no less of
    /// where the right volume is than what is missing.
    pub(super) fn learn(&self, root: &Directory) {
        if self.device.get().is_none() {
            // A root that cannot prove itself now is judged when something is missing in it.
            let _ = self.prove(root);
        }
    }

    fn prove(&self, root: &Directory) -> Result<(), Failure> {
        if self.marker.is_empty() {
            if is_empty(root).map_err(|errno| self.failure(errno))? {
                return Err(self.untrusted("is empty: is the volume mounted?"));
            }
        } else {
            match root.look_at(&self.marker) {
                Ok(_) => {}
                Err(errno) if verdict_of(errno) == Meaning::Missing => {
                    return Err(self.untrusted(&format!(
                        "has no marker {:?}: is the volume mounted? \
                         A new directory is marked by \"origin init\"",
                        self.marker
                    )));
                }
                Err(errno) => return Err(self.failure(errno)),
            }
        }
        let (device, _) = self.identity(root)?;
        if *self.device.get_or_init(|| device) != device {
            return Err(self.untrusted(
                "is on another device than before: if that is meant, reload the gateway",
            ));
        }
        Ok(())
    }

    fn identity(&self, root: &Directory) -> Result<(u64, u64), Failure> {
        let metadata = root.metadata().map_err(|errno| self.failure(errno))?;
        Ok((metadata.dev(), metadata.ino()))
    }

    fn untrusted(&self, why: &str) -> Failure {
        Failure::new(Reason::Disk, format!("{} {why}", self.path.display()))
    }

    /// A root that cannot be opened is never an absence, whatever the error.
    fn failure(&self, errno: Errno) -> Failure {
        let reason = match verdict_of(errno) {
            Meaning::Missing => Reason::Disk,
            Meaning::Unknown(reason) => reason,
        };
        Failure::new(reason, format!("{}: {errno}", self.path.display()))
    }
}

/// A file system that was just made is empty too.
fn is_empty(root: &Directory) -> Result<bool, Errno> {
    for entry in root.listing()? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b".." | b"lost+found") {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(path: &Path, marker: &str) -> Root {
        Root::new(&FilesystemSettings {
            root: path.to_owned(),
            marker: marker.into(),
            min_free_bytes: None,
        })
    }

    fn judged(root: &Root) -> Result<(), Failure> {
        root.confirms_a_miss_in(&root.open()?)
    }

    #[test]
    fn a_root_on_another_device_than_the_first_is_not_believed() {
        let here = tempfile::tempdir().unwrap();
        std::fs::write(here.path().join("m"), "").unwrap();
        let root = root(here.path(), "m");
        judged(&root).unwrap();
        assert_eq!(
            root.device.get().copied(),
            Some(here.path().metadata().unwrap().dev())
        );

        let elsewhere = Root {
            device: OnceLock::from(u64::MAX),
            ..root
        };
        let failure = judged(&elsewhere).unwrap_err();
        assert_eq!(failure.reason, Reason::Disk);
        assert!(failure.what.contains("another device"), "{failure}");
    }

    #[test]
    fn a_mount_point_seen_before_its_volume_is_not_remembered() {
        let here = tempfile::tempdir().unwrap();
        for marker in ["m", ""] {
            let root = root(here.path(), marker);
            root.learn(&root.open().unwrap());
            judged(&root).unwrap_err();
            assert_eq!(root.device.get(), None);
        }
    }

    #[test]
    fn a_fresh_file_system_counts_as_empty() {
        let here = tempfile::tempdir().unwrap();
        std::fs::create_dir(here.path().join("lost+found")).unwrap();
        let root = root(here.path(), "");
        judged(&root).unwrap_err();
        std::fs::write(here.path().join("x"), "").unwrap();
        judged(&root).unwrap();
    }

    #[test]
    fn a_root_swapped_between_the_look_and_the_check_is_not_believed() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("root");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("m"), "").unwrap();
        let root = root(&path, "m");
        let before = root.open().unwrap();
        std::fs::rename(&path, above.path().join("old")).unwrap();
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("m"), "").unwrap();
        root.confirms_a_miss_in(&before).unwrap_err();
    }
}
