//! The state directory killed, full and large. These tests start processes, and run one at a time.
//!
//! Real directories, real kills and a real full file system; nothing is imitated.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod child;
mod full;
mod import;
mod kill;
mod scale;
