//! The page that operators look at, in a real browser before a real gateway.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "measured figures, for --nocapture")]

mod answers;
mod base64;
mod browser;
mod changes;
mod harness;
mod live;
mod looks;
mod reading;
