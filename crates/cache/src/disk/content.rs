//! Files with the bytes of slices, named by their sha-256. The only file that knows the library
//! which lays them out.
//!
//! Knows no index: whether a file is still wanted is decided by the writer.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, IoSliceMut, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use bytes::Bytes;
use cacache::{Algorithm, WriteOpts};
use rustix::buffer::spare_capacity;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::ReadWriteFlags;
use xxhash_rust::xxh3::xxh3_64;

use super::facts::SliceRow;
use crate::CHUNK_BYTES;

/// The bytes of a block as the accounts round them.
const BLOCK_BYTES: u64 = 4096;

/// A write may meet so often with the removal of an empty directory on its way.
const WRITE_TRIES: u32 = 4;

/// A slice's file, open; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct OpenSlice(Arc<File>);

/// Which file, whatever its name: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl OpenSlice {
    /// Which file it is; `None` where the disk does not say.
    pub(super) fn identity(&self) -> Option<Identity> {
        Some(identity(&self.0.metadata().ok()?))
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// Why a chunk did not come.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The file is shorter than it was, or other bytes are in it.
    Corrupt,
    /// The disk did not give them.
    Failed(io::Error),
}

/// A file that was found in the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) sha256: [u8; 32],
    pub(super) allocated: u64,
    pub(super) modified: SystemTime,
}

/// The store.
#[derive(Debug, Clone)]
pub(super) struct Content {
    root: PathBuf,
    /// Whether what the kernel has in memory can be had without waiting.
    prompt: Arc<AtomicBool>,
    /// Where the files are, opened once: the way to them is long.
    directory: Arc<OnceLock<File>>,
}

/// File systems of this machine, which say at once whether they would have to wait (Linux'
/// `statfs(2)`, "filesystem types"). What lies across a network or in another process does not.
const PROMPT: [i64; 5] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0xf2f5_2010, // F2FS
    0xca45_1a4e, // bcachefs
];

impl Content {
    /// The store below a directory, which exists.
    pub(super) fn new(root: PathBuf) -> Self {
        let prompt = rustix::fs::statfs(&root).is_ok_and(|system| PROMPT.contains(&system.f_type));
        Self {
            root,
            prompt: Arc::new(AtomicBool::new(prompt)),
            directory: Arc::default(),
        }
    }

    fn files(&self) -> PathBuf {
        self.root.join("content-v2").join("sha256")
    }

    fn directory(&self, first: u8, second: u8) -> PathBuf {
        self.files()
            .join(format!("{first:02x}"))
            .join(format!("{second:02x}"))
    }

    /// Where the file of a digest lies.
    pub(super) fn path(&self, sha256: &[u8; 32]) -> PathBuf {
        self.directory(sha256[0], sha256[1]).join(hex(&sha256[2..]))
    }

    /// Writes a file and moves it into place. Returns its digest and what it takes on the disk.
    ///
    /// Equal content is written again: it replaces a file that may have been damaged since.
    pub(super) fn write(&self, chunks: &[Bytes]) -> io::Result<([u8; 32], u32)> {
        for _ in 1..WRITE_TRIES {
            match self.write_once(chunks) {
                // Another thread removed an empty directory between its making and the move.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => return done,
            }
        }
        self.write_once(chunks)
    }

    fn write_once(&self, chunks: &[Bytes]) -> io::Result<([u8; 32], u32)> {
        let mut writer = WriteOpts::new()
            .algorithm(Algorithm::Sha256)
            .open_hash_sync(&self.root)
            .map_err(io_error)?;
        let mut length = 0;
        for chunk in chunks {
            // A short write is an error: the library has hashed the whole chunk already, and
            // would hash the rest of it again.
            if writer.write(chunk)? != chunk.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            length += chunk.len() as u64;
        }
        let integrity = writer.commit().map_err(io_error)?;
        let (_, digest) = integrity.to_hex();
        let sha256 = unhex(&digest).ok_or_else(|| io::Error::other("not a sha-256"))?;
        let metadata = fs::symlink_metadata(self.path(&sha256))?;
        if metadata.len() != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let allocated = u32::try_from(allocated(&metadata)).unwrap_or(u32::MAX);
        Ok((sha256, allocated))
    }

    /// Opens a file for [`read_chunk`].
    pub(super) fn open(&self, sha256: &[u8; 32]) -> io::Result<OpenSlice> {
        Ok(OpenSlice(Arc::new(File::open(self.path(sha256))?)))
    }

    /// The same, where the kernel knows the name and need not ask the disk. Does not note the use in
    /// the file, which may be written to the disk.
    pub(super) fn open_at_once(&self, sha256: &[u8; 32]) -> Option<OpenSlice> {
        if !self.prompt.load(Ordering::Relaxed) {
            return None;
        }
        let cached = |from: BorrowedFd<'_>, path: &Path, flags| {
            let flags = flags | OFlags::CLOEXEC;
            let opened = openat2(from, path, flags, Mode::empty(), ResolveFlags::CACHED);
            self.if_prompt(opened).map(File::from)
        };
        if self.directory.get().is_none() {
            let opened = cached(CWD, &self.files(), OFlags::PATH | OFlags::DIRECTORY)?;
            let _ = self.directory.set(opened);
        }
        let directory = self.directory.get()?.as_fd();
        // A pipe that somebody has put there would be waited for.
        let flags = OFlags::RDONLY | OFlags::NOATIME | OFlags::NONBLOCK;
        let file = cached(directory, Path::new(&below(sha256)), flags)?;
        Some(OpenSlice(Arc::new(file)))
    }

    /// A checked chunk, where the kernel has all of it in memory.
    pub(super) fn read_chunk_at_once(
        &self,
        file: &OpenSlice,
        of: &SliceRow,
        chunk: usize,
    ) -> Option<Bytes> {
        if !self.prompt.load(Ordering::Relaxed) {
            return None;
        }
        let start = chunk * CHUNK_BYTES;
        let length = (of.length as usize).saturating_sub(start).min(CHUNK_BYTES);
        let mut bytes = vec![0; length];
        let read = rustix::io::preadv2(
            &file.0,
            &mut [IoSliceMut::new(&mut bytes)],
            start as u64,
            ReadWriteFlags::NOWAIT,
        );
        let is_whole = self.if_prompt(read)? == length;
        (is_whole && xxh3_64(&bytes) == *of.xxh3.get(chunk)?).then(|| bytes.into())
    }

    /// Nobody asks again where it is never possible.
    fn if_prompt<T>(&self, done: rustix::io::Result<T>) -> Option<T> {
        use rustix::io::Errno;
        if let Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) = done {
            self.prompt.store(false, Ordering::Relaxed);
        }
        done.ok()
    }

    /// Which file has this name now.
    pub(super) fn identity(&self, sha256: &[u8; 32]) -> Option<Identity> {
        let metadata = fs::symlink_metadata(self.path(sha256)).ok()?;
        Some(identity(&metadata))
    }

    /// Removes a file, and its directories if they are empty now. No file is no error.
    pub(super) fn unlink(&self, sha256: &[u8; 32]) -> io::Result<()> {
        let path = self.path(sha256);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                remove_directories(&path);
                Ok(())
            }
        }
    }

    /// Removes a file unless it is younger than `start`. Returns whether it did.
    ///
    /// Somebody may be replacing it by an equal one at this moment, so it is moved away before it
    /// is looked at, and moved back if it was the new one.
    pub(super) fn unlink_older(&self, sha256: &[u8; 32], start: SystemTime) -> io::Result<bool> {
        let path = self.path(sha256);
        let aside = self.root.join("tmp").join(format!("old-{}", hex(sha256)));
        fs::create_dir_all(self.root.join("tmp"))?;
        fs::rename(&path, &aside)?;
        if fs::symlink_metadata(&aside)?.modified()? >= start {
            fs::rename(&aside, &path)?;
            return Ok(false);
        }
        fs::remove_file(&aside)?;
        remove_directories(&path);
        Ok(true)
    }

    /// The files whose digests begin with these bytes; none where there is no such directory.
    pub(super) fn list(&self, first: u8, second: u8) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for entry in entries(&self.directory(first, second))? {
            let Ok(metadata) = fs::symlink_metadata(&entry) else {
                continue; // it left meanwhile
            };
            let name = entry.file_name().and_then(OsStr::to_str).unwrap_or("");
            let digest = unhex(&format!("{first:02x}{second:02x}{name}"));
            if let Some(sha256) = digest.filter(|_| metadata.is_file()) {
                found.push(Found {
                    sha256,
                    allocated: allocated(&metadata),
                    modified: metadata.modified()?,
                });
            }
        }
        Ok(found)
    }

    /// The second bytes for which there is a directory below the first.
    pub(super) fn seconds(&self, first: u8) -> io::Result<Vec<u8>> {
        let below = entries(&self.files().join(format!("{first:02x}")))?;
        let names = below.iter().filter_map(|path| path.file_name()?.to_str());
        let mut seconds: Vec<u8> = names
            .filter_map(|name| u8::from_str_radix(name, 16).ok())
            .collect();
        seconds.sort_unstable();
        Ok(seconds)
    }

    /// Removes what writes that were broken off left behind before `start`.
    pub(super) fn remove_temporaries(&self, start: SystemTime) -> io::Result<u64> {
        let mut removed = 0;
        for path in entries(&self.root.join("tmp"))? {
            let old = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified());
            if old.is_ok_and(|modified| modified < start) && fs::remove_file(&path).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes files without asking whether they are wanted, until about `bytes` are free. For a
    /// disk so full that the index cannot even be opened; a row whose file is gone is a miss.
    pub(super) fn remove_some(&self, bytes: u64) -> u64 {
        let mut freed = 0;
        for first in 0..=u8::MAX {
            for second in self.seconds(first).unwrap_or_default() {
                for file in self.list(first, second).unwrap_or_default() {
                    if freed >= bytes {
                        return freed;
                    }
                    if self.unlink(&file.sha256).is_ok() {
                        freed += file.allocated;
                    }
                }
            }
        }
        freed
    }
}

/// Reads one chunk and checks it.
pub(super) fn read_chunk(
    file: &OpenSlice,
    of: &SliceRow,
    chunk: usize,
) -> Result<Bytes, Unreadable> {
    let start = chunk * CHUNK_BYTES;
    let length = (of.length as usize).saturating_sub(start).min(CHUNK_BYTES);
    let expected = of.xxh3.get(chunk).ok_or(Unreadable::Corrupt)?;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = (start + bytes.len()) as u64;
        let room = length - bytes.len();
        // The allocation may have more room than was asked for.
        let target = spare_capacity(&mut bytes);
        let read = rustix::io::pread(&file.0, target, at);
        match read {
            Ok(0) => return Err(Unreadable::Corrupt),
            Ok(count) => bytes.truncate(bytes.len() - count.saturating_sub(room)),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Unreadable::Failed(error.into())),
        }
    }
    if xxh3_64(&bytes) == *expected {
        Ok(bytes.into())
    } else {
        Err(Unreadable::Corrupt)
    }
}

/// Where the file of a digest lies below the others.
fn below(sha256: &[u8; 32]) -> String {
    let mut path = hex(sha256);
    path.insert(4, '/');
    path.insert(2, '/');
    path
}

/// What a file takes on the disk. At least its length: some file systems tell the blocks of a
/// file only after a while.
fn allocated(metadata: &fs::Metadata) -> u64 {
    let rounded = metadata.len().next_multiple_of(BLOCK_BYTES);
    (metadata.blocks() * 512).max(rounded)
}

fn identity(metadata: &fs::Metadata) -> Identity {
    Identity(metadata.dev(), metadata.ino())
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Removes the two directories above a file that is gone, if they are empty: each costs a block,
/// and there can be 65,792 of them.
fn remove_directories(file: &Path) {
    for directory in file.ancestors().skip(1).take(2) {
        // Not empty is the usual answer.
        if fs::remove_dir(directory).is_err() {
            return;
        }
    }
}

fn io_error(error: cacache::Error) -> io::Error {
    match error {
        cacache::Error::IoError(error, _) => error,
        other => io::Error::other(other),
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}
