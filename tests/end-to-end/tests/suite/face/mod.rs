//! What clients are answered: keys, verdicts, ranges, headers, hostile requests.

#![allow(
    clippy::unwrap_used,
    reason = "all of it is tests; helpers are not inside test functions"
)]

mod answer;
mod harness;

mod bodies;
mod connections;
mod headers;
mod hops;
mod keys;
mod metrics;
mod ranges;
mod requests;
mod routes;
mod storms;
mod verdicts;
