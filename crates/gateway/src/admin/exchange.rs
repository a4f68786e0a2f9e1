//! The state as one file, out and in, for the commands beside the gateway.
//!
//! Answered on the control socket only. Neither way holds more of it than a few pieces.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::sync::mpsc;

use super::Admin;
use crate::deletions::LedgerKey;

/// Pieces that wait for whoever takes them.
const WAITING_PIECES: usize = 4;
const PIECE_BYTES: usize = 64 * 1024;

/// The state as one file. What is cut off has no last line, and no import takes it.
pub(super) async fn export(State(admin): State<Admin>) -> Response {
    let Some(keeping) = &admin.app.keeping else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let state = Arc::clone(&keeping.state);
    streamed(move |out| {
        let exported = state::export(&state, out);
        exported.map(drop).map_err(|error| error.to_string())
    })
}

/// The ledger, for who compares it: a line for each key at each origin, and a last one with their
/// number, so that half of it is not taken for all.
pub(super) async fn ledger(State(admin): State<Admin>) -> Response {
    let Some(keeping) = &admin.app.keeping else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let (app, state) = (Arc::clone(&admin.app), Arc::clone(&keeping.state));
    streamed(move |out| {
        // What was noted a moment ago is not written yet.
        let flushed = state.ledger().flush();
        flushed.map_err(|down| down.to_string())?;
        let mut count = 0_u64;
        for origin in &app.origins {
            for row in state.ledger().iter(origin.name()) {
                let (key, entry) = row.map_err(|down| down.to_string())?;
                let known = LedgerKey {
                    origin: origin.name().to_owned(),
                    key: key.as_str().to_owned(),
                    verified: entry.verified,
                };
                line(out, &known)?;
                count += 1;
            }
        }
        line(out, &count)
    })
}

fn line(out: &mut dyn Write, value: &impl Serialize) -> Result<(), String> {
    let mut text = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    text.push(b'\n');
    out.write_all(&text).map_err(|error| error.to_string())
}

/// What blocking work writes, in a few pieces at a time. What is cut off has no last line.
fn streamed(
    work: impl FnOnce(&mut io::BufWriter<Chunks>) -> Result<(), String> + Send + 'static,
) -> Response {
    let (sender, receiver) = mpsc::channel(WAITING_PIECES);
    tokio::task::spawn_blocking(move || {
        let mut out = io::BufWriter::with_capacity(PIECE_BYTES, Chunks(sender));
        let written = work(&mut out);
        let written = written.and_then(|()| out.flush().map_err(|error| error.to_string()));
        if let Err(error) = written {
            tracing::warn!(error, "the state was not exported");
        }
    });
    let chunks = stream::unfold(receiver, |mut receiver| async move {
        let chunk: Bytes = receiver.recv().await?;
        Some((Ok::<_, Infallible>(chunk), receiver))
    });
    Body::from_stream(chunks).into_response()
}

/// Merges an exported state into the one in use, which holds from then on as if it had always been
/// so: what must stay gone is cut.
pub(super) async fn import(State(admin): State<Admin>, body: Body) -> Response {
    let Some(keeping) = &admin.app.keeping else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let state = Arc::clone(&keeping.state);
    let (sender, pieces) = mpsc::channel(WAITING_PIECES);
    let from = Pieces {
        pieces,
        rest: Bytes::new(),
    };
    let work = tokio::task::spawn_blocking(move || state::import(&state, from));
    let mut body = body.into_data_stream().map_err(io::Error::other);
    while let Some(piece) = body.next().await {
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    let imported = match work.await {
        Ok(imported) => imported,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    let app = &admin.app;
    // Also where it stopped in the middle.
    keeping.cache.cut(|space, key| app.is_gone(space, key));
    app.restore_canaries(keeping.state.canaries());
    if let Some(fleet) = &app.lasting.fleet {
        fleet.compare();
    }
    match imported {
        Ok(imported) => {
            tracing::info!(
                tombstones = imported.tombstones.taken,
                ledger = imported.ledger.taken,
                "state imported"
            );
            Json(imported).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

struct Chunks(mpsc::Sender<Bytes>);

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Bytes::copy_from_slice(bytes));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Pieces {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.rest = piece?,
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.rest.len());
        into[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}
