//! Which versions were noted as used this hour, so that a hot object is written once and not with
//! each request.
//!
//! A fixed table: two versions that fall on one place only cost a write more.

use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64;

/// 512 KiB.
const PLACES: usize = 64 * 1024;

/// What was touched lately.
#[derive(Debug)]
pub(super) struct Touched(Box<[AtomicU64]>);

impl Default for Touched {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Touched {
    /// Whether this is the first time in this hour, as far as is remembered.
    pub(super) fn first(&self, number: u64, hour: u32) -> bool {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes[8..].copy_from_slice(&hour.to_be_bytes());
        let place = place(number);
        let mark = xxh3_64(&bytes) | 1;
        self.0[place].swap(mark, Ordering::Relaxed) != mark
    }

    /// Forgets, because the note was not kept.
    pub(super) fn forget(&self, number: u64) {
        self.0[place(number)].store(0, Ordering::Relaxed);
    }
}

fn place(number: u64) -> usize {
    let [first, second, ..] = xxh3_64(&number.to_be_bytes()).to_be_bytes();
    usize::from(u16::from_be_bytes([first, second]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_noted_once_an_hour() {
        let touched = Touched::default();
        assert!(touched.first(1, 500));
        assert!(!touched.first(1, 500));
        assert!(touched.first(1, 501));
        touched.forget(1);
        assert!(touched.first(1, 501));
    }
}
