//! Openings, regions and lives under a scheduler that tries orders of events which no ordinary
//! test meets: `cargo test -p cache --features model --lib model::`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use object::{Extent, ObjectBody, ObjectHead, ObjectKey};
use shuttle::future::{block_on, spawn};

use crate::disk::Pins;
use crate::life::Life;
use crate::live::Live;
use crate::openings::{Openings, Turn};
use crate::place::Place;
use crate::reading;
use crate::region::{Attached, End, Look, Region};
use crate::segment::Plan;
use crate::slice::{SLICE_BYTES, Slice};
use crate::source::{Found, Keep};
use crate::sync::Mutex;
use crate::version::{Start, Version};

/// Orders that are tried of each; twenty times as many where tests may go on for long.
const ORDERS: usize = 500;
/// So many others at most are put before a task that could go on.
const DEPTH: usize = 4;

/// Random orders, and those that starve one task after the other.
fn in_many_orders(test: impl Fn() + Send + Sync + 'static) {
    let soaks = std::env::var_os("MEDIA_GATEWAY_SOAK").is_some();
    let orders = if soaks { 20 * ORDERS } else { ORDERS };
    let test = Arc::new(test);
    let again = Arc::clone(&test);
    shuttle::check_random(move || test(), orders);
    shuttle::check_pct(move || again(), orders, DEPTH);
}

#[test]
fn one_leads_and_all_are_told_also_where_leaders_give_up() {
    in_many_orders(|| {
        let openings: Arc<Openings<u8, usize>> = Arc::new(Openings::new());
        let leading = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..4_usize)
            .map(|number| {
                let (openings, leading) = (Arc::clone(&openings), Arc::clone(&leading));
                spawn(async move {
                    loop {
                        match openings.join(&7) {
                            Turn::Follow(follow) => {
                                if let Some(outcome) = follow.outcome().await {
                                    return outcome;
                                }
                            }
                            Turn::Lead(claim) => {
                                let others = leading.fetch_add(1, Ordering::SeqCst);
                                assert_eq!(others, 0, "two lead at one time");
                                shuttle::future::yield_now().await;
                                leading.fetch_sub(1, Ordering::SeqCst);
                                // The first to lead is gone without a word.
                                if number == 0 {
                                    drop(claim);
                                    return usize::MAX;
                                }
                                let shared = claim.settle(number);
                                shuttle::future::yield_now().await;
                                drop(shared);
                                return number;
                            }
                        }
                    }
                })
            })
            .collect();
        block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
        assert_eq!(openings.count(), 0, "nothing is left behind");
    });
}

/// What was moved out of a region's window.
type Kept = Arc<Mutex<HashMap<u32, Slice>>>;

#[test]
fn each_reader_finds_each_byte_in_the_window_or_where_it_was_moved() {
    const TOTAL: u64 = SLICE_BYTES + 300;
    in_many_orders(|| {
        let region = Region::new(0, TOTAL, TOTAL, Plan::Whole);
        let kept: Kept = Kept::default();
        let readers: Vec<_> = [0, 5, SLICE_BYTES + 10]
            .map(|at| {
                let (attached, kept) = (Attached::to(&region), Arc::clone(&kept));
                spawn(read_to_the_end(attached, kept, at, TOTAL))
            })
            .into();
        let fill = {
            let (region, kept) = (Arc::clone(&region), Arc::clone(&kept));
            spawn(async move {
                region.answered();
                let bytes = vec![7; usize::try_from(SLICE_BYTES).unwrap() / 2 + 200];
                let mut left = TOTAL;
                while left > 0 {
                    let length = bytes.len().min(usize::try_from(left).unwrap());
                    let (taken, complete) = region.push(&bytes[..length]);
                    left -= taken as u64;
                    if let Some((n, slice)) = complete {
                        kept.lock().insert(n, slice);
                        region.forget(n);
                    }
                }
                region.finish(End::Done);
            })
        };
        block_on(async {
            for (reader, at) in readers.into_iter().zip([0, 5, SLICE_BYTES + 10]) {
                assert_eq!(reader.await.unwrap(), TOTAL - at);
            }
            fill.await.unwrap();
        });
        assert!(!region.is_read());
    });
}

/// A version of so many slices, of which nothing is here.
fn version_of(slices: u64) -> Version {
    let place = Place {
        space: "media".into(),
        key: ObjectKey::parse("a.mp4").unwrap(),
    };
    let found = Found {
        origin: "current".into(),
        head: ObjectHead::default(),
        etag: None,
        extent: Extent::None,
        body: ObjectBody::empty(),
        keep: Keep::Memory,
    };
    Version::found(1, place, slices * SLICE_BYTES, &found, 0, &Live::new())
}

#[test]
fn what_one_download_brings_is_not_asked_for_by_another_however_near_its_end() {
    const SLICES: u64 = 3;
    in_many_orders(|| {
        let version = Arc::new(version_of(SLICES));
        let Start::New(first) = version.start_region(SLICE_BYTES, 2 * SLICE_BYTES, Plan::Whole)
        else {
            panic!("nobody else downloads");
        };
        let kept: Kept = Kept::default();
        let fill = {
            let (version, kept) = (Arc::clone(&version), Arc::clone(&kept));
            spawn(async move {
                first.answered();
                let half = vec![7; usize::try_from(SLICE_BYTES).unwrap() / 2];
                first.push(&half);
                let (n, slice) = first.push(&half).1.unwrap();
                shuttle::future::yield_now().await;
                kept.lock().insert(n, slice);
                first.forget(n);
                first.finish(End::Done);
                version.end_region(&first);
            })
        };
        let reader = spawn(async move {
            // As `begin_region` does: downloads, then what is kept, then a download of its own.
            let goal = version.until_brought(SLICE_BYTES, SLICES * SLICE_BYTES);
            let is_kept = kept.lock().contains_key(&1);
            let goal = if is_kept { SLICE_BYTES } else { goal };
            match version.start_region(0, goal, Plan::Whole) {
                Start::New(second) => second.goal(),
                Start::Join(_) | Start::Full => panic!("nobody brings the beginning"),
            }
        });
        block_on(async {
            fill.await.unwrap();
            assert_eq!(reader.await.unwrap(), SLICE_BYTES);
        });
    });
}

async fn read_to_the_end(attached: Attached, kept: Kept, mut at: u64, end: u64) -> u64 {
    let mut read = 0;
    attached.region().first_answer().await.unwrap();
    while at < end {
        let n = u32::try_from(at / SLICE_BYTES).unwrap();
        let within = usize::try_from(at % SLICE_BYTES).unwrap();
        let bytes = match attached.region().wait(at).await {
            Look::Bytes(bytes) => bytes,
            Look::Elsewhere | Look::Ended(End::Done) => kept.lock()[&n].rest_of_chunk(within),
            other => panic!("{other:?}"),
        };
        assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == 7));
        at += bytes.len() as u64;
        read += bytes.len() as u64;
    }
    read
}

#[test]
fn whoever_waits_at_a_region_is_told_how_it_ended() {
    in_many_orders(|| {
        let region = Region::new(0, 100, 100, Plan::Whole);
        let waiting: Vec<_> = (0..3)
            .map(|at| {
                let attached = Attached::to(&region);
                spawn(async move { matches!(attached.region().wait(at).await, Look::Ended(_)) })
            })
            .collect();
        let answer = {
            let region = Arc::clone(&region);
            spawn(async move { region.first_answer().await })
        };
        region.finish(End::Changed);
        region.finish(End::Done);
        block_on(async {
            for told in waiting {
                assert!(told.await.unwrap());
            }
            assert_eq!(answer.await.unwrap(), Err(End::Changed));
            assert_eq!(region.completion().await, End::Changed);
        });
    });
}

#[test]
fn a_fill_that_waits_for_its_readers_is_woken_when_they_pass_or_leave() {
    in_many_orders(|| {
        let region = Region::new(0, 2 * SLICE_BYTES, 2 * SLICE_BYTES, Plan::Whole);
        let (passes, leaves) = (Attached::to(&region), Attached::to(&region));
        let fill = {
            let region = Arc::clone(&region);
            spawn(async move { region.is_passed(SLICE_BYTES).await })
        };
        let reader = spawn(async move {
            passes.region().reached(SLICE_BYTES / 2);
            drop(leaves);
            drop(passes);
        });
        block_on(async {
            reader.await.unwrap();
            fill.await.unwrap();
        });
    });
}

#[test]
fn a_life_that_is_cut_ends_everybody_who_waits_for_it() {
    in_many_orders(|| {
        let life = Arc::new(Life::default());
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let life = Arc::clone(&life);
                spawn(async move { life.ended().await })
            })
            .collect();
        life.retire();
        life.cut();
        block_on(async {
            for ended in waiting {
                ended.await.unwrap();
            }
        });
    });
}

#[test]
fn who_reads_a_version_whose_place_is_taken_finds_all_of_it_or_opens_it_anew() {
    const SLICES: u32 = 3;
    in_many_orders(|| {
        let (pins, life) = (Arc::new(Pins::default()), Arc::new(Life::default()));
        let held = Arc::new(Mutex::new((0..SLICES).collect::<Vec<_>>()));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (pins, life, held) = (Arc::clone(&pins), Arc::clone(&life), Arc::clone(&held));
                spawn(async move {
                    let Some(_pin) = reading::begin(&pins, 1, &life) else {
                        return false;
                    };
                    for n in 0..SLICES {
                        assert!(held.lock().contains(&n), "slice {n} was taken away");
                        shuttle::future::yield_now().await;
                    }
                    true
                })
            })
            .collect();
        let taken_away = {
            let (pins, life, held) = (Arc::clone(&pins), Arc::clone(&life), Arc::clone(&held));
            spawn(async move {
                let mut is_read = reading::replace(&pins, 1, &life);
                // As the writer does: now and then it looks whether somebody still reads.
                while is_read {
                    shuttle::future::yield_now().await;
                    is_read = pins.is_pinned(1);
                }
                held.lock().clear();
            })
        };
        block_on(async {
            for reader in readers {
                reader.await.unwrap();
            }
            taken_away.await.unwrap();
        });
        assert!(
            held.lock().is_empty() && !pins.is_pinned(1),
            "nothing is left behind"
        );
        assert!(reading::begin(&pins, 1, &life).is_none());
    });
}
