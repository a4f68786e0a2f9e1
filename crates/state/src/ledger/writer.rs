//! The one thread that opens and writes the ledger's database.
//!
//! What waits to be written is bounded; what finds no place is dropped and counted. A failure
//! keeps what waits, and the database is opened again after a while that grows.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use super::change::{Change, Tables};
use super::store::{LedgerDown, Store, TransferError};

/// The most changes that wait in the queue, and as many again where the database is closed.
pub(super) const QUEUE: usize = 4096;
/// From so many changes on, a commit does not wait for its time.
const FULL: usize = QUEUE / 4;
/// How often it is said that the ledger cannot be used.
const SAY_EVERY: Duration = Duration::from_mins(1);

/// How fast, and how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) commit_every: Duration,
    pub(crate) reopen_first: Duration,
    pub(crate) reopen_most: Duration,
    pub(crate) most_saved_keys: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            commit_every: Duration::from_secs(1),
            reopen_first: Duration::from_secs(1),
            reopen_most: Duration::from_mins(1),
            most_saved_keys: super::MAX_SAVED_KEYS,
        }
    }
}

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Order {
    Change(Change),
    /// Write all that waits now, and tell whether it is durable.
    Flush(SyncSender<Result<(), LedgerDown>>),
}

/// The thread's own.
pub(super) struct Writer {
    store: Arc<Store>,
    pace: Pace,
    waiting: Vec<Change>,
    /// When what waits has waited long enough.
    due: Option<Instant>,
    /// How long until the next try, the next time that one fails.
    patience: Duration,
    retry_at: Instant,
    said_at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(store: Arc<Store>, pace: Pace) -> Self {
        Self {
            store,
            pace,
            waiting: Vec::new(),
            due: None,
            patience: pace.reopen_first,
            retry_at: Instant::now(),
            said_at: None,
        }
    }

    /// Runs until nobody can give orders any more, and writes what is left then.
    pub(super) fn run(mut self, orders: &Receiver<Order>, opened: &SyncSender<()>) {
        let _ = self.write(true);
        // Nobody waits for it any more where opening has taken long.
        let _ = opened.try_send(());
        loop {
            let now = Instant::now();
            let until = self.due.unwrap_or(now + self.pace.commit_every);
            match orders.recv_timeout(until.saturating_duration_since(now)) {
                Ok(Order::Change(change)) => {
                    self.take(change);
                    let due = *self.due.get_or_insert(now + self.pace.commit_every);
                    if self.waiting.len() >= FULL || due <= now {
                        let _ = self.write(false);
                    }
                }
                Ok(Order::Flush(reply)) => {
                    let _ = reply.try_send(self.write(true));
                }
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.write(false);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.write(true);
                    // Whoever still holds an iterator must not keep the next process out.
                    self.store.close();
                    return;
                }
            }
        }
    }

    fn take(&mut self, change: Change) {
        if self.waiting.len() < QUEUE {
            self.waiting.push(change);
        } else {
            let dropped = &self.store.counters.dropped;
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what waits, and opens the database before if that is closed and it is time, or must
    /// be.
    fn write(&mut self, must: bool) -> Result<(), LedgerDown> {
        self.due = None;
        if !self.store.is_up() && !must && Instant::now() < self.retry_at {
            return Err(self.store.down());
        }
        let written = self.try_write();
        match &written {
            Ok(()) => {
                if self.said_at.take().is_some() {
                    tracing::info!("the ledger can be used again");
                }
                self.patience = self.pace.reopen_first;
            }
            Err(down) => self.failed(down),
        }
        written
    }

    fn try_write(&mut self) -> Result<(), LedgerDown> {
        if !self.store.is_up() {
            self.store.open()?;
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        let written = self.store.write(|transaction| {
            let mut tables = Tables::open(&self.store, transaction, self.pace.most_saved_keys)?;
            self.waiting
                .iter()
                .try_for_each(|change| tables.apply(change))
        });
        match written {
            Ok(()) => {
                self.waiting.clear();
                Ok(())
            }
            Err(TransferError::Ledger(down)) => Err(down),
            Err(TransferError::Other(_)) => Err(self.store.down()),
        }
    }

    fn failed(&mut self, down: &LedgerDown) {
        let now = Instant::now();
        self.retry_at = now + self.patience;
        self.patience = (self.patience * 2).min(self.pace.reopen_most);
        if self.said_at.is_none_or(|said| now - said >= SAY_EVERY) {
            self.said_at = Some(now);
            tracing::warn!(
                error = %down,
                "nothing is known of withdrawn keys and verified copies until the ledger can be used"
            );
        }
    }
}
