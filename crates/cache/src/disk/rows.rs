//! The rows of the index as bytes. DISK-FORMAT.md describes them; a test below pins them.
//!
//! Only their form: which row is put where, and when, is the writer's business.

use std::sync::Arc;

use object::{Digest, Md5Etag, ObjectHead, ObjectKey, Proofs, Validator};

use super::coding::{In, Out};
use super::facts::{Class, MAX_PROOFS, Purge, Row, SliceRow, VersionFacts};
use crate::{CHUNK_BYTES, SLICE_BYTES};

/// An object row; `None` where a part of it is too long to be kept.
pub(super) fn encode_row(row: &Row) -> Option<Vec<u8>> {
    let mut out = Out::default();
    out.u64(row.number);
    out.u64(row.total);
    out.u8(row.class as u8);
    out.u32(row.hour);
    out.u64(row.stored);
    out.u64(row.checked);
    out.optional(row.gone, Out::u64);
    out.text(&row.source);
    out.optional(row.etag.as_deref(), Out::text);
    head(&mut out, &row.head);
    let proofs = row.proofs.get(..MAX_PROOFS).unwrap_or(&row.proofs);
    out.u8(u8::try_from(proofs.len()).ok()?);
    for (origin, of_origin) in proofs {
        out.text(origin);
        validator(&mut out, of_origin);
    }
    out.optional(row.slice0.as_ref(), slice);
    out.finish()
}

/// An object row of this space and key.
pub(super) fn decode_row(space: &Arc<str>, key: &ObjectKey, bytes: &[u8]) -> Option<Row> {
    let mut from = In::new(bytes);
    let number = from.u64()?;
    let total = from.u64()?;
    let class = Class::from_byte(from.u8()?)?;
    let hour = from.u32()?;
    let stored = from.u64()?;
    let checked = from.u64()?;
    let gone = from.optional(In::u64)?;
    let source = from.text()?.into();
    let etag = from.optional(In::text)?.map(Into::into);
    let head = read_head(&mut from)?;
    let count = usize::from(from.u8()?);
    if count > MAX_PROOFS {
        return None;
    }
    let mut proofs = Vec::with_capacity(count);
    for _ in 0..count {
        proofs.push((from.text()?.into(), read_validator(&mut from)?));
    }
    let slice0 = from.optional(read_slice)?;
    from.at_end()?;
    Some(Row {
        facts: VersionFacts {
            number,
            space: Arc::clone(space),
            key: key.clone(),
            total,
            source,
            head,
            etag,
            stored,
            checked,
        },
        class,
        hour,
        proofs,
        gone,
        slice0,
    })
}

/// A slice row.
pub(super) fn encode_slice(row: &SliceRow) -> Vec<u8> {
    let mut out = Out::default();
    slice(&mut out, row);
    out.finish().expect("a slice row holds no text")
}

/// A slice row.
pub(super) fn decode_slice(bytes: &[u8]) -> Option<SliceRow> {
    let mut from = In::new(bytes);
    let row = read_slice(&mut from)?;
    from.at_end()?;
    Some(row)
}

/// A purge; spaces are written by their numbers.
pub(super) fn encode_purge(what: &Purge, space: u32) -> Option<Vec<u8>> {
    let mut out = Out::default();
    let (kind, text) = match what {
        Purge::All => (0, ""),
        Purge::Space(_) => (1, ""),
        Purge::Prefix { prefix, .. } => (2, &**prefix),
        Purge::Key { key, .. } => (3, key.as_str()),
    };
    out.u8(kind);
    out.u32(space);
    out.text(text);
    out.finish()
}

/// A purge; `named` gives the space of a number.
pub(super) fn decode_purge(
    bytes: &[u8],
    named: impl FnOnce(u32) -> Option<Arc<str>>,
) -> Option<Purge> {
    let mut from = In::new(bytes);
    let kind = from.u8()?;
    let space = from.u32()?;
    let text = from.text()?;
    from.at_end()?;
    Some(match kind {
        0 => Purge::All,
        1 => Purge::Space(named(space)?),
        2 => Purge::Prefix {
            space: named(space)?,
            prefix: text.into(),
        },
        3 => Purge::Key {
            space: named(space)?,
            key: ObjectKey::parse(text).ok()?,
        },
        _ => return None,
    })
}

fn slice(out: &mut Out, row: &SliceRow) {
    out.raw(&row.sha256);
    out.u32(row.length);
    out.u32(row.allocated);
    for digest in &row.xxh3 {
        out.u64(*digest);
    }
}

fn read_slice(from: &mut In<'_>) -> Option<SliceRow> {
    let sha256 = from.array()?;
    let length = from.u32()?;
    let allocated = from.u32()?;
    if u64::from(length) > SLICE_BYTES {
        return None;
    }
    let chunks = (length as usize).div_ceil(CHUNK_BYTES);
    let xxh3 = (0..chunks).map(|_| from.u64()).collect::<Option<_>>()?;
    Some(SliceRow {
        sha256,
        length,
        allocated,
        xxh3,
    })
}

fn head(out: &mut Out, head: &ObjectHead) {
    out.optional(head.length, Out::u64);
    out.optional(head.content_type.as_deref(), Out::text);
    out.optional(head.content_disposition.as_deref(), Out::text);
    out.optional(head.content_encoding.as_deref(), Out::text);
    out.optional(head.content_language.as_deref(), Out::text);
    out.optional(head.last_modified, Out::time);
    out.optional(head.validator.as_ref(), validator);
    out.optional(head.proofs.checksum, |out, digest| out.raw(&digest.0));
    out.optional(head.proofs.md5, |out, md5| {
        out.raw(&md5.digest);
        out.optional(md5.parts, Out::u32);
    });
    out.optional(head.proofs.own, |out, digest| out.raw(&digest.0));
}

fn read_head(from: &mut In<'_>) -> Option<ObjectHead> {
    Some(ObjectHead {
        length: from.optional(In::u64)?,
        content_type: from.optional(In::text)?.map(Into::into),
        content_disposition: from.optional(In::text)?.map(Into::into),
        content_encoding: from.optional(In::text)?.map(Into::into),
        content_language: from.optional(In::text)?.map(Into::into),
        last_modified: from.optional(In::time)?,
        validator: from.optional(read_validator)?,
        proofs: Proofs {
            checksum: from.optional(In::array)?.map(Digest),
            md5: from.optional(|from| {
                Some(Md5Etag {
                    digest: from.array()?,
                    parts: from.optional(In::u32)?,
                })
            })?,
            own: from.optional(In::array)?.map(Digest),
        },
    })
}

fn validator(out: &mut Out, validator: &Validator) {
    match validator {
        Validator::Strong(tag) => {
            out.u8(0);
            out.text(tag);
        }
        Validator::Weak(tag) => {
            out.u8(1);
            out.text(tag);
        }
        Validator::Modified(time) => {
            out.u8(2);
            out.time(*time);
        }
    }
}

fn read_validator(from: &mut In<'_>) -> Option<Validator> {
    Some(match from.u8()? {
        0 => Validator::Strong(from.text()?.into()),
        1 => Validator::Weak(from.text()?.into()),
        2 => Validator::Modified(from.time()?),
        _ => return None,
    })
}
