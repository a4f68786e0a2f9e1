//! Several gateways with a real Redis between them: what is gone on one is gone on all, whatever
//! becomes of Redis.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod balanced;
mod encrypted;
pub(crate) mod harness;
mod hostile;
mod outages;
mod telling;
