//! A purge: dead at once, durable soon, swept in the background.
//!
//! The list in memory is what makes it instant; this file only makes it last and frees the room.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::change::{Change, Owner};
use super::common::Common;
use super::error::Broken;
use super::eviction::settle;
use super::facts::{Purge, Purged, Row};
use super::generation::Generation;
use super::index::{Sheet, held};
use super::numbers::Moment;
use super::tables::{OBJECTS, SLICES, definition, object_key, prefix_key};
use super::{DURABLE_WITHIN, Disk};
use crate::{Evicted, SLICE_BYTES};

/// Rows that are read at once.
const PAGE: usize = 256;

/// How long the caller waits for files to go.
const SWEPT_WITHIN: Duration = Duration::from_secs(5);

pub(super) async fn make_last(disk: Arc<Disk>, what: Purge, moment: Moment) -> Purged {
    let (Some(generation), Some(number)) = (disk.current(), moment.storable) else {
        return Purged::default();
    };
    let (common, counted) = (Arc::clone(&disk.common), Arc::clone(&generation));
    let purge = what.clone();
    let recorded = in_turn(&disk.common, move || {
        // Counted before the sweep takes the rows away.
        let (versions, bytes) = count(&common, &counted, &purge, number);
        let what = purge;
        let record = Change::Purge { what, number };
        counted.queue.reserve_waiting()?.send(record);
        let durable = counted.flushed()?.recv_timeout(DURABLE_WITHIN).is_ok();
        Some((versions, bytes, durable))
    });
    let Ok(Some(Some((versions, bytes, durable)))) = timeout(DURABLE_WITHIN, recorded).await else {
        return Purged::default();
    };
    let sweep = sweep(Arc::clone(&disk.common), generation, what, number);
    let sweeping = disk.tasks.spawn(sweep);
    let swept = matches!(timeout(SWEPT_WITHIN, sweeping).await, Ok(Ok(true)));
    Purged {
        versions,
        bytes,
        durable,
        swept,
    }
}

/// Removes what a purge took. Returns whether it came to the end.
pub(super) async fn sweep(
    common: Arc<Common>,
    generation: Arc<Generation>,
    what: Purge,
    number: u64,
) -> bool {
    let shared = Arc::clone(&common);
    let work = move || {
        // Also for those that the index does not have yet; to say it twice does no harm.
        let record = Change::Purge {
            what: what.clone(),
            number,
        };
        let Some(slot) = generation.queue.reserve_waiting() else {
            return false;
        };
        slot.send(record);
        let swept = sweep_blocking(&common, &generation, &what, number);
        generation.believe(&common, swept).unwrap_or(false)
    };
    in_turn(&shared, work).await.unwrap_or(false)
}

/// Blocking work for one purge after the other. `None` if it panicked or the runtime ends.
async fn in_turn<T: Send + 'static>(
    common: &Common,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let permit = Arc::clone(&common.purging).acquire_owned().await.ok()?;
    let work = move || {
        let done = work();
        drop(permit);
        done
    };
    spawn_blocking(work).await.ok()
}

pub(super) fn sweep_blocking(
    common: &Common,
    generation: &Generation,
    what: &Purge,
    number: u64,
) -> Result<bool, Broken> {
    let mut walk = Walk::new(generation, what.clone());
    loop {
        let rows = walk.page(|_, row| Ok((row.number < number).then(|| owner(row))))?;
        for (owner, number) in rows {
            let Some(slot) = generation.queue.reserve_waiting() else {
                return Ok(false);
            };
            let why = Evicted::Replaced;
            slot.send(Change::Remove {
                owner,
                number,
                why,
                spare_readers: false,
            });
        }
        if walk.done {
            break;
        }
        if common.closing.is_cancelled() {
            return Ok(false);
        }
    }
    if !settle(generation) {
        return Ok(false);
    }
    let Some(slot) = generation.queue.reserve_waiting() else {
        return Ok(false);
    };
    let what = what.clone();
    slot.send(Change::Swept { what, number });
    Ok(true)
}

fn owner(row: &Row) -> (Owner, u64) {
    let (space, key) = (Arc::clone(&row.space), row.key.clone());
    (Owner { space, key }, row.number)
}

/// How many versions a purge takes, and their allocated bytes.
pub(super) fn count(
    common: &Common,
    generation: &Generation,
    what: &Purge,
    number: u64,
) -> (u64, u64) {
    let mut walk = Walk::new(generation, what.clone());
    let (mut versions, mut bytes) = (0, 0);
    while !walk.done {
        let page = walk.page(|slices, row| {
            if row.number >= number {
                return Ok(None);
            }
            let first = row
                .slice0
                .as_ref()
                .map_or(0, |slice| u64::from(slice.allocated));
            let others = if row.total > SLICE_BYTES {
                held(slices, row.number)?.0
            } else {
                0
            };
            Ok(Some(first + others))
        });
        let Some(page) = generation.believe(common, page) else {
            break;
        };
        versions += page.len() as u64;
        bytes += page.iter().sum::<u64>();
    }
    (versions, bytes)
}

/// Rows that a purge takes, a page at a time, so that no read transaction stays open for long: it
/// would keep the index from reusing its pages.
struct Walk<'a> {
    generation: &'a Generation,
    what: Purge,
    after: Option<Vec<u8>>,
    done: bool,
}

impl<'a> Walk<'a> {
    fn new(generation: &'a Generation, what: Purge) -> Self {
        Self {
            generation,
            what,
            after: None,
            done: false,
        }
    }

    fn page<T>(
        &mut self,
        mut each: impl FnMut(&Sheet, &Row) -> Result<Option<T>, Broken>,
    ) -> Result<Vec<T>, Broken> {
        let index = &self.generation.index;
        let space = |name: &str| index.space(name).map(|(number, _)| number);
        let first = match &self.what {
            Purge::All => Some(Vec::new()),
            Purge::Space(name) => space(name).map(|number| prefix_key(number, "")),
            Purge::Prefix {
                space: name,
                prefix,
            } => space(name).map(|number| prefix_key(number, prefix)),
            Purge::Key { space: name, key } => space(name).map(|number| object_key(number, key)),
        };
        let Some(first) = first else {
            self.done = true;
            return Ok(Vec::new());
        };
        let exact = matches!(self.what, Purge::Key { .. });
        let mut found = Vec::new();
        let mut read = 0;
        let (after, done) = (&mut self.after, &mut self.done);
        index.look(|transaction| {
            let objects = transaction.open_table(definition(OBJECTS))?;
            let slices = transaction.open_table(definition(SLICES))?;
            let from = match &*after {
                Some(after) => Bound::Excluded(&after[..]),
                None => Bound::Included(&first[..]),
            };
            let range = objects.range::<&[u8]>((from, Bound::Unbounded))?;
            let mut last = None;
            for row in range {
                let (key, value) = row?;
                let taken = if exact {
                    key.value() == first
                } else {
                    key.value().starts_with(&first)
                };
                if !taken {
                    break;
                }
                read += 1;
                if let Some(row) = index.believe_row(key.value(), value.value()) {
                    found.extend(each(&slices, &row)?);
                }
                last = Some(key.value().to_vec());
                if read == PAGE {
                    break;
                }
            }
            *done = read < PAGE;
            *after = last.or(after.take());
            Ok(())
        })?;
        Ok(found)
    }
}
