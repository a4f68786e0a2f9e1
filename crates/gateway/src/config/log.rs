//! What is logged, and how.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::Deserialize;

use super::findings::Findings;
use super::problem::Problem;

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
    /// How requests are logged: `"log"` among all other lines; `"combined"`, as Apache does, or
    /// `"json"`, both on standard output; `"none"` not at all. Default `"log"`.
    access: Option<AccessForm>,
    /// Of so many requests that went well, one is logged; what failed always is. Default `1`.
    access_one_in: Option<u64>,
}

/// Where and how a request is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessForm {
    /// Among all other lines, as these look.
    Log,
    /// On standard output, as Apache's and nginx's `combined`.
    Combined,
    /// On standard output, one JSON object a line.
    Json,
    /// Not at all.
    None,
}

/// Which requests are logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessLog {
    /// Where and how.
    pub form: AccessForm,
    /// Of so many requests that went well, one; of the others, each.
    pub one_in: NonZeroU64,
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
    /// Which requests are logged, and how.
    pub access: AccessLog,
}

pub(super) fn check(raw: &RawLog, findings: &mut Findings) -> Log {
    let one_in = NonZeroU64::new(raw.access_one_in.unwrap_or(1)).unwrap_or_else(|| {
        findings.refuse(
            Problem::new(
                "log.access_one_in",
                "one in none is no share",
                "write 1 for every request, 100 for one in a hundred, or access = \"none\"",
            )
            .with_value("0"),
        );
        NonZeroU64::MIN
    });
    Log {
        format: raw.format.unwrap_or(LogFormat::Text),
        level: raw.level.unwrap_or(LogLevel::Info),
        access: AccessLog {
            form: raw.access.unwrap_or(AccessForm::Log),
            one_in,
        },
        client_addresses: raw.client_addresses.unwrap_or(ClientAddresses::Shortened),
    }
}
