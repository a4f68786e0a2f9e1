//! One record of the tombstone log, as bytes.
//!
//! Pure. Decoding refuses what encoding would not have written, and never panics.

use std::fmt;

/// The version of the records written here.
const VERSION: u8 = 1;
/// What stands before the scope: version, kind, time and three lengths.
const FIXED_BYTES: usize = 16;

/// The longest scope, in bytes.
pub const MAX_SCOPE_BYTES: usize = 255;
/// The longest reason, in bytes.
pub const MAX_REASON_BYTES: usize = 1024;
/// The longest key, in bytes.
pub(crate) const MAX_KEY_BYTES: usize = object::MAX_KEY_BYTES;

/// The most records of one log.
pub(super) const MAX_RECORDS: u32 = u32::MAX / 2;

/// What a record does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The key may be served again.
    Remove = 1,
    /// The key must stay gone.
    Add = 2,
}

/// One action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    /// When, in seconds since 1970.
    pub(crate) time: u64,
    pub(crate) scope: &'a str,
    pub(crate) key: &'a [u8],
    pub(crate) reason: &'a str,
}

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadRecord {
    /// Another version wrote it.
    Version(u8),
    /// No version wrote it.
    Nonsense,
}

/// A part that is longer than a record can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong {
    pub(crate) what: &'static str,
    pub(crate) most: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a {} cannot be longer than {} bytes",
            self.what, self.most
        )
    }
}

impl<'a> Record<'a> {
    /// Refuses a part that is too long.
    pub(crate) fn check(&self) -> Result<(), TooLong> {
        for (what, length, most) in [
            ("scope", self.scope.len(), MAX_SCOPE_BYTES),
            ("key", self.key.len(), MAX_KEY_BYTES),
            ("reason", self.reason.len(), MAX_REASON_BYTES),
        ] {
            if length > most {
                return Err(TooLong { what, most });
            }
        }
        Ok(())
    }

    pub(super) fn encoded_bytes(&self) -> usize {
        FIXED_BYTES + self.scope.len() + self.key.len() + self.reason.len()
    }

    /// Appends the record, which has been checked.
    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        let length = |bytes: &[u8]| {
            u16::try_from(bytes.len())
                .expect("every part of a checked record is shorter than 64 KiB")
                .to_be_bytes()
        };
        into.extend([VERSION, self.kind as u8]);
        into.extend(self.time.to_be_bytes());
        into.extend(length(self.scope.as_bytes()));
        into.extend(length(self.key));
        into.extend(length(self.reason.as_bytes()));
        into.extend(self.scope.as_bytes());
        into.extend(self.key);
        into.extend(self.reason.as_bytes());
    }

    /// Reads the record that the bytes begin with, and how many bytes it takes.
    pub(super) fn decode(bytes: &'a [u8]) -> Result<(Self, usize), BadRecord> {
        use BadRecord::{Nonsense, Version};
        let version = *bytes.first().ok_or(Nonsense)?;
        if version != VERSION {
            return Err(Version(version));
        }
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>().ok_or(Nonsense)?;
        let kind = match fixed[1] {
            1 => Kind::Remove,
            2 => Kind::Add,
            _ => return Err(Nonsense),
        };
        let mut time = [0; 8];
        time.copy_from_slice(&fixed[2..10]);
        let length = |at: usize| usize::from(u16::from_be_bytes([fixed[at], fixed[at + 1]]));
        let (scope, rest) = rest.split_at_checked(length(10)).ok_or(Nonsense)?;
        let (key, rest) = rest.split_at_checked(length(12)).ok_or(Nonsense)?;
        let (reason, _) = rest.split_at_checked(length(14)).ok_or(Nonsense)?;
        let record = Self {
            kind,
            time: u64::from_be_bytes(time),
            scope: str::from_utf8(scope).map_err(|_| Nonsense)?,
            key,
            reason: str::from_utf8(reason).map_err(|_| Nonsense)?,
        };
        record.check().map_err(|_| Nonsense)?;
        Ok((record, record.encoded_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_is_these_bytes_for_ever() {
        let record = Record {
            kind: Kind::Add,
            time: 0x6500_0000,
            scope: "media",
            key: b"//x\xff",
            reason: "court",
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let expected = [
            &[1, 2][..],
            &[0, 0, 0, 0, 0x65, 0, 0, 0],
            &[0, 5, 0, 4, 0, 5],
            b"media//x\xffcourt",
        ];
        assert_eq!(bytes, expected.concat());
    }

    #[test]
    fn a_record_of_another_version_is_told_from_nonsense() {
        assert_eq!(Record::decode(&[2; 40]), Err(BadRecord::Version(2)));
        assert_eq!(Record::decode(&[1; 15]), Err(BadRecord::Nonsense));
        assert_eq!(Record::decode(&[]), Err(BadRecord::Nonsense));
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(
            add in any::<bool>(),
            time in any::<u64>(),
            scope in "[a-z0-9_-]{0,40}",
            key in prop::collection::vec(any::<u8>(), 0..200),
            reason in "\\PC{0,100}",
            more in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let kind = if add { Kind::Add } else { Kind::Remove };
            let record = Record { kind, time, scope: &scope, key: &key, reason: &reason };
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            let length = bytes.len();
            bytes.extend(more);
            prop_assert_eq!(Record::decode(&bytes), Ok((record, length)));
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..300),
            ours in any::<bool>(),
        ) {
            if let (true, Some(first)) = (ours, bytes.first_mut()) {
                *first = VERSION;
            }
            if let Ok((record, length)) = Record::decode(&bytes) {
                let mut again = Vec::new();
                record.encode(&mut again);
                prop_assert_eq!(&again[..], &bytes[..length]);
            }
        }
    }
}
