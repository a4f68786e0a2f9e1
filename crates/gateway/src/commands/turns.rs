//! Requests that a command may send to an origin that the gateway also asks.
//!
//! As many turns are asked for as requests wait at the moment, so none lies about: what is not
//! sent here may be sent there. Where no gateway answers, none sends requests either.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures_util::future::BoxFuture;
use http::Method;
use origin_resolver::SharedTurns;
use tokio::sync::Semaphore;

use crate::control::{CallError, call};
use crate::lending::TurnsRequest;

const TURNS: &str = "/api/budget/turns";

/// The turns of one origin.
pub(super) struct Turns {
    directory: PathBuf,
    origin: String,
    waiting: AtomicU32,
    /// Turns that came for those who wait.
    lent: Semaphore,
    /// One asks for all.
    asking: Semaphore,
    has_complained: AtomicBool,
}

impl Turns {
    /// Of the gateway of this state directory.
    pub(super) fn new(directory: PathBuf, origin: &str) -> Self {
        Self {
            directory,
            origin: origin.to_owned(),
            waiting: AtomicU32::new(0),
            lent: Semaphore::new(0),
            asking: Semaphore::new(1),
            has_complained: AtomicBool::new(false),
        }
    }

    async fn wait(&self) {
        let _waiting = Waiting::among(&self.waiting);
        loop {
            tokio::select! {
                biased;
                lent = self.lent.acquire() => {
                    if let Ok(turn) = lent {
                        turn.forget();
                    }
                    return;
                }
                asking = self.asking.acquire() => {
                    let _asking = asking;
                    let turns = self.ask().await;
                    self.lent.add_permits(turns as usize);
                }
            }
        }
    }

    async fn ask(&self) -> u32 {
        let most = self.waiting.load(Ordering::Relaxed).max(1);
        let request = TurnsRequest {
            origin: self.origin.clone(),
            most,
        };
        match call(&self.directory, Method::POST, TURNS, Some(&request)).await {
            Ok(answer) => serde_json::from_slice(&answer).unwrap_or(0),
            Err(CallError::NotRunning(_) | CallError::Broken { .. }) => most,
            Err(error @ CallError::Refused(_)) => {
                if !self.has_complained.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        %error,
                        origin = self.origin,
                        "the gateway does not share its requests; this command keeps to half of max_requests by itself"
                    );
                }
                most
            }
        }
    }
}

impl SharedTurns for Turns {
    fn turn(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.wait())
    }
}

/// Somebody who waits, until it is dropped.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn among(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
