//! Versions that somebody reads, which eviction leaves alone.
//!
//! Says nothing of purges: what is purged goes, read or not.

use std::collections::HashMap;
use std::sync::Arc;

use crate::sync::Mutex;

/// The numbers of versions that are being read.
#[derive(Debug, Default)]
pub(crate) struct Pins(Mutex<HashMap<u64, usize>>);

impl Pins {
    pub(crate) fn pin(self: &Arc<Self>, number: u64) -> Pin {
        self.with(|pins| *pins.entry(number).or_default() += 1);
        Pin {
            pins: Arc::clone(self),
            number,
        }
    }

    pub(crate) fn is_pinned(&self, number: u64) -> bool {
        self.with(|pins| pins.contains_key(&number))
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<u64, usize>) -> T) -> T {
        work(&mut self.0.lock())
    }
}

/// While this lives, the version is not evicted.
#[derive(Debug)]
pub(crate) struct Pin {
    pins: Arc<Pins>,
    number: u64,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.pins.with(|pins| {
            if let Some(count) = pins.get_mut(&self.number) {
                *count -= 1;
                if *count == 0 {
                    pins.remove(&self.number);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_pinned_until_its_last_reader_is_gone() {
        let pins = Arc::new(Pins::default());
        let (one, two) = (pins.pin(3), pins.pin(3));
        drop(one);
        assert!(pins.is_pinned(3));
        assert!(!pins.is_pinned(4));
        drop(two);
        assert!(!pins.is_pinned(3));
    }
}
