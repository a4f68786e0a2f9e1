//! Where log lines go, in which form, and how much is said.
//!
//! Our own lines follow the configured level, which may change; libraries only warn, because some
//! of them print URLs when asked for more, and a signed URL is a credential.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level as Importance, Metadata, Subscriber, callsite};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Log, LogFormat, LogLevel};

/// Our crates, as they name themselves to the logger, and the lines of requests.
const OURS: [&str; 6] = [
    "access",
    "gateway",
    "media_gateway",
    "origin_resolver",
    "cache",
    "state",
];

/// The least important thing that is logged, to be changed while everybody logs.
#[derive(Debug, Clone)]
pub(crate) struct Level(Arc<AtomicU8>);

impl Level {
    fn new(level: LogLevel) -> Self {
        Self(Arc::new(AtomicU8::new(level as u8)))
    }

    /// From now on this is the least important thing that is logged.
    pub(crate) fn set(&self, level: LogLevel) {
        if self.0.swap(level as u8, Ordering::Relaxed) != level as u8 {
            callsite::rebuild_interest_cache();
        }
    }

    fn now(&self) -> Importance {
        match self.0.load(Ordering::Relaxed) {
            0 => Importance::ERROR,
            1 => Importance::WARN,
            2 => Importance::INFO,
            3 => Importance::DEBUG,
            _ => Importance::TRACE,
        }
    }

    fn lets_pass(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let name = target.split_once("::").map_or(target, |(name, _)| name);
        let most = if OURS.contains(&name) {
            self.now()
        } else {
            Importance::WARN
        };
        *metadata.level() <= most
    }
}

// Each place that logs is asked once, and again when the level changes: not for each line.
impl<S: Subscriber> Layer<S> for Level {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.lets_pass(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.lets_pass(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.now().max(Importance::WARN)))
    }
}

/// Starts logging to standard error. Only the first call in a process has an effect.
pub(crate) fn start(log: Log) -> Level {
    let level = Level::new(log.level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // A second logger in one process would be a test's or the demo's; the first one stays.
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(level.clone())
        .try_init();
    level
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_changes_holds_for_places_that_have_logged_before() {
        let level = Level::new(LogLevel::Info);
        let says = || tracing::enabled!(target: "gateway::test", Importance::DEBUG);
        let library = || tracing::enabled!(target: "hyper", Importance::INFO);
        let logger = tracing_subscriber::registry().with(level.clone());
        tracing::subscriber::with_default(logger, || {
            assert!(!says());
            level.set(LogLevel::Debug);
            assert!(says() && !library());
            level.set(LogLevel::Warn);
            assert!(!says());
        });
    }
}
