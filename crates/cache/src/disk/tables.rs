//! The tables of the index, and the keys of their rows. DISK-FORMAT.md describes them.
//!
//! Keys are bytes with big-endian numbers, so that their order is the order of what they mean.

use object::ObjectKey;
use redb::TableDefinition;

use super::coding::In;
use super::facts::Class;

/// A table: its name is part of each value's seal.
pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

pub(super) const META: &str = "meta";
pub(super) const SPACES: &str = "spaces";
pub(super) const OBJECTS: &str = "objects";
pub(super) const SLICES: &str = "slices";
pub(super) const REFS: &str = "refs";
pub(super) const BY_USE: &str = "by_use";
pub(super) const PURGES: &str = "purges";

/// What [`super::index`] keeps in `meta`.
pub(super) const META_FORMAT: &[u8] = b"format";
pub(super) const META_NEXT_NUMBER: &[u8] = b"next_no";
pub(super) const META_CLEAN: &[u8] = b"clean";
pub(super) const META_BOOKS: &[u8] = b"books";

pub(super) const fn definition(name: &'static str) -> Definition {
    TableDefinition::new(name)
}

/// `space ‖ key`.
pub(super) fn object_key(space: u32, key: &ObjectKey) -> Vec<u8> {
    prefix_key(space, key.as_str())
}

/// `space ‖ the beginning of keys`.
pub(super) fn prefix_key(space: u32, prefix: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + prefix.len());
    bytes.extend_from_slice(&space.to_be_bytes());
    bytes.extend_from_slice(prefix.as_bytes());
    bytes
}

/// Splits what [`object_key`] put together.
pub(super) fn read_object_key(bytes: &[u8]) -> Option<(u32, ObjectKey)> {
    let mut from = In::new(bytes);
    let space = from.u32()?;
    let key = std::str::from_utf8(from.rest()).ok()?;
    Some((space, ObjectKey::parse(key).ok()?))
}

/// `number ‖ n`.
pub(super) fn slice_key(number: u64, n: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    bytes
}

/// Splits what [`slice_key`] put together.
pub(super) fn read_slice_key(bytes: &[u8]) -> Option<(u64, u32)> {
    let mut from = In::new(bytes);
    let key = (from.u64()?, from.u32()?);
    from.at_end()?;
    Some(key)
}

/// `sha256 ‖ number ‖ n`.
pub(super) fn ref_key(sha256: &[u8; 32], number: u64, n: u32) -> [u8; 44] {
    let mut bytes = [0; 44];
    bytes[..32].copy_from_slice(sha256);
    bytes[32..].copy_from_slice(&slice_key(number, n));
    bytes
}

/// Splits what [`ref_key`] put together.
pub(super) fn read_ref_key(bytes: &[u8]) -> Option<([u8; 32], u64, u32)> {
    let mut from = In::new(bytes);
    let sha256 = from.array()?;
    let (number, n) = read_slice_key(from.rest())?;
    Some((sha256, number, n))
}

/// Which version, and where eviction finds it: `class ‖ hour ‖ number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) class: Class,
    pub(super) hour: u32,
    pub(super) number: u64,
}

impl Place {
    pub(super) fn key(self) -> [u8; 13] {
        let mut bytes = [0; 13];
        bytes[0] = self.class as u8;
        bytes[1..5].copy_from_slice(&self.hour.to_be_bytes());
        bytes[5..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut from = In::new(bytes);
        let place = Self {
            class: Class::from_byte(from.u8()?)?,
            hour: from.u32()?,
            number: from.u64()?,
        };
        from.at_end()?;
        Some(place)
    }
}

/// The first and the last key that [`ref_key`] can make of a digest.
pub(super) fn references(sha256: &[u8; 32]) -> ([u8; 44], [u8; 44]) {
    (ref_key(sha256, 0, 0), ref_key(sha256, u64::MAX, u32::MAX))
}

/// The first and the last key of a version's slices.
pub(super) fn slices_of(number: u64) -> ([u8; 12], [u8; 12]) {
    (slice_key(number, 0), slice_key(number, u32::MAX))
}
