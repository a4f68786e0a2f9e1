//! Migrations from one origin to another, as whoever runs them sees them.
//!
//! The origins are in memory, because they have to fail at chosen moments; real ones are migrated
//! in the end-to-end suite.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod audits;
mod fake;
mod faults;
mod fixture;
mod named;
mod rows;
mod runs;
mod scale;
