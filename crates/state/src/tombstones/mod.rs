//! Keys that must stay gone, whatever any origin or cache still holds.
//!
//! Durable before it is acknowledged, and applied only then. In memory a tombstone is 16 bytes;
//! its key, time and reason are in the log. Refuses to open a log that it cannot read to its end.

mod error;
mod fingerprint;
mod following;
mod frame;
mod history;
mod listing;
mod log;
mod reader;
mod record;
mod resident;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use error::TombstoneError;
use fingerprint::Fingerprint;
pub use following::Action;
pub(crate) use history::LastActions;
use history::{Gathered, History};
pub use listing::{Listing, Tombstone, list_tombstones};
use log::Log;
pub(crate) use log::RewriteError;
use reader::Reader;
pub(crate) use record::{Kind, Record};
pub use record::{MAX_REASON_BYTES, MAX_SCOPE_BYTES};
use resident::Resident;
pub use resident::Scope;

use crate::directory::Held;
use crate::files::unix_now;

/// The log's name in the state directory.
pub(crate) const FILE: &str = "tombstones";

/// The tombstones of a state directory that this process holds.
#[derive(Debug)]
pub struct Tombstones {
    log: Mutex<Log>,
    resident: RwLock<Resident>,
    /// How many there are, so that a gateway without any asks nothing else.
    live: AtomicUsize,
    changes: AtomicU64,
    _held: Held,
}

/// What adding tombstones has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// Keys that were not tombstoned before.
    pub new: usize,
    /// Keys that were, and have been recorded once more.
    pub again: usize,
}

impl Tombstones {
    pub(crate) fn open<S: AsRef<str>>(
        directory: &Path,
        held: Held,
        scopes: impl IntoIterator<Item = S>,
    ) -> Result<Self, TombstoneError> {
        let mut resident = Resident::default();
        resident.know(named(scopes));
        let log = match Reader::open(&directory.join(FILE))? {
            None => Log::create(directory)?,
            Some(reader) => {
                let mut actions = LastActions::read(reader)?;
                resident.replace(Resident::of(actions.history()));
                let mut log = Log::open(directory, actions.reader())?;
                if let Err(error) = drop_superseded(&mut log, &mut actions) {
                    tracing::warn!(%error, "the log of tombstones could not be shortened");
                }
                log
            }
        };
        Ok(Self {
            log: Mutex::new(log),
            live: AtomicUsize::new(resident.len()),
            resident: RwLock::new(resident),
            changes: AtomicU64::new(0),
            _held: held,
        })
    }

    /// Whether a key must stay gone for a route with this cache space. Tombstones of cache spaces
    /// that no route has apply to every route. One atomic load where there is no tombstone.
    pub fn contains(&self, scope: &str, key: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        let own = Fingerprint::of(scope, key);
        self.read().contains(own, scope, key)
    }

    /// Makes keys, each with the cache space it is gone from, stay gone. Durable when this
    /// returns, and applied from then on; where it fails, no key is newly gone. Touches the disk.
    ///
    /// # Errors
    /// Nothing was recorded, and why.
    pub fn add(&self, keys: &[(&str, &[u8])], reason: &str) -> Result<Added, TombstoneError> {
        let mut log = self.record(Kind::Add, keys, reason)?;
        // Looked for before others have to wait; who holds the log is the only one to change it.
        let new = self.read().select(keys, false);
        let mut resident = self.write();
        resident.insert(&new);
        self.changed(&resident);
        drop(resident);
        shorten_crowded(&mut log);
        Ok(Added {
            new: new.len(),
            again: keys.len() - new.len(),
        })
    }

    /// Lets keys be served again. Durable when this returns. How many of them were tombstoned;
    /// the others are recorded too, so that an import does not bring them back. Touches the disk.
    ///
    /// # Errors
    /// Nothing was recorded, and why.
    pub fn remove(&self, keys: &[(&str, &[u8])], reason: &str) -> Result<usize, TombstoneError> {
        let mut log = self.record(Kind::Remove, keys, reason)?;
        let old = self.read().select(keys, true);
        let mut resident = self.write();
        resident.remove(&old);
        self.changed(&resident);
        drop(resident);
        shorten_crowded(&mut log);
        Ok(old.len())
    }

    /// Takes the cache spaces of a new configuration.
    pub fn know<S: AsRef<str>>(&self, scopes: impl IntoIterator<Item = S>) {
        let scopes = named(scopes);
        let mut resident = self.write();
        resident.know(scopes);
        self.changed(&resident);
    }

    /// The cache spaces that have tombstones.
    pub fn scopes(&self) -> Vec<Scope> {
        self.read().scopes()
    }

    /// How many keys must stay gone.
    pub fn len(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A number that grows with each change: a running response asks [`Self::contains`] again
    /// only when it has.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// What they take in memory, in bytes.
    pub fn resident_bytes(&self) -> usize {
        self.read().bytes()
    }

    /// Takes over actions of another log: of two on one key the later one stays, at the same
    /// second the one that adds. All or nothing. `each` hands out the actions, and is called
    /// twice. How many were taken over.
    pub(crate) fn merge(
        &self,
        mut each: impl FnMut(&mut dyn FnMut(&Record<'_>) -> io::Result<()>) -> io::Result<()>,
    ) -> Result<u64, RewriteError> {
        let mut log = self.log();
        let (mut reader, ours) = LastActions::read(log.reader()?)?.into_parts();
        let first = log.records();
        let mut number = first;
        let mut gathered = Gathered::from(ours);
        each(&mut |record| {
            record
                .check()
                .map_err(|error| io::Error::other(error.to_string()))?;
            gathered.push(number, record);
            number += 1;
            if number > record::MAX_RECORDS {
                return Err(io::Error::other("a log cannot hold more records"));
            }
            Ok(())
        })?;
        let history = gathered.in_order_of_time();
        let taken = history.numbers().filter(|number| *number >= first).count() as u64;
        if taken == 0 {
            log.settle()?;
            return Ok(0);
        }
        let rewritten = log.rewrite(|push| {
            reader.rewind()?;
            while let Some((number, record)) = reader.next()? {
                if history.is_last(number, &record) {
                    push(&record)?;
                }
            }
            let mut number = first;
            each(&mut |record| {
                if history.is_last(number, record) {
                    push(record)?;
                }
                number += 1;
                Ok(())
            })?;
            Ok(())
        });
        // What is in place applies, even if it may not survive a power cut.
        if matches!(rewritten, Ok(()) | Err(RewriteError::NotDurable(_))) {
            self.load(&history);
        }
        rewritten.map(|()| taken)
    }

    fn load(&self, history: &History) {
        let loaded = Resident::of(history);
        let mut resident = self.write();
        resident.replace(loaded);
        self.changed(&resident);
    }

    /// Records an action, and keeps the log from others until what is in memory has followed.
    fn record(
        &self,
        kind: Kind,
        keys: &[(&str, &[u8])],
        reason: &str,
    ) -> Result<MutexGuard<'_, Log>, TombstoneError> {
        let time = unix_now();
        let records = keys.iter().map(|(scope, key)| Record {
            kind,
            time,
            scope,
            key,
            reason,
        });
        records.clone().try_for_each(|record| record.check())?;
        let mut log = self.log();
        if !keys.is_empty() {
            log.append(records)?;
        }
        Ok(log)
    }

    fn changed(&self, resident: &Resident) {
        self.live.store(resident.len(), Ordering::Release);
        self.changes.fetch_add(1, Ordering::Release);
    }

    // A panic while one of these is held leaves nothing half done that matters: the log knows how
    // long it is only after a write, and the set is as good as the log.
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Resident> {
        self.resident.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Resident> {
        self.resident
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last action on each key of a directory's log; nothing where there is no log.
pub(crate) fn last_actions(directory: &Path) -> Result<Option<LastActions>, TombstoneError> {
    Reader::open(&directory.join(FILE))?
        .map(LastActions::read)
        .transpose()
}

/// Rewrites a log of which more has been superseded than is live.
fn drop_superseded(log: &mut Log, actions: &mut LastActions) -> Result<(), RewriteError> {
    let (superseded, live) = (actions.superseded(), actions.history().live());
    if superseded <= live {
        log.leave_crowded();
        return Ok(());
    }
    log.rewrite(|push| actions.each(|record| Ok(push(record)?)))?;
    tracing::info!(superseded, live, "the log of tombstones was shortened");
    Ok(())
}

fn shorten_crowded(log: &mut Log) {
    if !log.is_crowded() {
        return;
    }
    let shortened = log
        .reader()
        .and_then(LastActions::read)
        .map_err(RewriteError::from)
        .and_then(|mut actions| drop_superseded(log, &mut actions));
    if let Err(error) = shortened {
        // What was asked for is recorded all the same.
        tracing::warn!(%error, "the log of tombstones could not be shortened");
        log.leave_crowded();
    }
}

fn named<S: AsRef<str>>(scopes: impl IntoIterator<Item = S>) -> BTreeSet<Box<str>> {
    scopes
        .into_iter()
        .map(|scope| scope.as_ref().into())
        .collect()
}
