//! The state directory as its users see it: damaged, replayed, exported, merged.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod damage;
mod exchange;
mod merge;
mod replay;
