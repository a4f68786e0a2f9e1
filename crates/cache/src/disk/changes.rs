//! What a use, a confirmation, an eviction and a loss come to in the index.
//!
//! The second half of [`super::batch`], which has the order of files and rows.

use std::time::SystemTime;

use super::batch::{Batch, Retired, place};
use super::change::{Lost, Owner};
use super::error::Broken;
use super::facts::{Class, MAX_PROOFS, Row, RowChange, SliceRow};
use super::pending::Mark;
use super::rows::{decode_row, decode_slice};
use super::tables::{
    OBJECTS, Place, SLICES, read_object_key, read_ref_key, read_slice_key, ref_key, slice_key,
    slices_of,
};
use crate::{Evicted, SLICE_BYTES};

/// Slices that are removed in one transaction; there may be thousands in a version, and others
/// wait to be written.
pub(super) const REMOVED_AT_ONCE: usize = 256;

impl Batch<'_> {
    pub(super) fn update(
        &mut self,
        owner: &Owner,
        number: u64,
        change: RowChange,
    ) -> Result<(), Broken> {
        let Some((at, mut row)) = self.live(owner, number)? else {
            return Ok(());
        };
        match change {
            RowChange::Checked { at, source, proof } => {
                row.facts.checked = at;
                if let Some(source) = source {
                    row.facts.source = source;
                }
                if let Some((origin, validator)) = proof {
                    row.proofs.retain(|(of, _)| *of != origin);
                    if row.proofs.len() == MAX_PROOFS {
                        row.proofs.remove(0);
                    }
                    row.proofs.push((origin, validator));
                }
            }
            RowChange::Gone(since) => row.gone = since,
            RowChange::Etag(etag) => row.facts.etag = Some(etag),
            RowChange::Orphan(orphan) => {
                let class = match (orphan, row.class) {
                    (true, _) => Class::Orphan,
                    (false, Class::Orphan) => Class::Again,
                    (false, class) => class,
                };
                self.move_to(&at, &mut row, class, None)?;
            }
        }
        // A text too long to be kept leaves the row as it was.
        self.put_row(&at, &row)?;
        Ok(())
    }

    pub(super) fn touch(&mut self, owner: &Owner, number: u64, hour: u32) -> Result<(), Broken> {
        let Some((at, mut row)) = self.live(owner, number)? else {
            return Ok(());
        };
        let class = row.class.max(Class::Again);
        if class != row.class || hour != row.hour {
            self.move_to(&at, &mut row, class, Some(hour))?;
            self.put_row(&at, &row)?;
        }
        Ok(())
    }

    /// Moves a row to another place; the caller writes it.
    fn move_to(
        &mut self,
        at: &[u8],
        row: &mut Row,
        class: Class,
        hour: Option<u32>,
    ) -> Result<(), Broken> {
        let old = row.class;
        self.by_use.remove(&place(row).key())?;
        row.class = class;
        row.hour = hour.unwrap_or(row.hour);
        self.by_use.put(&place(row).key(), at.to_vec())?;
        if old == class {
            return Ok(());
        }
        let bytes = self.held(row)?;
        let by_class = &mut self.books.by_class;
        by_class[old as usize] = by_class[old as usize].saturating_sub(bytes);
        by_class[class as usize] += bytes;
        let count = |of| u64::from(of == Class::Orphan);
        let orphans = self.books.orphans + count(class);
        self.books.orphans = orphans.saturating_sub(count(old));
        Ok(())
    }

    fn held(&self, row: &Row) -> Result<u64, Broken> {
        let (from, to) = slices_of(row.number);
        let slices = self.slices.between(&from, &to, usize::MAX, decode_slice)?;
        let slices = slices.iter().filter_map(|(_, slice)| slice.as_ref());
        Ok(slices
            .chain(&row.slice0)
            .map(|slice| u64::from(slice.allocated))
            .sum())
    }

    /// Removes the version at a place, unless somebody reads it or has used it since.
    pub(super) fn evict(&mut self, place_of: Place, why: Evicted) -> Result<(), Broken> {
        if self.desk.common.pins.is_pinned(place_of.number) {
            return Ok(());
        }
        let owner = self.owner(place_of)?;
        let live = owner.and_then(|owner| self.live(&owner, place_of.number).transpose());
        match live.transpose()? {
            Some((at, row)) if place(&row) == place_of => {
                if row.class == Class::Orphan {
                    tracing::warn!(
                        space = &*row.space,
                        key = row.key.as_str(),
                        "the last copy of an object leaves the disk cache: no origin has it",
                    );
                }
                self.retire(&at, &row, why, false)
            }
            // The place was left behind by a crash: its row is elsewhere.
            Some(_) => {
                self.by_use.remove(&place_of.key())?;
                Ok(())
            }
            // Its row is gone, and its slices may not be.
            None => {
                let queued = self.retired.iter().any(|one| one.place == place_of);
                if !queued {
                    self.retired.push(Retired {
                        place: place_of,
                        why,
                        spare_readers: true,
                    });
                }
                Ok(())
            }
        }
    }

    /// Removes slices of versions that are to go; returns whether some are left that could go now.
    pub(super) fn work_off(&mut self) -> Result<bool, Broken> {
        let mut room = REMOVED_AT_ONCE;
        let mut left = false;
        let mut waiting = std::mem::take(&mut self.retired).into_iter();
        while let Some(retired) = waiting.next() {
            if room == 0 {
                // Perhaps they are all being read; the next turn will tell.
                left = true;
                self.retired.push(retired);
                self.retired.extend(waiting);
                break;
            }
            let number = retired.place.number;
            if retired.spare_readers && self.desk.common.pins.is_pinned(number) {
                self.retired.push(retired);
                continue;
            }
            let (from, to) = slices_of(number);
            let slices = self.slices.between(&from, &to, room, decode_slice)?;
            let all = slices.len() < room;
            room -= slices.len();
            for (key, slice) in slices {
                if let (Some(slice), Some((_, n))) = (slice, read_slice_key(&key)) {
                    self.no_longer_held(retired.place.class, &slice);
                    self.drop_reference(&slice, number, n)?;
                }
                self.slices.remove(&key)?;
            }
            if all {
                self.by_use.remove(&retired.place.key())?;
                self.desk.common.observer.evicted(retired.why);
            } else {
                left = true;
                self.retired.push(retired);
            }
        }
        Ok(left)
    }

    /// A slice whose file is gone or wrong: takes the file and the row, if that is still so.
    pub(super) fn lose(&mut self, lost: &Lost) -> Result<(), Broken> {
        let slice = &lost.slice;
        let content = self.desk.content;
        let mark = Mark::new(slice.length, &slice.xxh3);
        let gone = self.desk.pending.unless_written(mark, slice.sha256, || {
            match (lost.seen, content.identity(&slice.sha256)) {
                (_, None) => Ok(true),
                (Some(wrong), Some(now)) if wrong == now => {
                    content.unlink(&slice.sha256).map(|()| true)
                }
                // Somebody has written it again meanwhile.
                _ => Ok(false),
            }
        });
        match gone {
            Some(Ok(true)) => self.forget(lost),
            Some(Err(error)) => {
                self.cannot_remove(&error);
                Ok(())
            }
            // Somebody is writing it again.
            None | Some(Ok(false)) => Ok(()),
        }
    }

    fn forget(&mut self, lost: &Lost) -> Result<(), Broken> {
        let (number, n) = (lost.at.number, lost.at.n);
        let slice = &lost.slice;
        if n > 0 {
            let key = slice_key(number, n);
            let row = self.slices.get(&key, decode_slice)?;
            if row.is_some_and(|row| row.sha256 == slice.sha256) {
                self.slices.remove(&key)?;
                self.desk.common.unattributed();
            }
        } else if let Some(owner) = &lost.owner
            && let Some((at, mut row)) = self.live(owner, number)?
            && row
                .slice0
                .as_ref()
                .is_some_and(|row| row.sha256 == slice.sha256)
        {
            if row.total <= SLICE_BYTES {
                self.retire(&at, &row, Evicted::Replaced, false)?;
                return Ok(()); // its reference goes with it
            }
            row.slice0 = None;
            self.no_longer_held(row.class, slice);
            self.put_row(&at, &row)?;
        }
        self.drop_reference(slice, number, n)
    }

    /// Removes a row that cannot be believed, if that is still so. What it named is found by its
    /// place, or by the next sweep.
    pub(super) fn forget_row(&mut self, table: &'static str, key: &[u8]) -> Result<(), Broken> {
        if table == OBJECTS {
            if self
                .objects
                .get(key, |bytes| self.read_row(key, bytes))?
                .is_none()
                && self.objects.remove(key)?
            {
                self.books.entries = self.books.entries.saturating_sub(1);
            }
        } else if table == SLICES && self.slices.get(key, decode_slice)?.is_none() {
            self.slices.remove(key)?;
            self.desk.common.unattributed();
        }
        Ok(())
    }

    fn read_row(&self, key: &[u8], bytes: &[u8]) -> Option<Row> {
        let (space, key) = read_object_key(key)?;
        decode_row(&self.desk.index.space_name(space)?, &key, bytes)
    }

    /// One directory of content after a crash: files without a row go, and rows without a file.
    pub(super) fn sweep(&mut self, first: u8, second: u8, start: SystemTime) -> Result<(), Broken> {
        let content = self.desk.content;
        let files = match content.list(first, second) {
            Ok(files) => files,
            Err(error) => {
                self.cannot_remove(&error);
                return Ok(());
            }
        };
        for file in &files {
            if !self.is_referenced(&file.sha256)?
                && file.modified < start
                && let Err(error) = content.unlink_older(&file.sha256, start)
            {
                self.cannot_remove(&error);
            }
        }
        let (mut from, mut to) = ([0; 44], [0xff; 44]);
        from[..2].copy_from_slice(&[first, second]);
        to[..2].copy_from_slice(&[first, second]);
        for (key, _) in self.refs.between(&from, &to, usize::MAX, |_| Some(()))? {
            let Some((sha256, number, n)) = read_ref_key(&key) else {
                continue;
            };
            let there = files.iter().any(|file| file.sha256 == sha256);
            if !there && content.identity(&sha256).is_none() {
                self.sweep_reference(sha256, number, n)?;
            }
        }
        Ok(())
    }

    fn sweep_reference(&mut self, sha256: [u8; 32], number: u64, n: u32) -> Result<(), Broken> {
        let key = slice_key(number, n);
        let row = self.slices.get(&key, decode_slice)?;
        let is_it = |row: &SliceRow| row.sha256 == sha256;
        if let Some(slice) = row.filter(is_it) {
            self.slices.remove(&key)?;
            self.desk.common.unattributed();
            return self.drop_reference(&slice, number, n);
        }
        if n == 0 {
            // Its row is in its object's, which is found by the key only.
            self.desk.common.first_is_missing(number);
        } else {
            self.refs.remove(&ref_key(&sha256, number, n))?;
        }
        Ok(())
    }
}
