//! Opens files below a directory and never anywhere else.
//!
//! The kernel resolves the path in one call (`openat2` with `RESOLVE_BENEATH`), so that no
//! renaming meanwhile can lead outside. Links that stay inside are followed. Where that call is
//! not to be had (an old kernel or container runtime), the path is walked a segment at a time
//! and every link is refused. Nothing here judges what an error means.

use std::fs::{File, Metadata};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// `openat2` says EAGAIN when a rename raced with it; more than this is no coincidence.
const TRIES: usize = 8;

/// An open directory.
pub(super) struct Directory(File);

/// Why there is no file to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The system refused.
    Errno(Errno),
    /// A directory stands there.
    Directory,
    /// Something stands there that must not be read: its kind.
    Irregular(&'static str),
}

impl From<Errno> for Obstacle {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl Directory {
    /// Opens the directory itself, following links as the operator wrote them.
    pub(super) fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, path, flags, Mode::empty())?.into()))
    }

    /// The same directory, for somebody else to hold.
    pub(super) fn again(&self) -> Result<Self, Errno> {
        let again = self.0.try_clone();
        Ok(Self(again.map_err(|error| {
            Errno::from_io_error(&error).unwrap_or(Errno::IO)
        })?))
    }

    /// Its device, inode and so on.
    pub(super) fn metadata(&self) -> Result<Metadata, Errno> {
        stat(&self.0)
    }

    /// Opens a regular file for reading; never waits for a FIFO's writer.
    pub(super) fn regular_file(&self, path: &str) -> Result<(File, Metadata), Obstacle> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.at(path, flags)?;
        let metadata = stat(&file)?;
        let kind = metadata.file_type();
        if kind.is_file() {
            Ok((file, metadata))
        } else if kind.is_dir() {
            Err(Obstacle::Directory)
        } else if kind.is_fifo() {
            Err(Obstacle::Irregular("a FIFO"))
        } else if kind.is_block_device() || kind.is_char_device() {
            Err(Obstacle::Irregular("a device"))
        } else {
            Err(Obstacle::Irregular("not a regular file"))
        }
    }

    /// What stands at `path`, links followed; needs no right to read it.
    pub(super) fn look_at(&self, path: &str) -> Result<Metadata, Errno> {
        stat(&self.at(path, OFlags::PATH)?)
    }

    /// A directory below this one, links followed; needs no right to list it.
    pub(super) fn below(&self, path: &str) -> Result<Self, Errno> {
        Ok(Self(self.at(path, OFlags::PATH | OFlags::DIRECTORY)?))
    }

    /// What stands at `path`, be it a link.
    pub(super) fn look_at_itself(&self, path: &str) -> Result<Metadata, Errno> {
        stat(&self.at(path, OFlags::PATH | OFlags::NOFOLLOW)?)
    }

    /// For calls that take a directory and a single name in it.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Opens the directory itself for listing.
    pub(super) fn listing(&self) -> Result<rustix::fs::Dir, Errno> {
        rustix::fs::Dir::new(self.opened()?)
    }

    /// The directory itself, open for more than looking names up in it.
    pub(super) fn opened(&self) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat(&self.0, ".", flags, Mode::empty())?.into())
    }

    /// Whether `path`, which was not found, leads through a link whose target is gone. Then its
    /// absence says nothing: the target may be a disk that is not mounted.
    pub(super) fn ends_in_a_dangling_link(&self, path: &str) -> bool {
        let mut path = path;
        loop {
            // The longest part of the path that is there: a link, or the directory in which
            // the next name is missing.
            match self.at(path, OFlags::PATH | OFlags::NOFOLLOW) {
                Err(Errno::NOENT) => match path.rsplit_once('/') {
                    Some((parent, _)) => path = parent,
                    None => return false,
                },
                Err(_) => return false,
                Ok(found) => {
                    return stat(&found).is_ok_and(|found| found.file_type().is_symlink())
                        && matches!(self.look_at(path), Err(Errno::NOENT));
                }
            }
        }
    }

    fn at(&self, path: &str, flags: OFlags) -> Result<File, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut tries = 0;
        loop {
            match openat2(&self.0, path, flags, Mode::empty(), resolve) {
                Ok(file) => return Ok(file.into()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if tries < TRIES => tries += 1,
                // Old container runtimes answer EPERM for calls that they do not know.
                Err(Errno::NOSYS | Errno::PERM) => return self.step_by_step(path, flags),
                Err(errno) => return Err(errno),
            }
        }
    }

    fn step_by_step(&self, path: &str, flags: OFlags) -> Result<File, Errno> {
        let mut inside: Option<File> = None;
        let mut rest = path;
        while let Some((name, after)) = rest.split_once('/') {
            let step = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let next = self.one_name(inside.as_ref(), name, step)?;
            let kind = stat(&next)?.file_type();
            // With O_DIRECTORY a link would read as ENOTDIR, and so as missing.
            if kind.is_symlink() {
                return Err(Errno::LOOP);
            }
            if !kind.is_dir() {
                return Err(Errno::NOTDIR);
            }
            inside = Some(next);
            rest = after;
        }
        let last = self.one_name(inside.as_ref(), rest, flags | OFlags::NOFOLLOW)?;
        if !flags.contains(OFlags::NOFOLLOW) && stat(&last)?.file_type().is_symlink() {
            return Err(Errno::LOOP);
        }
        Ok(last)
    }

    fn one_name(&self, inside: Option<&File>, name: &str, flags: OFlags) -> Result<File, Errno> {
        if matches!(name, "" | "." | "..") {
            return Err(Errno::XDEV);
        }
        let directory = inside.unwrap_or(&self.0);
        loop {
            match openat(directory, name, flags, Mode::empty()) {
                Ok(file) => return Ok(file.into()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

fn stat(file: &File) -> Result<Metadata, Errno> {
    file.metadata()
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn tree() -> (tempfile::TempDir, Directory) {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        std::fs::create_dir_all(root.join("d")).unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        std::fs::write(root.join("d/file"), "f").unwrap();
        symlink("d/file", root.join("inside")).unwrap();
        symlink("d", root.join("directory-link")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink(outside.path().join("secret"), root.join("absolute")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("gone", root.join("dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let directory = Directory::open(&root).unwrap();
        (outside, directory)
    }

    fn obstacle(directory: &Directory, path: &str) -> Obstacle {
        directory.regular_file(path).unwrap_err()
    }

    #[test]
    fn links_are_followed_inside_and_refused_outside() {
        let (_guard, root) = tree();
        for path in ["d/file", "inside", "directory-link/file"] {
            root.regular_file(path).unwrap();
        }
        for path in [
            "out",
            "absolute",
            "up/secret",
            "../secret",
            "d/../../secret",
        ] {
            assert_eq!(obstacle(&root, path), Errno::XDEV.into(), "{path}");
        }
        assert_eq!(obstacle(&root, "loop"), Errno::LOOP.into());
    }

    #[test]
    fn a_walk_a_segment_at_a_time_refuses_every_link_and_never_calls_one_missing() {
        let (_guard, root) = tree();
        let open = |path: &str| root.step_by_step(path, OFlags::RDONLY | OFlags::NONBLOCK);
        open("d/file").unwrap();
        for path in [
            "inside",
            "directory-link/file",
            "out",
            "up/secret",
            "dangling",
        ] {
            assert_eq!(open(path).unwrap_err(), Errno::LOOP, "{path}");
        }
        for path in ["../secret", "d/../../secret", "/d/file", "d//file"] {
            assert_eq!(open(path).unwrap_err(), Errno::XDEV, "{path}");
        }
        assert_eq!(open("d/none").unwrap_err(), Errno::NOENT);
        assert_eq!(open("d/file/x").unwrap_err(), Errno::NOTDIR);
        let path_only = root.step_by_step("inside", OFlags::PATH);
        assert_eq!(path_only.unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn a_link_whose_target_is_gone_is_told_from_a_name_that_never_was() {
        let (_guard, root) = tree();
        for path in ["dangling", "dangling/below/it"] {
            assert!(root.ends_in_a_dangling_link(path), "{path}");
        }
        for path in ["none", "d/none/x", "directory-link/none"] {
            assert!(!root.ends_in_a_dangling_link(path), "{path}");
        }
    }
}
