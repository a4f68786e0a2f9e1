//! What one gateway takes on at a time, so that its memory has a bound.
//!
//! What the defaults can come to is added up by `check` (`doctor/memory.rs`).

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::findings::Findings;
use super::problem::Problem;
use super::values::{ByteRate, Size, Span};

/// `[server.limits]` as written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    /// Connections open at one time; more wait in the kernel's queue. Default `4096`.
    connections: Option<usize>,
    /// Connections of one client address, and with trusted proxies requests of one client,
    /// at one time. Works only where the client is known. Default `128`.
    connections_per_client: Option<usize>,
    /// Bodies being sent at one time; more are answered 503. Default `1024`.
    bodies: Option<usize>,
    /// HTTP/2 streams of one connection at one time. Default `100`.
    streams_per_connection: Option<u32>,
    /// Request line and headers together; more are answered 431. Default `"16 KiB"`.
    header_bytes: Option<Size>,
    /// From the connection or the previous request's end to the last header. Default `"10s"`.
    header_timeout: Option<Span>,
    /// How long a connection may stay open without a request. Keep it above the keep-alive
    /// time of the proxy in front. Default `"75s"`.
    idle_timeout: Option<Span>,
    /// A client that takes a body more slowly than this is cut off; `"0 B/s"` lets it.
    /// Default `"1 KB/s"`.
    minimum_rate: Option<ByteRate>,
    /// How long a client may be slower than `minimum_rate`. Default `"30s"`.
    minimum_rate_grace: Option<Span>,
}

/// What is taken on at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at one time.
    pub connections: usize,
    /// Connections or requests of one client at one time, where the client is known.
    pub connections_per_client: usize,
    /// Bodies being sent at one time.
    pub bodies: usize,
    /// HTTP/2 streams of one connection at one time.
    pub streams_per_connection: u32,
    /// Bytes of a request line and headers together.
    pub header_bytes: usize,
    /// From a connection's start, or its previous request's end, to the last header.
    pub header_timeout: Duration,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
    /// Bytes a second below which a reader is cut off; 0 is never.
    pub minimum_rate_bytes: u64,
    /// How long a reader may be slower than that.
    pub minimum_rate_grace: Duration,
}

/// What HTTP/1 needs at least for its buffer, and what nobody needs more than.
const HEADER_BYTES: std::ops::RangeInclusive<u64> = 8 * 1024..=1024 * 1024;

pub(super) fn check(raw: &RawLimits, findings: &mut Findings) -> Limits {
    let header_bytes = raw.header_bytes.map_or(16 * 1024, |size| size.0);
    if !HEADER_BYTES.contains(&header_bytes) {
        findings.refuse(
            Problem::new(
                "server.limits.header_bytes",
                "out of bounds",
                "write a size from \"8 KiB\" to \"1 MiB\"",
            )
            .with_value(format!("{header_bytes} B")),
        );
    }
    let mut count = |key: &str, written: Option<usize>, default: usize| match written {
        Some(0) => {
            refuse_zero(key, "nothing would be served", findings);
            default
        }
        Some(count) => count,
        None => default,
    };
    let connections = count("connections", raw.connections, 4096);
    let connections_per_client = count("connections_per_client", raw.connections_per_client, 128);
    let bodies = count("bodies", raw.bodies, 1024);
    let mut time = |key: &str, written: Option<Span>, default: u64| match written {
        Some(Span(Duration::ZERO)) => {
            refuse_zero(key, "every connection would be cut at once", findings);
            Duration::from_secs(default)
        }
        Some(span) => span.0,
        None => Duration::from_secs(default),
    };
    let header_timeout = time("header_timeout", raw.header_timeout, 10);
    let idle_timeout = time("idle_timeout", raw.idle_timeout, 75);
    let minimum_rate_grace = time("minimum_rate_grace", raw.minimum_rate_grace, 30);
    if raw.streams_per_connection == Some(0) {
        refuse_zero(
            "streams_per_connection",
            "nothing would be served",
            findings,
        );
    }
    Limits {
        connections,
        connections_per_client,
        bodies,
        streams_per_connection: raw.streams_per_connection.unwrap_or(100),
        header_bytes: usize::try_from(header_bytes).unwrap_or(usize::MAX),
        header_timeout,
        idle_timeout,
        minimum_rate_bytes: raw.minimum_rate.map_or(1_000, |rate| rate.0),
        minimum_rate_grace,
    }
}

fn refuse_zero(key: &str, reason: &str, findings: &mut Findings) {
    let path = format!("server.limits.{key}");
    findings.refuse(Problem::new(path, reason, "write more than zero").with_value("0"));
}
