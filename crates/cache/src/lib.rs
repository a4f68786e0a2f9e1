//! Copies of what was served, in memory and on disk, and the downloads that fill them.
//!
//! Knows no origin and no client: the gateway passes in a [`Source`], and gets bodies. Whatever
//! happens to the disk, an answer is right or is asked of the source.

mod answer;
mod brief;
mod cache;
mod check;
mod disk;
mod fill;
mod held;
mod hit;
mod life;
mod lift;
mod live;
mod memory;
mod observer;
mod opening;
mod openings;
mod parts;
mod place;
mod reader;
mod reading;
mod region;
mod segment;
mod slice;
mod source;
mod sync;
mod version;
mod whole;

#[cfg(all(test, feature = "model"))]
mod model;
#[cfg(test)]
mod tests;

pub use answer::{Answer, Copied};
pub use cache::{Cache, Settings};
pub use disk::{
    DiskError, DiskSettings, Purge, Purged, Sourced, SpaceStat, Stat, Usage, Verified,
    VerifyProgress, purge_offline, sourced, stat, verify,
};
pub use held::{Held, Passing, Refused, Served};
pub use memory::{known_bytes, rows_bytes};
pub use observer::{CacheError, CacheObserver, Evicted, Tier, Unobserved};
pub use parts::Clock;
pub use slice::{CHUNK_BYTES, SLICE_BYTES};
pub use source::{Found, Keep, Known, Opened, Opening, Rest, Source, Standing};
pub use version::Keepsake;
