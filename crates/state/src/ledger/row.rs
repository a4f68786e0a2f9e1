//! The rows of the ledger, as bytes.
//!
//! Pure. The database does not check what it reads, so each value carries a seal over its table,
//! its key and itself; a bad one makes the row absent. Decoding never panics.

use object::{Digest, ObjectKey};
use xxhash_rust::xxh3::Xxh3;

/// The version of the rows written here, but for those of followed deletions.
const VERSION: u8 = 1;
/// The version that says when a deletion was followed. Those who do not know it find no row.
const VERSION_FOLLOWED: u8 = 2;

const SEAL_BYTES: usize = 8;
const HAS_DIGEST: u8 = 1;
const IS_WITHDRAWN: u8 = 2;
const IS_FOLLOWED: u8 = 4;

pub(super) const LEDGER: &str = "ledger";
pub(super) const SAVES: &str = "saves";
pub(super) const TOTALS: &str = "save_totals";

/// Who verified a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// It was served from there.
    Serving,
    /// Promotion copied it there.
    Promotion,
    /// Migration copied it there.
    Migration,
}

impl By {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Serving, Self::Promotion, Self::Migration];

    /// Its name in exports.
    pub fn label(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Promotion => "promotion",
            Self::Migration => "migration",
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Serving => 1,
            Self::Promotion => 2,
            Self::Migration => 3,
        }
    }
}

/// What is known of a key at an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The object's length in bytes.
    pub length: u64,
    /// Its SHA-256, where that is known. It stays when the key is served again with
    /// the same length, so it may be older than `verified`.
    pub digest: Option<Digest>,
    /// When it was last seen there, in seconds since 1970.
    pub verified: u64,
    /// Who saw it there.
    pub by: By,
    /// It is missing there now: the application deleted it.
    pub withdrawn: Option<Withdrawn>,
}

/// That a key is missing at an origin where it was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withdrawn {
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// Since when that is followed, so that nothing is served in its place, in seconds since 1970.
    pub followed: Option<u64>,
}

impl Withdrawn {
    /// Missing since then, and not followed.
    pub fn since(since: u64) -> Self {
        Self {
            since,
            followed: None,
        }
    }
}

impl Entry {
    /// When it was last said: seen there, or found missing.
    fn said(&self) -> u64 {
        self.verified
            .max(self.withdrawn.map_or(0, |withdrawn| withdrawn.since))
    }

    /// This entry, or another one of the same key that says something later; with the digest that
    /// either has, if their lengths agree, and with what either says of following that deletion.
    pub(crate) fn or_newer(self, other: Self) -> Self {
        let (newer, older) = if other.said() > self.said() {
            (other, self)
        } else {
            (self, other)
        };
        let same = newer.length == older.length;
        let digest = newer.digest.or(older.digest.filter(|_| same));
        let withdrawn = newer.withdrawn.map(|withdrawn| Withdrawn {
            followed: withdrawn.followed.or(older
                .withdrawn
                .filter(|older| older.since == withdrawn.since)
                .and_then(|older| older.followed)),
            ..withdrawn
        });
        Self {
            digest,
            withdrawn,
            ..newer
        }
    }
}

/// Why a rehearsing origin was needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SaveReason {
    /// Every active origin said that the key is missing.
    Missing,
    /// At least one active origin could not say.
    Unknown,
}

impl SaveReason {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Missing, Self::Unknown];

    /// The label used in metrics and exports.
    pub fn label(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Missing => 1,
            Self::Unknown => 2,
        }
    }
}

/// One key that only a rehearsing origin could give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Save {
    /// Why.
    pub reason: SaveReason,
    /// Which.
    pub key: ObjectKey,
    /// When that was first so, in seconds since 1970.
    pub first: u64,
    /// How often.
    pub count: u64,
}

/// What is remembered of a rehearsing origin's saves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SaveTotals {
    /// Keys that are listed, once for each reason.
    pub keys: u64,
    /// Saves of further keys, which are only counted.
    pub beyond: u64,
}

/// What the rows of an origin begin with. Injective, so no origin's rows are within another's.
pub(super) fn of_origin(origin: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + origin.len() + object::MAX_KEY_BYTES);
    // Longer names are not configured; two that share 65,535 bytes would share their rows.
    let length = u16::try_from(origin.len()).unwrap_or(u16::MAX);
    key.extend(length.to_be_bytes());
    key.extend(&origin.as_bytes()[..usize::from(length)]);
    key
}

pub(super) fn ledger_key(origin: &str, key: &ObjectKey) -> Vec<u8> {
    let mut row = of_origin(origin);
    row.extend(key.as_str().as_bytes());
    row
}

pub(super) fn save_key(origin: &str, reason: SaveReason, key: &ObjectKey) -> Vec<u8> {
    let mut row = of_origin(origin);
    row.push(reason.byte());
    row.extend(key.as_str().as_bytes());
    row
}

/// The origin that a row's key begins with, and the rest.
pub(super) fn split_origin(row: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = row.split_first_chunk::<2>()?;
    let (origin, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((str::from_utf8(origin).ok()?, rest))
}

pub(super) fn object_key(rest: &[u8]) -> Option<ObjectKey> {
    ObjectKey::parse(str::from_utf8(rest).ok()?).ok()
}

pub(super) fn reason_and_key(rest: &[u8]) -> Option<(SaveReason, ObjectKey)> {
    let (byte, key) = rest.split_first()?;
    let reason = SaveReason::ALL
        .into_iter()
        .find(|one| one.byte() == *byte)?;
    Some((reason, object_key(key)?))
}

pub(super) fn encode_entry(row: &[u8], entry: &Entry) -> Vec<u8> {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let followed = entry.withdrawn.and_then(|withdrawn| withdrawn.followed);
    let version = followed.map_or(VERSION, |_| VERSION_FOLLOWED);
    let mut value = vec![version, entry.by.byte()];
    value.push(
        flag(entry.digest.is_some(), HAS_DIGEST)
            | flag(entry.withdrawn.is_some(), IS_WITHDRAWN)
            | flag(followed.is_some(), IS_FOLLOWED),
    );
    value.extend(entry.length.to_be_bytes());
    value.extend(entry.verified.to_be_bytes());
    if let Some(Digest(digest)) = entry.digest {
        value.extend(digest);
    }
    if let Some(Withdrawn { since, .. }) = entry.withdrawn {
        value.extend(since.to_be_bytes());
    }
    if let Some(followed) = followed {
        value.extend(followed.to_be_bytes());
    }
    sealed(LEDGER, row, value)
}

pub(super) fn decode_entry(row: &[u8], value: &[u8]) -> Option<Entry> {
    let mut fields = Fields(unsealed(LEDGER, row, value)?);
    let [version, by, flags] = fields.take::<3>()?;
    let is_followed = match (version, flags & !(HAS_DIGEST | IS_WITHDRAWN)) {
        (VERSION, 0) => false,
        (VERSION_FOLLOWED, IS_FOLLOWED) if flags & IS_WITHDRAWN != 0 => true,
        _ => return None,
    };
    let entry = Entry {
        by: By::ALL.into_iter().find(|one| one.byte() == by)?,
        length: fields.number()?,
        verified: fields.number()?,
        digest: match flags & HAS_DIGEST {
            0 => None,
            _ => Some(Digest(fields.take()?)),
        },
        withdrawn: match flags & IS_WITHDRAWN {
            0 => None,
            _ => Some(Withdrawn {
                since: fields.number()?,
                followed: if is_followed {
                    Some(fields.number()?)
                } else {
                    None
                },
            }),
        },
    };
    fields.end(entry)
}

/// Two numbers: when first and how often, or how many keys and how many saves beyond.
pub(super) fn encode_pair(table: &str, row: &[u8], pair: (u64, u64)) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend(pair.0.to_be_bytes());
    value.extend(pair.1.to_be_bytes());
    sealed(table, row, value)
}

pub(super) fn decode_pair(table: &str, row: &[u8], value: &[u8]) -> Option<(u64, u64)> {
    let mut fields = Fields(unsealed(table, row, value)?);
    let [VERSION] = fields.take::<1>()? else {
        return None;
    };
    let pair = (fields.number()?, fields.number()?);
    fields.end(pair)
}

fn sealed(table: &str, row: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    value.extend(seal(table, row, &value));
    value
}

fn unsealed<'a>(table: &str, row: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (value, found) = value.split_last_chunk::<SEAL_BYTES>()?;
    (*found == seal(table, row, value)).then_some(value)
}

fn seal(table: &str, row: &[u8], value: &[u8]) -> [u8; SEAL_BYTES] {
    let mut hash = Xxh3::new();
    for part in [table.as_bytes(), row] {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(value);
    hash.digest().to_be_bytes()
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    /// The value, if nothing is left over.
    fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::parse(text).unwrap()
    }

    fn entry() -> Entry {
        Entry {
            length: 258,
            digest: None,
            verified: 0x6500_0000,
            by: By::Migration,
            withdrawn: Some(Withdrawn::since(0x6500_0001)),
        }
    }

    #[test]
    fn the_rows_are_these_bytes_for_ever() {
        let row = ledger_key("current", &key("//x"));
        assert_eq!(row, b"\x00\x07current//x");
        assert_eq!(
            hex::encode(encode_entry(&row, &entry())),
            "0103020000000000000102000000006500000000000000650000014c883cbe93bcb5aa"
        );
        let with_digest = Entry {
            digest: Some(Digest([0xab; 32])),
            withdrawn: None,
            ..entry()
        };
        assert_eq!(
            hex::encode(encode_entry(&row, &with_digest)),
            "01030100000000000001020000000065000000".to_owned()
                + &"ab".repeat(32)
                + "802ce24138fe670f"
        );
        let followed = Entry {
            withdrawn: Some(Withdrawn {
                since: 0x6500_0001,
                followed: Some(0x6500_0002),
            }),
            ..entry()
        };
        assert_eq!(
            hex::encode(encode_entry(&row, &followed)),
            "02030600000000000001020000000065000000000000006500000100000000650000020e57285dd2e62e4a"
        );
        let row = save_key("old", SaveReason::Unknown, &key("a"));
        assert_eq!(row, b"\x00\x03old\x02a");
        assert_eq!(
            hex::encode(encode_pair(SAVES, &row, (0x6500_0000, 3))),
            "0100000000650000000000000000000003079d1d670e759dcb"
        );
        let row = of_origin("old");
        assert_eq!(row, b"\x00\x03old");
        assert_eq!(
            hex::encode(encode_pair(TOTALS, &row, (2, 7))),
            "0100000000000000020000000000000007c0d4377c2c6b7d71"
        );
    }

    #[test]
    fn a_value_is_good_in_its_own_table_and_under_its_own_key_only() {
        let row = ledger_key("current", &key("a"));
        let value = encode_entry(&row, &entry());
        assert_eq!(decode_entry(&row, &value), Some(entry()));
        assert_eq!(
            decode_entry(&ledger_key("current", &key("b")), &value),
            None
        );
        let pair = encode_pair(SAVES, &row, (1, 2));
        assert_eq!(decode_pair(SAVES, &row, &pair), Some((1, 2)));
        assert_eq!(decode_pair(TOTALS, &row, &pair), None);
    }

    #[test]
    fn a_flipped_bit_makes_a_row_absent() {
        let row = ledger_key("current", &key("a"));
        let value = encode_entry(&row, &entry());
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_entry(&row, &flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn no_origins_rows_are_within_anothers() {
        assert!(!ledger_key("ab", &key("c")).starts_with(&of_origin("a")));
        assert!(!ledger_key("a", &key("bc")).starts_with(&of_origin("ab")));
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(
            length in any::<u64>(),
            digest in any::<Option<[u8; 32]>>(),
            verified in any::<u64>(),
            by in 0_usize..3,
            withdrawn in any::<Option<(u64, Option<u64>)>>(),
            name in "[a-z]{1,9}",
        ) {
            let digest = digest.map(Digest);
            let withdrawn = withdrawn.map(|(since, followed)| Withdrawn { since, followed });
            let entry = Entry { length, digest, verified, by: By::ALL[by], withdrawn };
            let row = ledger_key(&name, &key("a/b"));
            prop_assert_eq!(decode_entry(&row, &encode_entry(&row, &entry)), Some(entry));
            prop_assert_eq!(split_origin(&row), Some((&*name, &b"a/b"[..])));
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            row in prop::collection::vec(any::<u8>(), 0..40),
            value in prop::collection::vec(any::<u8>(), 0..80),
            version in 0..=VERSION_FOLLOWED,
        ) {
            let mut value = value;
            if let (1.., Some(first)) = (version, value.first_mut()) {
                *first = version;
            }
            prop_assert_eq!(decode_entry(&row, &value), None);
            // The same with a right seal, as no version would have written it.
            if let Some(entry) = decode_entry(&row, &sealed(LEDGER, &row, value.clone())) {
                prop_assert_eq!(encode_entry(&row, &entry), sealed(LEDGER, &row, value.clone()));
            }
            let _ = decode_pair(SAVES, &row, &sealed(SAVES, &row, value));
            if let Some((_, rest)) = split_origin(&row) {
                let _ = reason_and_key(rest);
            }
        }
    }
}
