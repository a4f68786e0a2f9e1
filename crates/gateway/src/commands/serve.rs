//! `serve`: the gateway, until it is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::cli::Global;
use super::report;
use crate::config::Problem;
use crate::gateway::Gateway;
use crate::log;

/// How long serving waits for the cache's disk; connections queue meanwhile.
const WARM_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let loaded = match report::load_or_report(global) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let config = loaded.config;
    if !config.not_yet.refused.is_empty() {
        let file = global.file().display().to_string();
        report::print_findings(
            &file,
            &config.not_yet.refused,
            &loaded.warnings,
            global.json,
        );
        return Ok(ExitCode::FAILURE);
    }
    log::start(config.log);
    for Problem {
        path,
        reason,
        remedy,
        ..
    } in &loaded.warnings
    {
        tracing::warn!(path, reason, remedy, "configuration");
    }
    // Before the listeners: a stop that comes while they are bound must not be lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Taken so that it does not end the process, as it would by itself.
    let mut hangup = signal(SignalKind::hangup())?;
    let gateway = Gateway::bind(&config)?;
    let opened = gateway.cache_opened();
    if config.cache.required {
        opened.await?;
    } else {
        // Whoever comes first should find what is held. A disk that hangs holds up nobody, and
        // one that cannot be used says so itself.
        let _ = tokio::time::timeout(WARM_WITHIN, opened).await;
    }
    for address in gateway.addresses() {
        tracing::info!(%address, "serving media");
    }
    for address in gateway.admin_addresses() {
        tracing::info!(%address, "serving operators");
    }
    let stop = CancellationToken::new();
    let stopping = async {
        let name = loop {
            tokio::select! {
                _ = terminate.recv() => break "SIGTERM",
                _ = interrupt.recv() => break "SIGINT",
                Some(()) = hangup.recv() => tracing::warn!(
                    "SIGHUP: a changed configuration needs a restart in this version"
                ),
            }
        };
        tracing::info!(
            signal = name,
            drain = ?config.server.drain,
            "accepting nothing new; running downloads may finish"
        );
        stop.cancel();
    };
    let (drained, ()) = tokio::join!(gateway.run(stop.clone()), stopping);
    tracing::info!(
        finished = drained.finished,
        aborted = drained.aborted,
        "stopped"
    );
    Ok(ExitCode::SUCCESS)
}
