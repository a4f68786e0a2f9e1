//! What stands for keys and entity tags where there are too many of them to keep whole.
//!
//! Pure. Keys can be chosen by strangers, so a fingerprint is a piece of a SHA-256: nobody makes
//! two keys that share one, and so hides an object from a migration.

use object::{Md5Etag, ObjectKey};
use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// 128 bits that stand for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fingerprint(pub(crate) [u8; Fingerprint::BYTES]);

impl Fingerprint {
    pub(crate) const BYTES: usize = 16;

    /// That of a key.
    pub(crate) fn of(key: &ObjectKey) -> Self {
        let digest = Sha256::digest(key.as_str().as_bytes());
        let (first, _) = digest.split_first_chunk().expect("a SHA-256 has 32 bytes");
        Self(*first)
    }

    /// Where it stands among all, as its first 64 bits.
    pub(crate) fn place(self) -> u64 {
        u64::from_be_bytes(*self.0.first_chunk().expect("16 bytes hold 8"))
    }

    /// What a share of all keys is chosen by: other bits than those that tables are sorted by.
    pub(crate) fn share(self) -> u64 {
        u64::from_be_bytes(*self.0.last_chunk().expect("16 bytes hold 8"))
    }
}

/// An entity tag in a few bytes: the MD5 it spells where it is of that form, else a sum of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    form: u32,
    bytes: [u8; 16],
}

const NONE: u32 = 0;
const OPAQUE: u32 = 1;
const MD5: u32 = 2;

impl Mark {
    pub(crate) const BYTES: usize = 20;

    /// That of an entity tag, quotes included or not; absent tags have one of their own.
    pub(crate) fn of(etag: Option<&str>) -> Self {
        let Some(etag) = etag else {
            return Self::default();
        };
        match Md5Etag::parse(etag) {
            Some(md5) => Self {
                form: MD5.saturating_add(md5.parts.unwrap_or(0)),
                bytes: md5.digest,
            },
            None => Self {
                form: OPAQUE,
                bytes: xxh3_128(etag.trim_matches('"').as_bytes()).to_be_bytes(),
            },
        }
    }

    /// Whether two origins' tags name the same content; `None` where they cannot be compared.
    /// Tags that look like MD5s need not be: a contradiction is worth a question, no more.
    pub(crate) fn agree(self, other: Self) -> Option<bool> {
        let is_md5 = |mark: Self| mark.form >= MD5;
        if !is_md5(self) || !is_md5(other) {
            return None;
        }
        let is_single = |mark: Self| mark.form == MD5;
        let same = self == other;
        // Other part sizes give other tags for the same bytes.
        (same || (is_single(self) && is_single(other))).then_some(same)
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.form.to_be_bytes());
        bytes[4..].copy_from_slice(&self.bytes);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let (form, rest) = bytes.split_first_chunk().expect("20 bytes hold 4");
        Self {
            form: u32::from_be_bytes(*form),
            bytes: *rest.first_chunk().expect("20 bytes hold 16 behind 4"),
        }
    }

    /// The same in 64 bits; 0 for an absent tag.
    pub(crate) fn short(self) -> u64 {
        match self.form {
            NONE => 0,
            _ => xxh3_64(&self.to_bytes()).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "\"0123456789abcdef0123456789abcdef\"";
    const B: &str = "\"ffffffffffffffffffffffffffffffff\"";

    fn mark(tag: &str) -> Mark {
        Mark::of(Some(tag))
    }

    #[test]
    fn only_tags_made_of_content_are_compared_between_origins() {
        let parts = |tag: &str, parts: u32| mark(&tag.replace('"', "").add(parts));
        assert_eq!(mark(A).agree(mark(A)), Some(true));
        assert_eq!(mark(A).agree(mark(B)), Some(false));
        assert_eq!(parts(A, 2).agree(parts(A, 2)), Some(true));
        assert_eq!(parts(A, 2).agree(parts(B, 2)), None);
        assert_eq!(parts(A, 2).agree(mark(A)), None);
        assert_eq!(mark("\"x\"").agree(mark("\"x\"")), None);
        assert_eq!(Mark::of(None).agree(Mark::of(None)), None);
    }

    trait Parts {
        fn add(&self, parts: u32) -> String;
    }

    impl Parts for String {
        fn add(&self, parts: u32) -> String {
            format!("\"{self}-{parts}\"")
        }
    }

    #[test]
    fn a_tag_is_itself_with_or_without_quotes_and_nothing_else() {
        assert_eq!(mark("\"x\""), mark("x"));
        assert_ne!(mark("\"x\""), mark("\"y\""));
        assert_eq!(Mark::from_bytes(&mark(A).to_bytes()), mark(A));
        assert!(mark(A).short() != mark(B).short() && Mark::of(None).short() == 0);
    }

    #[test]
    fn fingerprints_are_these_bytes_for_ever() {
        let key = ObjectKey::parse("misskey/a.webp").unwrap();
        let whole = Sha256::digest(b"misskey/a.webp");
        assert_eq!(Fingerprint::of(&key).0, whole[..16]);
    }
}
