//! Reads everything that is kept and compares it with its sha-256. What is damaged is removed.
//!
//! One file after the other, so that a disk that also serves has little to do with it.

use std::io;

use sha2::{Digest as _, Sha256};

use super::change::{Change, Lost, Owner};
use super::coding::unsealed;
use super::common::Common;
use super::content::{OpenSlice, Unreadable, hex, read_chunk};
use super::error::{Broken, Kind};
use super::eviction::settle;
use super::facts::{Class, SliceAt, SliceRow};
use super::generation::Generation;
use super::rows::decode_slice;
use super::tables::{OBJECTS, SLICES, definition, read_object_key, read_slice_key};

/// Rows that are read at once.
const PAGE: usize = 64;

/// Damage that is listed by name; the rest is only counted.
const LISTED: usize = 1000;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Slices whose files were read.
    pub slices: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Slices whose bytes are not those that were written. Removed.
    pub damaged: u64,
    /// Slices whose files are gone. Removed.
    pub missing: u64,
    /// Rows that cannot be believed. Removed.
    pub bad_rows: u64,
    /// Files that could not be read; they are left alone.
    pub unreadable: u64,
    /// The first thousand of all these, each in a line.
    pub list: Vec<String>,
}

impl Verified {
    /// Whether everything is as it was written.
    pub fn is_sound(&self) -> bool {
        self.damaged + self.missing + self.bad_rows + self.unreadable == 0
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.list.len() < LISTED {
            self.list.push(line());
        }
    }
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Slices so far.
    pub slices: u64,
    /// Bytes so far.
    pub bytes: u64,
    /// Files there were at the beginning; shared ones are read once for each object.
    pub files: u64,
}

/// Blocks for as long as it takes. `progress` returns whether to go on.
pub(super) fn run(
    common: &Common,
    generation: &Generation,
    mut progress: impl FnMut(VerifyProgress) -> bool,
) -> Result<Verified, Broken> {
    let files = common.meter.usage().files;
    let mut verified = Verified::default();
    for table in [OBJECTS, SLICES] {
        let mut after = None;
        loop {
            let page = page(generation, table, after.as_deref())?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for row in page {
                one(common, generation, table, row, &mut verified)?;
                let so_far = VerifyProgress {
                    slices: verified.slices,
                    bytes: verified.bytes,
                    files,
                };
                if !progress(so_far) {
                    return Ok(verified);
                }
            }
        }
    }
    places(generation)?;
    settle(generation);
    Ok(verified)
}

struct Found {
    key: Vec<u8>,
    /// `None` where the row cannot be believed.
    row: Option<(SliceAt, Option<Owner>, Option<SliceRow>)>,
}

fn page(
    generation: &Generation,
    table: &'static str,
    after: Option<&[u8]>,
) -> Result<Vec<Found>, Broken> {
    let index = &generation.index;
    index.look(|transaction| {
        let sheet = transaction.open_table(definition(table))?;
        let mut page = Vec::new();
        let from = match after {
            Some(after) => std::ops::Bound::Excluded(after),
            None => std::ops::Bound::Unbounded,
        };
        for found in sheet
            .range::<&[u8]>((from, std::ops::Bound::Unbounded))?
            .take(PAGE)
        {
            let (key, value) = found?;
            let row = if table == OBJECTS {
                index.believe_row(key.value(), value.value()).map(|row| {
                    let at = SliceAt {
                        number: row.number,
                        n: 0,
                    };
                    let owner = Owner {
                        space: row.facts.space,
                        key: row.facts.key,
                    };
                    (at, Some(owner), row.slice0)
                })
            } else {
                let slice = unsealed(SLICES, key.value(), value.value()).and_then(decode_slice);
                let at = read_slice_key(key.value());
                at.zip(slice)
                    .map(|((number, n), slice)| (SliceAt { number, n }, None, Some(slice)))
            };
            let key = key.value().to_vec();
            page.push(Found { key, row });
        }
        Ok(page)
    })
}

fn one(
    common: &Common,
    generation: &Generation,
    table: &'static str,
    found: Found,
    verified: &mut Verified,
) -> Result<(), Broken> {
    let Some((at, owner, slice)) = found.row else {
        verified.bad_rows += 1;
        verified.note(|| {
            format!(
                "a row of {table} cannot be believed: {}",
                name(table, &found.key)
            )
        });
        let key = found.key;
        return ask(generation, Change::Forget { table, key });
    };
    let Some(slice) = slice else { return Ok(()) };
    verified.slices += 1;
    let path = generation.content.path(&slice.sha256);
    let seen = match generation.content.open(&slice.sha256) {
        Ok(file) => match read_whole(&file, &slice) {
            Ok(true) => {
                verified.bytes += u64::from(slice.length);
                return Ok(());
            }
            Ok(false) => {
                verified.damaged += 1;
                common.observer.error(crate::CacheError::Corrupt);
                verified.note(|| format!("{} is damaged", path.display()));
                file.identity()
            }
            Err(error) => {
                verified.unreadable += 1;
                verified.note(|| format!("{} cannot be read: {error}", path.display()));
                return Ok(());
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            verified.missing += 1;
            verified.note(|| format!("{} is gone", path.display()));
            None
        }
        Err(error) => {
            verified.unreadable += 1;
            verified.note(|| format!("{} cannot be read: {error}", path.display()));
            return Ok(());
        }
    };
    let lost = Lost {
        at,
        slice,
        owner,
        seen,
    };
    ask(generation, Change::Lost(Box::new(lost)))
}

fn read_whole(file: &OpenSlice, slice: &SliceRow) -> io::Result<bool> {
    let mut digest = Sha256::new();
    for chunk in 0..slice.xxh3.len() {
        match read_chunk(file, slice, chunk) {
            Ok(bytes) => digest.update(&bytes),
            Err(Unreadable::Corrupt) => return Ok(false),
            Err(Unreadable::Failed(error)) => return Err(error),
        }
    }
    let same = digest.finalize().as_slice() == slice.sha256;
    Ok(same && file.length()? == u64::from(slice.length))
}

/// Has places looked at that name no object: left behind by a row that was damaged, if not by a
/// version that somebody still reads.
fn places(generation: &Generation) -> Result<(), Broken> {
    for class in Class::ALL {
        let mut after = None;
        loop {
            let places = generation.index.places(class, after, PAGE)?;
            let Some((last, _)) = places.last() else {
                break;
            };
            after = Some(*last);
            for (place, owner) in places {
                let row = owner.and_then(|owner| {
                    let (space, key) = read_object_key(&owner)?;
                    let space = generation.index.space_name(space)?;
                    generation.index.row(&space, &key).ok().flatten()
                });
                if row.is_none_or(|row| row.number != place.number) {
                    let why = crate::Evicted::Replaced;
                    ask(generation, Change::Evict { place, why })?;
                }
            }
        }
    }
    Ok(())
}

fn name(table: &str, key: &[u8]) -> String {
    match read_object_key(key) {
        Some((_, object)) if table == OBJECTS => object.to_string(),
        _ => hex(key),
    }
}

fn ask(generation: &Generation, change: Change) -> Result<(), Broken> {
    let slot = generation.queue.reserve_waiting();
    let slot = slot.ok_or_else(|| Broken::new(Kind::Closed, "it was closed meanwhile"))?;
    slot.send(change);
    Ok(())
}
