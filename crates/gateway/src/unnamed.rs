//! Files without a name, so nothing is left of them, however the process ends.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// An empty one, in the system's directory for such files.
///
/// # Errors
/// None can be made there; the message carries the remedy.
pub(crate) fn file() -> io::Result<File> {
    below(&std::env::temp_dir())
}

/// An empty one on the file system of this directory.
///
/// # Errors
/// As [`file`].
pub(crate) fn below(directory: &Path) -> io::Result<File> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let path = directory.join(format!("media-gateway-{}", hex::encode(random)));
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create_new(true).mode(0o600);
    let named = |error: io::Error| {
        let what = format!("{}: {error}; set TMPDIR", path.display());
        io::Error::new(error.kind(), what)
    };
    let file = options.open(&path).map_err(named)?;
    fs::remove_file(&path).map_err(named)?;
    Ok(file)
}
