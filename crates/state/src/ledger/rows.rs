//! The rows of one origin, a page at a time.
//!
//! A page ends its reading transaction, so that a slow caller neither keeps old pages of the
//! database alive nor minds that it is opened anew; what is written meanwhile may or may not be
//! seen. A damaged row is left out and counted; a database that fails is an error, never the end.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use object::ObjectKey;
use redb::{ReadableDatabase, TableDefinition};

use super::row::{self, Entry, Save};
use super::store::{LEDGER, LedgerDown, SAVES, Store};

const PAGE_ROWS: usize = 1024;

/// Reads the rows of a table that begin with a prefix.
struct Pages<T> {
    store: Arc<Store>,
    table: TableDefinition<'static, &'static [u8], &'static [u8]>,
    prefix: Vec<u8>,
    decode: fn(&[u8], &[u8]) -> Option<T>,
    /// The row behind which the next page begins.
    after: Option<Vec<u8>>,
    page: VecDeque<T>,
    ended: bool,
    damaged: u64,
}

impl<T> Pages<T> {
    fn read_page(&mut self) -> Result<(), LedgerDown> {
        let prefix = &self.prefix[..];
        let from = match &self.after {
            Some(row) => Bound::Excluded(&row[..]),
            None => Bound::Included(prefix),
        };
        let (table, decode) = (self.table, self.decode);
        let (mut page, mut last, mut damaged, mut rows) = (VecDeque::new(), None, 0, 0);
        self.store.with(|database| {
            let table = database.begin_read()?.open_table(table)?;
            for found in table.range::<&[u8]>((from, Bound::Unbounded))? {
                let (key, value) = found?;
                if rows == PAGE_ROWS || !key.value().starts_with(prefix) {
                    break;
                }
                rows += 1;
                last = Some(key.value().to_vec());
                match decode(key.value(), value.value()) {
                    Some(decoded) => page.push_back(decoded),
                    None => damaged += 1,
                }
            }
            Ok(())
        })?;
        for _ in 0..damaged {
            self.store.count_damaged();
        }
        self.damaged += damaged;
        self.page = page;
        self.ended = rows < PAGE_ROWS;
        self.after = last.or(self.after.take());
        Ok(())
    }
}

impl<T> Iterator for Pages<T> {
    type Item = Result<T, LedgerDown>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.page.pop_front() {
                return Some(Ok(row));
            }
            if self.ended {
                return None;
            }
            if let Err(down) = self.read_page() {
                self.ended = true;
                return Some(Err(down));
            }
        }
    }
}

/// What the ledger knows of one origin, sorted by key; ends after the first error.
pub struct LedgerRows(Pages<(ObjectKey, Entry)>);

impl LedgerRows {
    pub(super) fn new(store: Arc<Store>, origin: &str) -> Self {
        Self(Pages {
            store,
            table: LEDGER,
            prefix: row::of_origin(origin),
            decode: |row, value| {
                let (_, rest) = row::split_origin(row)?;
                Some((row::object_key(rest)?, row::decode_entry(row, value)?))
            },
            after: None,
            page: VecDeque::new(),
            ended: false,
            damaged: 0,
        })
    }

    pub(super) fn behind(mut self, origin: &str, key: &ObjectKey) -> Self {
        self.0.after = Some(row::ledger_key(origin, key));
        self
    }

    /// How many rows were left out so far because they are damaged: with any, what was read is
    /// not all that was known.
    pub fn damaged(&self) -> u64 {
        self.0.damaged
    }
}

impl Iterator for LedgerRows {
    type Item = Result<(ObjectKey, Entry), LedgerDown>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

/// What one rehearsing origin saved, sorted by reason and key; ends after the first error.
pub struct SaveRows(Pages<Save>);

impl SaveRows {
    pub(super) fn new(store: Arc<Store>, origin: &str) -> Self {
        Self(Pages {
            store,
            table: SAVES,
            prefix: row::of_origin(origin),
            decode: |row, value| {
                let (_, rest) = row::split_origin(row)?;
                let (reason, key) = row::reason_and_key(rest)?;
                let (first, count) = row::decode_pair(row::SAVES, row, value)?;
                Some(Save {
                    reason,
                    key,
                    first,
                    count,
                })
            },
            after: None,
            page: VecDeque::new(),
            ended: false,
            damaged: 0,
        })
    }

    /// How many rows were left out so far because they are damaged.
    pub fn damaged(&self) -> u64 {
        self.0.damaged
    }
}

impl Iterator for SaveRows {
    type Item = Result<Save, LedgerDown>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}
