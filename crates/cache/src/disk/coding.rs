//! How values are written into bytes and read back. DISK-FORMAT.md describes it.
//!
//! Reading never panics and never believes a length: whatever does not fit is `None`.

use std::time::{Duration, SystemTime};

use xxhash_rust::xxh3::Xxh3;

/// The longest text in a row, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 8 * 1024;

const SEAL_BYTES: usize = 8;

/// The value as it is stored: followed by a digest that also covers where it is stored, so that a
/// value which a damaged index gives for the wrong key is not believed.
pub(super) fn sealed(table: &str, key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let seal = seal(table, key, &value);
    value.extend_from_slice(&seal.to_be_bytes());
    value
}

/// The value without its seal, if that holds.
pub(super) fn unsealed<'a>(table: &str, key: &[u8], stored: &'a [u8]) -> Option<&'a [u8]> {
    let (value, found) = stored.split_at_checked(stored.len().checked_sub(SEAL_BYTES)?)?;
    (seal(table, key, value).to_be_bytes() == found).then_some(value)
}

fn seal(table: &str, key: &[u8], value: &[u8]) -> u64 {
    let mut digest = Xxh3::new();
    digest.update(table.as_bytes());
    // Lengths keep a byte that moves from one part to the next from going unnoticed.
    digest.update(&(key.len() as u64).to_be_bytes());
    digest.update(key);
    digest.update(value);
    digest.digest()
}

/// Bytes that are being written.
#[derive(Debug, Default)]
pub(super) struct Out {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Out {
    pub(super) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn raw(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn text(&mut self, value: &str) {
        match u16::try_from(value.len()) {
            Ok(length) if value.len() <= MAX_TEXT_BYTES => {
                self.bytes.extend_from_slice(&length.to_be_bytes());
                self.bytes.extend_from_slice(value.as_bytes());
            }
            _ => self.too_long = true,
        }
    }

    /// To the second, because that is what the vocabulary means by a time.
    pub(super) fn time(&mut self, value: SystemTime) {
        let seconds = match value.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            Err(before) => {
                let before = before.duration();
                let whole = before.as_secs() + u64::from(before.subsec_nanos() > 0);
                i64::try_from(whole).map_or(i64::MIN, |seconds| -seconds)
            }
        };
        self.raw(&seconds.to_be_bytes());
    }

    pub(super) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// The bytes; `None` if something in them was too long to be written.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (!self.too_long).then_some(self.bytes)
    }
}

/// Bytes that are being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn raw(&mut self, length: usize) -> Option<&'a [u8]> {
        let (now, later) = self.0.split_at_checked(length)?;
        self.0 = later;
        Some(now)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.raw(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.array().map(u16::from_be_bytes)?);
        if length > MAX_TEXT_BYTES {
            return None;
        }
        std::str::from_utf8(self.raw(length)?).ok()
    }

    pub(super) fn time(&mut self) -> Option<SystemTime> {
        let seconds = self.array().map(i64::from_be_bytes)?;
        let distance = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        }
    }

    #[allow(
        clippy::option_option,
        reason = "outside: whether it could be read; inside: whether there is one"
    )]
    pub(super) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.u8()? {
            0 => Some(None),
            1 => read(self).map(Some),
            _ => None,
        }
    }

    /// What is left, as one.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Whether everything was read; bytes too many are a row of another format.
    pub(super) fn at_end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_seal_breaks_with_any_bit(
            key in prop::collection::vec(any::<u8>(), 0..40),
            value in prop::collection::vec(any::<u8>(), 0..200),
            bit in any::<prop::sample::Index>(),
        ) {
            let mut stored = sealed("objects", &key, value.clone());
            prop_assert_eq!(unsealed("objects", &key, &stored), Some(&value[..]));
            let bit = bit.index(stored.len() * 8);
            stored[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(unsealed("objects", &key, &stored), None);
        }

        #[test]
        fn a_value_is_not_believed_in_another_place(
            key in prop::collection::vec(any::<u8>(), 1..40),
            value in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let stored = sealed("objects", &key, value);
            prop_assert_eq!(unsealed("slices", &key, &stored), None);
            prop_assert_eq!(unsealed("objects", &key[1..], &stored), None);
        }

        #[test]
        fn times_survive_to_the_second(seconds in -100_000_000_000_i64..100_000_000_000) {
            let distance = Duration::from_secs(seconds.unsigned_abs());
            let time = if seconds < 0 {
                SystemTime::UNIX_EPOCH - distance
            } else {
                SystemTime::UNIX_EPOCH + distance
            };
            let mut out = Out::default();
            out.time(time);
            let bytes = out.finish().unwrap();
            prop_assert_eq!(In::new(&bytes).time(), Some(time));
        }
    }

    #[test]
    fn what_is_too_long_is_not_written_and_not_believed() {
        let mut out = Out::default();
        out.text(&"x".repeat(MAX_TEXT_BYTES + 1));
        assert_eq!(out.finish(), None);

        let mut long = vec![0xff, 0xff];
        long.extend(vec![b'x'; 0xffff]);
        assert_eq!(In::new(&long).text(), None);
        assert_eq!(In::new(&[0, 5, b'x']).text(), None);
    }

    #[test]
    fn the_most_distant_times_are_read_without_a_panic() {
        for seconds in [i64::MIN, i64::MIN + 1, i64::MAX] {
            In::new(&seconds.to_be_bytes()).time();
        }
        assert_eq!(In::new(&[0; 7]).time(), None);
    }
}
