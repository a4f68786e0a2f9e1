//! Opening the index, or making it: which format it has, how it was closed, what it says of
//! numbers, spaces and purges.
//!
//! A file of another format is not changed.

use std::fs::{self, File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use redb::backends::FileBackend;
use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _};

use super::coding::{In, Out, sealed, unsealed};
use super::error::{Broken, Kind};
use super::facts::Purge;
use super::index::{Index, NAME, guarded};
use super::lock::FORMAT;
use super::meter::Books;
use super::numbers::BLOCK;
use super::rows::decode_purge;
use super::tables::{
    BY_USE, META, META_BOOKS, META_CLEAN, META_FORMAT, META_NEXT_NUMBER, OBJECTS, PURGES, REFS,
    SLICES, SPACES, definition,
};

/// The library would take a gibibyte.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Makes a database of a file; a test puts something between the two.
pub(super) type Create =
    Arc<dyn Fn(&redb::Builder, File) -> Result<Database, redb::DatabaseError> + Send + Sync>;

/// The library's own way.
pub(super) fn plain() -> Create {
    Arc::new(|builder, file| builder.create_with_backend(FileBackend::new(file)?))
}

/// What was found when the index was opened.
pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) books: Books,
    /// Whether it was closed in order, with no file left that has no row.
    pub(super) clean: bool,
    /// Version numbers that are reserved for this process.
    pub(super) numbers: Range<u64>,
    pub(super) purges: Vec<(Purge, u64)>,
}

impl Index {
    /// Opens the index, or makes it. `check` reads all of it first, because it was damaged.
    pub(super) fn open(
        directory: &Path,
        reached: u64,
        check: bool,
        create: &Create,
    ) -> Result<Opened, Broken> {
        let path = directory.join(NAME);
        let fresh = fs::metadata(&path).map_or(true, |metadata| metadata.len() == 0);
        if !fresh {
            peek(&path)?;
        }
        guarded(|| Self::open_unguarded(path, fresh, reached, check, create))
    }

    fn open_unguarded(
        path: PathBuf,
        fresh: bool,
        reached: u64,
        check: bool,
        create: &Create,
    ) -> Result<Opened, Broken> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| Broken::io("cannot open the index", &error))?;
        let metadata = file
            .metadata()
            .map_err(|error| Broken::io("cannot open the index", &error))?;
        let mut builder = Database::builder();
        builder
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(check && !fresh);
        let database = create(&builder, file)?;

        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.set_quick_repair(true);
        let fresh = fresh || transaction.list_tables()?.next().is_none();
        let (clean, numbers, counted) = {
            let mut meta = transaction.open_table(definition(META))?;
            for name in [SPACES, OBJECTS, SLICES, REFS, BY_USE, PURGES] {
                transaction.open_table(definition(name))?;
            }
            let read = |name| -> Result<Option<u64>, Broken> {
                let found = meta.get(name)?;
                Ok(found.and_then(|stored| In::new(unsealed(META, name, stored.value())?).u64()))
            };
            if !fresh {
                accept(read(META_FORMAT)?)?;
            }
            let from = read(META_NEXT_NUMBER)?.unwrap_or(1).max(reached).max(1);
            let clean = fresh || read(META_CLEAN)? == Some(1);
            let counted = meta
                .get(META_BOOKS)?
                .and_then(|stored| Books::decode(unsealed(META, META_BOOKS, stored.value())?));
            for (name, value) in [
                (META_FORMAT, FORMAT),
                (META_NEXT_NUMBER, from + BLOCK),
                (META_CLEAN, 0),
            ] {
                let mut out = Out::default();
                out.u64(value);
                let value = sealed(META, name, out.finish().expect("a number is no text"));
                meta.insert(name, &*value)?;
            }
            (clean, from..from + BLOCK, counted)
        };
        transaction.commit()?;

        let index = Self::new(database, path, (metadata.dev(), metadata.ino()));
        index.read_spaces()?;
        let books = match counted {
            Some(books) => books,
            None if fresh => Books::default(),
            None => index.count()?,
        };
        let purges = index.purges()?;
        Ok(Opened {
            index,
            books,
            clean,
            numbers,
            purges,
        })
    }

    fn read_spaces(&self) -> Result<(), Broken> {
        self.look(|transaction| {
            let spaces = transaction.open_table(definition(SPACES))?;
            let mut known = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
            for found in spaces.iter()? {
                let (name, value) = found?;
                let number = unsealed(SPACES, name.value(), value.value())
                    .and_then(|value| In::new(value).u32());
                let name = std::str::from_utf8(name.value()).ok();
                if let (Some(number), Some(name)) = (number, name) {
                    known.insert(number, &name.into());
                }
            }
            Ok(())
        })
    }

    fn purges(&self) -> Result<Vec<(Purge, u64)>, Broken> {
        self.look(|transaction| {
            let purges = transaction.open_table(definition(PURGES))?;
            let mut unswept = Vec::new();
            for found in purges.iter()? {
                let (key, value) = found?;
                let purge = unsealed(PURGES, key.value(), value.value())
                    .and_then(|bytes| decode_purge(bytes, |space| self.space_name(space)));
                let number = In::new(key.value()).u64();
                // One that cannot be read takes everything: too much is a download more, too
                // little is a deleted picture that comes back.
                if let Some(number) = number {
                    unswept.push((purge.unwrap_or(Purge::All), number));
                }
            }
            Ok(unswept)
        })
    }
}

/// Reads the format without changing the file, where it was closed in order.
fn peek(path: &Path) -> Result<(), Broken> {
    guarded(|| {
        let mut builder = Database::builder();
        let found = match builder.set_cache_size(CACHE_BYTES).open_read_only(path) {
            Ok(database) => {
                let transaction = database.begin_read()?;
                if transaction.list_tables()?.next().is_none() {
                    return Ok(()); // it was made, and the disk had no room for more
                }
                let meta = transaction.open_table(definition(META))?;
                let stored = meta.get(META_FORMAT)?;
                stored
                    .and_then(|stored| In::new(unsealed(META, META_FORMAT, stored.value())?).u64())
            }
            // It was not closed in order; its format is looked at once it has been repaired.
            Err(redb::DatabaseError::RepairAborted) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        accept(found)
    })
}

fn accept(format: Option<u64>) -> Result<(), Broken> {
    match format {
        Some(FORMAT) => Ok(()),
        Some(other) => Err(Broken::new(
            Kind::Format,
            format!("its index has format {other}, and this program knows format {FORMAT}"),
        )),
        None => Err(Broken::new(
            Kind::Damaged,
            "its index does not say which format it has",
        )),
    }
}
