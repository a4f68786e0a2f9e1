//! Changes to the index, in one transaction, by the one writer.
//!
//! The order of everything lies here: a row only for a file that is in place, a file gone before
//! its row, and a shared file gone only with its last row. Decides from the index as it is at this
//! moment, never from what a caller saw earlier.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use object::ObjectKey;
use redb::WriteTransaction;

use super::change::{Change, Kept, Owner};
use super::coding::{In, Out};
use super::common::Common;
use super::content::Content;
use super::error::Broken;
use super::facts::{Class, Purge, Row, SliceRow};
use super::index::Index;
use super::meter::{Books, Coming};
use super::pending::{Mark, Pending};
use super::rows::{decode_row, encode_purge, encode_row, encode_slice};
use super::sheet::WriteSheet;
use super::tables::{
    BY_USE, META, META_NEXT_NUMBER, OBJECTS, PURGES, Place, REFS, SLICES, SPACES, object_key,
    read_object_key, ref_key, references, slice_key,
};
use crate::{CacheError, Evicted, SLICE_BYTES};

/// A version whose slices are going.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retired {
    pub(super) place: Place,
    pub(super) why: Evicted,
    /// Not before its last reader is done.
    pub(super) spare_readers: bool,
}

/// What a batch works with.
pub(super) struct Desk<'a> {
    pub(super) index: &'a Index,
    pub(super) content: &'a Content,
    pub(super) pending: &'a Pending,
    pub(super) common: &'a Common,
}

/// A transaction that is being filled.
pub(super) struct Batch<'t> {
    pub(super) desk: &'t Desk<'t>,
    pub(super) meta: WriteSheet<'t>,
    pub(super) spaces: WriteSheet<'t>,
    pub(super) objects: WriteSheet<'t>,
    pub(super) slices: WriteSheet<'t>,
    pub(super) refs: WriteSheet<'t>,
    pub(super) by_use: WriteSheet<'t>,
    pub(super) purges: WriteSheet<'t>,
    pub(super) books: Books,
    pub(super) retired: Vec<Retired>,
    /// Counted as on their way until the books that hold them are published.
    pub(super) coming: Vec<Coming>,
}

impl<'t> Batch<'t> {
    pub(super) fn open(
        desk: &'t Desk<'t>,
        transaction: &'t WriteTransaction,
        books: Books,
        retired: Vec<Retired>,
    ) -> Result<Self, Broken> {
        let open = |name| WriteSheet::open(transaction, name, &*desk.common.observer);
        Ok(Self {
            desk,
            meta: open(META)?,
            spaces: open(SPACES)?,
            objects: open(OBJECTS)?.noting_changes(),
            slices: open(SLICES)?,
            refs: open(REFS)?,
            by_use: open(BY_USE)?,
            purges: open(PURGES)?,
            books,
            retired,
            coming: Vec::new(),
        })
    }

    /// Does what needs no answer; the others come back.
    pub(super) fn apply(&mut self, change: Change) -> Result<Option<Change>, Broken> {
        match change {
            Change::Keep(mut kept) => {
                self.coming.extend(kept.coming.take());
                let guard = kept.guard.take();
                self.keep(&kept)?;
                // Now its row keeps the file.
                drop(guard);
            }
            Change::Update {
                owner,
                number,
                change,
            } => self.update(&owner, number, change)?,
            Change::Touch {
                owner,
                number,
                hour,
            } => self.touch(&owner, number, hour)?,
            Change::Remove {
                owner,
                number,
                why,
                spare_readers,
            } => {
                if let Some((at, row)) = self.live(&owner, number)? {
                    self.retire(&at, &row, why, spare_readers)?;
                }
            }
            Change::Evict { place, why } => self.evict(place, why)?,
            Change::Lost(lost) => self.lose(&lost)?,
            Change::Forget { table, key } => self.forget_row(table, &key)?,
            Change::Purge { what, number } => self.record(&what, number)?,
            Change::Swept { what, number } => {
                self.purges.remove(&number.to_be_bytes())?;
                let now = std::time::Instant::now();
                self.desk.common.purges.swept(&what, number, now);
            }
            Change::Sweep {
                first,
                second,
                start,
            } => self.sweep(first, second, start)?,
            Change::Recounted(by_class) => self.books.by_class = by_class,
            Change::Reserve(end) => self.write_number(META_NEXT_NUMBER, end)?,
            other @ (Change::Flush(_) | Change::Settle(_) | Change::Clean) => {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    pub(super) fn write_number(&mut self, name: &[u8], value: u64) -> Result<(), Broken> {
        let mut out = Out::default();
        out.u64(value);
        let value = out.finish().expect("a number is no text");
        self.meta.put(name, value)?;
        Ok(())
    }

    /// The row of a version, if it is the one of its key.
    pub(super) fn live(
        &self,
        owner: &Owner,
        number: u64,
    ) -> Result<Option<(Vec<u8>, Row)>, Broken> {
        let found = self.row(&owner.space, &owner.key)?;
        Ok(found.filter(|(_, row)| row.number == number))
    }

    fn row(&self, space: &str, key: &ObjectKey) -> Result<Option<(Vec<u8>, Row)>, Broken> {
        let Some((number, space)) = self.desk.index.space(space) else {
            return Ok(None);
        };
        let at = object_key(number, key);
        let row = self
            .objects
            .get(&at, |bytes| decode_row(&space, key, bytes))?;
        Ok(row.map(|row| (at, row)))
    }

    /// Writes the row of a version. `false` if it is too long to be kept.
    pub(super) fn put_row(&mut self, at: &[u8], row: &Row) -> Result<bool, Broken> {
        let Some(value) = encode_row(row) else {
            return Ok(false);
        };
        if !self.objects.put(at, value)? {
            self.books.entries += 1;
        }
        Ok(true)
    }

    fn keep(&mut self, kept: &Kept) -> Result<(), Broken> {
        let facts = &kept.facts;
        let purges = &self.desk.common.purges;
        let existing = self.row(&facts.space, &facts.key)?;
        let known = existing.as_ref().map(|(_, row)| row.number);
        let refused = purges.is_dead(&facts.space, &facts.key, facts.number)
            || known.is_some_and(|known| known > facts.number)
            || (known != Some(facts.number) && purges.is_too_late(facts.number));
        if refused {
            return self.unlink_unwanted(&kept.slice);
        }
        let space = self.intern(&facts.space)?;
        let at = object_key(space, &facts.key);
        let mut row = match existing {
            Some((_, row)) if row.number == facts.number => row,
            older => {
                let row = Row {
                    facts: facts.clone(),
                    class: Class::Once,
                    hour: kept.hour,
                    proofs: Vec::new(),
                    gone: None,
                    slice0: None,
                };
                if let Some((at, older)) = older {
                    self.retire(&at, &older, Evicted::Replaced, true)?;
                }
                if !self.put_row(&at, &row)? {
                    return self.unlink_unwanted(&kept.slice);
                }
                self.by_use.put(&place(&row).key(), at.clone())?;
                row
            }
        };
        let previous = if kept.n == 0 {
            let previous = row.slice0.replace(kept.slice.clone());
            self.put_row(&at, &row)?;
            previous
        } else {
            let key = slice_key(facts.number, kept.n);
            let previous = self.slices.get(&key, super::rows::decode_slice)?;
            self.slices.put(&key, encode_slice(&kept.slice))?;
            previous
        };
        if let Some(previous) = previous {
            self.no_longer_held(row.class, &previous);
            if previous.sha256 != kept.slice.sha256 {
                self.drop_reference(&previous, facts.number, kept.n)?;
            }
        }
        self.books.by_class[row.class as usize] += u64::from(kept.slice.allocated);
        self.add_reference(&kept.slice, facts.number, kept.n)
    }

    /// A slice of a version of this class has gone, whoever else shares its file.
    pub(super) fn no_longer_held(&mut self, class: Class, slice: &SliceRow) {
        let held = &mut self.books.by_class[class as usize];
        *held = held.saturating_sub(u64::from(slice.allocated));
    }

    fn add_reference(&mut self, slice: &SliceRow, number: u64, n: u32) -> Result<(), Broken> {
        let first = !self.is_referenced(&slice.sha256)?;
        self.refs
            .put(&ref_key(&slice.sha256, number, n), Vec::new())?;
        if first {
            self.books.files += 1;
            self.books.bytes += u64::from(slice.allocated);
        }
        Ok(())
    }

    pub(super) fn drop_reference(
        &mut self,
        slice: &SliceRow,
        number: u64,
        n: u32,
    ) -> Result<(), Broken> {
        let had = self.refs.remove(&ref_key(&slice.sha256, number, n))?;
        if had && !self.is_referenced(&slice.sha256)? {
            self.books.files = self.books.files.saturating_sub(1);
            let bytes = u64::from(slice.allocated);
            self.books.bytes = self.books.bytes.saturating_sub(bytes);
            self.unlink(Mark::new(slice.length, &slice.xxh3), slice.sha256);
        }
        Ok(())
    }

    pub(super) fn is_referenced(&self, sha256: &[u8; 32]) -> Result<bool, Broken> {
        let (from, to) = references(sha256);
        self.refs.any(&from, &to)
    }

    /// Removes the file of a slice that got no row, unless another has the same bytes.
    pub(super) fn unlink_unwanted(&self, slice: &SliceRow) -> Result<(), Broken> {
        if !self.is_referenced(&slice.sha256)? {
            self.unlink(Mark::new(slice.length, &slice.xxh3), slice.sha256);
        }
        Ok(())
    }

    /// Files whose removal was postponed and which nobody writes any more.
    pub(super) fn unlink_due(&self) -> Result<(), Broken> {
        for (mark, sha256) in self.desk.pending.due() {
            if !self.is_referenced(&sha256)? {
                self.unlink(mark, sha256);
            }
        }
        Ok(())
    }

    fn unlink(&self, mark: Mark, sha256: [u8; 32]) {
        let removed = self
            .desk
            .pending
            .unless_written(mark, sha256, || self.desk.content.unlink(&sha256));
        if let Some(Err(error)) = removed {
            self.cannot_remove(&error);
        }
    }

    pub(super) fn cannot_remove(&self, error: &std::io::Error) {
        let common = &self.desk.common;
        common.observer.error(CacheError::Write);
        if let Some(held_back) = common.complaints.unremoved.is_due(Instant::now()) {
            tracing::warn!(%error, held_back, "a file of the disk cache cannot be removed");
        }
    }

    /// Takes a version out of sight. If it has several slices, they go later, a few at a time,
    /// because there may be thousands; its place stays until they are gone, so that a crash does
    /// not forget them.
    pub(super) fn retire(
        &mut self,
        at: &[u8],
        row: &Row,
        why: Evicted,
        spare_readers: bool,
    ) -> Result<(), Broken> {
        if self.objects.remove(at)? {
            self.books.entries = self.books.entries.saturating_sub(1);
        }
        if row.class == Class::Orphan {
            self.books.orphans = self.books.orphans.saturating_sub(1);
        }
        let read = spare_readers && self.desk.common.pins.is_pinned(row.number);
        if row.total <= SLICE_BYTES && !read {
            if let Some(slice) = &row.slice0 {
                self.no_longer_held(row.class, slice);
                self.drop_reference(slice, row.number, 0)?;
            }
            self.by_use.remove(&place(row).key())?;
            self.desk.common.observer.evicted(why);
            return Ok(());
        }
        if let Some(slice) = &row.slice0 {
            self.slices
                .put(&slice_key(row.number, 0), encode_slice(slice))?;
        }
        self.retired.push(Retired {
            place: place(row),
            why,
            spare_readers,
        });
        Ok(())
    }

    fn record(&mut self, what: &Purge, number: u64) -> Result<(), Broken> {
        let space = match what {
            Purge::All => 0,
            Purge::Space(space) | Purge::Prefix { space, .. } | Purge::Key { space, .. } => {
                self.intern(space)?
            }
        };
        // A prefix longer than any key matches nothing.
        if let Some(value) = encode_purge(what, space) {
            self.purges.put(&number.to_be_bytes(), value)?;
        }
        Ok(())
    }

    fn intern(&mut self, name: &Arc<str>) -> Result<u32, Broken> {
        if let Some((number, _)) = self.desk.index.space(name) {
            return Ok(number);
        }
        let spaces = &self.desk.index.spaces;
        let number = spaces
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .free_number();
        let mut out = Out::default();
        out.u32(number);
        let value = out.finish().expect("a number is no text");
        self.spaces.put(name.as_bytes(), value)?;
        spaces
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, name);
        Ok(number)
    }

    /// The owner that a place names.
    pub(super) fn owner(&self, place: Place) -> Result<Option<Owner>, Broken> {
        let at = self.by_use.get(&place.key(), |bytes| {
            let mut from = In::new(bytes);
            read_object_key(from.raw(bytes.len())?)
        })?;
        Ok(at.and_then(|(space, key)| {
            let space = self.desk.index.space_name(space)?;
            Some(Owner { space, key })
        }))
    }
}

/// Where eviction finds a row.
pub(super) fn place(row: &Row) -> Place {
    Place {
        class: row.class,
        hour: row.hour,
        number: row.number,
    }
}
