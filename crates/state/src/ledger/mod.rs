//! The ledger: which keys were verified at which origin, and what rehearsing origins saved.
//!
//! Serving never waits for it. What it is told is durable a second later or so, or dropped and
//! counted; where it cannot be used it says that it knows nothing, and [`Ledger::is_up`] tells
//! that from a key that was never seen. Decides nothing.

mod change;
mod row;
mod rows;
mod store;
mod transfer;
mod writer;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object::ObjectKey;
use redb::ReadableDatabase;

use change::Change;
pub use row::{By, Entry, Save, SaveReason, SaveTotals, Withdrawn};
pub use rows::{LedgerRows, SaveRows};
pub(crate) use store::FILE;
pub(crate) use store::TransferError;
use store::{LEDGER, Store, TOTALS};
pub use store::{LedgerCounts, LedgerDown};
pub(crate) use transfer::{Row, Snapshot, Tally};
pub(crate) use writer::Pace;
use writer::{Order, QUEUE, Writer};

use crate::directory::Held;

/// The most keys of one rehearsing origin that are listed, once for each reason; further saves
/// are only counted.
pub const MAX_SAVED_KEYS: u64 = 100_000;

/// How long a start waits for the database; it goes on opening behind that.
const OPEN_WITHIN: Duration = Duration::from_secs(5);
/// How long an end waits for the last changes: a disk that hangs must not hold it up for ever.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// The ledger of a state directory that this process holds.
#[derive(Debug)]
pub struct Ledger {
    store: Arc<Store>,
    pace: Pace,
    /// Taken when the ledger is closed, which ends the thread.
    orders: Option<SyncSender<Order>>,
    ended: Mutex<Receiver<()>>,
}

impl Ledger {
    /// Never fails: a database that cannot be opened is tried again, and nothing is known
    /// meanwhile.
    pub(crate) fn open(directory: &Path, held: Held, pace: Pace) -> Self {
        let store = Arc::new(Store::closed(directory));
        let (orders, received) = sync_channel(QUEUE);
        let (opened, is_open) = sync_channel(1);
        let (end, ended) = sync_channel(1);
        let writer = Writer::new(Arc::clone(&store), pace);
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || {
                writer.run(&received, &opened);
                drop(held);
                let _ = end.try_send(());
            });
        match thread {
            Ok(_) => {
                let _ = is_open.recv_timeout(OPEN_WITHIN);
            }
            Err(error) => tracing::error!(%error, "the ledger has no thread and is not kept"),
        }
        Self {
            store,
            pace,
            orders: Some(orders),
            ended: Mutex::new(ended),
        }
    }

    /// Notes that a key was seen at an origin. Durable within seconds; whether there was room to
    /// note it, which is counted. A withdrawn key is so no longer, unless the entry says it.
    pub fn verified(&self, origin: &str, key: &ObjectKey, entry: Entry) -> bool {
        self.note(Change::Verified {
            origin: origin.into(),
            key: key.clone(),
            entry,
        })
    }

    /// Notes that a key which was verified at an origin is missing there since then, in seconds
    /// since 1970. Nothing where it was never verified; an earlier time stays.
    pub fn withdrawn(&self, origin: &str, key: &ObjectKey, since: u64) -> bool {
        self.note(Change::Withdrawn {
            origin: origin.into(),
            key: key.clone(),
            since,
        })
    }

    /// Notes that a withdrawn key is served from nowhere else since then, in seconds since 1970.
    /// Nothing where it is not withdrawn; an earlier time stays.
    pub fn followed(&self, origin: &str, key: &ObjectKey, at: u64) -> bool {
        self.note(Change::Followed {
            origin: origin.into(),
            key: key.clone(),
            at,
        })
    }

    /// What is known of a key at an origin, as of the last commit. `None` also where the ledger
    /// cannot be used: whoever would act on that asks [`Self::is_up`] afterwards. May touch the
    /// disk.
    pub fn get(&self, origin: &str, key: &ObjectKey) -> Option<Entry> {
        let row = row::ledger_key(origin, key);
        let read = self.store.with(|database| {
            let table = database.begin_read()?.open_table(LEDGER)?;
            change::read(&self.store, &table, &row, row::decode_entry)
        });
        read.ok().flatten()
    }

    /// All that is known of an origin, sorted by key. Touches the disk.
    pub fn iter(&self, origin: &str) -> LedgerRows {
        LedgerRows::new(Arc::clone(&self.store), origin)
    }

    /// The same, beginning behind a key, which need not be there itself.
    pub fn iter_after(&self, origin: &str, key: &ObjectKey) -> LedgerRows {
        self.iter(origin).behind(origin, key)
    }

    /// Forgets all that is known of an origin, but not its saves. Durable when this returns.
    ///
    /// # Errors
    /// The ledger cannot be used; the origin is forgotten when it can.
    pub fn forget_origin(&self, origin: &str) -> Result<(), LedgerDown> {
        self.order(Change::ForgetOrigin(origin.into()))
    }

    /// Forgets which keys were seen at an origin, but not which of them were withdrawn. Durable
    /// when this returns.
    ///
    /// # Errors
    /// The ledger cannot be used; they are forgotten when it can.
    pub fn forget_seen(&self, origin: &str) -> Result<(), LedgerDown> {
        self.order(Change::ForgetSeen(origin.into()))
    }

    /// Notes that only a rehearsing origin could give a key, at this time in seconds since 1970.
    /// Durable within seconds; whether there was room to note it, which is counted.
    pub fn record_save(&self, origin: &str, reason: SaveReason, key: &ObjectKey, at: u64) -> bool {
        self.note(Change::Saved {
            origin: origin.into(),
            reason,
            key: key.clone(),
            at,
        })
    }

    /// The keys that only a rehearsing origin could give. Touches the disk.
    pub fn saves(&self, origin: &str) -> SaveRows {
        SaveRows::new(Arc::clone(&self.store), origin)
    }

    /// How many keys [`Self::saves`] lists, and how many saves it does not. Touches the disk.
    ///
    /// # Errors
    /// The ledger cannot be used.
    pub fn save_totals(&self, origin: &str) -> Result<SaveTotals, LedgerDown> {
        let row = row::of_origin(origin);
        let read = self.store.with(|database| {
            let table = database.begin_read()?.open_table(TOTALS)?;
            change::read(&self.store, &table, &row, |row, value| {
                row::decode_pair(row::TOTALS, row, value)
            })
        })?;
        let (keys, beyond) = read.unwrap_or_default();
        Ok(SaveTotals { keys, beyond })
    }

    /// Forgets the saves of an origin: a rehearsal begins anew. Durable when this returns.
    ///
    /// # Errors
    /// The ledger cannot be used; the saves are forgotten when it can.
    pub fn clear_saves(&self, origin: &str) -> Result<(), LedgerDown> {
        self.order(Change::ClearSaves(origin.into()))
    }

    /// Makes durable what was noted so far. Waits for the disk.
    ///
    /// # Errors
    /// The ledger cannot be used; what was noted waits until it can.
    pub fn flush(&self) -> Result<(), LedgerDown> {
        let (reply, answer) = sync_channel(1);
        self.send(Order::Flush(reply))?;
        answer.recv().unwrap_or_else(|_| Err(self.store.down()))
    }

    /// Whether it can be used. While it cannot, nobody can say which keys are withdrawn.
    pub fn is_up(&self) -> bool {
        self.store.is_up()
    }

    /// What has gone wrong since the start.
    pub fn counts(&self) -> LedgerCounts {
        self.store.counts()
    }

    /// Never waits.
    fn note(&self, change: Change) -> bool {
        let noted = self.orders.as_ref().is_some_and(|orders| {
            match orders.try_send(Order::Change(change)) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
            }
        });
        if !noted {
            self.store.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        noted
    }

    fn order(&self, change: Change) -> Result<(), LedgerDown> {
        self.send(Order::Change(change))?;
        self.flush()
    }

    fn send(&self, order: Order) -> Result<(), LedgerDown> {
        let orders = self.orders.as_ref().ok_or_else(|| self.store.down())?;
        orders.send(order).map_err(|_| self.store.down())
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.orders = None;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if ended.recv_timeout(CLOSE_WITHIN) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the last changes of the ledger could not be written in time");
        }
    }
}

#[cfg(test)]
mod tests;
