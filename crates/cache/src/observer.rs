//! What is told to whoever counts.
//!
//! The cache counts nothing itself, so it can be tested without a registry and a command that
//! only looks counts nothing.

/// Where bytes of an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Memory.
    Memory,
    /// The disk.
    Disk,
}

impl Tier {
    /// Every tier.
    pub const ALL: [Self; 2] = [Self::Memory, Self::Disk];

    /// The label used in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

/// What went wrong on the disk. None of these reaches a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheError {
    /// A file could not be read.
    Read,
    /// A file could not be written, for another reason than room.
    Write,
    /// There was no room for a file, or no inode.
    Full,
    /// Bytes on the disk were not those that had been written.
    Corrupt,
    /// The index could not be read or written.
    Index,
    /// The disk did not answer in time.
    Timeout,
    /// Too much waited to be written, and something was not kept.
    Queue,
}

impl CacheError {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Write,
        Self::Full,
        Self::Corrupt,
        Self::Index,
        Self::Timeout,
        Self::Queue,
    ];

    /// The label used in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Full => "full",
            Self::Corrupt => "corrupt",
            Self::Index => "index",
            Self::Timeout => "timeout",
            Self::Queue => "queue",
        }
    }
}

/// Why something left the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Evicted {
    /// To stay below `max_size`.
    Size,
    /// To leave `min_free` to others, or because the disk was full.
    Free,
    /// To stay below the number of files.
    Files,
    /// Nobody asked for it for `inactive`.
    Inactive,
    /// A newer version, a purge, a tombstone or a deletion took its place.
    Replaced,
}

impl Evicted {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::Size,
        Self::Free,
        Self::Files,
        Self::Inactive,
        Self::Replaced,
    ];

    /// The label used in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Free => "free",
            Self::Files => "files",
            Self::Inactive => "inactive",
            Self::Replaced => "replaced",
        }
    }
}

/// Receives the cache's events.
pub trait CacheObserver: Send + Sync + 'static {
    /// The disk can be used, or not.
    fn up(&self, up: bool);
    /// An answer found its first bytes in this tier.
    fn hit(&self, tier: Tier);
    /// Something went wrong on the disk.
    fn error(&self, kind: CacheError);
    /// One version left the disk.
    fn evicted(&self, reason: Evicted);
    /// Downloads from origins that are under way, by `change`.
    fn fills(&self, change: i64);
    /// A request waits for a download that another one began.
    fn follower(&self);
}

/// For whoever does not count.
#[derive(Debug, Clone, Copy)]
pub struct Unobserved;

impl CacheObserver for Unobserved {
    fn up(&self, _: bool) {}
    fn hit(&self, _: Tier) {}
    fn error(&self, _: CacheError) {}
    fn evicted(&self, _: Evicted) {}
    fn fills(&self, _: i64) {}
    fn follower(&self) {}
}
