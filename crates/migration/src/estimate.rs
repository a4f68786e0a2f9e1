//! What a migration costs, and whether it fits, before a byte of it is copied.
//!
//! Pure. Counts requests and bytes in each direction; what a provider asks for them is known to
//! the operator only.

use std::fmt;
use std::time::Duration;

use origin_resolver::{Capacity, put_held_bytes};
use serde::Serialize;

use crate::tally::Tally;

/// How a copy is verified after it was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// By what the target says of the bytes that it received, in the answer to storing them.
    #[default]
    Checksum,
    /// By reading it again.
    Read,
    /// By its length there.
    Length,
}

impl Verify {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Checksum, Self::Length, Self::Read];

    /// Its name on the command line and in reports.
    pub fn label(self) -> &'static str {
        match self {
            Self::Checksum => "checksum",
            Self::Read => "read",
            Self::Length => "length",
        }
    }
}

/// What the copying will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// How each copy is verified.
    pub verify: Verify,
    /// Requests to the source.
    pub source_requests: u64,
    /// Bytes that leave the source: its egress.
    pub source_bytes: u64,
    /// Requests that store or change something at the target; 0 where it is a directory.
    pub target_writes: u64,
    /// Requests that read at the target.
    pub target_reads: u64,
    /// Bytes that leave the target, to be compared.
    pub target_bytes: u64,
    /// How long it takes at the bandwidth that was given.
    pub seconds: Option<u64>,
}

impl Estimate {
    /// For what is planned. `bandwidth` is in bytes per second.
    pub fn new(tally: &Tally, verify: Verify, bandwidth: Option<u64>, is_bucket: bool) -> Self {
        let planned = tally.planned();
        let (reads, target_bytes) = match verify {
            Verify::Checksum => (0, 0),
            Verify::Read => (planned.objects, planned.bytes),
            Verify::Length => (planned.objects, 0),
        };
        // Before something is replaced, the target is asked whether it is still what it was.
        let reads = reads.saturating_add(tally.newer.objects);
        let through = planned.bytes.saturating_add(target_bytes);
        Self {
            verify,
            source_requests: planned.objects,
            source_bytes: planned.bytes,
            target_writes: if is_bucket { tally.put_requests } else { 0 },
            target_reads: if is_bucket { reads } else { 0 },
            target_bytes,
            seconds: bandwidth.map(|per_second| through.div_ceil(per_second.max(1))),
        }
    }

    /// How long that is.
    pub fn time(&self) -> Option<Duration> {
        self.seconds.map(Duration::from_secs)
    }
}

/// Memory for bodies that are held while they are stored, all copies together.
pub(crate) const ROOM_MIB: u32 = 128;
const MIB: u64 = 1024 * 1024;

/// How much of it storing so many bytes in a bucket may take.
pub(crate) fn held_mib(size_bytes: u64) -> u32 {
    let held = put_held_bytes(size_bytes);
    u32::try_from(held.div_ceil(MIB)).map_or(ROOM_MIB, |mib| mib.min(ROOM_MIB))
}

/// What file systems round a file up to.
const BLOCK_BYTES: u64 = 4096;

/// What so many bytes take on a disk.
pub(crate) fn room_bytes(size_bytes: u64) -> u64 {
    size_bytes
        .checked_next_multiple_of(BLOCK_BYTES)
        .unwrap_or(u64::MAX)
}

/// Why what is planned does not fit: nothing is copied then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Shortfall {
    /// The target's disk is too small.
    Bytes {
        /// What the copies take.
        needed: u64,
        /// What may still be used there.
        free: u64,
    },
    /// The target's file system cannot hold so many files.
    Inodes {
        /// How many there will be.
        needed: u64,
        /// How many may still be made there.
        free: u64,
    },
    /// The source's egress budget is too small.
    Egress {
        /// What would be read there.
        needed: u64,
        /// What is left of the budget.
        left: u64,
    },
    /// The target's is, for reading the copies again.
    Comparing {
        /// What would be read there.
        needed: u64,
        /// What is left of the budget.
        left: u64,
    },
}

/// Whether what is planned fits.
///
/// # Errors
/// The first thing that does not.
pub(crate) fn fits(
    tally: &Tally,
    estimate: &Estimate,
    capacity: Option<Capacity>,
    egress_left: (Option<u64>, Option<u64>),
) -> Result<(), Shortfall> {
    let planned = tally.planned();
    if let Some(Capacity {
        free_bytes,
        free_inodes,
    }) = capacity
    {
        if tally.room_bytes > free_bytes {
            return Err(Shortfall::Bytes {
                needed: tally.room_bytes,
                free: free_bytes,
            });
        }
        if planned.objects > free_inodes {
            return Err(Shortfall::Inodes {
                needed: planned.objects,
                free: free_inodes,
            });
        }
    }
    match egress_left {
        (Some(left), _) if estimate.source_bytes > left => Err(Shortfall::Egress {
            needed: estimate.source_bytes,
            left,
        }),
        (_, Some(left)) if estimate.target_bytes > left => Err(Shortfall::Comparing {
            needed: estimate.target_bytes,
            left,
        }),
        _ => Ok(()),
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes { needed, free } => write!(
                f,
                "the copies take {needed} bytes, and the target's disk has room for {free}"
            ),
            Self::Inodes { needed, free } => write!(
                f,
                "the copies are {needed} files, and the target's file system has room for {free}"
            ),
            Self::Egress { needed, left } => write!(
                f,
                "{needed} bytes would be read at the source, and its max_egress leaves {left}"
            ),
            Self::Comparing { needed, left } => write!(
                f,
                "{needed} bytes would be read at the target to verify them, and its max_egress leaves {left}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use origin_resolver::put_requests;
    use proptest::prelude::*;

    use super::*;
    use crate::tally::Sum;

    fn tally(sizes: &[u64]) -> Tally {
        let mut tally = Tally::default();
        for &size in sizes {
            tally.new.add(size);
            tally.room_bytes += room_bytes(size);
            tally.put_requests += put_requests(size);
        }
        tally
    }

    #[test]
    fn each_way_of_verifying_has_its_price() {
        let tally = tally(&[10, 65 * MIB]);
        let estimate = |verify| Estimate::new(&tally, verify, Some(MIB), true);
        let checksum = estimate(Verify::Checksum);
        assert_eq!(checksum.source_requests, 2);
        assert_eq!(checksum.target_writes, 1 + 9 + 2);
        assert_eq!((checksum.target_reads, checksum.target_bytes), (0, 0));
        assert_eq!(checksum.time(), Some(Duration::from_secs(66)));
        let read = estimate(Verify::Read);
        assert_eq!((read.target_reads, read.target_bytes), (2, 10 + 65 * MIB));
        assert_eq!(read.time(), Some(Duration::from_secs(131)));
        assert_eq!(estimate(Verify::Length).target_reads, 2);
        let directory = Estimate::new(&tally, Verify::Read, None, false);
        assert_eq!((directory.target_writes, directory.target_reads), (0, 0));
        assert_eq!(directory.time(), None);
    }

    #[test]
    fn what_does_not_fit_is_said_with_both_numbers() {
        let tally = tally(&[10, 5000]);
        let capacity = |free_bytes, free_inodes| {
            Some(Capacity {
                free_bytes,
                free_inodes,
            })
        };
        let fits = |tally: &Tally, capacity, source, target| {
            let estimate = Estimate::new(tally, Verify::Read, None, true);
            fits(tally, &estimate, capacity, (source, target))
        };
        let enough = Some(5010);
        assert_eq!(fits(&tally, capacity(12_288, 2), enough, enough), Ok(()));
        assert_eq!(fits(&tally, None, None, None), Ok(()));
        let too_small = fits(&tally, capacity(12_287, 2), None, None).unwrap_err();
        assert_eq!(
            too_small.to_string(),
            "the copies take 12288 bytes, and the target's disk has room for 12287"
        );
        assert!(matches!(
            fits(&tally, capacity(u64::MAX, 1), None, None),
            Err(Shortfall::Inodes { needed: 2, free: 1 })
        ));
        assert!(matches!(
            fits(&tally, None, Some(5009), None),
            Err(Shortfall::Egress { left: 5009, .. })
        ));
        assert!(matches!(
            fits(&tally, None, enough, Some(5009)),
            Err(Shortfall::Comparing { left: 5009, .. })
        ));
        let nothing = Tally::default();
        assert_eq!(nothing.planned(), Sum::default());
        assert_eq!(fits(&nothing, capacity(0, 0), Some(0), Some(0)), Ok(()));
    }

    #[test]
    fn what_is_held_is_the_object_or_a_part_of_it() {
        let held = [0, 1, 8 * MIB, 64 * MIB, 65 * MIB, 1 << 40].map(held_mib);
        assert_eq!(held, [0, 1, 8, 64, 8, 105]);
    }

    proptest! {
        #[test]
        fn no_size_takes_more_parts_than_a_bucket_allows(size: u64) {
            prop_assert!(put_requests(size) <= 10_002);
            prop_assert!(room_bytes(size) >= size);
            prop_assert!(held_mib(size) <= ROOM_MIB);
        }
    }
}
