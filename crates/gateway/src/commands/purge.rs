//! `purge`: drops copies from the cache.

use std::process::ExitCode;

use cache::{Purge, Purged};
use http::Method;
use state::StateDirectory;

use super::cli::{Global, PurgeArguments};
use super::report::{self, complain, print_json, printable, say};
use crate::admin::{PurgeReport, PurgeRequest};
use crate::app::App;
use crate::config::Config;
use crate::control::{CallError, call};
use crate::fleet::{FleetPlace, note_purges};

pub(super) async fn run(global: &Global, arguments: PurgeArguments) -> anyhow::Result<ExitCode> {
    let config = match report::load_or_report(global) {
        Ok(loaded) => loaded.config,
        Err(exit) => return Ok(exit),
    };
    if arguments.all && !arguments.yes {
        complain(
            "error: --all drops every copy, and each is paid for again when it is asked for; add --yes if that is meant",
        );
        return Ok(ExitCode::FAILURE);
    }
    let request = PurgeRequest {
        paths: arguments.paths,
        prefix: arguments.prefix,
        all: arguments.all,
    };
    let directory = &config.state.directory;
    let purged: PurgeReport =
        match call(directory, Method::POST, "/api/purge", Some(&request)).await {
            Ok(answer) => serde_json::from_slice(&answer)?,
            Err(CallError::NotRunning(socket)) => offline(&config, &request)
                .await
                .map_err(|error| error.context(CallError::NotRunning(socket)))?,
            Err(error) => return Err(error.into()),
        };
    let PurgeReport {
        objects,
        bytes,
        durable,
        ref fleet,
    } = purged;
    if global.json {
        print_json(&purged);
    } else {
        let plural = if objects == 1 { "object" } else { "objects" };
        let size = bytesize::ByteSize(bytes).display().si();
        say(&format!(
            "{objects} {plural} dropped, {bytes} bytes on disk ({size})"
        ));
        for place in fleet {
            say(&printable(&place.line()));
        }
    }
    let untold = FleetPlace::left(fleet);
    if untold > 0 {
        complain("not every gateway has done it; each does it as soon as it reaches Redis");
    }
    if durable && untold == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    if durable {
        return Ok(ExitCode::FAILURE);
    }
    complain(
        "warning: the cache's disk cannot be used at the moment, so this is not written down; purge again when it can, or empty the cache directory",
    );
    Ok(ExitCode::FAILURE)
}

/// Without a gateway the files are opened here.
async fn offline(config: &Config, request: &PurgeRequest) -> anyhow::Result<PurgeReport> {
    let app = App::for_looking(config)?;
    let purges = request.purges(&app).map_err(anyhow::Error::msg)?;
    let directory = config.cache.directory.clone();
    if config.fleet.is_some() {
        note_for_fleet(config, &app, &purges)?;
    }
    let fleet: Vec<_> = config
        .fleet
        .iter()
        .map(|_| FleetPlace::not_running())
        .collect();
    let work = tokio::task::spawn_blocking(move || {
        let mut all = Purged::NOTHING;
        for what in &purges {
            all.add(cache::purge_offline(&directory, what)?);
        }
        anyhow::Ok(PurgeReport {
            fleet,
            ..all.into()
        })
    });
    work.await?
}

/// Notes it in the state directory, so that the gateway tells the others when it starts.
fn note_for_fleet(config: &Config, app: &App, purges: &[Purge]) -> anyhow::Result<()> {
    let spaces = app.routes.iter().map(|route| &*route.space);
    let state = StateDirectory::open(&config.state.directory, spaces)?;
    note_purges(&state, purges)?;
    Ok(())
}
