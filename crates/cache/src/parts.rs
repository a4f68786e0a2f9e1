//! What all parts of the cache share.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::brief::Brief;
use crate::disk::{Disk, RowChange};
use crate::lift::Lifts;
use crate::live::Live;
use crate::memory::{Entry, Memory};
use crate::observer::{CacheObserver, Evicted};
use crate::reading;
use crate::slice::{SLICE_BYTES, Slice};
use crate::source::Keep;
use crate::version::Version;

/// Unit of the memory for downloads, in bytes.
pub(crate) const PERMIT_BYTES: u64 = 64 * 1024;

/// Tells the time of day; a test passes its own.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Where a slice was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Disk,
    /// Only there, from where others may push it out at any moment.
    Memory,
    Nowhere,
}

pub(crate) struct Parts {
    pub(crate) memory: Memory,
    pub(crate) disk: Arc<Disk>,
    pub(crate) live: Arc<Live>,
    pub(crate) brief: Brief,
    /// Memory for downloads, in units of [`PERMIT_BYTES`].
    pub(crate) fill_memory: Arc<Semaphore>,
    pub(crate) lifts: Lifts,
    pub(crate) observer: Arc<dyn CacheObserver>,
    pub(crate) tasks: TaskTracker,
    /// Slices that arrived whole and are being kept.
    pub(crate) keeping: TaskTracker,
    pub(crate) clock: Clock,
    /// How long a copy is used without asking again.
    pub(crate) found: Duration,
}

impl Parts {
    /// Seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        (self.clock)()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    /// Whether slices of a version can lie on the disk at this moment.
    pub(crate) fn stores(&self, keep: Keep) -> bool {
        keep == Keep::Disk && self.disk.is_up()
    }

    /// Keeps a slice wherever it may lie.
    pub(crate) async fn keep(&self, version: &Arc<Version>, n: u32, slice: &Slice) -> Kept {
        if !version.life.is_good() || version.keep == Keep::Nowhere {
            return Kept::Nowhere;
        }
        self.memory.keep_slice(version, n, slice);
        let mut kept = match self.memory.slice(version, n) {
            Some(_) => Kept::Memory,
            None => Kept::Nowhere,
        };
        if self.stores(version.keep)
            && let Some(row) = self.disk.keep(&version.facts(), n, slice).await
        {
            kept = Kept::Disk;
            if let Some(tag) = version.saw_slice(n, row.sha256) {
                let change = RowChange::Etag(tag);
                let place = &version.place;
                self.disk
                    .update(&place.space, &place.key, version.number, change);
            }
            version.kept_slice(n, row);
        }
        kept
    }

    /// The origins have another one in its place: nobody opens this version any more, and what is
    /// being sent of it ends with its own bytes.
    pub(crate) fn replace_version(&self, version: &Version) {
        let is_read = reading::replace(self.disk.pins(), version.number, &version.life);
        self.brief.dropped(version.number);
        if is_read {
            self.memory.hide_version(version);
        } else {
            self.memory.drop_version(version);
        }
        let place = &version.place;
        self.disk.replace(&place.space, &place.key, version.number);
    }

    /// Nobody opens this version any more, and what is held of it goes; what is being sent goes on
    /// as far as it comes from elsewhere.
    pub(crate) fn drop_version(&self, version: &Version) {
        version.life.retire();
        self.brief.dropped(version.number);
        self.memory.drop_version(version);
        let place = &version.place;
        self.disk
            .remove(&place.space, &place.key, version.number, Evicted::Replaced);
    }

    /// No byte of this version leaves any more.
    pub(crate) fn cut_version(&self, version: &Version) {
        version.life.cut();
        self.drop_version(version);
    }

    /// Remembers a version without its bytes.
    pub(crate) fn remember(&self, version: &Arc<Version>) {
        if version.keep != Keep::Nowhere {
            self.memory.keep_object(Entry {
                version: Arc::clone(version),
                bytes: None,
            });
        }
    }
}

/// The entity tag of content: 128 bits of a SHA-256 over the length and the digests of all slices.
pub(crate) fn content_tag(total: u64, slices: &[[u8; 32]]) -> Box<str> {
    let mut hash = Sha256::new();
    hash.update(total.to_be_bytes());
    hash.update(SLICE_BYTES.to_be_bytes());
    for digest in slices {
        hash.update(digest);
    }
    let digest = hash.finalize();
    let mut tag = String::from('"');
    for byte in &digest[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag.into()
}
