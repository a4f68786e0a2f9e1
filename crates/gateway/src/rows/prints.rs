//! Sets of keys at 16 bytes each.
//!
//! Pure. 128 bits of SHA-256, because users choose keys and names: nobody can find one that stands
//! for another's. What was put in cannot be read out again.

use sha2::{Digest, Sha256};

/// Stands for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Print(u128);

impl Print {
    /// Of a name or key, wherever it is.
    pub(crate) fn of(text: &str) -> Self {
        Self::from_hash(Sha256::digest(text))
    }

    /// Of a key in a cache space. No name of a space has a NUL in it.
    pub(crate) fn of_place(space: &str, key: &[u8]) -> Self {
        let hash = Sha256::new()
            .chain_update(space)
            .chain_update([0])
            .chain_update(key);
        Self::from_hash(hash.finalize())
    }

    fn from_hash(hash: impl AsRef<[u8]>) -> Self {
        let mut first = [0; 16];
        first.copy_from_slice(&hash.as_ref()[..16]);
        Self(u128::from_be_bytes(first))
    }
}

/// Prints as they come; equal ones are thrown away now and then, so that memory follows the number
/// of different ones.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    prints: Vec<Print>,
    /// So many are sorted and different.
    settled: usize,
}

/// How many new ones are worth sorting for.
const FEW: usize = 4096;

impl Gathering {
    pub(crate) fn add(&mut self, print: Print) {
        if self.prints.len() >= self.settled.saturating_mul(2).max(FEW) {
            self.settle();
        }
        self.prints.push(print);
    }

    pub(crate) fn done(mut self) -> Prints {
        self.settle();
        Prints(self.prints)
    }

    fn settle(&mut self) {
        self.prints.sort_unstable();
        self.prints.dedup();
        self.settled = self.prints.len();
    }
}

/// A set that is complete.
#[derive(Debug, Default)]
pub(crate) struct Prints(Vec<Print>);

impl Prints {
    pub(crate) fn contains(&self, print: Print) -> bool {
        self.0.binary_search(&print).is_ok()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn into_prints(self) -> impl Iterator<Item = Print> {
        self.0.into_iter()
    }

    /// A number below [`Self::len`] for each that is in it.
    pub(crate) fn index(&self, print: Print) -> Option<usize> {
        self.0.binary_search(&print).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_takes_sixteen_bytes_and_many_equal_ones_no_more_than_few() {
        assert_eq!(size_of::<Print>(), 16);
        let mut gathering = Gathering::default();
        for n in 0..1_000_000 {
            gathering.add(Print(n % 1000));
        }
        assert!(gathering.prints.capacity() <= 2 * FEW);
        assert_eq!(gathering.done().len(), 1000);
    }

    #[test]
    fn a_space_and_a_key_are_not_run_together() {
        let place = |space, key: &str| Print::of_place(space, key.as_bytes());
        assert_ne!(place("ab", "c"), place("a", "bc"));
    }

    proptest! {
        #[test]
        fn the_set_is_a_set(numbers in prop::collection::vec(0_u128..9000, 0..20_000)) {
            let plain: BTreeSet<_> = numbers.iter().copied().collect();
            let mut gathering = Gathering::default();
            for number in &numbers {
                gathering.add(Print(*number));
            }
            let set = gathering.done();
            prop_assert_eq!(set.len(), plain.len());
            for number in 0..9000 {
                let print = Print(number);
                prop_assert_eq!(set.contains(print), plain.contains(&number));
                prop_assert_eq!(set.index(print).is_some(), plain.contains(&number));
            }
        }
    }
}
