//! Answers to an authority's challenges (HTTP-01, RFC 8555 section 8.3), laid in a directory by
//! another program, such as `certbot --webroot`.
//!
//! Serves nothing else: a token is letters, digits, `-` and `_`; no link is followed below the
//! directory, and only small regular files are read. A directory that hangs costs its few readers.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use tokio::sync::Semaphore;

/// Where a challenge's answer is looked for, in URLs.
pub(crate) const CHALLENGES: &str = "/.well-known/acme-challenge/";
/// The same below the directory, as `certbot` lays it.
const DIRECTORIES: [&str; 2] = [".well-known", "acme-challenge"];
const LONGEST_TOKEN: usize = 128;
const MAX_BYTES: u64 = 8 * 1024;
/// Files that are read at one time.
const READERS: usize = 4;

/// The directory.
pub(crate) struct Webroot {
    directory: PathBuf,
    readers: Arc<Semaphore>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// There is no such file.
    Absent,
    /// As many files as may be are being read.
    Busy,
}

impl Webroot {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// What was laid for a token.
    pub(crate) async fn answer(&self, token: &str) -> Result<Bytes, NoAnswer> {
        if !is_token(token) {
            return Err(NoAnswer::Absent);
        }
        let readers = Arc::clone(&self.readers);
        let permit = readers.try_acquire_owned().map_err(|_| NoAnswer::Busy)?;
        let (directory, token) = (self.directory.clone(), token.to_owned());
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            read(&directory, &token)
        });
        match read.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Errno::NOENT)) | Err(_) => Err(NoAnswer::Absent),
            Ok(Err(error)) => {
                let directory = self.directory.display();
                tracing::warn!(%directory, %error, "server.acme_webroot: a challenge's answer cannot be read");
                Err(NoAnswer::Absent)
            }
        }
    }
}

fn is_token(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(plain)
}

/// Whether what is laid below a directory can be found: the directory that cannot be entered and why,
/// where it cannot. Nothing may have been laid yet. Blocks.
pub(crate) fn look(root: &Path) -> Result<(), (PathBuf, Errno)> {
    match open(root) {
        Ok(_) => Ok(()),
        Err((at, Errno::NOENT)) if at != root => Ok(()),
        Err(unfit) => Err(unfit),
    }
}

/// The directory of challenges, or the one above it that cannot be entered.
fn open(root: &Path) -> Result<OwnedFd, (PathBuf, Errno)> {
    let below = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = root.to_owned();
    // The operator may have written a link; below, nobody needs one.
    let opened = openat(CWD, root, below, Mode::empty());
    let mut directory = opened.map_err(|errno| (at.clone(), errno))?;
    for name in DIRECTORIES {
        at.push(name);
        let opened = openat(&directory, name, below | OFlags::NOFOLLOW, Mode::empty());
        directory = opened.map_err(|errno| (at.clone(), errno))?;
    }
    Ok(directory)
}

fn read(root: &Path, token: &str) -> Result<Bytes, Errno> {
    let directory = open(root).map_err(|(_, errno)| errno)?;
    // A FIFO would be waited for without the second flag.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(openat(&directory, token, flags, Mode::empty())?);
    let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let metadata = file.metadata().map_err(errno)?;
    if !metadata.is_file() {
        return Err(Errno::INVAL);
    }
    let mut answer = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut answer)
        .map_err(errno)?;
    if answer.len() as u64 > MAX_BYTES {
        return Err(Errno::FBIG);
    }
    Ok(answer.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn laid(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Webroot) {
        let directory = tempfile::tempdir().unwrap();
        let challenges = directory.path().join(".well-known/acme-challenge");
        fs::create_dir_all(&challenges).unwrap();
        for (name, content) in files {
            fs::write(challenges.join(name), content).unwrap();
        }
        let webroot = Webroot::new(directory.path().to_owned());
        (directory, webroot)
    }

    #[tokio::test]
    async fn what_was_laid_for_a_token_is_answered() {
        let most = vec![b'x'; 8 * 1024];
        let (_directory, webroot) = laid(&[("aZ09-_", b"aZ09-_.thumbprint"), ("most", &most)]);
        assert_eq!(webroot.answer("aZ09-_").await.unwrap(), "aZ09-_.thumbprint");
        assert_eq!(webroot.answer("most").await.unwrap(), most);
        assert_eq!(webroot.answer("absent").await, Err(NoAnswer::Absent));
    }

    #[tokio::test]
    async fn nothing_else_is() {
        let more = vec![b'x'; 8 * 1024 + 1];
        let (directory, webroot) = laid(&[("more", &more), ("a.b", b"no token"), (".dot", b"no")]);
        let challenges = directory.path().join(".well-known/acme-challenge");
        fs::write(directory.path().join("secret"), "secret").unwrap();
        fs::create_dir(challenges.join("directory")).unwrap();
        symlink("../../secret", challenges.join("link")).unwrap();
        symlink("more", challenges.join("inside")).unwrap();
        rustix::fs::mknodat(
            CWD,
            challenges.join("fifo"),
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        for token in [
            "more",
            "a.b",
            ".dot",
            "directory",
            "link",
            "inside",
            "fifo",
            "",
            ".",
            "..",
            "../../secret",
            "..%2f..%2fsecret",
            "directory/more",
            "/etc/passwd",
            "a\0b",
            &"a".repeat(129),
        ] {
            assert_eq!(
                webroot.answer(token).await,
                Err(NoAnswer::Absent),
                "{token}"
            );
        }
    }

    #[tokio::test]
    async fn links_in_the_place_of_directories_are_not_followed() {
        let elsewhere = tempfile::tempdir().unwrap();
        fs::create_dir_all(elsewhere.path().join("acme-challenge")).unwrap();
        fs::write(elsewhere.path().join("acme-challenge/token"), "elsewhere").unwrap();
        let directory = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), directory.path().join(".well-known")).unwrap();
        let webroot = Webroot::new(directory.path().to_owned());
        assert_eq!(webroot.answer("token").await, Err(NoAnswer::Absent));
    }
}
