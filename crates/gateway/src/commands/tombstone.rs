//! `tombstone`: keys that must stay gone, whatever any origin or cache still holds.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use comfy_table::{Table, presets};
use http::Method;
use object::ObjectKey;
use state::StateDirectory;

use super::cli::{Global, TombstoneCommand, TombstoneRemove};
use super::report::{self, complain, print_json, printable, say};
use crate::admin::{TombstoneReport, TombstoneRequest, TombstoneRow, borrowed, record, rows};
use crate::app::App;
use crate::config::Config;
use crate::control::{CallError, call};
use crate::erasing::{Erasure, Fate};
use crate::fleet::FleetPlace;

const PATH: &str = "/api/tombstones";

pub(super) async fn run(global: &Global, command: TombstoneCommand) -> anyhow::Result<ExitCode> {
    let config = match report::load_or_report(global) {
        Ok(loaded) => loaded.config,
        Err(exit) => return Ok(exit),
    };
    match command {
        TombstoneCommand::Add(add) => {
            let request = TombstoneRequest {
                keys: with_file(add.keys, add.from.as_deref())?,
                reason: add.reason.unwrap_or_default(),
                erase: add.erase,
                routes: Vec::new(),
            };
            change(global, &config, Method::PUT, request).await
        }
        TombstoneCommand::Remove(TombstoneRemove { keys, from }) => {
            let request = TombstoneRequest {
                keys: with_file(keys, from.as_deref())?,
                ..TombstoneRequest::default()
            };
            change(global, &config, Method::DELETE, request).await
        }
        TombstoneCommand::List => list(global, &config).await,
    }
}

/// Keys of the command line, and those of a file, one a line.
fn with_file(mut keys: Vec<String>, from: Option<&Path>) -> anyhow::Result<Vec<String>> {
    if let Some(file) = from {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("{}: the list cannot be read", file.display()))?;
        keys.extend(
            text.lines()
                .filter(|line| !line.is_empty())
                .map(str::to_owned),
        );
    }
    if keys.is_empty() {
        anyhow::bail!("say which: URLs or keys, or --from a file with one on each line");
    }
    Ok(keys)
}

async fn change(
    global: &Global,
    config: &Config,
    method: Method,
    request: TombstoneRequest,
) -> anyhow::Result<ExitCode> {
    let done = carry_out(config, method, request).await?;
    if global.json {
        print_json(&done);
    } else {
        for place in &done.places {
            let (space, key, state) = (&place.space, printable(&place.key), &place.state);
            say(&format!("{space}: {key}: {state}"));
            for Erasure { place, fate } in &place.erasures {
                say(&format!("  {place}: {}", printable(&fate.to_string())));
            }
        }
        for place in &done.fleet {
            say(&printable(&place.line()));
        }
    }
    let untold = FleetPlace::left(&done.fleet);
    if untold > 0 {
        complain("not every gateway has done it; each does it as soon as it reaches Redis");
    }
    match done.left() {
        0 if untold == 0 => return Ok(ExitCode::SUCCESS),
        0 => {}
        1 => complain("1 place is left; once it can be erased, give the same command again"),
        some => complain(&format!(
            "{some} places are left; once they can be erased, give the same command again"
        )),
    }
    Ok(ExitCode::FAILURE)
}

/// Has the running gateway do it, or does it.
///
/// # Errors
/// Nothing was recorded.
pub(super) async fn carry_out(
    config: &Config,
    method: Method,
    request: TombstoneRequest,
) -> anyhow::Result<TombstoneReport> {
    let adds = method == Method::PUT;
    let directory = &config.state.directory;
    match call(directory, method, PATH, Some(&request)).await {
        Ok(answer) => Ok(serde_json::from_slice(&answer)?),
        Err(CallError::NotRunning(socket)) => offline(config, request, adds)
            .await
            .map_err(|error| error.context(CallError::NotRunning(socket))),
        Err(error) => Err(error.into()),
    }
}

/// Without a gateway the files are opened here.
async fn offline(
    config: &Config,
    request: TombstoneRequest,
    adds: bool,
) -> anyhow::Result<TombstoneReport> {
    let app = App::for_looking(config)?;
    let places = request.places(&app).map_err(anyhow::Error::msg)?;
    let spaces: Vec<_> = app
        .routes
        .iter()
        .map(|route| Arc::clone(&route.space))
        .collect();
    let erases = request.erase;
    let (state, cache) = (
        config.state.directory.clone(),
        config.cache.directory.clone(),
    );
    let in_fleet = config.fleet.is_some();
    let fleet: Vec<_> = in_fleet.then(FleetPlace::not_running).into_iter().collect();
    if !adds {
        let work = tokio::task::spawn_blocking(move || {
            let state = StateDirectory::open(&state, spaces)?;
            record(&state, in_fleet, false, &borrowed(&places), &request.reason)?;
            anyhow::Ok(TombstoneReport::of(&places, "open").told(fleet))
        });
        return work.await?;
    }
    let work = tokio::task::spawn_blocking(move || {
        let state = StateDirectory::open(&state, spaces)?;
        record(&state, in_fleet, true, &borrowed(&places), &request.reason)?;
        let copies = drop_copies(&cache, &places);
        anyhow::Ok((places, copies, state.canaries()))
    });
    let (places, copies, canaries) = work.await??;
    if erases {
        app.restore_canaries(canaries);
        let report = TombstoneReport::erased(&app, &places, copies).await;
        return Ok(report.told(fleet));
    }
    for copy in copies.iter().filter(|copy| copy.is_left()) {
        // Nothing is answered with it any more; it only takes room.
        complain(&format!(
            "warning: a copy may still take room in the cache: {}",
            copy.fate
        ));
    }
    Ok(TombstoneReport::of(&places, "gone").told(fleet))
}

/// What became of the copies of each.
fn drop_copies(directory: &Path, places: &[(Arc<str>, ObjectKey)]) -> Vec<Erasure> {
    let drop_copy = |(space, key): &(Arc<str>, ObjectKey)| {
        let what = cache::Purge::Key {
            space: Arc::clone(space),
            key: key.clone(),
        };
        Erasure::of_cache(match cache::purge_offline(directory, &what) {
            Ok(purged) => Fate::of_purge(&purged),
            Err(error) if error.is_absence() => Fate::Absent,
            Err(error) => Fate::left(error.to_string()),
        })
    };
    places.iter().map(drop_copy).collect()
}

async fn list(global: &Global, config: &Config) -> anyhow::Result<ExitCode> {
    // Without a gateway too, also beside one that is just starting: the file is only read.
    let directory = config.state.directory.clone();
    let rows = tokio::task::spawn_blocking(move || rows(&directory)).await??;
    if global.json {
        print_json(&rows);
    } else if rows.is_empty() {
        say("no key is tombstoned");
    } else {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_header(["SPACE", "KEY", "SINCE", "REASON"]);
        for TombstoneRow {
            space,
            key,
            time,
            reason,
        } in &rows
        {
            let since = report::time(*time);
            table.add_row([space, &printable(key), &since, &printable(reason)]);
        }
        say(&table.to_string());
    }
    Ok(ExitCode::SUCCESS)
}
