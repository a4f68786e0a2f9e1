//! What of the tombstones stays in memory, and which of them a route has to mind.
//!
//! Pure. A tombstone of a scope that no route has any more applies to every route: a renamed
//! cache space must not bring back what was deleted.

use std::collections::{BTreeMap, BTreeSet};

use super::fingerprint::{Fingerprint, Fingerprints};
use super::history::History;

/// A cache space that tombstones were recorded for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Its name.
    pub name: Box<str>,
    /// How many keys are tombstoned in it.
    pub tombstones: u64,
    /// Whether a configured route has it. If none has, its tombstones apply to every route.
    pub known: bool,
}

/// The tombstoned keys, and the scopes that routes have.
#[derive(Debug, Default)]
pub(super) struct Resident {
    keys: Fingerprints,
    scopes: BTreeMap<Box<str>, u64>,
    known: BTreeSet<Box<str>>,
    /// The scopes with tombstones that are not known.
    orphaned: Vec<Box<str>>,
}

impl Resident {
    /// The tombstones of a log; no scope is known yet.
    pub(super) fn of(history: &History) -> Self {
        let scopes = history.live_scopes();
        Self {
            keys: Fingerprints::from_sorted(history.live_fingerprints(), history.live()),
            scopes: scopes.map(|(scope, count)| (scope.into(), count)).collect(),
            ..Self::default()
        }
    }

    /// Takes other tombstones in the place of those that there were.
    pub(super) fn replace(&mut self, other: Self) {
        let known = std::mem::take(&mut self.known);
        *self = other;
        self.know(known);
    }

    pub(super) fn know(&mut self, scopes: BTreeSet<Box<str>>) {
        self.known = scopes;
        self.find_orphaned();
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.keys.bytes()
    }

    /// Whether a key is tombstoned for a route with this scope. The first fingerprint is of that
    /// scope and key.
    pub(super) fn contains(&self, own: Fingerprint, scope: &str, key: &[u8]) -> bool {
        let mut elsewhere = self
            .orphaned
            .iter()
            .filter(|orphaned| &***orphaned != scope);
        self.keys.contains(own)
            || elsewhere.any(|orphaned| self.keys.contains(Fingerprint::of(orphaned, key)))
    }

    /// Those of the keys whose presence is as asked: sorted, each once, and with its scope.
    pub(super) fn select<'a>(
        &self,
        keys: &[(&'a str, &[u8])],
        present: bool,
    ) -> Vec<(Fingerprint, &'a str)> {
        let mut chosen: Vec<_> = keys
            .iter()
            .map(|(scope, key)| (Fingerprint::of(scope, key), *scope))
            .filter(|(fingerprint, _)| self.keys.contains(*fingerprint) == present)
            .collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    /// Adds what [`Self::select`] found absent.
    pub(super) fn insert(&mut self, new: &[(Fingerprint, &str)]) {
        let keys: Vec<_> = new.iter().map(|(fingerprint, _)| *fingerprint).collect();
        self.keys.insert(&keys);
        for (_, scope) in new {
            match self.scopes.get_mut(*scope) {
                Some(count) => *count += 1,
                None => {
                    self.scopes.insert((*scope).into(), 1);
                }
            }
        }
        self.find_orphaned();
    }

    /// Removes what [`Self::select`] found present.
    pub(super) fn remove(&mut self, old: &[(Fingerprint, &str)]) {
        let keys: Vec<_> = old.iter().map(|(fingerprint, _)| *fingerprint).collect();
        self.keys.remove(&keys);
        for (_, scope) in old {
            if let Some(count) = self.scopes.get_mut(*scope) {
                *count -= 1;
            }
        }
        self.scopes.retain(|_, count| *count > 0);
        self.find_orphaned();
    }

    pub(super) fn scopes(&self) -> Vec<Scope> {
        let scopes = self.scopes.iter().map(|(name, count)| Scope {
            name: name.clone(),
            tombstones: *count,
            known: self.known.contains(name),
        });
        scopes.collect()
    }

    fn find_orphaned(&mut self) {
        self.orphaned = self
            .scopes
            .keys()
            .filter(|scope| !self.known.contains(*scope))
            .cloned()
            .collect();
    }
}
