//! After a crash: files without a row go, rows without a file, and what broken writes left.
//!
//! In the background, a directory at a time through the writer, so that nothing that is being
//! written meanwhile is taken for left over.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::Disk;
use super::change::{Change, Lost, Owner};
use super::common::Common;
use super::error::Broken;
use super::eviction::{recount, settle};
use super::facts::{Class, SliceAt};
use super::generation::Generation;
use crate::{CacheError, Evicted};

/// Places that are read at once.
const PAGE: usize = 256;

/// Until everything was looked at, or the index is closed or fails.
pub(super) async fn run(disk: Arc<Disk>, generation: Arc<Generation>) {
    let common = Arc::clone(&disk.common);
    drop(disk);
    let swept = spawn_blocking(move || sweep(&common, &generation)).await;
    match swept {
        Ok(Ok(true)) => tracing::info!("the disk cache was swept after an unclean stop"),
        Ok(Ok(false)) => {} // the next start begins it anew
        Ok(Err(broken)) => tracing::warn!(%broken, "the disk cache could not be swept"),
        Err(_) => tracing::warn!("the sweep of the disk cache was broken off"),
    }
}

/// Blocks for as long as it takes. Returns whether it came to the end.
pub(super) fn sweep(common: &Common, generation: &Generation) -> Result<bool, Broken> {
    let start = generation.start;
    if let Err(error) = generation.content.remove_temporaries(start) {
        common.observer.error(CacheError::Write);
        tracing::warn!(%error, "temporary files of the disk cache cannot be removed");
    }
    // Directories that do not exist are looked at too: rows may name files in them.
    for first in 0..=u8::MAX {
        if common.closing.is_cancelled() {
            return Ok(false);
        }
        for second in 0..=u8::MAX {
            let Some(slot) = generation.queue.reserve_waiting() else {
                return Ok(false);
            };
            slot.send(Change::Sweep {
                first,
                second,
                start,
            });
        }
        if !settle(generation) {
            return Ok(false);
        }
    }
    if !look_at_places(common, generation)? {
        return Ok(false);
    }
    if !settle(generation) {
        return Ok(false);
    }
    recount(common, generation)?;
    if let Some(slot) = generation.queue.reserve_waiting() {
        slot.send(Change::Clean);
    }
    Ok(true)
}

/// Versions that were being removed, and first slices whose files were found missing.
fn look_at_places(common: &Common, generation: &Generation) -> Result<bool, Broken> {
    let missing = common.missing_firsts();
    for class in Class::ALL {
        let mut after = None;
        loop {
            let places = generation.index.places(class, after, PAGE)?;
            let Some((last, _)) = places.last() else {
                break;
            };
            if common.closing.is_cancelled() {
                return Ok(false);
            }
            after = Some(*last);
            for (place, owner) in places {
                let owner = owner
                    .and_then(|owner| super::tables::read_object_key(&owner))
                    .and_then(|(space, key)| {
                        let space = generation.index.space_name(space)?;
                        Some(Owner { space, key })
                    });
                let row = match &owner {
                    Some(owner) => generation
                        .believe(common, generation.index.row(&owner.space, &owner.key))
                        .flatten(),
                    None => None,
                };
                let row = row.filter(|row| row.number == place.number);
                let change = match row {
                    None => Change::Evict {
                        place,
                        why: Evicted::Replaced,
                    },
                    Some(row) if missing.contains(&place.number) => {
                        let Some(slice) = row.slice0 else { continue };
                        let at = SliceAt {
                            number: place.number,
                            n: 0,
                        };
                        Change::Lost(Box::new(Lost {
                            at,
                            slice,
                            owner,
                            seen: None,
                        }))
                    }
                    Some(_) => continue,
                };
                let Some(slot) = generation.queue.reserve_waiting() else {
                    return Ok(false);
                };
                slot.send(change);
            }
        }
    }
    Ok(true)
}
