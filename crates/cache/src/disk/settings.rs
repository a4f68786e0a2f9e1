//! How the disk is used, as it is configured.

use std::path::PathBuf;
use std::time::Duration;

/// How the disk is used.
#[derive(Debug, Clone)]
pub struct DiskSettings {
    /// Where everything lies. Made if it is not there.
    pub directory: PathBuf,
    /// The most it takes, in allocated bytes, with the index and directories.
    pub max_size_bytes: u64,
    /// What is left free on its file system for others, in bytes; by default 2 GB, or a twentieth
    /// if that is more.
    pub min_free_bytes: Option<u64>,
    /// What nobody asked for during this long goes. Orphans stay.
    pub inactive: Duration,
    /// Memory for rows of the index that were read or written lately, in bytes.
    pub rows_bytes: u64,
    /// The most content files. A twentieth of the file system's inodes is left free in any case.
    pub max_files: Option<u64>,
}
