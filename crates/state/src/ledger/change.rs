//! What is done to the rows, within one writing transaction.
//!
//! Knows neither queue nor time.

use object::{Digest, ObjectKey};
use redb::{ReadableTable, WriteTransaction};

use super::row::{self, Entry, SaveReason, SaveTotals, Withdrawn};
use super::store::{LEDGER, SAVES, Store, TOTALS, Trouble, Writing};

/// One change. Rows are named by their keys.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Verified {
        origin: Box<str>,
        key: ObjectKey,
        entry: Entry,
    },
    Withdrawn {
        origin: Box<str>,
        key: ObjectKey,
        since: u64,
    },
    Followed {
        origin: Box<str>,
        key: ObjectKey,
        at: u64,
    },
    Saved {
        origin: Box<str>,
        reason: SaveReason,
        key: ObjectKey,
        at: u64,
    },
    ForgetOrigin(Box<str>),
    ForgetSeen(Box<str>),
    ClearSaves(Box<str>),
}

/// The tables, open for writing.
pub(super) struct Tables<'t> {
    store: &'t Store,
    most_saved_keys: u64,
    ledger: Writing<'t>,
    saves: Writing<'t>,
    totals: Writing<'t>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(
        store: &'t Store,
        transaction: &'t WriteTransaction,
        most_saved_keys: u64,
    ) -> Result<Self, Trouble> {
        Ok(Self {
            store,
            most_saved_keys,
            ledger: transaction.open_table(LEDGER)?,
            saves: transaction.open_table(SAVES)?,
            totals: transaction.open_table(TOTALS)?,
        })
    }

    pub(super) fn apply(&mut self, change: &Change) -> Result<(), Trouble> {
        match change {
            Change::Verified { origin, key, entry } => self.verified(origin, key, *entry),
            Change::Withdrawn { origin, key, since } => self.withdrawn(origin, key, *since),
            Change::Followed { origin, key, at } => self.followed(origin, key, *at),
            Change::Saved {
                origin,
                reason,
                key,
                at,
            } => self.saved(origin, *reason, key, *at),
            Change::ForgetOrigin(origin) => clear(&mut self.ledger, &row::of_origin(origin)),
            Change::ForgetSeen(origin) => {
                let prefix = row::of_origin(origin);
                let is_withdrawn = |row: &[u8], value: &[u8]| {
                    let entry = row::decode_entry(row, value);
                    entry.is_some_and(|entry| entry.withdrawn.is_some())
                };
                retain(&mut self.ledger, &prefix, is_withdrawn)
            }
            Change::ClearSaves(origin) => {
                let prefix = row::of_origin(origin);
                clear(&mut self.saves, &prefix)?;
                self.totals.remove(&prefix[..])?;
                Ok(())
            }
        }
    }

    /// The row of a key at an origin.
    pub(super) fn entry(&self, origin: &str, key: &ObjectKey) -> Result<Option<Entry>, Trouble> {
        let row = row::ledger_key(origin, key);
        self.read(&self.ledger, &row, row::decode_entry)
    }

    pub(super) fn put_entry(
        &mut self,
        origin: &str,
        key: &ObjectKey,
        entry: &Entry,
    ) -> Result<(), Trouble> {
        let row = row::ledger_key(origin, key);
        self.ledger
            .insert(&row[..], &row::encode_entry(&row, entry)[..])?;
        Ok(())
    }

    fn verified(&mut self, origin: &str, key: &ObjectKey, entry: Entry) -> Result<(), Trouble> {
        let mut entry = entry;
        if entry.digest.is_none() {
            entry.digest = self.known_digest(origin, key, entry.length)?;
        }
        self.put_entry(origin, key, &entry)
    }

    /// Who serves reads no digest, and must not take away one that a copy has paid for.
    fn known_digest(
        &self,
        origin: &str,
        key: &ObjectKey,
        length: u64,
    ) -> Result<Option<Digest>, Trouble> {
        let known = self.entry(origin, key)?;
        Ok(known
            .filter(|known| known.length == length)
            .and_then(|known| known.digest))
    }

    fn withdrawn(&mut self, origin: &str, key: &ObjectKey, since: u64) -> Result<(), Trouble> {
        match self.entry(origin, key)? {
            Some(known) if known.withdrawn.is_none() => {
                let withdrawn = Some(Withdrawn::since(since));
                self.put_entry(origin, key, &Entry { withdrawn, ..known })
            }
            _ => Ok(()),
        }
    }

    fn followed(&mut self, origin: &str, key: &ObjectKey, at: u64) -> Result<(), Trouble> {
        let Some(known) = self.entry(origin, key)? else {
            return Ok(());
        };
        match known.withdrawn {
            Some(withdrawn) if withdrawn.followed.is_none() => {
                let followed = Some(at);
                let withdrawn = Some(Withdrawn {
                    followed,
                    ..withdrawn
                });
                self.put_entry(origin, key, &Entry { withdrawn, ..known })
            }
            _ => Ok(()),
        }
    }

    fn saved(
        &mut self,
        origin: &str,
        reason: SaveReason,
        key: &ObjectKey,
        at: u64,
    ) -> Result<(), Trouble> {
        let listed = self.merge_save(origin, reason, key, |known| match known {
            Some((first, count)) => (first, count.saturating_add(1)),
            None => (at, 1),
        })?;
        if !listed {
            let mut totals = self.totals(origin)?;
            totals.beyond = totals.beyond.saturating_add(1);
            self.put_totals(origin, totals)?;
        }
        Ok(())
    }

    /// Changes the row of a save, or makes it if there is room for one more key. Whether there is
    /// a row now.
    pub(super) fn merge_save(
        &mut self,
        origin: &str,
        reason: SaveReason,
        key: &ObjectKey,
        change: impl FnOnce(Option<(u64, u64)>) -> (u64, u64),
    ) -> Result<bool, Trouble> {
        let row = row::save_key(origin, reason, key);
        let known = self.read(&self.saves, &row, |row, value| {
            row::decode_pair(row::SAVES, row, value)
        })?;
        // A damaged row has been counted among the keys.
        let is_there = self.saves.get(&row[..])?.is_some();
        if !is_there {
            let mut totals = self.totals(origin)?;
            if totals.keys >= self.most_saved_keys {
                return Ok(false);
            }
            totals.keys += 1;
            self.put_totals(origin, totals)?;
        }
        let value = row::encode_pair(row::SAVES, &row, change(known));
        self.saves.insert(&row[..], &value[..])?;
        Ok(true)
    }

    /// How many keys of an origin are listed, and how many saves are not.
    pub(super) fn totals(&self, origin: &str) -> Result<SaveTotals, Trouble> {
        let prefix = row::of_origin(origin);
        let known = self.read(&self.totals, &prefix, |row, value| {
            row::decode_pair(row::TOTALS, row, value)
        })?;
        if let Some((keys, beyond)) = known {
            return Ok(SaveTotals { keys, beyond });
        }
        // No saves yet, or a damaged row: then the keys are counted again.
        let mut keys = 0;
        for found in self.saves.range(&prefix[..]..)? {
            if !found?.0.value().starts_with(&prefix) {
                break;
            }
            keys += 1;
        }
        Ok(SaveTotals { keys, beyond: 0 })
    }

    pub(super) fn put_totals(&mut self, origin: &str, totals: SaveTotals) -> Result<(), Trouble> {
        let row = row::of_origin(origin);
        let value = row::encode_pair(row::TOTALS, &row, (totals.keys, totals.beyond));
        self.totals.insert(&row[..], &value[..])?;
        Ok(())
    }

    fn read<T>(
        &self,
        table: &impl ReadableTable<&'static [u8], &'static [u8]>,
        row: &[u8],
        decode: impl FnOnce(&[u8], &[u8]) -> Option<T>,
    ) -> Result<Option<T>, Trouble> {
        read(self.store, table, row, decode)
    }
}

/// A row, or nothing where there is none or a damaged one.
pub(super) fn read<T>(
    store: &Store,
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    row: &[u8],
    decode: impl FnOnce(&[u8], &[u8]) -> Option<T>,
) -> Result<Option<T>, Trouble> {
    let Some(value) = table.get(row)? else {
        return Ok(None);
    };
    let decoded = decode(row, value.value());
    if decoded.is_none() {
        store.count_damaged();
    }
    Ok(decoded)
}

/// Removes all rows that begin with a prefix.
fn clear(table: &mut Writing<'_>, prefix: &[u8]) -> Result<(), Trouble> {
    retain(table, prefix, |_, _| false)
}

/// Of the rows that begin with a prefix, removes all but some.
fn retain(
    table: &mut Writing<'_>,
    prefix: &[u8],
    stays: impl Fn(&[u8], &[u8]) -> bool,
) -> Result<(), Trouble> {
    match end_of(prefix) {
        Some(end) => table.retain_in(prefix..&end[..], stays)?,
        None => table.retain_in(prefix.., stays)?,
    }
    Ok(())
}

/// The first row behind all that begin with the prefix.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_behind_all_that_begin_with_it() {
        assert_eq!(end_of(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(end_of(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(end_of(b"\xff"), None);
        assert_eq!(end_of(b""), None);
    }
}
