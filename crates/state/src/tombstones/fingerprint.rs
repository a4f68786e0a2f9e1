//! What stays in memory of a tombstone: 16 bytes.
//!
//! 128 bits of SHA-256, because a user chooses the keys of an upload: nobody can find one that
//! stands for another's.

use sha2::{Digest, Sha256};

/// Stands for one key of one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Fingerprint(u128);

impl Fingerprint {
    /// Of the scope's length, the scope, and the key.
    pub(super) fn of(scope: &str, key: &[u8]) -> Self {
        let hash = Sha256::new()
            .chain_update((scope.len() as u64).to_be_bytes())
            .chain_update(scope)
            .chain_update(key)
            .finalize();
        let mut first = [0; 16];
        first.copy_from_slice(&hash[..16]);
        Self(u128::from_be_bytes(first))
    }
}

/// The most fingerprints that wait to be merged into the large list.
const RECENT: usize = 4096;

/// Up to so many fingerprints are removed one by one: looking at the whole list for one of them
/// would hold up whoever asks meanwhile.
const FEW: usize = 16;

/// A set of fingerprints: one sorted list, and a short one that saves moving the long one for
/// each addition.
#[derive(Debug, Default)]
pub(super) struct Fingerprints {
    sorted: Vec<Fingerprint>,
    recent: Vec<Fingerprint>,
}

impl Fingerprints {
    /// Takes fingerprints that are sorted and different.
    pub(super) fn from_sorted(
        fingerprints: impl Iterator<Item = Fingerprint>,
        count: usize,
    ) -> Self {
        let mut sorted = Vec::with_capacity(count);
        sorted.extend(fingerprints);
        debug_assert!(sorted.is_sorted_by(|a, b| a < b), "{count} fingerprints");
        Self {
            sorted,
            recent: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len() + self.recent.len()
    }

    /// What they take in memory.
    pub(super) fn bytes(&self) -> usize {
        (self.sorted.capacity() + self.recent.capacity()) * size_of::<Fingerprint>()
    }

    pub(super) fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.sorted.binary_search(&fingerprint).is_ok()
            || self.recent.binary_search(&fingerprint).is_ok()
    }

    /// Adds fingerprints that are sorted, different, and not in the set.
    pub(super) fn insert(&mut self, new: &[Fingerprint]) {
        if self.recent.len() + new.len() <= RECENT {
            return merge(&mut self.recent, new);
        }
        let recent = std::mem::take(&mut self.recent);
        merge(&mut self.sorted, &recent);
        merge(&mut self.sorted, new);
    }

    /// Removes fingerprints that are sorted and different.
    pub(super) fn remove(&mut self, old: &[Fingerprint]) {
        for list in [&mut self.sorted, &mut self.recent] {
            if old.len() > FEW {
                list.retain(|fingerprint| old.binary_search(fingerprint).is_err());
                continue;
            }
            for fingerprint in old {
                if let Ok(at) = list.binary_search(fingerprint) {
                    list.remove(at);
                }
            }
        }
    }
}

/// Merges one sorted list into another, in place and from the back, so that a long list is never
/// in memory twice.
fn merge(into: &mut Vec<Fingerprint>, new: &[Fingerprint]) {
    let Some(filler) = new.first() else {
        return;
    };
    let (mut old, mut left) = (into.len(), new.len());
    into.reserve_exact(left);
    into.resize(old + left, *filler);
    while left > 0 {
        let at = old + left - 1;
        if old > 0 && into[old - 1] > new[left - 1] {
            old -= 1;
            into[at] = into[old];
        } else {
            left -= 1;
            into[at] = new[left];
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_takes_sixteen_bytes() {
        assert_eq!(size_of::<Fingerprint>(), 16);
    }

    #[test]
    fn where_the_scope_ends_matters() {
        assert_ne!(Fingerprint::of("ab", b"c"), Fingerprint::of("a", b"bc"));
    }

    #[test]
    fn it_is_the_beginning_of_a_sha_256() {
        // sha256 of eight bytes of length, "media" and "a.webp", by another program
        let expected = 0x793e_c504_7915_ece7_f8a4_0614_14f7_c1e8_u128;
        assert_eq!(Fingerprint::of("media", b"a.webp").0, expected);
    }

    proptest! {
        #[test]
        fn the_set_is_a_set(
            steps in prop::collection::vec(
                (any::<bool>(), prop::collection::btree_set(0_u128..9000, 0..4000)),
                0..8,
            ),
        ) {
            let mut plain = BTreeSet::new();
            let mut set = Fingerprints::default();
            for (add, numbers) in steps {
                let chosen = numbers.iter().map(|number| Fingerprint(*number));
                if add {
                    let new: Vec<_> = chosen.filter(|one| !set.contains(*one)).collect();
                    set.insert(&new);
                    plain.extend(numbers);
                } else {
                    set.remove(&chosen.collect::<Vec<_>>());
                    plain.retain(|number| !numbers.contains(number));
                }
                prop_assert_eq!(set.len(), plain.len());
            }
            for number in 0..9000 {
                prop_assert_eq!(set.contains(Fingerprint(number)), plain.contains(&number));
            }
        }
    }
}
