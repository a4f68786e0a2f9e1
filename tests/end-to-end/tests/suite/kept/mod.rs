//! What is kept and what is forgotten: copies in memory and on disk, tombstones, and the commands
//! that look after both.

#![allow(
    clippy::unwrap_used,
    reason = "all of it is tests; helpers are not inside test functions"
)]
#![allow(clippy::print_stdout, reason = "measured figures, for --nocapture")]

mod client;
pub(crate) mod harness;

mod admin;
mod amplification;
mod deletions;
mod erase;
mod errors;
mod gone;
mod herds;
mod kills;
mod labels;
mod memory;
mod metrics;
mod moved;
mod outages;
mod prepared;
mod promotion;
mod purges;
mod rehearsal;
mod sharing;
mod state;
mod tombstones;
mod truncated;
mod verify;
mod versions;
mod volumes;
mod withdrawn;
