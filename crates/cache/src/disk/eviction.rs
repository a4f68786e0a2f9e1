//! Keeps the disk within its limits, on a task of its own and never on a request's way.
//!
//! Which class goes first and how much is [`super::choice`]'s; the writer has the last word on
//! each victim.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::Disk;
use super::change::Change;
use super::choice::{Need, class, excess};
use super::common::{Common, now_hour};
use super::error::Broken;
use super::facts::Class;
use super::generation::Generation;
use super::meter::file_system;
use super::tables::Place;
use crate::Evicted;

/// How often it looks without being asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Between two looks that found nothing that could go.
const PAUSE: Duration = Duration::from_millis(100);

const INACTIVE_EVERY: Duration = Duration::from_hours(1);

/// The most that one round takes, so that what was used meanwhile is seen.
const VICTIMS: usize = 64;

/// Until the index is closed or fails.
pub(super) async fn run(disk: Arc<Disk>, generation: Arc<Generation>) {
    let common = Arc::clone(&disk.common);
    let ends = [disk.common.closing.clone(), generation.failing.clone()];
    drop(disk);
    let newest = {
        let generation = Arc::clone(&generation);
        spawn_blocking(move || generation.index.newest_hour()).await
    };
    let newest = newest.ok().and_then(Result::ok).flatten();
    let clock = Clock {
        newest: newest.unwrap_or_else(now_hour),
        opened: Instant::now(),
    };
    let mut looked_for_inactive = Instant::now();
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = ends[0].cancelled() => return,
            () = ends[1].cancelled() => return,
            () = async {
                // Whoever is refused asks again and again.
                sleep(pause).await;
                tokio::select! {
                    () = common.pressed.notified() => {}
                    () = sleep(LOOK_EVERY) => {}
                }
            } => {}
        }
        common.purges.forget_old(std::time::Instant::now());
        let hourly = looked_for_inactive.elapsed() >= INACTIVE_EVERY;
        if hourly {
            looked_for_inactive = Instant::now();
        }
        let hour = clock.hour();
        let (common, generation) = (Arc::clone(&common), Arc::clone(&generation));
        let round = spawn_blocking(move || {
            if hourly {
                evict_inactive(&common, &generation, hour)?;
                recount(&common, &generation)?;
            }
            make_room(&common, &generation)
        });
        let freed = round.await.unwrap_or(Ok(false)).unwrap_or_else(|broken| {
            tracing::debug!(%broken, "eviction was broken off");
            false
        });
        pause = if freed { Duration::ZERO } else { PAUSE };
    }
}

/// The hour by which inactivity is measured. A system clock that jumps must not empty the cache,
/// nor must a gateway that was off for long: time passes only while it runs.
#[derive(Debug, Clone, Copy)]
struct Clock {
    newest: u32,
    opened: Instant,
}

impl Clock {
    fn hour(self) -> u32 {
        let hours = self.opened.elapsed().as_secs() / 3600;
        let passed = self
            .newest
            .saturating_add(u32::try_from(hours).unwrap_or(u32::MAX));
        passed.min(now_hour())
    }
}

/// Removes until the limits hold, or nothing is left that may go. Returns whether anything went.
fn make_room(common: &Common, generation: &Generation) -> Result<bool, Broken> {
    let mut pressure = common.pressure.swap(0, Ordering::AcqRel);
    let mut freed_any = false;
    loop {
        let held = common.meter.held();
        let system = file_system(&common.directory)
            .map_err(|error| Broken::io("cannot ask the file system", &error))?;
        let need = excess(held, common.limits, system).or_else(|| {
            (pressure > 0).then_some(Need {
                why: Evicted::Free,
                bytes: pressure,
                files: 0,
            })
        });
        let Some(need) = need else {
            return Ok(freed_any);
        };
        let victims = choose(common, generation, need)?;
        if victims.is_empty() || !evict(generation, &victims, need.why) {
            return Ok(freed_any);
        }
        let now = common.meter.held();
        let freed = held.bytes.saturating_sub(now.bytes);
        pressure = pressure.saturating_sub(freed);
        if freed > 0 || now.files < held.files {
            freed_any = true;
            common.had_room();
        } else if victims.len() < VICTIMS {
            // What is shared frees nothing before its last row; but where all that could go was
            // read or used meanwhile, this is not the time.
            return Ok(freed_any);
        }
    }
}

/// The next victims, in order.
fn choose(common: &Common, generation: &Generation, need: Need) -> Result<Vec<Place>, Broken> {
    let mut by_class = common.meter.held().by_class;
    let mut after: [Option<Place>; 3] = [None; 3];
    let mut exhausted = [false; 3];
    let (mut bytes, mut files) = (0, 0);
    let mut victims = Vec::new();
    while victims.len() < VICTIMS && (bytes < need.bytes || files < need.files) {
        let Some(class) = class(by_class, exhausted) else {
            break;
        };
        let at = class as usize;
        let places = generation.index.places(class, after[at], 1)?;
        let Some((place, owner)) = places.into_iter().next() else {
            exhausted[at] = true;
            continue;
        };
        after[at] = Some(place);
        if common.pins.is_pinned(place.number) {
            continue;
        }
        let held = held(generation, owner.as_deref(), place)?;
        bytes += held.0;
        files += held.1;
        by_class[at] = by_class[at].saturating_sub(held.0);
        victims.push(place);
    }
    Ok(victims)
}

/// What a version holds; nothing where its row is gone or cannot be believed.
fn held(generation: &Generation, owner: Option<&[u8]>, place: Place) -> Result<(u64, u64), Broken> {
    let Some((space, key)) = owner.and_then(super::tables::read_object_key) else {
        return Ok((0, 0));
    };
    let Some(space) = generation.index.space_name(space) else {
        return Ok((0, 0));
    };
    match generation.index.row(&space, &key) {
        Ok(Some(row)) if row.number == place.number => generation.index.held(&row),
        Err(broken) if broken.kind != super::error::Kind::Damaged => Err(broken),
        _ => Ok((0, 0)),
    }
}

/// Has them removed and waits for it. `false` if the index was closed meanwhile.
fn evict(generation: &Generation, victims: &[Place], why: Evicted) -> bool {
    for place in victims {
        let Some(slot) = generation.queue.reserve_waiting() else {
            return false;
        };
        slot.send(Change::Evict { place: *place, why });
    }
    settle(generation)
}

/// Waits until everything that was to go is gone.
pub(super) fn settle(generation: &Generation) -> bool {
    // Not one of the runtime's channels: a command may wait here on a thread that drives one.
    let (answer, done) = mpsc::channel();
    let Some(slot) = generation.queue.reserve_waiting() else {
        return false;
    };
    slot.send(Change::Settle(answer));
    done.recv().is_ok()
}

/// Removes what nobody asked for during `inactive`. Orphans stay: theirs is the last copy.
pub(super) fn evict_inactive(
    common: &Common,
    generation: &Generation,
    now: u32,
) -> Result<(), Broken> {
    let hours = u32::try_from(common.inactive.as_secs() / 3600).unwrap_or(u32::MAX);
    let oldest = now.saturating_sub(hours);
    for class in [Class::Once, Class::Again] {
        let mut after = None;
        while !common.rests.load(Ordering::Acquire) {
            let places = generation.index.places(class, after, VICTIMS)?;
            after = places.last().map(|(place, _)| *place);
            let old = places.iter().map(|(place, _)| *place);
            let old: Vec<Place> = old.filter(|place| place.hour < oldest).collect();
            if old.is_empty() || !evict(generation, &old, Evicted::Inactive) {
                break;
            }
        }
    }
    Ok(())
}

/// Adds up the bytes by class, where losses have made them wrong.
pub(super) fn recount(common: &Common, generation: &Generation) -> Result<(), Broken> {
    if common.losses() > 0
        && let Some(slot) = generation.queue.reserve_waiting()
    {
        let counted = generation.index.count()?;
        slot.send(Change::Recounted(counted.by_class));
    }
    Ok(())
}
