//! One table inside a write transaction, with seals put on and looked at.

use std::sync::Arc;

use redb::{ReadableTable as _, Table, WriteTransaction};

use super::coding::{sealed, unsealed};
use super::error::Broken;
use super::tables::definition;
use crate::{CacheError, CacheObserver};

/// A key, and its value where that can be believed.
pub(super) type Entry<T> = (Vec<u8>, Option<T>);

/// A key, and its value from now on, unsealed.
pub(super) type Changed = (Box<[u8]>, Option<Arc<[u8]>>);

/// A table that is being written.
pub(super) struct WriteSheet<'t> {
    name: &'static str,
    table: Table<'t, &'static [u8], &'static [u8]>,
    observer: &'t dyn CacheObserver,
    /// What was put and removed, where somebody wants to know it.
    changed: Option<Vec<Changed>>,
}

impl<'t> WriteSheet<'t> {
    pub(super) fn open(
        transaction: &'t WriteTransaction,
        name: &'static str,
        observer: &'t dyn CacheObserver,
    ) -> Result<Self, Broken> {
        Ok(Self {
            name,
            table: transaction.open_table(definition(name))?,
            observer,
            changed: None,
        })
    }

    /// What is stored, read by `read`. What cannot be believed is counted, and absent.
    pub(super) fn get<T>(
        &self,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Broken> {
        let Some(stored) = self.table.get(key)? else {
            return Ok(None);
        };
        let found = unsealed(self.name, key, stored.value()).and_then(read);
        if found.is_none() {
            self.observer.error(CacheError::Corrupt);
        }
        Ok(found)
    }

    /// The same, noting what is changed.
    pub(super) fn noting_changes(self) -> Self {
        Self {
            changed: Some(Vec::new()),
            ..self
        }
    }

    /// What was put and removed.
    pub(super) fn take_changed(&mut self) -> Vec<Changed> {
        self.changed
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    fn note(&mut self, key: &[u8], value: Option<&[u8]>) {
        if let Some(changed) = &mut self.changed {
            changed.push((key.into(), value.map(Arc::from)));
        }
    }

    /// Returns whether there was something.
    pub(super) fn put(&mut self, key: &[u8], value: Vec<u8>) -> Result<bool, Broken> {
        self.note(key, Some(&value));
        let value = sealed(self.name, key, value);
        Ok(self.table.insert(key, &*value)?.is_some())
    }

    /// Returns whether there was something.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<bool, Broken> {
        self.note(key, None);
        Ok(self.table.remove(key)?.is_some())
    }

    /// The keys and values between two keys, both included; a value that cannot be believed is
    /// counted, and `None`.
    pub(super) fn between<T>(
        &self,
        from: &[u8],
        to: &[u8],
        most: usize,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<Entry<T>>, Broken> {
        let mut rows = Vec::new();
        for found in self.table.range::<&[u8]>(from..=to)?.take(most) {
            let (key, value) = found?;
            let row = unsealed(self.name, key.value(), value.value()).and_then(&read);
            if row.is_none() {
                self.observer.error(CacheError::Corrupt);
            }
            rows.push((key.value().to_vec(), row));
        }
        Ok(rows)
    }

    /// Whether there is any key between two keys, both included.
    pub(super) fn any(&self, from: &[u8], to: &[u8]) -> Result<bool, Broken> {
        let first = self.table.range::<&[u8]>(from..=to)?.next();
        Ok(first.transpose()?.is_some())
    }
}
