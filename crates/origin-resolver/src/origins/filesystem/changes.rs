//! The single steps by which something changes below a root, each of which a crash leaves done or
//! undone.
//!
//! Names are made in directories that were opened without leaving the root; nothing here decides
//! what is to be written.

use std::fs::File;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, fsync, linkat, mkdirat, openat, renameat, renameat_with,
    unlinkat,
};
use rustix::io::Errno;

use super::beneath::Directory;
use super::layout;

/// A directory that other users may read, as far as the umask allows.
const DIRECTORY_MODE: u32 = 0o777;
const FILE_MODE: u32 = 0o666;

/// The directory in which the last name of a path stands.
pub(super) fn parent<'p>(
    root: &Directory,
    path: &'p str,
) -> Result<(Option<Directory>, &'p str), Errno> {
    match path.rsplit_once('/') {
        Some((above, name)) => Ok((Some(root.below(above)?), name)),
        None => Ok((None, path)),
    }
}

/// Makes the directories above a path durable. An object that stands where one must be moves
/// into it, without a moment in which it is not there.
pub(super) fn make_directories_above(root: &Directory, path: &str) -> Result<(), Errno> {
    for (end, _) in path.match_indices('/') {
        let above = &path[..end];
        match root.below(above) {
            Ok(_) => {}
            Err(Errno::NOTDIR) => move_inside(root, above)?,
            Err(Errno::NOENT) => {
                let (parent, name) = parent(root, above)?;
                let parent = parent.as_ref().unwrap_or(root);
                match mkdirat(parent.descriptor(), name, Mode::from(DIRECTORY_MODE)) {
                    Ok(()) => sync(parent)?,
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Turns the object at `path` into a directory with the object in it: both are made beside, and
/// change places in one step.
fn move_inside(root: &Directory, path: &str) -> Result<(), Errno> {
    // Only an object gives way; anything else keeps its place.
    root.regular_file(path).map_err(|_| Errno::NOTDIR)?;
    let temporary = Temporary::directory(root)?;
    let inside = layout::file_inside(&temporary.name);
    copy_name(root, path, &inside)?;
    let sidecar = layout::sidecar(path);
    if root.look_at(&sidecar).is_ok() {
        let moved = layout::sidecar(&inside);
        make_directories_above(root, &moved)?;
        copy_name(root, &sidecar, &moved)?;
    }
    sync(&root.below(&temporary.name)?)?;
    let (parent, name) = parent(root, path)?;
    let parent = parent.as_ref().unwrap_or(root);
    renameat_with(
        root.descriptor(),
        &temporary.name,
        parent.descriptor(),
        name,
        RenameFlags::EXCHANGE,
    )?;
    sync(parent)?;
    remove(root, &sidecar)
}

fn copy_name(root: &Directory, from: &str, to: &str) -> Result<(), Errno> {
    let (from_parent, from_name) = parent(root, from)?;
    let (to_parent, to_name) = parent(root, to)?;
    linkat(
        from_parent.as_ref().unwrap_or(root).descriptor(),
        from_name,
        to_parent.as_ref().unwrap_or(root).descriptor(),
        to_name,
        AtFlags::empty(),
    )
}

/// Removes a file, or the link that stands there; one that is not there is removed already.
pub(super) fn remove(root: &Directory, path: &str) -> Result<(), Errno> {
    let (parent, name) = match parent(root, path) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        found => found?,
    };
    let parent = parent.as_ref().unwrap_or(root);
    match unlinkat(parent.descriptor(), name, AtFlags::empty()) {
        Ok(()) => sync(parent),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Makes what was done to the names in a directory last.
fn sync(directory: &Directory) -> Result<(), Errno> {
    fsync(directory.opened()?)
}

/// Something in the root that is not finished; it goes when it is dropped.
pub(super) struct Temporary {
    root: Directory,
    name: String,
}

impl Temporary {
    /// A new file, empty.
    pub(super) fn file(root: &Directory) -> Result<(Self, File), Errno> {
        let this = Self::named(root)?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from(FILE_MODE);
        let file = openat(this.root.descriptor(), &this.name, flags, mode)?;
        Ok((this, file.into()))
    }

    fn directory(root: &Directory) -> Result<Self, Errno> {
        let this = Self::named(root)?;
        let mode = Mode::from(DIRECTORY_MODE);
        mkdirat(this.root.descriptor(), &this.name, mode)?;
        Ok(this)
    }

    fn named(root: &Directory) -> Result<Self, Errno> {
        let random = getrandom::u64().map_err(|_| Errno::IO)?;
        Ok(Self {
            root: root.again()?,
            name: format!("{}{random:016x}", layout::TEMPORARY),
        })
    }

    /// Gives the finished file its name; with `new`, only where nothing has that name. Durable
    /// when it returns.
    pub(super) fn becomes(mut self, path: &str, new: bool) -> Result<(), Errno> {
        let (parent, name) = parent(&self.root, path)?;
        let to = parent.as_ref().unwrap_or(&self.root);
        let (root, own) = (self.root.descriptor(), &*self.name);
        if new {
            match renameat_with(root, own, to.descriptor(), name, RenameFlags::NOREPLACE) {
                // Old file systems know no such renaming; a second name is as good.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    linkat(root, own, to.descriptor(), name, AtFlags::empty())?;
                    return sync(to);
                }
                renamed => renamed?,
            }
        } else {
            renameat(root, own, to.descriptor(), name)?;
        }
        let synced = sync(to);
        self.name.clear();
        synced
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            // What cannot be removed now is swept later.
            let _ = clear(&self.root, &self.name);
        }
    }
}

/// Removes what a process that died has left unfinished in the root, if it was not touched for
/// this long. Another gateway may be writing beside this one.
pub(super) fn sweep(root: &Directory, untouched: Duration) -> Result<usize, Errno> {
    let mut swept = 0;
    for entry in root.listing()? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if name.starts_with(layout::TEMPORARY)
            && age(root, name).is_some_and(|age| age >= untouched)
            && clear(root, name).is_ok()
        {
            swept += 1;
        }
    }
    Ok(swept)
}

/// By the time of its last change, which nobody can set: a file about to be finished already has
/// its object's own time.
fn age(root: &Directory, name: &str) -> Option<Duration> {
    use std::os::unix::fs::MetadataExt as _;
    let changed = u64::try_from(root.look_at_itself(name).ok()?.ctime()).ok()?;
    let changed = UNIX_EPOCH + Duration::from_secs(changed);
    Some(
        SystemTime::now()
            .duration_since(changed)
            .unwrap_or_default(),
    )
}

/// A file, or a directory with nothing in it but an object that was to move there.
fn clear(root: &Directory, name: &str) -> Result<(), Errno> {
    match unlinkat(root.descriptor(), name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        removed => return removed,
    }
    let inside = layout::file_inside(name);
    let sidecar = layout::sidecar(&inside);
    for file in [&*sidecar, &*inside] {
        remove(root, file)?;
    }
    let sidecars = sidecar.rsplit_once('/').map_or("", |(above, _)| above);
    for directory in [sidecars, name] {
        match unlinkat(root.descriptor(), directory, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    fn root() -> (tempfile::TempDir, Directory) {
        let here = tempfile::tempdir().unwrap();
        let root = Directory::open(here.path()).unwrap();
        (here, root)
    }

    fn names(here: &tempfile::TempDir) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(here.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_dropped_unfinished_leaves_nothing() {
        let (here, root) = root();
        let (temporary, mut file) = Temporary::file(&root).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(names(&here).len(), 1);
        drop(temporary);
        assert!(names(&here).is_empty());
    }

    #[test]
    fn what_a_killed_process_left_is_swept_when_it_is_old_and_nothing_else() {
        let (here, root) = root();
        // As if the process had been killed before the renaming.
        std::mem::forget(Temporary::file(&root).unwrap().0);
        let directory = Temporary::directory(&root).unwrap();
        fs::write(here.path().join("a"), "a").unwrap();
        copy_name(&root, "a", &layout::file_inside(&directory.name)).unwrap();
        std::mem::forget(directory);
        assert_eq!(sweep(&root, Duration::from_hours(1)), Ok(0));
        assert_eq!(sweep(&root, Duration::ZERO), Ok(2));
        assert_eq!(names(&here), ["a"]);
    }

    #[test]
    fn a_new_name_never_replaces_what_has_it() {
        let (here, root) = root();
        fs::write(here.path().join("a"), "old").unwrap();
        let (temporary, mut file) = Temporary::file(&root).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(temporary.becomes("a", true), Err(Errno::EXIST));
        assert_eq!(fs::read(here.path().join("a")).unwrap(), b"old");
        let (temporary, _file) = Temporary::file(&root).unwrap();
        temporary.becomes("a", false).unwrap();
        assert!(fs::read(here.path().join("a")).unwrap().is_empty());
        assert_eq!(names(&here), ["a"]);
    }

    #[test]
    fn an_object_moves_into_the_directory_that_takes_its_name_with_its_sidecar() {
        let (here, root) = root();
        fs::write(here.path().join("a"), "object").unwrap();
        fs::create_dir(here.path().join(".media-gateway-meta")).unwrap();
        fs::write(here.path().join(".media-gateway-meta/a.json"), "{}").unwrap();
        make_directories_above(&root, "a/b/c").unwrap();
        let own = here.path().join("a/.media-gateway-self");
        assert_eq!(fs::read(own).unwrap(), b"object");
        let sidecar = "a/.media-gateway-meta/.media-gateway-self.json";
        assert!(here.path().join(sidecar).exists());
        assert!(!here.path().join(".media-gateway-meta/a.json").exists());
        assert!(here.path().join("a/b").is_dir());
        assert_eq!(names(&here), [".media-gateway-meta", "a"]);
    }

    #[test]
    fn nothing_is_made_outside_of_the_root() {
        let (here, root) = root();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), here.path().join("out")).unwrap();
        make_directories_above(&root, "out/b/c").unwrap_err();
        assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
    }
}
