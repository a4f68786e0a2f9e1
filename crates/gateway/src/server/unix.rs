//! Unix sockets: bound so that no moment is open to others, and removed at the end.
//!
//! A socket that a dead gateway has left is replaced; one that answers, and a file that is no
//! socket, are left alone and refused. Who decides holds a lock beside the socket, so that of two
//! gateways that start at one moment neither removes the other's.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use socket2::{Domain, SockAddr, Socket, Type};

use super::listen::BACKLOG;

/// What stands at a socket's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing.
    Free,
    /// A socket that nobody listens on any more.
    Stale,
    /// Somebody listens there.
    Answers,
    /// Something that is no socket.
    NoSocket,
}

/// Looks at a path, and connects where a socket is.
///
/// # Errors
/// It cannot be told what stands there.
pub(crate) fn look(path: &Path) -> io::Result<Standing> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::Free),
        Err(error) => return Err(error),
        Ok(file) if !file.file_type().is_socket() => return Ok(Standing::NoSocket),
        Ok(_) => {}
    }
    // A blocking one would wait where a gateway hangs and its queue is full.
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(Standing::Answers),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Ok(Standing::Stale),
            io::ErrorKind::NotFound => Ok(Standing::Free),
            io::ErrorKind::WouldBlock => Ok(Standing::Answers),
            _ => Err(error),
        },
    }
}

/// A bound socket; its file is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// The file of a socket that is ours.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: another file may have taken its place.
    identity: (u64, u64),
    /// Held for as long.
    _lock: File,
}

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds a socket with this mode; an error names it and what to do.
pub(super) fn bind(path: &Path, mode: u32) -> io::Result<Bound> {
    let lock = lock(path)?;
    match look(path).map_err(|error| told(path, &error))? {
        Standing::Free => {}
        Standing::Stale => fs::remove_file(path).map_err(|error| told(path, &error))?,
        Standing::Answers => return Err(in_use(path)),
        Standing::NoSocket => {
            let what = format!(
                "cannot listen on unix:{}: a file that is no socket is there; remove it or choose another path",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
    }
    let open = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        // Nobody can connect before it listens, whatever the umask.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        socket.listen(BACKLOG)?;
        Ok((socket.into(), identity(path)?))
    };
    let (listener, identity) = open().map_err(|error| told(path, &error))?;
    Ok(Bound {
        listener,
        file: SocketFile {
            path: path.to_owned(),
            identity,
            _lock: lock,
        },
    })
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// Takes the lock beside a socket. The file stays: who removed it would let two hold it.
fn lock(path: &Path) -> io::Result<File> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&beside).map_err(|error| told(path, &error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(in_use(path)),
        Err(error) => Err(told(path, &error.into())),
    }
}

fn in_use(path: &Path) -> io::Error {
    let what = format!(
        "cannot listen on unix:{}: somebody listens there already; stop the other gateway or choose another path",
        path.display()
    );
    io::Error::new(io::ErrorKind::AddrInUse, what)
}

fn told(path: &Path, error: &io::Error) -> io::Error {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "make its directory, for the gateway's user",
        io::ErrorKind::PermissionDenied => "let the gateway's user write to its directory",
        _ => "choose a directory that the gateway's user can write to",
    };
    let what = format!(
        "cannot listen on unix:{}: {error}; {remedy}",
        path.display()
    );
    io::Error::new(error.kind(), what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_ours_is_removed_at_the_end() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("media.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(look(&path).unwrap(), Standing::Stale);
        let bound = bind(&path, 0o640).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(look(&path).unwrap(), Standing::Answers);
        drop(bound);
        assert_eq!(look(&path).unwrap(), Standing::Free);
    }

    #[test]
    fn what_is_not_ours_is_neither_replaced_nor_removed() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("media.sock");
        let other = UnixListener::bind(&path).unwrap();
        let error = bind(&path, 0o660).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(
            error.to_string().contains("stop the other gateway"),
            "{error}"
        );
        drop(other);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        let error = bind(&path, 0o660).unwrap_err();
        assert!(error.to_string().contains("no socket"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
        let bound = bind(&path, 0o660).unwrap();
        fs::remove_file(&path).unwrap();
        let next = UnixListener::bind(&path).unwrap();
        drop(bound);
        assert_eq!(look(&path).unwrap(), Standing::Answers);
        drop(next);
    }

    #[test]
    fn a_link_to_elsewhere_is_no_socket() {
        let here = tempfile::tempdir().unwrap();
        let (path, target) = (here.path().join("media.sock"), here.path().join("target"));
        let _listening = UnixListener::bind(&target).unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert_eq!(look(&path).unwrap(), Standing::NoSocket);
    }

    #[test]
    fn of_two_that_start_at_one_moment_one_serves() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("media.sock");
        drop(UnixListener::bind(&path).unwrap());
        let begin = std::sync::Barrier::new(8);
        let bound: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        begin.wait();
                        bind(&path, 0o660)
                    })
                })
                .collect();
            threads.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(bound.iter().filter(|bound| bound.is_ok()).count(), 1);
        assert_eq!(look(&path).unwrap(), Standing::Answers);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named_with_what_to_do() {
        let error = bind(Path::new("/absent/media.sock"), 0o660).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("unix:/absent/media.sock"), "{told}");
        assert!(told.contains("make its directory"), "{told}");
    }
}
