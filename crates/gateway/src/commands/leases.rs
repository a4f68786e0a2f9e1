//! What a command that works beside the gateway, or alone, may read and send.
//!
//! Bytes come in leases, which are given back where they were not read; requests one by one, when
//! they are to be sent. The gateway counts both while it serves. Where none runs the command has
//! the state directory, and counts in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use futures_util::future::BoxFuture;
use http::Method;
use origin_resolver::{
    Budget, Failure, GuardedOrigin, OriginObserver, SaveCause, Unaffordable, VerdictLabel,
};
use serde::Serialize;
use state::StateDirectory;
use tokio::sync::Semaphore;

use super::turns::Turns;
use crate::clock::unix_now;
use crate::config::Config;
use crate::control::{CallError, call, call_patiently};
use crate::lending::{Allowances, LendRequest, Lent, ReturnRequest};

const LEND: &str = "/api/budget/lend";
const RETURN: &str = "/api/budget/return";
/// Bytes that are asked for together; a kill loses no more, but for an object that is longer.
const WISH: u64 = 64 * 1024 * 1024;

/// Who counts.
#[derive(Clone)]
pub(super) enum Lender {
    /// The gateway of this state directory.
    Beside(PathBuf),
    /// This command.
    Alone(Arc<Allowances>, Arc<StateDirectory>),
}

/// What a command may use of each origin.
pub(super) struct Leases {
    by_origin: BTreeMap<Box<str>, Arc<Purse>>,
    lender: Lender,
}

impl Leases {
    /// Of the gateway of this configuration, or where none runs of the state that is held.
    pub(super) fn of(config: &Config, held: Option<&Arc<StateDirectory>>) -> Self {
        let lender = match held {
            Some(state) => {
                let allowances = Allowances::new(config, state.egress());
                Lender::Alone(Arc::new(allowances), Arc::clone(state))
            }
            None => Lender::Beside(config.state.directory.clone()),
        };
        let names = config.origins.iter().map(|origin| &origin.settings.name);
        let by_origin = names.map(|name| {
            let purse = Purse::new(name, lender.clone());
            (name.clone(), Arc::new(purse))
        });
        Self {
            by_origin: by_origin.collect(),
            lender,
        }
    }

    /// Counts what is read from an origin.
    pub(super) fn observer(&self, origin: &str) -> Arc<dyn OriginObserver> {
        let purse = self.by_origin.get(origin);
        Arc::new(Counted(
            purse
                .map(|purse| Arc::clone(&purse.read))
                .unwrap_or_default(),
        ))
    }

    /// Has requests counted by the gateway that serves, where they are limited.
    pub(super) fn pace(&self, origins: &[Arc<GuardedOrigin>]) {
        let Lender::Beside(directory) = &self.lender else {
            return;
        };
        for origin in origins {
            if origin.settings().max_requests_per_second.is_some() {
                let turns = Turns::new(directory.clone(), origin.name());
                origin.shares_turns(Arc::new(turns));
            }
        }
    }

    /// What may be read of an origin; `None` where that is not limited.
    ///
    /// # Errors
    /// Nobody can say.
    pub(super) async fn budget(&self, origin: &str) -> anyhow::Result<Option<Granted>> {
        let purse = self.by_origin.get(origin);
        let purse = purse.with_context(|| format!("there is no origin \"{origin}\""))?;
        let lent = purse.ask(0, 0).await;
        let lent = lent.map_err(|error| {
            anyhow::anyhow!("what may still be read from \"{origin}\" cannot be told: {error}")
        })?;
        Ok(lent.map(|lent| Granted {
            left_bytes: lent.left,
            budget: Arc::clone(purse) as Arc<dyn Budget>,
        }))
    }

    /// Gives back what was not read, and tells what was.
    pub(super) async fn settle(&self) {
        for purse in self.by_origin.values() {
            purse.settle().await;
        }
        if let Lender::Alone(allowances, state) = &self.lender
            && !allowances.is_empty()
        {
            let (allowances, state) = (Arc::clone(allowances), Arc::clone(state));
            let kept = tokio::task::spawn_blocking(move || allowances.keep(&state)).await;
            if let Ok(Err(error)) = kept {
                tracing::warn!(%error, "what was read from origins cannot be written down");
            }
        }
    }
}

/// What may be read from an origin.
pub(super) struct Granted {
    /// Bytes, when that was asked.
    pub(super) left_bytes: u64,
    /// Who says so for each.
    pub(super) budget: Arc<dyn Budget>,
}

/// Leased bytes of one origin.
struct Purse {
    origin: String,
    lender: Lender,
    held: Mutex<Held>,
    /// One asks for more, the others wait for what it gets.
    turn: Semaphore,
    /// Read since that was last told.
    read: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
    bytes: u64,
    ends: u64,
}

impl Purse {
    fn new(origin: &str, lender: Lender) -> Self {
        Self {
            origin: origin.to_owned(),
            lender,
            held: Mutex::default(),
            turn: Semaphore::new(1),
            read: Arc::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.ends <= unix_now() {
            held.bytes = 0;
        }
        held
    }

    /// Takes what is held; else tells how much is lacking.
    fn take_held(&self, bytes: u64) -> Result<(), u64> {
        let mut held = self.held();
        match bytes.max(1).checked_sub(held.bytes) {
            None | Some(0) => {
                held.bytes -= bytes;
                Ok(())
            }
            Some(lacking) => Err(lacking),
        }
    }

    async fn take_bytes(&self, bytes: u64) -> Result<(), Unaffordable> {
        let _turn = self.turn.acquire().await;
        let Err(lacking) = self.take_held(bytes) else {
            return Ok(());
        };
        let lent = self.ask(lacking, WISH.max(lacking)).await;
        let lent = lent.map_err(|error| Unaffordable(error.into()))?;
        match lent {
            // The gateway was restarted, and does not limit it any more.
            None => Ok(()),
            Some(lent) if lent.bytes == 0 => {
                let why = format!("max_egress leaves {} bytes", lent.left);
                Err(Unaffordable(why.into()))
            }
            Some(lent) => {
                let mut held = self.held();
                held.bytes = held.bytes.saturating_add(lent.bytes);
                held.ends = lent.ends;
                drop(held);
                // Others may have given back meanwhile, and a period may have ended.
                self.take_held(bytes)
                    .map_err(|_| Unaffordable("the period of max_egress has just ended".into()))
            }
        }
    }

    /// Asks for bytes, and tells what was read.
    async fn ask(&self, least: u64, wish: u64) -> Result<Option<Lent>, String> {
        let mut request = LendRequest {
            origin: self.origin.clone(),
            least,
            wish,
            read: 0,
        };
        match &self.lender {
            Lender::Alone(allowances, state) => allowances.lend(state, &request).await,
            Lender::Beside(directory) => {
                request.read = self.read.swap(0, Ordering::Relaxed);
                let answer = match call(directory, Method::POST, LEND, Some(&request)).await {
                    // It has counted this, or has forgotten what it counts.
                    Err(CallError::NotRunning(_) | CallError::Broken { .. }) => {
                        request.read = 0;
                        call_patiently(directory, LEND, &request).await
                    }
                    answered => answered,
                };
                let answer = answer.map_err(|error| error.to_string())?;
                serde_json::from_slice(&answer).map_err(|error| error.to_string())
            }
        }
    }

    /// Gives back what is held. Only once: what was given back and not acknowledged would be given
    /// back again.
    async fn settle(&self) {
        let held = std::mem::take(&mut *self.held());
        let request = ReturnRequest {
            origin: self.origin.clone(),
            bytes: held.bytes,
            ends: held.ends,
            read: self.read.swap(0, Ordering::Relaxed),
        };
        match &self.lender {
            Lender::Alone(allowances, _) => allowances.take_back(&request),
            Lender::Beside(directory) if request.bytes > 0 || request.read > 0 => {
                tell(directory, RETURN, &request).await;
            }
            Lender::Beside(_) => {}
        }
    }
}

async fn tell(directory: &Path, path: &str, request: &impl Serialize) {
    if let Err(error) = call(directory, Method::POST, path, Some(request)).await {
        tracing::warn!(%error, "the gateway could not be told what was not read of max_egress");
    }
}

impl Budget for Purse {
    fn take(&self, bytes: u64) -> BoxFuture<'_, Result<(), Unaffordable>> {
        Box::pin(self.take_bytes(bytes))
    }

    fn give_back(&self, bytes: u64) {
        let mut held = self.held();
        held.bytes = held.bytes.saturating_add(bytes);
    }
}

/// Counts the bytes that a command reads.
struct Counted(Arc<AtomicU64>);

impl OriginObserver for Counted {
    fn answered(&self, _verdict: VerdictLabel, _elapsed: std::time::Duration) {}
    fn unknown(&self, _failure: &Failure) {}
    fn served_bytes(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
    fn background_bytes(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }
    fn up(&self, _up: bool) {}
    fn suspect(&self, _suspect: bool) {}
    fn rehearsal_save(&self, _cause: SaveCause) {}
    fn resumed(&self) {}
}

#[cfg(test)]
mod tests {
    use origin_resolver::SharedTurns as _;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// A command that works alone, with a gibibyte of one origin.
    fn alone(directory: &Path) -> (Leases, Arc<Purse>) {
        let text = "[origins.old]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n\
                    max_egress = \"1 GiB/month\"\n[[routes]]\nurl = \"/\"\norigins = [\"old\"]\n";
        let config = Config::parse("test.toml", text, []).unwrap().config;
        let state = Arc::new(StateDirectory::open(directory, ["media"]).unwrap());
        let leases = Leases::of(&config, Some(&state));
        let purse = Arc::clone(&leases.by_origin["old"]);
        (leases, purse)
    }

    async fn left(leases: &Leases) -> u64 {
        leases.budget("old").await.unwrap().unwrap().left_bytes
    }

    #[tokio::test]
    async fn bytes_are_taken_from_a_lease_and_what_is_not_read_is_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let (leases, purse) = alone(directory.path());
        assert_eq!(left(&leases).await, 1024 * MIB);
        purse.take(0).await.unwrap();
        assert_eq!(left(&leases).await, (1024 - 64) * MIB);
        purse.take(10 * MIB).await.unwrap();
        purse.take(54 * MIB).await.unwrap();
        assert_eq!(
            left(&leases).await,
            (1024 - 64) * MIB,
            "from the same lease"
        );
        // One that is longer than any lease.
        purse.take(900 * MIB).await.unwrap();
        assert_eq!(left(&leases).await, 60 * MIB);
        let why = purse.take(61 * MIB).await.unwrap_err();
        assert!(
            why.to_string().contains("max_egress leaves 62914560 bytes"),
            "{why}"
        );
        purse.give_back(900 * MIB);
        purse.take(61 * MIB).await.unwrap();
        leases.settle().await;
        assert_eq!(left(&leases).await, (1024 - 64 - 61) * MIB);
        drop((leases, purse));
        let (leases, _) = alone(directory.path());
        assert_eq!(left(&leases).await, (1024 - 64 - 61) * MIB);
    }

    #[tokio::test]
    async fn a_lease_of_a_period_that_has_ended_is_worth_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (leases, purse) = alone(directory.path());
        purse.take(0).await.unwrap();
        purse.held.lock().unwrap().ends = unix_now();
        assert_eq!(purse.held().bytes, 0);
        purse.take(MIB).await.unwrap();
        assert!(left(&leases).await < (1024 - 64) * MIB, "another lease");
    }

    #[tokio::test]
    async fn where_no_gateway_answers_no_turn_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let turns = Turns::new(directory.path().to_owned(), "old");
        futures_util::future::join_all((0..20).map(|_| turns.turn())).await;
    }
}
