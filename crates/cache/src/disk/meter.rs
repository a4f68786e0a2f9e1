//! What lies on the disk and what is being put there, for whoever asks without waiting.
//!
//! The writer publishes after each commit; nothing here is added up by others, except what is on
//! its way.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::choice::{FileSystem, Held, directories_bytes};
use super::coding::{In, Out};
use super::facts::Usage;

/// What an index may grow by in a quarter of a second, at least.
const LEAST_GROWTH_BYTES: u64 = 512 * 1024;

/// What the rows of the index add up to. Kept in the index and committed with them, so that it is
/// right after any crash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Books {
    pub(super) entries: u64,
    pub(super) orphans: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Bytes of versions by class; shared bytes count for each.
    pub(super) by_class: [u64; 3],
}

impl Books {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Out::default();
        let [once, again, orphan] = self.by_class;
        for value in [
            self.entries,
            self.orphans,
            self.files,
            self.bytes,
            once,
            again,
            orphan,
        ] {
            out.u64(value);
        }
        out.finish().expect("the books hold no text")
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = In::new(bytes);
        let books = Self {
            entries: from.u64()?,
            orphans: from.u64()?,
            files: from.u64()?,
            bytes: from.u64()?,
            by_class: [from.u64()?, from.u64()?, from.u64()?],
        };
        from.at_end()?;
        Some(books)
    }
}

/// The published books.
#[derive(Debug, Default)]
pub(super) struct Meter {
    entries: AtomicU64,
    orphans: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    by_class: [AtomicU64; 3],
    index: AtomicU64,
    directory: AtomicU64,
    coming: AtomicU64,
}

impl Meter {
    pub(super) fn publish(&self, books: &Books) {
        let set = |of: &AtomicU64, value| of.store(value, Ordering::Release);
        set(&self.entries, books.entries);
        set(&self.orphans, books.orphans);
        set(&self.files, books.files);
        set(&self.bytes, books.bytes);
        for (of, value) in self.by_class.iter().zip(books.by_class) {
            set(of, value);
        }
    }

    pub(super) fn publish_index(&self, bytes: u64) {
        self.index.store(bytes, Ordering::Release);
    }

    /// What a directory takes on this file system.
    pub(super) fn set_directory(&self, bytes: u64) {
        self.directory.store(bytes, Ordering::Release);
    }

    pub(super) fn usage(&self) -> Usage {
        let get = |of: &AtomicU64| of.load(Ordering::Acquire);
        let files = get(&self.files);
        Usage {
            bytes: get(&self.bytes)
                + get(&self.index)
                + directories_bytes(files, get(&self.directory)),
            entries: get(&self.entries),
            files,
            orphans: get(&self.orphans),
        }
    }

    /// With what is on its way, and with what the index may grow by until it is looked at again.
    pub(super) fn held(&self) -> Held {
        let usage = self.usage();
        let growth = (self.index.load(Ordering::Acquire) / 8).max(LEAST_GROWTH_BYTES);
        Held {
            bytes: usage.bytes + self.coming.load(Ordering::Acquire) + growth,
            files: usage.files,
            by_class: [0, 1, 2].map(|class: usize| self.by_class[class].load(Ordering::Acquire)),
        }
    }

    /// Announces bytes that are being written, until the writer has put them into the books.
    pub(super) fn coming(self: &Arc<Self>, bytes: u64) -> Coming {
        self.coming.fetch_add(bytes, Ordering::AcqRel);
        Coming {
            meter: Arc::clone(self),
            bytes,
        }
    }
}

/// Bytes on their way.
#[derive(Debug)]
pub(super) struct Coming {
    meter: Arc<Meter>,
    bytes: u64,
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.meter.coming.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Asks the file system; blocks.
pub(super) fn file_system(directory: &Path) -> std::io::Result<FileSystem> {
    let found = rustix::fs::statvfs(directory)?;
    Ok(FileSystem {
        total: found.f_blocks.saturating_mul(found.f_frsize),
        free: found.f_bavail.saturating_mul(found.f_frsize),
        inodes: found.f_files,
        free_inodes: found.f_favail,
    })
}
