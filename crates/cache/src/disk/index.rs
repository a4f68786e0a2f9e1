//! Reading the rows of the index.
//!
//! Writes nothing: the rows are the writer's. A row that cannot be believed is an error here, and
//! whoever asked takes it for absent.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use object::ObjectKey;
use redb::{Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _};

use super::coding::unsealed;
use super::error::{Broken, Kind};
use super::facts::{Class, Row, SliceRow};
use super::meter::Books;
use super::recent::Recent;
use super::rows::{decode_row, decode_slice};
use super::tables::{
    BY_USE, OBJECTS, Place, REFS, SLICES, definition, object_key, read_object_key, read_slice_key,
    slice_key,
};

pub(super) const NAME: &str = "index.redb";

/// A place of eviction, with the key of the object row that it names; `None` where that cannot be
/// believed.
pub(super) type Placed = (Place, Option<Vec<u8>>);

/// A table of a read transaction.
pub(super) type Sheet = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

/// The opened index.
pub(super) struct Index {
    /// There until it is dropped.
    database: Option<Database>,
    pub(super) spaces: RwLock<Spaces>,
    path: PathBuf,
    /// Device and inode.
    file: (u64, u64),
}

/// The numbers of cache spaces. There are as many as the configuration ever named.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    by_name: HashMap<Arc<str>, u32>,
    by_number: HashMap<u32, Arc<str>>,
}

impl Spaces {
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    pub(super) fn name(&self, number: u32) -> Option<Arc<str>> {
        self.by_number.get(&number).cloned()
    }

    pub(super) fn insert(&mut self, number: u32, name: &Arc<str>) {
        self.by_name.insert(Arc::clone(name), number);
        self.by_number.insert(number, Arc::clone(name));
    }

    pub(super) fn free_number(&self) -> u32 {
        self.by_number.keys().max().map_or(1, |most| most + 1)
    }

    pub(super) fn all(&self) -> Vec<(u32, Arc<str>)> {
        let all = self.by_number.iter();
        all.map(|(number, name)| (*number, Arc::clone(name)))
            .collect()
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // On a damaged file the library may panic also here, and this is nobody's fault who
        // happens to be the last that uses it.
        let database = self.database.take();
        let _ = guarded(|| {
            drop(database);
            Ok(())
        });
    }
}

impl Index {
    pub(super) fn new(database: Database, path: PathBuf, file: (u64, u64)) -> Self {
        Self {
            database: Some(database),
            spaces: RwLock::default(),
            path,
            file,
        }
    }

    pub(super) fn database(&self) -> &Database {
        self.database
            .as_ref()
            .expect("it is there until it is dropped")
    }

    /// Whether the file that is open is still the one that has the name.
    pub(super) fn is_in_place(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.file)
    }

    /// What the file takes on the disk.
    pub(super) fn allocated(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.blocks() * 512)
    }

    /// Reads in one transaction. A panic of the library is damage.
    pub(super) fn look<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, Broken>,
    ) -> Result<T, Broken> {
        guarded(|| work(&self.database().begin_read()?))
    }

    pub(super) fn space(&self, name: &str) -> Option<(u32, Arc<str>)> {
        let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        let number = spaces.number(name)?;
        Some((number, spaces.name(number)?))
    }

    pub(super) fn space_name(&self, number: u32) -> Option<Arc<str>> {
        let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
        spaces.name(number)
    }

    pub(super) fn all_spaces(&self) -> Vec<(u32, Arc<str>)> {
        self.spaces
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .all()
    }

    /// The row of a key that was read lately; damage is for whoever looks at the index.
    pub(super) fn recent_row(&self, recent: &Recent, space: &str, key: &ObjectKey) -> Option<Row> {
        let (number, space) = self.space(space)?;
        let row = recent.get(&object_key(number, key))?;
        decode_row(&space, key, &row)
    }

    /// The row of a key, which is noted for the next time.
    pub(super) fn row_to_note(
        &self,
        recent: &Recent,
        space: &str,
        key: &ObjectKey,
    ) -> Result<Option<Row>, Broken> {
        let Some((number, space)) = self.space(space) else {
            return Ok(None);
        };
        let at = object_key(number, key);
        let glance = recent.glance(&at);
        self.look(|transaction| {
            let objects = transaction.open_table(definition(OBJECTS))?;
            get(&objects, OBJECTS, &at, |bytes| {
                let row = decode_row(&space, key, bytes)?;
                recent.read(&glance, &at, bytes);
                Some(row)
            })
        })
    }

    /// The row of a key.
    pub(super) fn row(&self, space: &str, key: &ObjectKey) -> Result<Option<Row>, Broken> {
        let Some((number, space)) = self.space(space) else {
            return Ok(None);
        };
        self.look(|transaction| {
            let objects = transaction.open_table(definition(OBJECTS))?;
            let at = object_key(number, key);
            get(&objects, OBJECTS, &at, |bytes| {
                decode_row(&space, key, bytes)
            })
        })
    }

    /// The row of a slice from the second on.
    pub(super) fn slice(&self, number: u64, n: u32) -> Result<Option<SliceRow>, Broken> {
        self.look(|transaction| {
            let slices = transaction.open_table(definition(SLICES))?;
            get(&slices, SLICES, &slice_key(number, n), decode_slice)
        })
    }

    /// The first of the slices without a row.
    pub(super) fn first_absent(&self, number: u64, n: Range<u32>) -> Result<Option<u32>, Broken> {
        self.look(|transaction| {
            let slices = transaction.open_table(definition(SLICES))?;
            let (from, to) = (slice_key(number, n.start), slice_key(number, n.end));
            let mut expected = n.start;
            for found in slices.range::<&[u8]>(&from[..]..&to[..])? {
                let (key, value) = found?;
                let believed = unsealed(SLICES, key.value(), value.value()).is_some();
                if !believed || read_slice_key(key.value()) != Some((number, expected)) {
                    break;
                }
                expected += 1;
            }
            Ok((expected < n.end).then_some(expected))
        })
    }

    /// The first of the slices that has a row.
    pub(super) fn next_held(&self, number: u64, n: Range<u32>) -> Result<Option<u32>, Broken> {
        self.look(|transaction| {
            let slices = transaction.open_table(definition(SLICES))?;
            let (from, to) = (slice_key(number, n.start), slice_key(number, n.end));
            for found in slices.range::<&[u8]>(&from[..]..&to[..])? {
                let (key, value) = found?;
                if unsealed(SLICES, key.value(), value.value()).is_some() {
                    return Ok(read_slice_key(key.value()).map(|(_, n)| n));
                }
            }
            Ok(None)
        })
    }

    /// What a version's slices take, and how many there are.
    pub(super) fn held(&self, row: &Row) -> Result<(u64, u64), Broken> {
        let first = row
            .slice0
            .as_ref()
            .map_or(0, |slice| u64::from(slice.allocated));
        let (bytes, files) = self
            .look(|transaction| held(&transaction.open_table(definition(SLICES))?, row.number))?;
        Ok((bytes + first, files + u64::from(row.slice0.is_some())))
    }

    /// Adds up the rows; reads all of them.
    pub(super) fn count(&self) -> Result<Books, Broken> {
        self.look(|transaction| {
            let mut books = Books::default();
            let slices = transaction.open_table(definition(SLICES))?;
            let objects = transaction.open_table(definition(OBJECTS))?;
            let refs = transaction.open_table(definition(REFS))?;
            for found in objects.iter()? {
                let (key, value) = found?;
                let Some(row) = self.believe_row(key.value(), value.value()) else {
                    continue;
                };
                books.entries += 1;
                books.orphans += u64::from(row.class == Class::Orphan);
                let first = row
                    .slice0
                    .as_ref()
                    .map_or(0, |slice| u64::from(slice.allocated));
                books.by_class[row.class as usize] += first + held(&slices, row.number)?.0;
                if let Some(slice) = &row.slice0
                    && is_first_reference(&refs, slice, row.number, 0)?
                {
                    books.files += 1;
                    books.bytes += first;
                }
            }
            for found in slices.iter()? {
                let (key, value) = found?;
                let at = read_slice_key(key.value());
                let slice = unsealed(SLICES, key.value(), value.value()).and_then(decode_slice);
                if let (Some((number, n)), Some(slice)) = (at, slice)
                    && is_first_reference(&refs, &slice, number, n)?
                {
                    books.files += 1;
                    books.bytes += u64::from(slice.allocated);
                }
            }
            Ok(books)
        })
    }

    /// An object row as it is stored, if it can be believed.
    pub(super) fn believe_row(&self, key: &[u8], stored: &[u8]) -> Option<Row> {
        let bytes = unsealed(OBJECTS, key, stored)?;
        let (space, key) = read_object_key(key)?;
        decode_row(&self.space_name(space)?, &key, bytes)
    }

    /// Places in the order of eviction, from one class and after `after`.
    pub(super) fn places(
        &self,
        class: Class,
        after: Option<Place>,
        most: usize,
    ) -> Result<Vec<Placed>, Broken> {
        self.look(|transaction| {
            let by_use = transaction.open_table(definition(BY_USE))?;
            let first = [class as u8];
            let last = [class as u8 + 1];
            let after = after.map(Place::key);
            let from: &[u8] = after.as_ref().map_or(&first[..], |key| &key[..]);
            let mut places = Vec::new();
            for found in by_use.range::<&[u8]>(from..&last[..])? {
                let (key, value) = found?;
                let Some(place) = Place::read(key.value()) else {
                    continue;
                };
                if Some(place.key()) == after {
                    continue;
                }
                let owner = unsealed(BY_USE, key.value(), value.value()).map(<[u8]>::to_vec);
                places.push((place, owner));
                if places.len() >= most {
                    break;
                }
            }
            Ok(places)
        })
    }

    /// The newest hour in which anything was used.
    pub(super) fn newest_hour(&self) -> Result<Option<u32>, Broken> {
        self.look(|transaction| {
            let by_use = transaction.open_table(definition(BY_USE))?;
            let mut newest = None;
            for class in Class::ALL {
                let (from, to) = ([class as u8], [class as u8 + 1]);
                let mut range = by_use.range::<&[u8]>(&from[..]..&to[..])?;
                let place = range.next_back().transpose()?;
                let hour = place.and_then(|(key, _)| Some(Place::read(key.value())?.hour));
                newest = newest.max(hour);
            }
            Ok(newest)
        })
    }
}

/// A panic of the library says that the file is damaged.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Broken>) -> Result<T, Broken> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Broken::new(
            Kind::Damaged,
            "the index made its library panic",
        ))
    })
}

/// A row that must be believed: its seal holds and it can be read.
pub(super) fn get<T>(
    table: &Sheet,
    name: &'static str,
    key: &[u8],
    read: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<Option<T>, Broken> {
    let Some(stored) = table.get(key)? else {
        return Ok(None);
    };
    match unsealed(name, key, stored.value()).and_then(read) {
        Some(row) => Ok(Some(row)),
        None => Err(Broken::new(
            Kind::Damaged,
            format!("a row of {name} cannot be believed"),
        )),
    }
}

/// The bytes and the number of a version's slices from the second on.
pub(super) fn held(slices: &Sheet, number: u64) -> Result<(u64, u64), Broken> {
    let (from, to) = (slice_key(number, 0), slice_key(number, u32::MAX));
    let (mut bytes, mut files) = (0, 0);
    for found in slices.range::<&[u8]>(&from[..]..=&to[..])? {
        let (key, value) = found?;
        let row = unsealed(SLICES, key.value(), value.value()).and_then(decode_slice);
        bytes += row.map_or(0, |row| u64::from(row.allocated));
        files += 1;
    }
    Ok((bytes, files))
}

fn is_first_reference(refs: &Sheet, slice: &SliceRow, number: u64, n: u32) -> Result<bool, Broken> {
    let (from, to) = super::tables::references(&slice.sha256);
    let first = refs
        .range::<&[u8]>(&from[..]..=&to[..])?
        .next()
        .transpose()?;
    Ok(first
        .is_some_and(|(key, _)| key.value() == super::tables::ref_key(&slice.sha256, number, n)))
}
