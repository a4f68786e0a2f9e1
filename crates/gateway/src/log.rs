//! Where log lines go, and in which form.
//!
//! Our own lines follow the configured level; libraries only warn, because some of them print
//! URLs when asked for more, and a signed URL is a credential.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{Log, LogFormat};

/// Our crates, as they name themselves to the logger.
const OURS: [&str; 5] = [
    "gateway",
    "media_gateway",
    "origin_resolver",
    "cache",
    "state",
];

/// Starts logging to standard error. Only the first call in a process has an effect.
pub(crate) fn start(log: Log) {
    let level = log.level.as_str();
    let ours = OURS.map(|name| format!("{name}={level}")).join(",");
    let filter = EnvFilter::new(format!("warn,access={level},{ours}"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_writer(std::io::stderr);
    // A second logger in one process would be a test's or the demo's; the first one stays.
    let _ = match log.format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
