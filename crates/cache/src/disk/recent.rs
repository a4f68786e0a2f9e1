//! Rows of objects that were read or written lately: such an object is found without a look at the
//! index, for which a thread must be had that may wait for the disk.
//!
//! Holds only what the index holds: the writer says what it has changed, and a reader who saw the
//! index before that notes nothing.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// What an entry costs beside its key and its row, in bytes.
const OVERHEAD: usize = 128;
/// A usual entry with its overhead, in bytes: what the first tables are made for.
const USUAL: u64 = 512;
/// Readers and the writer meet at one of these, by the hash of the key.
const GATES: usize = 64;

/// The rows, by the key that each has in the index.
pub(super) struct Recent {
    rows: Cache<Box<[u8]>, Arc<[u8]>, Weight>,
    /// How often the writer has changed a row behind each.
    gates: [Mutex<u64>; GATES],
    hasher: RandomState,
}

/// Taken before the index is read.
#[must_use]
pub(super) struct Glance {
    gate: usize,
    changes: u64,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Box<[u8]>, Arc<[u8]>> for Weight {
    fn weight(&self, key: &Box<[u8]>, row: &Arc<[u8]>) -> u64 {
        (OVERHEAD + key.len() + row.len()) as u64
    }
}

impl Recent {
    /// At most so many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / USUAL).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(items.max(64))
            .weight_capacity(bytes)
            .build()
            .expect("both capacities are given");
        let (hash, life) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
        Self {
            rows: Cache::with_options(options, Weight, hash, life),
            gates: [const { Mutex::new(0) }; GATES],
            hasher: RandomState::new(),
        }
    }

    /// The row of this key, unsealed.
    pub(super) fn get(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        self.rows.get(key)
    }

    /// Before the index is asked for a row.
    pub(super) fn glance(&self, key: &[u8]) -> Glance {
        let gate = self.gate(key);
        let changes = *self.gates[gate]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Glance { gate, changes }
    }

    /// What the index has said since; not noted if the writer has changed anything behind this
    /// gate meanwhile.
    pub(super) fn read(&self, glance: &Glance, key: &[u8], row: &[u8]) {
        let changes = self.gates[glance.gate]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *changes == glance.changes {
            self.rows.insert(key.into(), row.into());
        }
    }

    /// A row is this one from now on, or there is none: who looks at the index sees it.
    pub(super) fn changed(&self, key: Box<[u8]>, row: Option<Arc<[u8]>>) {
        let mut changes = self.gates[self.gate(&key)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *changes += 1;
        match row {
            Some(row) => self.rows.insert(key, row),
            None => {
                self.rows.remove(&key);
            }
        }
    }

    /// Another index is looked at from now on.
    pub(super) fn forget(&self) {
        for gate in &self.gates {
            *gate.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        }
        self.rows.clear();
    }

    fn gate(&self, key: &[u8]) -> usize {
        usize::try_from(self.hasher.hash_one(key) % GATES as u64).expect("it is small")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(recent: &Recent, key: &[u8]) -> Option<Vec<u8>> {
        recent.get(key).map(|row| row.to_vec())
    }

    #[test]
    fn a_reader_who_saw_the_index_before_a_change_notes_nothing() {
        let recent = Recent::new(1 << 20);
        let glance = recent.glance(b"a");
        recent.read(&glance, b"a", b"old");
        assert_eq!(noted(&recent, b"a").as_deref(), Some(&b"old"[..]));
        let late = recent.glance(b"a");
        recent.changed(b"a"[..].into(), Some(b"new"[..].into()));
        recent.read(&late, b"a", b"old");
        assert_eq!(noted(&recent, b"a").as_deref(), Some(&b"new"[..]));
        let late = recent.glance(b"a");
        recent.changed(b"a"[..].into(), None);
        recent.read(&late, b"a", b"new");
        assert_eq!(noted(&recent, b"a"), None);
        let late = recent.glance(b"b");
        recent.forget();
        recent.read(&late, b"b", b"of another index");
        assert_eq!(noted(&recent, b"a"), None);
        assert_eq!(noted(&recent, b"b"), None);
    }

    #[test]
    fn it_holds_no_more_bytes_than_it_was_given() {
        let recent = Recent::new(1 << 20);
        for n in 0..100_000_u32 {
            let key = n.to_be_bytes();
            let glance = recent.glance(&key);
            recent.read(&glance, &key, &[7; 300]);
        }
        assert!(recent.rows.weight() <= 1 << 20);
        assert!(recent.rows.len() > 1000);
    }
}
