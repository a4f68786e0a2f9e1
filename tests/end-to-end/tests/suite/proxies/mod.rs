//! The gateway behind real proxies, with the lines that docs/guides/behind-a-proxy.md gives: they are
//! taken from the document, so that it cannot say what does not work.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod caddy;
mod checks;
mod haproxy;
mod harness;
mod nginx;
