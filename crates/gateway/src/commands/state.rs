//! `state export` and `state import`: for the day the server burns.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream as futures};
use http::Method;
use serde::Serialize;
use state::{Imported, StateDirectory, Taken};
use tokio::sync::mpsc;

use super::cli::{Global, StateCommand};
use super::report::{self, complain, print_json, say};
use crate::config::Config;
use crate::control::{CallError, stream, upload};

/// Pieces of a file that wait to be sent.
const WAITING_PIECES: usize = 4;
const PIECE_BYTES: usize = 64 * 1024;

pub(super) async fn run(global: &Global, command: StateCommand) -> anyhow::Result<ExitCode> {
    let config = match report::load_or_report(global) {
        Ok(loaded) => loaded.config,
        Err(exit) => return Ok(exit),
    };
    match command {
        StateCommand::Export { file } => export(global, &config, &file).await,
        StateCommand::Import { file } => import(global, config, &file).await,
    }
}

#[derive(Serialize)]
struct Written {
    file: String,
    bytes: u64,
}

async fn export(global: &Global, config: &Config, file: &Path) -> anyhow::Result<ExitCode> {
    let mut out = Output::create(file)?;
    let directory = &config.state.directory;
    let path = "/api/state";
    match stream(directory, Method::GET, path, None::<&()>, |chunk| {
        out.write_all(&chunk)
    })
    .await
    {
        Ok(()) => {}
        Err(CallError::NotRunning(socket)) => {
            let state = StateDirectory::open(directory, spaces(config)).map_err(|error| {
                anyhow::Error::from(error).context(CallError::NotRunning(socket))
            })?;
            let exported = state::export(&state, &mut out)?;
            if let Some(why) = exported.without_ledger {
                complain(&format!("warning: without the ledger: {why}"));
            }
        }
        Err(error) => return Err(error.into()),
    }
    let bytes = out.finish()?;
    // Standard output has the export itself.
    if file != Path::new("-") {
        let file = file.display().to_string();
        if global.json {
            print_json(&Written { file, bytes });
        } else {
            say(&format!("{file}: {bytes} bytes"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn import(global: &Global, config: Config, file: &Path) -> anyhow::Result<ExitCode> {
    let open = || -> anyhow::Result<Box<dyn Read + Send>> {
        if file == Path::new("-") {
            return Ok(Box::new(io::stdin()));
        }
        let opened = File::open(file);
        Ok(Box::new(opened.with_context(|| {
            format!("{}: cannot be read", file.display())
        })?))
    };
    let directory = config.state.directory.clone();
    let imported = match upload(&directory, "/api/state", chunks(open()?)).await {
        Ok(answer) => serde_json::from_slice(&answer)?,
        Err(CallError::NotRunning(socket)) => {
            let from = open()?;
            let work = tokio::task::spawn_blocking(move || {
                let state = StateDirectory::open(&directory, spaces(&config)).map_err(|error| {
                    anyhow::Error::from(error).context(CallError::NotRunning(socket))
                })?;
                anyhow::Ok(state::import(&state, from)?)
            });
            work.await??
        }
        Err(error) => return Err(error.into()),
    };
    if global.json {
        print_json(&imported);
        return Ok(ExitCode::SUCCESS);
    }
    let Imported {
        tombstones,
        canaries,
        ledger,
        saves,
    } = imported;
    for (what, Taken { taken, left }) in [
        ("tombstones", tombstones),
        ("canaries", canaries),
        ("ledger", ledger),
        ("rehearsal saves", saves),
    ] {
        say(&format!("{what}: {taken} taken over, {left} known already"));
    }
    Ok(ExitCode::SUCCESS)
}

/// A file in pieces. Nothing is read before the first is asked for: standard input can be read
/// once only, and where no gateway runs it is for somebody else.
fn chunks(from: impl Read + Send + 'static) -> impl Stream<Item = io::Result<Bytes>> {
    futures::once(async move { reading(from) }).flatten()
}

/// A thread of its own reads, as far as the pieces are taken.
fn reading(mut from: impl Read + Send + 'static) -> impl Stream<Item = io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(WAITING_PIECES);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut chunk = Vec::with_capacity(PIECE_BYTES);
            let read = from
                .by_ref()
                .take(PIECE_BYTES as u64)
                .read_to_end(&mut chunk);
            let item = match read {
                Ok(0) => return,
                Ok(_) => Ok(Bytes::from(chunk)),
                Err(error) => Err(error),
            };
            let failed = item.is_err();
            if sender.blocking_send(item).is_err() || failed {
                return;
            }
        }
    });
    futures::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    })
}

fn spaces(config: &Config) -> impl Iterator<Item = &str> {
    config.routes.iter().map(|route| &*route.cache_space)
}

/// A file that is complete or not there, or standard output.
enum Output {
    File {
        file: File,
        at: std::path::PathBuf,
        unfinished: std::path::PathBuf,
        bytes: u64,
    },
    Standard(u64),
}

impl Output {
    fn create(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::Standard(0));
        }
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = std::path::PathBuf::from(unfinished);
        // It names keys that were deleted for good reasons.
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .with_context(|| format!("{}: cannot be written", unfinished.display()))?;
        Ok(Self::File {
            file,
            at: path.to_owned(),
            unfinished,
            bytes: 0,
        })
    }

    fn finish(self) -> anyhow::Result<u64> {
        match self {
            Self::Standard(bytes) => {
                io::stdout().flush()?;
                Ok(bytes)
            }
            Self::File {
                file,
                at,
                unfinished,
                bytes,
            } => {
                file.sync_all()?;
                fs::rename(&unfinished, &at)
                    .with_context(|| format!("{}: cannot be put in place", at.display()))?;
                Ok(bytes)
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let (written, bytes) = match self {
            Self::File { file, bytes, .. } => (file.write(part)?, bytes),
            Self::Standard(bytes) => (io::stdout().write(part)?, bytes),
        };
        *bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File { file, .. } => file.flush(),
            Self::Standard(_) => io::stdout().flush(),
        }
    }
}
