//! A sorted file of fixed-size rows by fingerprint, for more keys than memory holds.
//!
//! Blocking. Built once from rows in any order, then only looked up. Each row is sealed: one that
//! is damaged is absent, which never makes anything be overwritten.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::fingerprint::Fingerprint;
use crate::log::options;

/// What a row holds beside its fingerprint.
pub(crate) type Value = [u8; VALUE_BYTES];

pub(crate) const VALUE_BYTES: usize = 40;
const ROW_BYTES: usize = Fingerprint::BYTES + VALUE_BYTES + 8;
/// Rows that are sorted in memory: 16 MiB.
const RUN_ROWS: usize = 256 * 1024;
/// Rows that are read at one time.
const BLOCK_ROWS: u64 = 64;
/// Fingerprints are spread evenly, so two guesses nearly always hit; damage must not make a search
/// endless.
const GUESSES: u32 = 4;
/// What one file of sorted rows is read ahead while they are merged.
const AHEAD_BYTES: usize = 64 * ROW_BYTES;

/// A table that can be looked up.
#[derive(Debug)]
pub(crate) struct Table {
    file: File,
    rows: u64,
}

impl Table {
    /// Opens a table; `None` where there is none.
    pub(crate) fn open(directory: &Path, name: &str) -> io::Result<Option<Self>> {
        let file = match File::open(directory.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let rows = file.metadata()?.len() / ROW_BYTES as u64;
        Ok(Some(Self { file, rows }))
    }

    /// How many keys it has.
    #[cfg(test)]
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// What it has for a key.
    pub(crate) fn get(&self, key: Fingerprint) -> io::Result<Option<Value>> {
        let (mut low, mut high) = (0, self.rows);
        let mut guesses = 0;
        while low < high {
            let start = if guesses < GUESSES {
                self.guess(key, low, high)
            } else {
                low + (high - low) / 2
            };
            guesses += 1;
            let start = start.clamp(low, high - 1);
            let block = self.block(start, high)?;
            let (first, last) = (block.first_key(), block.last_key());
            if key < first {
                high = start;
            } else if key > last {
                low = start + block.rows();
            } else {
                return Ok(block.find(key));
            }
        }
        Ok(None)
    }

    /// Where the key's block should begin, if fingerprints are spread evenly over the whole file.
    fn guess(&self, key: Fingerprint, low: u64, high: u64) -> u64 {
        let place = (u128::from(key.place()) * u128::from(self.rows)) >> 64;
        let place = u64::try_from(place).unwrap_or(u64::MAX);
        place
            .saturating_sub(BLOCK_ROWS / 2)
            .clamp(low, high.saturating_sub(BLOCK_ROWS).max(low))
    }

    fn block(&self, start: u64, high: u64) -> io::Result<Block> {
        let rows = BLOCK_ROWS.min(high - start);
        let bytes = usize::try_from(rows).map_err(io::Error::other)? * ROW_BYTES;
        let mut block = vec![0; bytes];
        self.file
            .read_exact_at(&mut block, start * ROW_BYTES as u64)?;
        Ok(Block(block))
    }

    /// All rows in order, those that are damaged left out.
    fn reader(&self) -> io::Result<Rows> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(Rows(BufReader::with_capacity(AHEAD_BYTES, file)))
    }
}

struct Block(Vec<u8>);

impl Block {
    fn rows(&self) -> u64 {
        (self.0.len() / ROW_BYTES) as u64
    }

    fn first_key(&self) -> Fingerprint {
        key_of(&self.0)
    }

    fn last_key(&self) -> Fingerprint {
        key_of(&self.0[self.0.len() - ROW_BYTES..])
    }

    fn find(&self, key: Fingerprint) -> Option<Value> {
        self.0
            .chunks_exact(ROW_BYTES)
            .filter_map(decode)
            .find_map(|row| (row.0 == key).then_some(row.1))
    }
}

type Row = (Fingerprint, Value);

fn key_of(row: &[u8]) -> Fingerprint {
    Fingerprint(*row.first_chunk().expect("a row begins with a fingerprint"))
}

fn encode((key, value): &Row) -> [u8; ROW_BYTES] {
    let mut row = [0; ROW_BYTES];
    row[..Fingerprint::BYTES].copy_from_slice(&key.0);
    row[Fingerprint::BYTES..ROW_BYTES - 8].copy_from_slice(value);
    let seal = xxh3_64(&row[..ROW_BYTES - 8]).to_be_bytes();
    row[ROW_BYTES - 8..].copy_from_slice(&seal);
    row
}

fn decode(row: &[u8]) -> Option<Row> {
    let (sealed, seal) = row.split_at_checked(ROW_BYTES - 8)?;
    if xxh3_64(sealed).to_be_bytes() != *seal {
        return None;
    }
    Some((key_of(sealed), *sealed[Fingerprint::BYTES..].first_chunk()?))
}

struct Rows(BufReader<File>);

impl Rows {
    fn next_row(&mut self) -> io::Result<Option<Row>> {
        let mut row = [0; ROW_BYTES];
        loop {
            match self.0.read_exact(&mut row) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
            if let Some(row) = decode(&row) {
                return Ok(Some(row));
            }
        }
    }
}

/// Sorts rows into a table. Of several rows of one key the last stays.
pub(crate) struct Builder {
    directory: PathBuf,
    name: &'static str,
    waiting: Vec<Row>,
    sorted: Vec<Rows>,
}

impl Builder {
    /// A table of this name, which takes the place of an earlier one when it is finished.
    pub(crate) fn new(directory: &Path, name: &'static str) -> Self {
        Self {
            directory: directory.to_owned(),
            name,
            waiting: Vec::new(),
            sorted: Vec::new(),
        }
    }

    /// Takes over the rows of a table, as if they had been pushed now.
    pub(crate) fn take_over(&mut self, table: &Table) -> io::Result<()> {
        self.spill()?;
        self.sorted.push(table.reader()?);
        Ok(())
    }

    pub(crate) fn push(&mut self, key: Fingerprint, value: Value) -> io::Result<()> {
        self.waiting.push((key, value));
        if self.waiting.len() >= RUN_ROWS {
            self.spill()?;
        }
        Ok(())
    }

    /// Writes the table; durable, and there as a whole or not at all.
    pub(crate) fn finish(mut self) -> io::Result<Table> {
        self.spill()?;
        let successor = self.scratch("new");
        let mut out = BufWriter::new(options().create(true).truncate(true).open(&successor)?);
        let mut rows = 0;
        self.merge(|row| {
            rows += 1;
            out.write_all(&encode(row))
        })?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&successor, self.directory.join(self.name))?;
        File::open(&self.directory)?.sync_all()?;
        Ok(Table { file, rows })
    }

    /// Puts what waits into a file of its own, which has no name any more and goes with it.
    fn spill(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        // Stable, so that the later of two equal ones stands behind.
        self.waiting.sort_by_key(|row| row.0);
        let path = self.scratch("sorted");
        let file = options().create(true).truncate(true).open(&path)?;
        fs::remove_file(&path)?;
        let mut out = BufWriter::new(file);
        for row in self.waiting.drain(..) {
            out.write_all(&encode(&row))?;
        }
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.sorted
            .push(Rows(BufReader::with_capacity(AHEAD_BYTES, file)));
        Ok(())
    }

    fn merge(&mut self, mut take: impl FnMut(&Row) -> io::Result<()>) -> io::Result<()> {
        let mut heads = BinaryHeap::new();
        for (from, rows) in self.sorted.iter_mut().enumerate() {
            if let Some(row) = rows.next_row()? {
                heads.push(Reverse((row.0, from, row.1)));
            }
        }
        let mut pending: Option<Row> = None;
        while let Some(Reverse((key, from, value))) = heads.pop() {
            if let Some(row) = self.sorted[from].next_row()? {
                heads.push(Reverse((row.0, from, row.1)));
            }
            match &pending {
                Some(row) if row.0 != key => take(row)?,
                _ => {}
            }
            pending = Some((key, value));
        }
        pending.iter().try_for_each(take)
    }

    fn scratch(&self, what: &str) -> PathBuf {
        self.directory.join(format!(".{}.{what}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use object::ObjectKey;
    use proptest::prelude::*;

    use super::*;

    fn value(n: u64) -> Value {
        let mut value = [0; VALUE_BYTES];
        value[..8].copy_from_slice(&n.to_be_bytes());
        value
    }

    fn key(n: u64) -> Fingerprint {
        Fingerprint::of(&ObjectKey::parse(&format!("key {n}")).unwrap())
    }

    #[test]
    fn every_row_is_found_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        for rows in [0, 1, 63, 64, 65, 5000] {
            let mut builder = Builder::new(directory.path(), "t");
            for n in 0..rows {
                builder.push(key(n), value(n)).unwrap();
                if n % 1000 == 999 {
                    builder.spill().unwrap();
                }
            }
            let table = builder.finish().unwrap();
            assert_eq!(table.rows(), rows);
            let again = Table::open(directory.path(), "t").unwrap().unwrap();
            for n in 0..rows {
                assert_eq!(table.get(key(n)).unwrap(), Some(value(n)));
                assert_eq!(again.get(key(n + rows)).unwrap(), None);
            }
        }
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn what_comes_later_takes_the_place_of_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let mut builder = Builder::new(directory.path(), "t");
        for n in 0..10 {
            builder.push(key(n % 5), value(n)).unwrap();
        }
        let old = builder.finish().unwrap();
        let mut builder = Builder::new(directory.path(), "t");
        builder.take_over(&old).unwrap();
        builder.push(key(3), value(100)).unwrap();
        let table = builder.finish().unwrap();
        assert_eq!(table.rows(), 5);
        assert_eq!(table.get(key(3)).unwrap(), Some(value(100)));
        assert_eq!(table.get(key(4)).unwrap(), Some(value(9)));
    }

    #[test]
    fn a_flipped_byte_hides_a_row_and_changes_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t");
        let mut builder = Builder::new(directory.path(), "t");
        for n in 0..200 {
            builder.push(key(n), value(n)).unwrap();
        }
        drop(builder.finish().unwrap());
        let good = fs::read(&path).unwrap();
        for at in (0..good.len()).step_by(37) {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            fs::write(&path, bad).unwrap();
            let table = Table::open(directory.path(), "t").unwrap().unwrap();
            for n in 0..200 {
                let found = table.get(key(n)).unwrap();
                assert!(found.is_none_or(|found| found == value(n)), "{at} {n}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_table_is_a_map(pushed in prop::collection::vec((0u64..300, 0u64..9), 0..600), spill in 1usize..200) {
            let directory = tempfile::tempdir().unwrap();
            let mut builder = Builder::new(directory.path(), "t");
            let mut map = BTreeMap::new();
            for (n, &(k, v)) in pushed.iter().enumerate() {
                builder.push(key(k), value(v)).unwrap();
                map.insert(k, v);
                if n % spill == 0 {
                    builder.spill().unwrap();
                }
            }
            let table = builder.finish().unwrap();
            for k in 0..300 {
                prop_assert_eq!(table.get(key(k)).unwrap(), map.get(&k).map(|&v| value(v)));
            }
        }
    }
}
