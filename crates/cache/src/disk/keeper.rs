//! Opens the disk, notices when it fails, and opens it again.
//!
//! The one place that says aloud that the disk is not used: once a minute, with what to do.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::common::PAUSES;
use super::error::{Broken, DiskError, Kind};
use super::generation::{Generation, How};
use super::meter::file_system;
use super::opening::Create;
use super::writer::Writer;
use super::{Disk, eviction, purging, sweeping};
use crate::CacheError;

/// How often it says that the disk is not used.
const SAID_EVERY: Duration = Duration::from_mins(1);

/// How long the start of the process waits for a disk that says nothing.
const FIRST_WITHIN: Duration = Duration::from_secs(10);

/// How often somebody looks whether the directory is still there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Another process may end at any time.
const LOCKED_PAUSE: Duration = Duration::from_secs(2);

/// Until the disk is closed.
pub(super) async fn keep_open(disk: Arc<Disk>, create: Create) {
    let closing = disk.common.closing.clone();
    let mut said = Said(None);
    let mut how = How::default();
    let mut pause = PAUSES.0;
    while !closing.is_cancelled() {
        let opened = open(&disk, how, &create, &mut said).await;
        if closing.is_cancelled() && opened.is_err() {
            return;
        }
        let broken = match opened {
            Ok(generation) => {
                pause = PAUSES.0;
                if !begin(&disk, &generation) {
                    return;
                }
                said.up(&disk);
                let failed = serve(&disk, &generation, &mut said).await;
                let Some(broken) = failed else {
                    return;
                };
                how = How {
                    check: broken.kind == Kind::Damaged,
                    anew: false,
                };
                let_go(&disk, generation).await;
                broken
            }
            Err(broken) => {
                disk.common.observer.error(CacheError::Index);
                how = How {
                    check: broken.kind == Kind::Damaged,
                    anew: broken.kind == Kind::Damaged && how.check,
                };
                broken
            }
        };
        said.down(&disk, &broken);
        let now = if broken.kind == Kind::Locked {
            LOCKED_PAUSE
        } else {
            pause
        };
        let _ = timeout(now, closing.cancelled()).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// When it was last said that the disk is not used.
struct Said(Option<Instant>);

impl Said {
    fn up(&mut self, disk: &Disk) {
        if self.0.take().is_some() {
            tracing::info!("the disk cache can be used again");
        }
        disk.common.observer.up(true);
        tell(disk, Ok(()));
    }

    fn down(&mut self, disk: &Disk, broken: &Broken) {
        disk.common.observer.up(false);
        let error = DiskError::new(&disk.common.directory, broken);
        if self.0.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            self.0 = Some(Instant::now());
            tracing::warn!("{error}");
        }
        tell(disk, Err(error));
    }
}

/// The first result is for whoever waits with starting.
fn tell(disk: &Disk, result: Result<(), DiskError>) {
    disk.attempted.send_if_modified(|attempted| {
        let first = attempted.is_none();
        if first {
            *attempted = Some(result);
        }
        first
    });
}

/// Opens the directory on a blocking thread and starts its writer.
async fn open(
    disk: &Arc<Disk>,
    how: How,
    create: &Create,
    said: &mut Said,
) -> Result<Arc<Generation>, Broken> {
    let common = Arc::clone(&disk.common);
    let (create, closing) = (Arc::clone(create), disk.common.closing.clone());
    let mut opening = spawn_blocking(move || {
        let (generation, books) = Generation::open(&common, how, &create)?;
        let generation = Arc::new(generation);
        let writer = Writer::new(Arc::clone(&generation), common, books);
        std::thread::Builder::new()
            .name("cache-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| Broken::io("cannot start a thread", &error))?;
        if closing.is_cancelled() {
            // Perhaps nobody waits any more.
            generation.queue.close();
        }
        Ok(generation)
    });
    let closed = || Err(Broken::new(Kind::Closed, "it was closed meanwhile"));
    let hangs = tokio::time::sleep(FIRST_WITHIN);
    tokio::pin!(hangs);
    loop {
        tokio::select! {
            biased;
            opened = &mut opening => {
                let panicked = "opening the index panicked";
                return opened.unwrap_or_else(|_| Err(Broken::new(Kind::Damaged, panicked)));
            }
            () = disk.common.closing.cancelled() => return closed(),
            () = &mut hangs => {
                let what = "the disk did not answer within 10 s";
                said.down(disk, &Broken::new(Kind::Hangs, what));
                hangs.as_mut().reset(Instant::now() + SAID_EVERY);
            }
        }
    }
}

/// Lets everybody use it, unless it is to be closed.
fn begin(disk: &Arc<Disk>, generation: &Arc<Generation>) -> bool {
    {
        let mut current = disk.current.write().unwrap_or_else(PoisonError::into_inner);
        if disk.common.closing.is_cancelled() {
            generation.queue.close();
            return false;
        }
        *current = Some(Arc::clone(generation));
        disk.open.store(true, Ordering::Release);
    }
    disk.tasks
        .spawn(eviction::run(Arc::clone(disk), Arc::clone(generation)));
    if !generation.is_swept() {
        disk.tasks
            .spawn(sweeping::run(Arc::clone(disk), Arc::clone(generation)));
    }
    // Of earlier processes, of before it came up, and of the moment in between.
    let (common, generation) = (Arc::clone(&disk.common), Arc::clone(generation));
    disk.tasks.spawn(async move {
        for (what, number) in common.purges.settle(common.numbers.reached()) {
            let (common, generation) = (Arc::clone(&common), Arc::clone(&generation));
            if !purging::sweep(common, generation, what, number).await {
                break;
            }
        }
    });
    true
}

/// Watches over it until it fails; `None` once the disk is being closed.
async fn serve(disk: &Disk, generation: &Arc<Generation>, said: &mut Said) -> Option<Broken> {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = disk.common.closing.cancelled() => return None,
            () = generation.failing.cancelled() => {
                let unknown = || Broken::new(Kind::Io, "the index failed");
                return Some(generation.broken().unwrap_or_else(unknown));
            }
            () = disk.trip.noticed.notified() => {
                recover(disk, generation, said).await;
                if !disk.common.closing.is_cancelled() && !generation.failing.is_cancelled() {
                    said.up(disk);
                }
            }
            _ = look.tick() => {
                let there = Arc::clone(generation);
                let there = disk.reading.in_time(move || there.index.is_in_place()).await;
                if there == Some(false) {
                    let what = "its directory was emptied or replaced";
                    generation.fail(Broken::new(Kind::Absent, what));
                }
            }
        }
    }
}

/// Tries a disk that hung, on the same hands, until it answers.
async fn recover(disk: &Disk, generation: &Arc<Generation>, said: &mut Said) {
    let hangs = Broken::new(Kind::Hangs, "it does not answer in time");
    let mut pause = PAUSES.0;
    loop {
        said.down(disk, &hangs);
        tokio::select! {
            () = disk.common.closing.cancelled() => return,
            () = generation.failing.cancelled() => break,
            () = sleep(pause) => {}
        }
        let (directory, index) = (disk.common.directory.clone(), Arc::clone(generation));
        let probe = move || file_system(&directory).is_ok() && index.index.newest_hour().is_ok();
        // An answer is an answer, also if it is an error: those are another's business.
        if disk.reading.in_time(probe).await.is_some() {
            break;
        }
        pause = (pause * 2).min(PAUSES.1);
    }
    disk.trip.recover();
}

/// The index is closed once nobody uses it any more; only then can it be opened again.
async fn let_go(disk: &Disk, generation: Arc<Generation>) {
    disk.open.store(false, Ordering::Release);
    disk.current
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let ended = generation.ended.clone();
    let last = Arc::downgrade(&generation);
    drop(generation);
    let free = async {
        ended.cancelled().await;
        while last.strong_count() > 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = free => {}
        () = disk.common.closing.cancelled() => {}
    }
}
