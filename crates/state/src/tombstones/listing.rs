//! The tombstones of a directory, with time and reason, in the order they were recorded.
//!
//! Reads the file: needs no lock, and tolerates that another process appends meanwhile. What is
//! appended after the beginning is not listed.

use std::path::Path;

use super::FILE;
use super::error::TombstoneError;
use super::history::{History, LastActions};
use super::reader::Reader;
use super::record::{Kind, Record};

/// A key that must stay gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The cache space of the routes that it applies to.
    pub scope: Box<str>,
    /// The key, byte for byte.
    pub key: Box<[u8]>,
    /// When it was recorded, in seconds since 1970.
    pub time: u64,
    /// Why.
    pub reason: Box<str>,
}

/// What is tombstoned in a directory that another process may hold. Nothing where there is no
/// log.
///
/// # Errors
/// The log is there and cannot be read.
pub fn list_tombstones(directory: &Path) -> Result<Listing, TombstoneError> {
    let Some(reader) = Reader::open(&directory.join(FILE))? else {
        return Ok(Listing(None));
    };
    let (mut reader, history) = LastActions::read(reader)?.into_parts();
    reader.rewind()?;
    Ok(Listing(Some(Rest {
        remaining: history.live(),
        reader,
        history,
    })))
}

/// The live tombstones of a log; ends after the first error.
pub struct Listing(Option<Rest>);

struct Rest {
    remaining: usize,
    reader: Reader,
    history: History,
}

impl Listing {
    /// How many are still to come.
    pub fn remaining(&self) -> usize {
        self.0.as_ref().map_or(0, |rest| rest.remaining)
    }
}

impl Iterator for Listing {
    type Item = Result<Tombstone, TombstoneError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.as_mut()?;
        loop {
            match rest.reader.next() {
                Ok(Some((number, record))) => {
                    if record.kind == Kind::Add && rest.history.is_last(number, &record) {
                        rest.remaining = rest.remaining.saturating_sub(1);
                        return Some(Ok(Tombstone::from(&record)));
                    }
                }
                Ok(None) => {
                    self.0 = None;
                    return None;
                }
                Err(error) => {
                    self.0 = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl From<&Record<'_>> for Tombstone {
    fn from(record: &Record<'_>) -> Self {
        Self {
            scope: record.scope.into(),
            key: record.key.into(),
            time: record.time,
            reason: record.reason.into(),
        }
    }
}
