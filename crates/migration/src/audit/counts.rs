//! How many objects an audit found to be what.
//!
//! Pure sums.

use serde::Serialize;

use super::finding::Proof;
use crate::tally::Sum;

/// How many objects came to what. An object that several routes publish is counted for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Everything that was listed or named and that a route publishes.
    pub objects: Sum,
    /// Proven by checksums.
    pub by_checksum: Sum,
    /// Proven by digests in the ledger.
    pub by_digest: Sum,
    /// Proven as verified copies.
    pub by_copy: Sum,
    /// Proven by reading.
    pub by_reading: Sum,
    /// They must stay gone.
    pub tombstoned: Sum,
    /// The application deleted them, as the gateway has noticed.
    pub withdrawn: Sum,
    /// The application deleted them, as this audit has found: they were verified where it
    /// deletes, and are missing there now.
    pub deleted: Sum,
    /// No row of the application names them, wherever they are; counted besides.
    pub unreferenced: Sum,
    /// Of these, those that no remaining origin is proven to have: they need no home.
    pub unreferenced_only_here: Sum,
    /// Nowhere else.
    pub missing: Sum,
    /// Elsewhere only with another length.
    pub length: Sum,
    /// Elsewhere only with another content.
    pub content: Sum,
    /// Elsewhere with the same length, without proof.
    pub unproven: Sum,
    /// Nobody could say.
    pub unknown: Sum,
    /// Written lately; counted besides.
    pub young: Sum,
    /// Listed, and no key can name it.
    pub unfit: Sum,
    /// Listed or named, and no route that asks this origin publishes it.
    pub unpublished: Sum,
    /// Named, and this origin does not have it.
    pub absent: u64,
    /// The cache has a copy from this origin, and no other origin has it; counted besides.
    pub only_cached: u64,
}

impl Counts {
    /// What was proven, in any way.
    pub fn proven(&self) -> Sum {
        let mut proven = self.by_checksum;
        for more in [self.by_digest, self.by_copy, self.by_reading] {
            proven += more;
        }
        proven
    }

    /// What was proven so.
    pub(super) fn by(&mut self, proof: Proof) -> &mut Sum {
        match proof {
            Proof::Checksum => &mut self.by_checksum,
            Proof::Digest => &mut self.by_digest,
            Proof::Copy => &mut self.by_copy,
            Proof::Reading => &mut self.by_reading,
        }
    }
}
