//! All rows at once: out for an export, in for an import.
//!
//! What goes out is of one moment. What comes in is merged in one transaction for each kind, so
//! that a crash leaves all of it or nothing, and again changes nothing the second time.

use std::io;

use object::ObjectKey;
use redb::{ReadTransaction, ReadableDatabase};

use super::Ledger;
use super::change::Tables;
use super::row::{self, Entry, Save};
use super::store::{LEDGER, SAVES, Store, TOTALS, TransferError, Trouble};

/// One row of any table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row {
    Entry {
        origin: Box<str>,
        key: ObjectKey,
        entry: Entry,
    },
    Save {
        origin: Box<str>,
        save: Save,
    },
    /// How many saves of an origin are not listed.
    Beyond {
        origin: Box<str>,
        saves: u64,
    },
}

/// How many of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) entries: u64,
    pub(crate) saves: u64,
    pub(crate) beyond: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, row: &Row) {
        match row {
            Row::Entry { .. } => self.entries += 1,
            Row::Save { .. } => self.saves += 1,
            Row::Beyond { .. } => self.beyond += 1,
        }
    }
}

/// Rows handed to a function, one after the other.
type Take<'f> = &'f mut dyn FnMut(Row) -> io::Result<()>;

/// Makes a row of its origin, the rest of its key, its key and its value.
type Decode = fn(&str, &[u8], &[u8], &[u8]) -> Option<Row>;

/// The rows of one moment.
pub(crate) struct Snapshot<'s> {
    store: &'s Store,
    transaction: ReadTransaction,
}

impl Snapshot<'_> {
    /// How many good rows there are.
    pub(crate) fn tally(&self) -> Result<Tally, Trouble> {
        let mut tally = Tally::default();
        self.each(&mut |row| {
            tally.count(&row);
            Ok(())
        })?;
        Ok(tally)
    }

    /// Hands out every good row.
    pub(crate) fn each(&self, take: Take<'_>) -> Result<(), Trouble> {
        self.each_of(LEDGER, take, |origin, rest, row, value| {
            Some(Row::Entry {
                origin: origin.into(),
                key: row::object_key(rest)?,
                entry: row::decode_entry(row, value)?,
            })
        })?;
        self.each_of(SAVES, take, |origin, rest, row, value| {
            let (reason, key) = row::reason_and_key(rest)?;
            let (first, count) = row::decode_pair(row::SAVES, row, value)?;
            Some(Row::Save {
                origin: origin.into(),
                save: Save {
                    reason,
                    key,
                    first,
                    count,
                },
            })
        })?;
        self.each_of(TOTALS, take, |origin, _, row, value| {
            let (_, saves) = row::decode_pair(row::TOTALS, row, value)?;
            Some(Row::Beyond {
                origin: origin.into(),
                saves,
            })
        })
    }

    fn each_of(
        &self,
        table: redb::TableDefinition<'static, &'static [u8], &'static [u8]>,
        take: Take<'_>,
        decode: Decode,
    ) -> Result<(), Trouble> {
        for found in self.transaction.open_table(table)?.range::<&[u8]>(..)? {
            let (key, value) = found?;
            let row = row::split_origin(key.value())
                .and_then(|(origin, rest)| decode(origin, rest, key.value(), value.value()));
            match row {
                Some(row) => take(row).map_err(Trouble::Elsewhere)?,
                None => self.store.count_damaged(),
            }
        }
        Ok(())
    }
}

impl Ledger {
    /// Works with the rows as they are now, what waits to be written included.
    pub(crate) fn snapshot<T>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Trouble>,
    ) -> Result<T, TransferError> {
        self.flush()?;
        self.store.transfer(|database| {
            work(&Snapshot {
                store: &self.store,
                transaction: database.begin_read()?,
            })
        })
    }

    /// Merges entries: the newer one of a key stays. All or nothing. How many have changed.
    pub(crate) fn merge_entries(
        &self,
        each: impl FnOnce(Take<'_>) -> io::Result<()>,
    ) -> Result<u64, TransferError> {
        self.merge(each, |tables, row| {
            let Row::Entry { origin, key, entry } = row else {
                return Ok(false);
            };
            let ours = tables.entry(origin, key)?;
            let merged = ours.map_or(*entry, |ours| ours.or_newer(*entry));
            if ours == Some(merged) {
                return Ok(false);
            }
            tables.put_entry(origin, key, &merged)?;
            Ok(true)
        })
    }

    /// Merges saves: the earlier time and the larger count stay. All or nothing. How many have
    /// changed.
    pub(crate) fn merge_saves(
        &self,
        each: impl FnOnce(Take<'_>) -> io::Result<()>,
    ) -> Result<u64, TransferError> {
        self.merge(each, |tables, row| match row {
            Row::Entry { .. } => Ok(false),
            Row::Save { origin, save } => {
                let mut changed = false;
                tables.merge_save(origin, save.reason, &save.key, |ours| {
                    let theirs = (save.first, save.count);
                    let merged =
                        ours.map_or(theirs, |ours| (ours.0.min(theirs.0), ours.1.max(theirs.1)));
                    changed = ours != Some(merged);
                    merged
                })?;
                Ok(changed)
            }
            Row::Beyond { origin, saves } => {
                let mut totals = tables.totals(origin)?;
                if *saves > totals.beyond {
                    totals.beyond = *saves;
                    tables.put_totals(origin, totals)?;
                }
                Ok(false)
            }
        })
    }

    fn merge(
        &self,
        each: impl FnOnce(Take<'_>) -> io::Result<()>,
        mut merge_row: impl FnMut(&mut Tables<'_>, &Row) -> Result<bool, Trouble>,
    ) -> Result<u64, TransferError> {
        self.flush()?;
        self.store.write(|transaction| {
            let mut tables = Tables::open(&self.store, transaction, self.pace.most_saved_keys)?;
            let (mut changed, mut trouble) = (0, None);
            let read = each(&mut |row| match merge_row(&mut tables, &row) {
                Ok(has_changed) => {
                    changed += u64::from(has_changed);
                    Ok(())
                }
                Err(error) => {
                    trouble = Some(error);
                    Err(io::Error::other("the ledger cannot be written"))
                }
            });
            match (trouble, read) {
                (Some(trouble), _) => Err(trouble),
                (None, Err(error)) => Err(Trouble::Elsewhere(error)),
                (None, Ok(())) => Ok(changed),
            }
        })
    }
}
