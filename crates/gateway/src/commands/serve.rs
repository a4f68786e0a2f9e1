//! `serve`: the gateway, until it is told to stop.
//!
//! Whoever supervises it is told of each step; see `supervisor`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::cli::Global;
use super::report;
use crate::config::Problem;
use crate::gateway::{Gateway, StartError};
use crate::log;
use crate::reloading::{Reloading, WhereRead};
use crate::server::Handed;
use crate::supervisor::{NoSocket, Supervisor};
use crate::watching;

/// How long serving waits for the cache's disk; connections queue meanwhile.
const WARM_WITHIN: Duration = Duration::from_secs(2);

/// `EX_CONFIG` of `sysexits.h`: a supervisor need not try again.
const MISCONFIGURED: u8 = 78;

/// How serving came to its end.
enum End {
    /// It was told to stop.
    Stopped,
    /// It never began, for the configuration cannot be used. The problems were printed.
    Misconfigured,
}

pub(super) async fn run(global: &Global, handed: Handed) -> anyhow::Result<ExitCode> {
    let found = Supervisor::of_environment();
    let (supervisor, unfound) = match found {
        Ok(supervisor) => (Arc::new(supervisor), None),
        Err(unfound) => (Arc::default(), Some(unfound)),
    };
    match Box::pin(serve(global, handed, &supervisor, unfound)).await {
        Ok(End::Stopped) => Ok(ExitCode::SUCCESS),
        Ok(End::Misconfigured) => {
            let why = format!(
                "The configuration cannot be used; media-gateway check --offline --config {} says why",
                global.file().display()
            );
            supervisor.cannot_start(&why).await;
            Ok(if supervisor.is_there() {
                MISCONFIGURED.into()
            } else {
                ExitCode::FAILURE
            })
        }
        Err(error) => {
            supervisor
                .cannot_start(&format!("Cannot start: {error:#}"))
                .await;
            Err(error)
        }
    }
}

async fn serve(
    global: &Global,
    handed: Handed,
    supervisor: &Arc<Supervisor>,
    unfound: Option<NoSocket>,
) -> anyhow::Result<End> {
    let Ok(loaded) = report::load_or_report(global) else {
        return Ok(End::Misconfigured);
    };
    let config = loaded.config;
    let level = log::start(config.log);
    if let Some(unfound) = unfound {
        tracing::warn!("{unfound}");
    }
    if let Some(ignored) = handed.ignored() {
        tracing::warn!("{ignored}");
    }
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
    let taken = handed.count();
    let gateway = match Gateway::bind_or_take(&config, handed) {
        Err(StartError::Certificates(problems)) => {
            let file = global.file().display().to_string();
            report::print_findings(&file, &problems, &[], global.json);
            return Ok(End::Misconfigured);
        }
        bound => bound?,
    };
    if taken > 0 {
        tracing::info!(
            sockets = taken,
            "listening on what the supervisor handed over"
        );
    }
    let read_from = WhereRead {
        file: global.file(),
        load: report::load,
    };
    let reloading = gateway.read_from(read_from, level, Arc::clone(supervisor));
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
    let (stop, over) = (CancellationToken::new(), CancellationToken::new());
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
        supervisor.stopping(reloading.drain()).await;
    };
    let status = gateway.status(stop.clone());
    let serving = async {
        let drained = gateway.run(stop.clone()).await;
        over.cancel();
        drained
    };
    // In order: viewers are served before anybody is told so.
    let (drained, (), (), (), ()) = tokio::join!(
        biased;
        serving,
        supervisor.accompany(status, &over),
        stopping,
        reload_when_told(&reloading, hangup, &stop),
        watching::watch(&reloading, stop.clone()),
    );
    tracing::info!(
        finished = drained.finished,
        aborted = drained.aborted,
        "stopped"
    );
    Ok(End::Stopped)
}

async fn reload_when_told(reloading: &Reloading, mut hangup: Signal, stop: &CancellationToken) {
    while let Some(Some(())) = stop.run_until_cancelled(hangup.recv()).await {
        // What it has to say it has said in the log.
        let _ = reloading.reload("SIGHUP").await;
    }
}
