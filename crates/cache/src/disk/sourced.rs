//! Of which keys there is a copy that one origin gave.
//!
//! A page at a time: each reads so many rows at most, whoever's they are, so a page may be empty
//! and still have another one behind it.

use std::ops::Bound;
use std::sync::Arc;

use object::ObjectKey;

use super::common::Common;
use super::error::Broken;
use super::generation::Generation;
use super::tables::{OBJECTS, definition};

/// Rows that are read for one page.
const PAGE: usize = 20_000;

/// Some of the copies that one origin gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sourced {
    /// Their cache spaces and keys.
    pub keys: Vec<(Arc<str>, ObjectKey)>,
    /// Where the next page begins; only good for that.
    pub next: Option<Vec<u8>>,
}

/// Blocks.
pub(super) fn page(
    common: &Common,
    generation: &Generation,
    origin: &str,
    after: Option<&[u8]>,
) -> Result<Sourced, Broken> {
    let index = &generation.index;
    index.look(|transaction| {
        let objects = transaction.open_table(definition(OBJECTS))?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rows = objects.range::<&[u8]>((from, Bound::Unbounded))?;
        let mut page = Sourced::default();
        for found in rows.by_ref().take(PAGE) {
            let (key, value) = found?;
            page.next = Some(key.value().to_vec());
            let Some(row) = index.believe_row(key.value(), value.value()) else {
                continue;
            };
            let is_dead = || common.purges.is_dead(&row.space, &row.key, row.number);
            if *row.source == *origin && row.gone.is_none() && !is_dead() {
                page.keys.push((row.facts.space, row.facts.key));
            }
        }
        if rows.next().is_none() {
            page.next = None;
        }
        Ok(page)
    })
}
