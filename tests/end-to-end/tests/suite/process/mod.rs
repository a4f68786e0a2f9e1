//! The `media-gateway` program: start, signals, limits, secrets, memory, real storage.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "measured figures, for --nocapture")]

mod access;
mod alerts;
mod auditing;
mod budgets;
mod commands;
mod descriptors;
pub(crate) mod harness;
mod lines;
mod memory;
mod migrating;
mod patience;
pub(crate) mod raw;
mod reloading;
mod rows;
mod secrets;
mod sockets;
mod starting;
mod stopping;
mod storage;
mod supervised;
mod telling;
mod tls;
mod webhook;
mod wrappers;
