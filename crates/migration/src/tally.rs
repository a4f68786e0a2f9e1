//! How many objects there are of each sort, and their bytes.
//!
//! Pure sums. They are added up page by page and kept with each page, so that a run that goes on
//! after a kill counts nothing twice.

use std::ops::AddAssign;

use serde::Serialize;

use crate::selection::Chosen;

/// Objects and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Sum {
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Sum {
    /// One more.
    pub fn add(&mut self, bytes: u64) {
        self.objects = self.objects.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.objects = self.objects.saturating_add(other.objects);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What the source has, sorted by what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Everything that was listed or named.
    pub source: Sum,
    /// The target has it already.
    pub same: Sum,
    /// The target lacks it: it is to be copied.
    pub new: Sum,
    /// It is to be copied over an older copy of an earlier run.
    pub newer: Sum,
    /// The target has something else under its key, which stays.
    pub differs: Sum,
    /// It must stay gone, and is not copied.
    pub tombstoned: Sum,
    /// The application deleted it, and it is not copied.
    pub withdrawn: Sum,
    /// Of these, what nobody had noticed: it was verified at the target, and is missing there now.
    pub unnoticed: Sum,
    /// No route publishes it.
    pub unpublished: Sum,
    /// No row of the application names it.
    pub unreferenced: Sum,
    /// It was excluded.
    pub excluded: Sum,
    /// Another shard takes it.
    pub elsewhere: Sum,
    /// It is there and no key can name it.
    pub unfit: Sum,
    /// It was named and the source does not have it.
    pub absent: Sum,
    /// It was named and the source could not say.
    pub unknown: Sum,
    /// Requests that listing and comparing took: at the source, and their answers at the target.
    pub source_requests: u64,
    /// The same at the target, besides those that listed it.
    pub target_requests: u64,
    /// Bytes that the copies take on a disk.
    pub room_bytes: u64,
    /// Requests that storing them takes where the target is a bucket.
    pub put_requests: u64,
    /// Keys that were verified at the target, where the application deletes.
    pub verified: u64,
}

const SUMS: usize = 15;
const REST: usize = 5;

impl Tally {
    pub(crate) const BYTES: usize = (2 * SUMS + REST) * 8;

    /// What is to be copied.
    pub fn planned(&self) -> Sum {
        let mut planned = self.new;
        planned += self.newer;
        planned
    }

    /// The sum of what is left out for this reason.
    pub(crate) fn unwanted(&mut self, chosen: Chosen) -> &mut Sum {
        match chosen {
            Chosen::Unpublished => &mut self.unpublished,
            Chosen::Excluded | Chosen::Yes => &mut self.excluded,
            Chosen::Elsewhere => &mut self.elsewhere,
        }
    }

    fn sums(&mut self) -> [&mut Sum; SUMS] {
        [
            &mut self.source,
            &mut self.same,
            &mut self.new,
            &mut self.newer,
            &mut self.differs,
            &mut self.tombstoned,
            &mut self.withdrawn,
            &mut self.unnoticed,
            &mut self.unpublished,
            &mut self.unreferenced,
            &mut self.excluded,
            &mut self.elsewhere,
            &mut self.unfit,
            &mut self.absent,
            &mut self.unknown,
        ]
    }

    fn rest(&mut self) -> [&mut u64; REST] {
        [
            &mut self.source_requests,
            &mut self.target_requests,
            &mut self.room_bytes,
            &mut self.put_requests,
            &mut self.verified,
        ]
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut copy = *self;
        for sum in copy.sums() {
            out.extend(sum.objects.to_be_bytes());
            out.extend(sum.bytes.to_be_bytes());
        }
        for number in copy.rest() {
            out.extend(number.to_be_bytes());
        }
    }

    pub(crate) fn decode(bytes: &[u8; Self::BYTES]) -> Self {
        let mut numbers = bytes
            .chunks_exact(8)
            .map(|chunk| u64::from_be_bytes(*chunk.first_chunk().expect("chunks of 8")));
        let mut next = || numbers.next().expect("as many as there are fields");
        let mut tally = Self::default();
        for sum in tally.sums() {
            *sum = Sum {
                objects: next(),
                bytes: next(),
            };
        }
        for number in tally.rest() {
            *number = next();
        }
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, mut other: Self) {
        for (sum, more) in self.sums().into_iter().zip(other.sums()) {
            *sum += *more;
        }
        for (number, more) in self.rest().into_iter().zip(other.rest()) {
            *number = number.saturating_add(*more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_comes_back_from_its_bytes_and_adds_up() {
        let mut bytes = Vec::new();
        for n in 0..(2 * SUMS + REST) as u64 {
            bytes.extend(n.to_be_bytes());
        }
        let bytes: [u8; Tally::BYTES] = bytes.try_into().unwrap();
        let mut tally = Tally::decode(&bytes);
        assert_eq!(
            tally.source,
            Sum {
                objects: 0,
                bytes: 1
            }
        );
        assert_eq!((tally.put_requests, tally.verified), (33, 34));
        let mut again = Vec::new();
        tally.encode(&mut again);
        assert_eq!(again, bytes);
        tally += tally;
        assert_eq!((tally.same.bytes, tally.room_bytes), (6, 64));
        assert_eq!(tally.planned().objects, 2 * (4 + 6));
    }
}
