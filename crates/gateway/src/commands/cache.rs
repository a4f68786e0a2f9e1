//! `cache stat` and `cache verify`.

use std::process::ExitCode;

use http::Method;

use super::cli::{CacheCommand, Global};
use super::report::{self, print_json, say};
use crate::admin::{CacheReport, VerifyReport};
use crate::config::Config;
use crate::control::{CallError, call};

pub(super) async fn run(global: &Global, command: CacheCommand) -> anyhow::Result<ExitCode> {
    let config = match report::load_or_report(global) {
        Ok(loaded) => loaded.config,
        Err(exit) => return Ok(exit),
    };
    match command {
        CacheCommand::Stat => stat(global, &config).await,
        CacheCommand::Verify => verify(global, &config).await,
    }
}

async fn stat(global: &Global, config: &Config) -> anyhow::Result<ExitCode> {
    let state = &config.state.directory;
    let held: CacheReport = match call(state, Method::GET, "/api/cache", None::<&()>).await {
        Ok(answer) => serde_json::from_slice(&answer)?,
        Err(CallError::NotRunning(socket)) => {
            let directory = config.cache.directory.clone();
            let stat = tokio::task::spawn_blocking(move || cache::stat(&directory)).await?;
            let usage = stat.map_err(|error| {
                anyhow::Error::from(error).context(CallError::NotRunning(socket))
            })?;
            let usage = usage.usage;
            CacheReport {
                up: true,
                objects: usage.entries,
                files: usage.files,
                disk_bytes: usage.bytes,
                memory_bytes: 0,
                orphans: usage.orphans,
            }
        }
        Err(error) => return Err(error.into()),
    };
    if global.json {
        print_json(&held);
        return Ok(ExitCode::SUCCESS);
    }
    let size = |bytes| bytesize::ByteSize(bytes).display().si();
    say(&format!(
        "directory  {}{}",
        config.cache.directory.display(),
        if held.up {
            ""
        } else {
            "  (cannot be used at the moment, see the log)"
        }
    ));
    say(&format!("objects    {}", held.objects));
    say(&format!(
        "disk       {} in {} files, of {} at most",
        size(held.disk_bytes),
        held.files,
        size(config.cache.max_size_bytes)
    ));
    say(&format!(
        "memory     {}, of {} at most",
        size(held.memory_bytes),
        size(config.cache.memory_bytes)
    ));
    say(&format!("orphans    {}", held.orphans));
    Ok(ExitCode::SUCCESS)
}

async fn verify(global: &Global, config: &Config) -> anyhow::Result<ExitCode> {
    let state = &config.state.directory;
    let verified: VerifyReport = match call(state, Method::POST, "/api/cache/verify", None::<&()>)
        .await
    {
        Ok(answer) => serde_json::from_slice(&answer)?,
        Err(CallError::NotRunning(socket)) => {
            let directory = config.cache.directory.clone();
            let done =
                tokio::task::spawn_blocking(move || cache::verify(&directory, |_| true)).await?;
            done.map_err(|error| anyhow::Error::from(error).context(CallError::NotRunning(socket)))?
                .into()
        }
        Err(error) => return Err(error.into()),
    };
    if global.json {
        print_json(&verified);
    } else {
        let size = bytesize::ByteSize(verified.bytes).display().si();
        let damage = match verified.damaged {
            0 => "no damage".to_owned(),
            some => format!("{some} damaged and removed; they are fetched again when asked for"),
        };
        verified.list.iter().for_each(|line| say(line));
        say(&format!("{} slices, {size}: {damage}", verified.slices));
    }
    Ok(if verified.damaged == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
