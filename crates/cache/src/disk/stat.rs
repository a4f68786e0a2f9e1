//! What lies in a disk cache, for whoever looks at it.

use std::path::PathBuf;

use redb::ReadableTable as _;

use super::common::Common;
use super::error::Broken;
use super::facts::{Class, Usage};
use super::generation::Generation;
use super::index::held;
use super::lock::FORMAT;
use super::tables::{OBJECTS, PURGES, SLICES, definition};
use crate::SLICE_BYTES;

/// A disk cache, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// Where it lies.
    pub directory: PathBuf,
    /// Its format.
    pub format: u64,
    /// Everything.
    pub usage: Usage,
    /// Allocated bytes of the index.
    pub index_bytes: u64,
    /// Objects that were asked for once, again, and that no origin has.
    pub by_class: [u64; 3],
    /// Each cache space.
    pub spaces: Vec<SpaceStat>,
    /// Purges whose sweep has not ended.
    pub pending_purges: u64,
}

/// One cache space, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceStat {
    /// Its name.
    pub name: String,
    /// Objects.
    pub entries: u64,
    /// Bytes as allocated; what two objects share counts twice.
    pub bytes: u64,
}

/// Reads every object row; blocks.
pub(super) fn count(common: &Common, generation: &Generation) -> Result<Stat, Broken> {
    let index = &generation.index;
    let spaces = index.all_spaces();
    let mut by_class = [0; 3];
    let mut counted: Vec<SpaceStat> = Vec::new();
    let pending_purges = index.look(|transaction| {
        let objects = transaction.open_table(definition(OBJECTS))?;
        let slices = transaction.open_table(definition(SLICES))?;
        for (number, name) in &spaces {
            let (mut entries, mut bytes) = (0, 0);
            let (from, to) = (number.to_be_bytes(), number.saturating_add(1).to_be_bytes());
            for found in objects.range::<&[u8]>(&from[..]..&to[..])? {
                let (key, value) = found?;
                let Some(row) = index.believe_row(key.value(), value.value()) else {
                    continue;
                };
                entries += 1;
                by_class[row.class as usize] += 1;
                bytes += row
                    .slice0
                    .as_ref()
                    .map_or(0, |slice| u64::from(slice.allocated));
                if row.total > SLICE_BYTES {
                    bytes += held(&slices, row.number)?.0;
                }
            }
            counted.push(SpaceStat {
                name: name.to_string(),
                entries,
                bytes,
            });
        }
        let purges = transaction.open_table(definition(PURGES))?;
        Ok(purges.iter()?.count() as u64)
    })?;
    counted.sort_by(|one, other| one.name.cmp(&other.name));
    let mut usage = common.meter.usage();
    usage.orphans = by_class[Class::Orphan as usize];
    Ok(Stat {
        directory: common.directory.clone(),
        format: FORMAT,
        usage,
        index_bytes: index.allocated(),
        by_class,
        spaces: counted,
        pending_purges,
    })
}
