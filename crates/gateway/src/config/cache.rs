//! Copies of what was served, in memory and on disk.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::findings::Findings;
use super::problem::Problem;
use super::state::directory;
use super::values::{Size, Span};

/// `[cache]` as written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCache {
    /// Where copies are kept; may be deleted at any time. Default `"/var/cache/media-gateway"`.
    directory: Option<String>,
    /// How much of the disk is used. Default `"20 GB"`.
    max_size: Option<Size>,
    /// How much of the disk is left free. Default: 2 GB or 5 % of the disk, whichever is more.
    min_free: Option<Size>,
    /// A copy that nobody asked for in this time is dropped. Default `"90d"`.
    inactive: Option<Span>,
    /// Memory for small and popular objects. Default `"256 MB"`.
    memory: Option<Size>,
    /// Memory for downloads from origins that are under way. Default `"64 MB"`.
    fill_memory: Option<Size>,
    /// How long a copy is used without asking again. Default `"90d"`.
    found: Option<Span>,
    /// How long "missing" is remembered. Default `"5s"`.
    missing: Option<Span>,
    /// Refuse to start without a usable directory. Default `false`: serve uncached and warn.
    required: Option<bool>,
}

/// Copies of what was served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Where on disk.
    pub directory: PathBuf,
    /// Bytes of disk used at most.
    pub max_size_bytes: u64,
    /// Bytes of disk left free; `None` is the larger of 2 GB and 5 %.
    pub min_free_bytes: Option<u64>,
    /// After how long unasked a copy is dropped.
    pub inactive: Duration,
    /// Bytes of memory for objects.
    pub memory_bytes: u64,
    /// Bytes of memory for downloads under way.
    pub fill_memory_bytes: u64,
    /// How long a copy is used without asking again.
    pub found: Duration,
    /// How long *missing* is remembered.
    pub missing: Duration,
    /// Whether a start without a usable directory fails.
    pub required: bool,
}

/// Room for one slice of a fill and its successor.
const LEAST_FILL_MEMORY_BYTES: u64 = 4 * 1024 * 1024;

/// *Missing* is a thing of seconds: an object may be uploaded at any moment.
const LONGEST_MISSING: Duration = Duration::from_mins(1);

pub(super) fn check(raw: RawCache, findings: &mut Findings) -> Cache {
    let days = |count: u64| Duration::from_secs(count * 86_400);
    let cache = Cache {
        directory: directory(
            "cache.directory",
            raw.directory,
            "/var/cache/media-gateway",
            findings,
        ),
        max_size_bytes: raw.max_size.map_or(20_000_000_000, |size| size.0),
        min_free_bytes: raw.min_free.map(|size| size.0),
        inactive: raw.inactive.map_or(days(90), |span| span.0),
        memory_bytes: raw.memory.map_or(256_000_000, |size| size.0),
        fill_memory_bytes: raw.fill_memory.map_or(64_000_000, |size| size.0),
        found: raw.found.map_or(days(90), |span| span.0),
        missing: raw.missing.map_or(Duration::from_secs(5), |span| span.0),
        required: raw.required.unwrap_or(false),
    };
    if cache.fill_memory_bytes < LEAST_FILL_MEMORY_BYTES {
        findings.refuse(
            Problem::new(
                "cache.fill_memory",
                "too little for even one download",
                "write \"4 MiB\" or more",
            )
            .with_value(format!("{} B", cache.fill_memory_bytes)),
        );
    }
    if cache.missing > LONGEST_MISSING {
        findings.refuse(
            Problem::new(
                "cache.missing",
                "a file uploaded in that time would stay \"not found\"",
                "write \"1m\" or less",
            )
            .with_value(humantime::format_duration(cache.missing).to_string()),
        );
    }
    cache
}
