//! Notices that the files of the configuration have changed.
//!
//! Looks at them each second instead of being told by the kernel: that also works for a directory
//! that a network or Docker brings, for a link that Kubernetes lays anew somewhere above the file,
//! for editors that write beside the file and rename, and for files that do not exist yet; and it
//! cannot run out of watches. A few calls a second cost nothing. Files are read when they have
//! stayed as they are for one more look, so that one which is being written is not read by half.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::reloading::Reloading;

const EVERY: Duration = Duration::from_secs(1);

/// One file as it was at a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Print {
    pub(crate) file: PathBuf,
    /// `None` where there is no file.
    was: Option<Was>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Was {
    /// Device and inode.
    place: (u64, u64),
    length: u64,
    /// When its content and its inode were changed, in seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Looks at the files, through all links. Blocks.
pub(crate) fn fingerprints(files: &[PathBuf]) -> Vec<Print> {
    let look = |file: &PathBuf| {
        let found = std::fs::metadata(file).ok();
        let was = found.map(|found| Was {
            place: (found.dev(), found.ino()),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        });
        Print {
            file: file.clone(),
            was,
        }
    };
    files.iter().map(look).collect()
}

/// Reads the configuration anew whenever its files have changed, until `stop`.
pub(crate) async fn watch(reloading: &Reloading, stop: CancellationToken) {
    let mut before = None;
    while let Some(files) = reloading.files() {
        let pause = tokio::time::sleep(EVERY);
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
        let look = tokio::task::spawn_blocking(move || fingerprints(&files));
        let Some(Ok(now)) = stop.run_until_cancelled(look).await else {
            return;
        };
        if reloading.has_seen(&now) {
            before = None;
        } else if before.as_ref() == Some(&now) {
            before = None;
            // What it has to say it has said in the log.
            let _ = reloading.reload("a change of its files").await;
        } else {
            before = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_that_is_laid_anew_above_the_file_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for version in ["1", "2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("gateway.toml"), "same").unwrap();
        }
        symlink("1", at("..data")).unwrap();
        symlink("..data/gateway.toml", at("gateway.toml")).unwrap();
        let files = [at("gateway.toml"), at("absent")];
        let first = fingerprints(&files);
        assert_eq!(fingerprints(&files), first);
        symlink("2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();
        let second = fingerprints(&files);
        assert_ne!(second, first);
        fs::write(at("absent"), "").unwrap();
        assert_ne!(fingerprints(&files), second);
    }
}
