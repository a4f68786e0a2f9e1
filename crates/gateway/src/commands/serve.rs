//! `serve`: the gateway, until it is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::cli::Global;
use super::report;
use crate::config::Problem;
use crate::gateway::{Gateway, StartError};
use crate::log;
use crate::reloading::{Reloading, WhereRead};
use crate::watching;

/// How long serving waits for the cache's disk; connections queue meanwhile.
const WARM_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let loaded = match report::load_or_report(global) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let config = loaded.config;
    let level = log::start(config.log);
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
    let hangup = signal(SignalKind::hangup())?;
    let gateway = match Gateway::bind(&config) {
        Err(StartError::Certificates(problems)) => {
            let file = global.file().display().to_string();
            report::print_findings(&file, &problems, &[], global.json);
            return Ok(ExitCode::FAILURE);
        }
        bound => bound?,
    };
    let read_from = WhereRead {
        file: global.file(),
        load: report::load,
    };
    let reloading = gateway.read_from(read_from, level);
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
    for socket in gateway.sockets() {
        let address = format!("unix:{}", socket.display());
        tracing::info!(address, "serving media");
    }
    for address in gateway.tls_addresses() {
        tracing::info!(%address, "serving media by TLS");
    }
    for address in gateway.admin_addresses() {
        tracing::info!(%address, "serving operators");
    }
    let stop = CancellationToken::new();
    let stopping = async {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(
            signal = name,
            drain = ?reloading.drain(),
            "accepting nothing new; running downloads may finish"
        );
        stop.cancel();
    };
    let (drained, (), (), ()) = tokio::join!(
        gateway.run(stop.clone()),
        stopping,
        reload_when_told(&reloading, hangup, &stop),
        watching::watch(&reloading, stop.clone()),
    );
    tracing::info!(
        finished = drained.finished,
        aborted = drained.aborted,
        "stopped"
    );
    Ok(ExitCode::SUCCESS)
}

async fn reload_when_told(reloading: &Reloading, mut hangup: Signal, stop: &CancellationToken) {
    while let Some(Some(())) = stop.run_until_cancelled(hangup.recv()).await {
        // What it has to say it has said in the log.
        let _ = reloading.reload("SIGHUP").await;
    }
}
