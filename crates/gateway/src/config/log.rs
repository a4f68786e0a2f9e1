//! What is logged, and how.

use schemars::JsonSchema;
use serde::Deserialize;

/// `[log]` as written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    /// `"text"` for people, `"json"` for machines. Default `"text"`.
    format: Option<LogFormat>,
    /// The least important thing that is logged. Default `"info"`.
    level: Option<LogLevel>,
    /// What is logged of a client's address: `"shortened"` its network (an IPv4 /24, an IPv6 /48),
    /// `"full"` all of it, `"none"` nothing. Default `"shortened"`.
    client_addresses: Option<ClientAddresses>,
}

/// What is logged of a client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAddresses {
    /// Its network: many households, and nobody in particular.
    Shortened,
    /// All of it.
    Full,
    /// Nothing.
    None,
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The least important thing that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of every logger")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// As `tracing` filters spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// The least important thing that is logged.
    pub level: LogLevel,
    /// What is logged of a client's address.
    pub client_addresses: ClientAddresses,
}

pub(super) fn check(raw: &RawLog) -> Log {
    Log {
        format: raw.format.unwrap_or(LogFormat::Text),
        level: raw.level.unwrap_or(LogLevel::Info),
        client_addresses: raw.client_addresses.unwrap_or(ClientAddresses::Shortened),
    }
}
