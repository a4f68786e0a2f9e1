//! When something has to go, how much, and from which class.
//!
//! Pure: what is held and what the file system says are arguments, and nothing here removes
//! anything.

use super::facts::Class;
use crate::{Evicted, SLICE_BYTES};

/// The default of `min_free`, if it is more than a twentieth of the file system.
const MIN_FREE_BYTES: u64 = 2_000_000_000;

/// What may be written before eviction is through: at least this many slices' worth, unless that
/// is much of the cache, and at most half a gibibyte.
const LEAST_SLACK_BYTES: u64 = 4 * SLICE_BYTES;
const MOST_SLACK_BYTES: u64 = 512 * 1024 * 1024;
const LEAST_SLACK_FILES: u64 = 16;

/// What the operator allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_size: u64,
    /// `None` for the larger of 2 GB and a twentieth.
    pub(super) min_free: Option<u64>,
    /// `None` for as many as the file system has inodes for.
    pub(super) max_files: Option<u64>,
}

/// What the cache holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) bytes: u64,
    pub(super) files: u64,
    /// Bytes by class; only their proportion counts.
    pub(super) by_class: [u64; 3],
}

/// What the file system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileSystem {
    pub(super) total: u64,
    pub(super) free: u64,
    /// Zero where the file system makes inodes as it needs them.
    pub(super) inodes: u64,
    pub(super) free_inodes: u64,
}

/// What has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) why: Evicted,
    pub(super) bytes: u64,
    pub(super) files: u64,
}

impl Limits {
    fn min_free(&self, system: FileSystem) -> u64 {
        self.min_free
            .unwrap_or_else(|| MIN_FREE_BYTES.max(system.total / 20))
    }
}

/// Between "evict" and "stop", and again as much down to where eviction ends.
fn slack(of: u64) -> u64 {
    (of / 64)
        .max(LEAST_SLACK_BYTES.min(of / 8))
        .min(MOST_SLACK_BYTES)
}

fn slack_files(of: u64) -> u64 {
    (of / 64).max(LEAST_SLACK_FILES.min(of / 8))
}

/// Whether `bytes` more in one file may be stored; else what stands against it.
pub(super) fn refusal(
    bytes: u64,
    held: Held,
    limits: Limits,
    system: FileSystem,
) -> Option<Evicted> {
    if held.bytes.saturating_add(bytes) > limits.max_size {
        return Some(Evicted::Size);
    }
    if system.free < limits.min_free(system).saturating_add(bytes) {
        return Some(Evicted::Free);
    }
    let many = limits.max_files.is_some_and(|most| held.files >= most);
    if many || system.free_inodes < system.inodes / 20 {
        return Some(Evicted::Files);
    }
    None
}

/// What has to go, so that there is room for what comes.
pub(super) fn excess(held: Held, limits: Limits, system: FileSystem) -> Option<Need> {
    let max = limits.max_size;
    if held.bytes > max - slack(max) {
        return Some(Need {
            why: Evicted::Size,
            bytes: held.bytes.saturating_sub(max - 2 * slack(max)),
            files: 0,
        });
    }
    let spare = slack(max).min(slack(system.total));
    let min_free = limits.min_free(system);
    if system.free < min_free.saturating_add(spare) {
        return Some(Need {
            why: Evicted::Free,
            bytes: min_free
                .saturating_add(2 * spare)
                .saturating_sub(system.free),
            files: 0,
        });
    }
    let most = limits.max_files.unwrap_or(u64::MAX);
    let over = held.files.saturating_sub(most - slack_files(most));
    // A twentieth stays free for others, and a little is kept ready above that.
    let floor = system.inodes / 20 + slack_files(system.inodes);
    let short = floor.saturating_sub(system.free_inodes);
    let files = over.max(short);
    (files > 0).then_some(Need {
        why: Evicted::Files,
        bytes: 0,
        files,
    })
}

/// The class that the next victim comes from: what was asked for once, while it has more than a
/// tenth, so that a crawler does not flush what is in use; then the others, and the last homes of
/// objects last.
pub(super) fn class(by_class: [u64; 3], exhausted: [bool; 3]) -> Option<Class> {
    let all: u64 = by_class
        .iter()
        .fold(0, |sum, bytes| sum.saturating_add(*bytes));
    let once_is_large = by_class[0] > all / 10;
    let order = if once_is_large {
        [Class::Once, Class::Again, Class::Orphan]
    } else {
        [Class::Again, Class::Once, Class::Orphan]
    };
    order.into_iter().find(|class| !exhausted[*class as usize])
}

/// What the directories take below which so many files lie: their names are evenly spread, so
/// this need not be counted. `block` is what a directory takes.
pub(super) fn directories_bytes(files: u64, block: u64) -> u64 {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate, of at most 65,536"
    )]
    let occupied = |places: f64| (places * -(-(files as f64) / places).exp_m1()).ceil() as u64;
    let directories = occupied(65_536.0);
    // About 72 bytes for an entry.
    let entries = (72 * files).checked_div(directories).unwrap_or(0);
    let each = block.saturating_mul(1 + entries / 4096);
    directories * each + occupied(256.0) * block
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GB: u64 = 1_000_000_000;

    const LIMITS: Limits = Limits {
        max_size: 100 * GB,
        min_free: None,
        max_files: None,
    };

    const ROOMY: FileSystem = FileSystem {
        total: 1000 * GB,
        free: 500 * GB,
        inodes: 1_000_000,
        free_inodes: 500_000,
    };

    fn holding(bytes: u64, files: u64) -> Held {
        Held {
            bytes,
            files,
            by_class: [bytes, 0, 0],
        }
    }

    #[test]
    fn eviction_begins_below_the_limit_and_ends_a_little_lower() {
        assert_eq!(excess(holding(90 * GB, 1), LIMITS, ROOMY), None);
        let need = excess(holding(100 * GB, 1), LIMITS, ROOMY).unwrap();
        assert_eq!(need.why, Evicted::Size);
        assert_eq!(need.bytes, 2 * MOST_SLACK_BYTES);
        let after = holding(100 * GB - need.bytes, 1);
        assert_eq!(excess(after, LIMITS, ROOMY), None);
        assert_eq!(refusal(GB / 2, after, LIMITS, ROOMY), None);
    }

    #[test]
    fn others_keep_their_free_space() {
        let full = FileSystem {
            free: 49 * GB,
            ..ROOMY
        };
        let held = holding(50 * GB, 1);
        assert_eq!(refusal(1, held, LIMITS, full), Some(Evicted::Free));
        let need = excess(held, LIMITS, full).unwrap();
        assert_eq!(need.why, Evicted::Free);
        assert!(need.bytes > GB);
        let none = Limits {
            min_free: Some(0),
            ..LIMITS
        };
        assert_eq!(excess(held, none, full), None);
        let small = FileSystem {
            total: 10 * GB,
            free: 2 * GB,
            ..ROOMY
        };
        assert_eq!(refusal(1, held, LIMITS, small), Some(Evicted::Free));
    }

    #[test]
    fn others_keep_their_inodes_and_files_can_be_capped() {
        let short = FileSystem {
            free_inodes: 49_999,
            ..ROOMY
        };
        let held = holding(GB, 1000);
        assert_eq!(refusal(1, held, LIMITS, short), Some(Evicted::Files));
        assert_eq!(excess(held, LIMITS, short).unwrap().why, Evicted::Files);
        let growing = FileSystem {
            inodes: 0,
            free_inodes: 0,
            ..ROOMY
        };
        assert_eq!(refusal(1, held, LIMITS, growing), None);
        assert_eq!(excess(held, LIMITS, growing), None);
        let capped = Limits {
            max_files: Some(1000),
            ..LIMITS
        };
        assert_eq!(refusal(1, held, capped, ROOMY), Some(Evicted::Files));
        assert_eq!(excess(held, capped, ROOMY).unwrap().files, 16);
    }

    #[test]
    fn what_was_asked_for_once_goes_first_while_it_is_more_than_a_tenth() {
        assert_eq!(class([11, 80, 9], [false; 3]), Some(Class::Once));
        assert_eq!(class([10, 80, 10], [false; 3]), Some(Class::Again));
        assert_eq!(class([10, 80, 10], [false, true, false]), Some(Class::Once));
        assert_eq!(class([0, 0, 10], [true, true, false]), Some(Class::Orphan));
        assert_eq!(class([0, 0, 0], [true; 3]), None);
    }

    proptest! {
        #[test]
        fn whatever_is_evicted_by_then_suffices(
            bytes in 0..200 * GB,
            files in 0_u64..2_000_000,
            free in 0..1000 * GB,
            free_inodes in 0_u64..1_000_000,
            max_files in prop::option::of(1_u64..2_000_000),
        ) {
            let limits = Limits { max_files, ..LIMITS };
            let mut held = holding(bytes, files);
            let mut system = FileSystem { free, free_inodes, ..ROOMY };
            for _ in 0..3 {
                let Some(need) = excess(held, limits, system) else { break };
                prop_assert!(need.bytes > 0 || need.files > 0);
                held.bytes = held.bytes.saturating_sub(need.bytes);
                system.free += need.bytes;
                held.files = held.files.saturating_sub(need.files);
                system.free_inodes += need.files;
            }
            prop_assert_eq!(excess(held, limits, system), None);
            prop_assert_eq!(refusal(1024 * 1024, held, limits, system), None);
        }

        #[test]
        fn directories_are_never_more_than_there_can_be(files in 0_u64..100_000_000) {
            let bytes = directories_bytes(files, 4096);
            prop_assert!(bytes <= 4096 * (65_536 + 256) * (1 + files * 72 / 65_536 / 4096));
            prop_assert!(files == 0 || bytes >= 2 * 4096);
        }
    }

    #[test]
    fn a_few_files_have_a_directory_each() {
        assert_eq!(directories_bytes(0, 4096), 0);
        assert_eq!(directories_bytes(1, 4096), 2 * 4096);
        assert_eq!(directories_bytes(1000, 0), 0);
    }
}
