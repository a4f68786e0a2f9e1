//! The database below the ledger: opened, used, and put aside when it fails.
//!
//! The database says itself that an error leaves it unusable until it is opened again, and it may
//! panic on a damaged file: neither may reach whoever serves. So it checks the whole file when it
//! is opened, and one that turns out to be damaged later is not even closed. A file of another
//! format is left as it is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redb::{
    Builder, CommitError, Database, DatabaseError, Durability, ReadableDatabase,
    SetDurabilityError, StorageError, Table, TableDefinition, TableError, TransactionError,
    WriteTransaction,
};

use super::row;
use crate::files;

/// The database's name in the state directory.
pub(crate) const FILE: &str = "ledger.redb";
/// The format of the tables; rows have versions of their own.
const FORMAT: u32 = 1;
const CACHE_BYTES: usize = 4 * 1024 * 1024;

const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub(super) const LEDGER: Bytes = TableDefinition::new(row::LEDGER);
pub(super) const SAVES: Bytes = TableDefinition::new(row::SAVES);
pub(super) const TOTALS: Bytes = TableDefinition::new(row::TOTALS);

/// A table within a writing transaction.
pub(super) type Writing<'t> = Table<'t, &'static [u8], &'static [u8]>;

/// The ledger cannot be used at this time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the ledger {} cannot be used: {what}", path.display())]
pub struct LedgerDown {
    path: PathBuf,
    what: String,
}

/// Why rows could not be read into something, or written from it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error(transparent)]
    Ledger(#[from] LedgerDown),
    #[error(transparent)]
    Other(std::io::Error),
}

/// What has gone wrong since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LedgerCounts {
    /// What was not kept, because too much waited to be.
    pub dropped: u64,
    /// Rows that were found damaged, each time they were.
    pub damaged: u64,
    /// Times that the database could not be opened, read or written.
    pub failures: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) dropped: AtomicU64,
    pub(super) damaged: AtomicU64,
    failures: AtomicU64,
}

/// The database, when it can be used.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    database: RwLock<Option<Arc<Database>>>,
    /// Why it cannot be used.
    why: Mutex<String>,
    /// A damaged database was left open, and keeps its file locked.
    abandoned: AtomicBool,
    pub(super) counters: Counters,
}

impl Store {
    pub(super) fn closed(directory: &Path) -> Self {
        Self {
            path: directory.join(FILE),
            database: RwLock::default(),
            why: Mutex::new("it is being opened".to_owned()),
            abandoned: AtomicBool::new(false),
            counters: Counters::default(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.database().is_some()
    }

    pub(super) fn counts(&self) -> LedgerCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LedgerCounts {
            dropped: read(&self.counters.dropped),
            damaged: read(&self.counters.damaged),
            failures: read(&self.counters.failures),
        }
    }

    pub(super) fn count_damaged(&self) {
        self.counters.damaged.fetch_add(1, Ordering::Relaxed);
    }

    /// Why it cannot be used.
    pub(super) fn down(&self) -> LedgerDown {
        LedgerDown {
            path: self.path.clone(),
            what: self.why().clone(),
        }
    }

    /// Opens the database, and makes it where there is none.
    pub(super) fn open(&self) -> Result<(), LedgerDown> {
        let opened = guarded(|| {
            self.prepare()?;
            let database = Builder::new()
                .set_cache_size(CACHE_BYTES)
                // Without it, damage is found in the middle of a commit or while closing, where
                // the database may end the whole process.
                .set_check_integrity_on_open(true)
                .create(&self.path)?;
            check_format(&database)?;
            Ok(database)
        });
        match opened {
            Ok(database) => {
                *self
                    .database
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(database));
                Ok(())
            }
            // Nobody but this process: what it found is still what is wrong.
            Err(Trouble::InUse) if self.abandoned.load(Ordering::Relaxed) => Err(self.down()),
            Err(trouble) => {
                self.fail(&trouble);
                Err(self.down())
            }
        }
    }

    /// Makes the file, which the database would make for everybody to read.
    fn prepare(&self) -> std::io::Result<()> {
        let is_new = !self.path.try_exists()?;
        let file = files::private()
            .create(true)
            .truncate(false)
            .open(&self.path)?;
        files::make_private(&file)?;
        if is_new && let Some(directory) = self.path.parent() {
            files::sync_directory(directory)?;
        }
        Ok(())
    }

    /// Ends the use of the database.
    pub(super) fn close(&self) {
        let put_aside = self.put_aside();
        let _ = guarded(move || {
            drop(put_aside);
            Ok(())
        });
    }

    /// Ends the use of a damaged database without closing it, which would write to it, and which
    /// it may not survive. Its file stays locked; the one that takes its place is not.
    fn abandon(&self) {
        std::mem::forget(self.put_aside());
        self.abandoned.store(true, Ordering::Relaxed);
    }

    fn put_aside(&self) -> Option<Arc<Database>> {
        self.database
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Does something with the database; puts that aside if it fails.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Trouble>,
    ) -> Result<T, LedgerDown> {
        self.transfer(work).map_err(|error| match error {
            TransferError::Ledger(down) => down,
            TransferError::Other(error) => LedgerDown {
                path: self.path.clone(),
                what: error.to_string(),
            },
        })
    }

    /// The same for work that also reads or writes elsewhere: what fails there is no failure of
    /// the database.
    pub(super) fn transfer<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, Trouble>,
    ) -> Result<T, TransferError> {
        let database = self.database().ok_or_else(|| self.down())?;
        // Within the guard: the last one to leave closes the database, which may fail as well.
        let worked = guarded(move || {
            let worked = work(&database);
            drop(database);
            worked
        });
        worked.map_err(|trouble| match trouble {
            Trouble::Elsewhere(error) => TransferError::Other(error),
            trouble => {
                match trouble {
                    Trouble::Damaged(_) => self.abandon(),
                    _ => self.close(),
                }
                self.fail(&trouble);
                self.down().into()
            }
        })
    }

    /// Changes rows: all or nothing, and durable when this returns.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<T, Trouble>,
    ) -> Result<T, TransferError> {
        self.transfer(|database| {
            let transaction = begin(database)?;
            let worked = work(&transaction)?;
            transaction.commit()?;
            Ok(worked)
        })
    }

    fn database(&self) -> Option<Arc<Database>> {
        self.database
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn why(&self) -> std::sync::MutexGuard<'_, String> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, trouble: &Trouble) {
        self.counters.failures.fetch_add(1, Ordering::Relaxed);
        *self.why() = trouble.to_string();
    }
}

/// What can befall a database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("it is in use by another process")]
    InUse,
    #[error(
        "its format is {0}, and this version knows {FORMAT}; run the version that wrote it, or move it away: what it knew of deletions and copies is then forgotten"
    )]
    OtherFormat(u32),
    #[error(
        "it is damaged ({0}); stop the gateway and put it back from a backup, or move it away and run `media-gateway state import FILE`"
    )]
    Damaged(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Database(redb::Error),
    /// Not the database's: what was to be read or written besides.
    #[error("{0}")]
    Elsewhere(std::io::Error),
}

/// Sorted by what an operator does about it.
impl From<redb::Error> for Trouble {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            redb::Error::Corrupted(what) => Self::Damaged(what),
            redb::Error::UpgradeRequired(format) => Self::OtherFormat(u32::from(format)),
            redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Self::Damaged(error.to_string())
            }
            redb::Error::Io(error) => Self::Io(error),
            other => Self::Database(other),
        }
    }
}

macro_rules! sorted {
    ($($error:ty),*) => {
        $(impl From<$error> for Trouble {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        })*
    };
}

sorted!(
    CommitError,
    DatabaseError,
    SetDurabilityError,
    StorageError,
    TableError,
    TransactionError
);

/// Begins to change rows so that the database opens at once after a crash.
fn begin(database: &Database) -> Result<WriteTransaction, Trouble> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// Refuses tables of another format; makes them where there are none.
fn check_format(database: &Database) -> Result<(), Trouble> {
    let found = match database.begin_read()?.open_table(META) {
        Ok(meta) => meta.get("format")?.map(|format| format.value()),
        Err(TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(error.into()),
    };
    match found {
        Some(FORMAT) => return Ok(()),
        Some(other) => return Err(Trouble::OtherFormat(other)),
        None => {}
    }
    let transaction = begin(database)?;
    transaction.open_table(META)?.insert("format", FORMAT)?;
    for table in [LEDGER, SAVES, TOTALS] {
        transaction.open_table(table)?;
    }
    transaction.commit()?;
    Ok(())
}

/// A panic of the database is a damaged database.
fn guarded<T>(work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("the database gave up");
        Err(Trouble::Damaged(what.to_owned()))
    })
}
