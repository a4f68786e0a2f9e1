//! Files that a crash leaves old or new, never half, and that nobody else may read.
//!
//! Knows nothing of what is in them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const PRIVATE: u32 = 0o600;
/// The bits of a mode that let others in.
pub(crate) const OTHERS: u32 = 0o077;

/// How files of the state directory are opened to be written.
pub(crate) fn private() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).mode(PRIVATE);
    options
}

/// Takes away what a copy or another umask has given to others.
pub(crate) fn make_private(file: &File) -> io::Result<()> {
    let mode = file.metadata()?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    file.set_permissions(fs::Permissions::from_mode(PRIVATE))
}

/// The name under which a file's successor is written.
pub(crate) fn successor(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!(".{name}.new"))
}

/// Writes a file's successor, makes it durable and puts it in the file's place. Only after
/// [`sync_directory`] does that survive a power cut.
pub(crate) fn replace<E: From<io::Error>>(
    directory: &Path,
    name: &str,
    write: impl FnOnce(&mut File) -> Result<(), E>,
) -> Result<File, E> {
    let path = successor(directory, name);
    let written = private()
        .create(true)
        .truncate(true)
        .open(&path)
        .map_err(E::from)
        .and_then(|mut file| {
            write(&mut file)?;
            file.sync_all()?;
            fs::rename(&path, directory.join(name))?;
            Ok(file)
        });
    if written.is_err() {
        // What is half written may be what fills the disk.
        let _ = fs::remove_file(&path);
    }
    written
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// The command that gives the directory and all that is in it to this process's user.
pub(crate) fn chown_remedy(directory: &Path) -> String {
    let (uid, gid) = user();
    format!("run: sudo chown -R {uid}:{gid} '{}'", directory.display())
}

/// The command that makes the directory.
pub(crate) fn install_remedy(directory: &Path) -> String {
    let (uid, gid) = user();
    format!(
        "run: sudo install -d -o {uid} -g {gid} -m 0700 '{}'",
        directory.display()
    )
}

fn user() -> (u32, u32) {
    (
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    )
}

/// Seconds since 1970; 0 where the clock stands before that.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
