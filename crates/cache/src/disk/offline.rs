//! A disk cache that no gateway uses: counted, verified, purged by a command.
//!
//! Never makes a cache where there is none, and never takes one that a gateway uses: the error then
//! says who has it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::choice::Limits;
use super::common::Common;
use super::error::{Broken, DiskError, Kind};
use super::facts::{Purge, Purged};
use super::generation::{Generation, How};
use super::index::NAME;
use super::lock::Lock;
use super::opening::plain;
use super::sourced::Sourced;
use super::stat::Stat;
use super::verify::{Verified, VerifyProgress};
use super::writer::Writer;
use super::{purging, sourced as listing, stat as counting, sweeping, verify as verifying};
use crate::Unobserved;

/// Counts what lies in a directory.
///
/// # Errors
/// There is no cache, a gateway uses it, or it cannot be read; the text says what to do.
pub fn stat(directory: &Path) -> Result<Stat, DiskError> {
    with(directory, |common, generation| {
        counting::count(common, generation)
    })
}

/// Reads every file and compares it with its sha-256; damage is removed, and so are files without
/// a row. `progress` returns whether to go on.
///
/// # Errors
/// As [`stat`]. Damage is no error.
pub fn verify(
    directory: &Path,
    progress: impl FnMut(VerifyProgress) -> bool,
) -> Result<Verified, DiskError> {
    with(directory, |common, generation| {
        sweeping::sweep(common, generation)?;
        verifying::run(common, generation, progress)
    })
}

/// Drops what matches.
///
/// # Errors
/// As [`stat`].
pub fn purge_offline(directory: &Path, what: &Purge) -> Result<Purged, DiskError> {
    with(directory, |common, generation| {
        let number = common.numbers.next();
        let (versions, bytes) = purging::count(common, generation, what, number);
        let swept = purging::sweep_blocking(common, generation, what, number)?;
        Ok(Purged {
            versions,
            bytes,
            durable: true,
            swept,
        })
    })
}

/// Of which keys there is a copy that this origin gave, or confirmed last, some at a time.
///
/// # Errors
/// As [`stat`].
pub fn sourced(directory: &Path, origin: &str, after: Option<&[u8]>) -> Result<Sourced, DiskError> {
    with(directory, |common, generation| {
        listing::page(common, generation, origin, after)
    })
}

/// Opens a cache that exists, works with it, and closes it in order.
fn with<T>(
    directory: &Path,
    work: impl FnOnce(&Common, &Generation) -> Result<T, Broken>,
) -> Result<T, DiskError> {
    open(directory)
        .and_then(|(common, generation, writer)| {
            let worked = work(&common, &generation);
            generation.queue.close();
            // The writer waits until it is the last.
            drop(generation);
            let panicked = || Broken::new(Kind::Damaged, "the writer panicked");
            match writer.join().map_err(|_| panicked())? {
                Some(broken) => Err(broken),
                None => worked,
            }
        })
        .map_err(|broken| DiskError::new(directory, &broken))
}

type Open = (
    Arc<Common>,
    Arc<Generation>,
    std::thread::JoinHandle<Option<Broken>>,
);

fn open(directory: &Path) -> Result<Open, Broken> {
    // Looked at first, because opening would make what is not there.
    drop(Lock::borrow(directory)?);
    if !directory.join(NAME).is_file() {
        return Err(Broken::new(Kind::Absent, "there is no cache in it"));
    }
    let limits = Limits {
        max_size: u64::MAX,
        min_free: Some(0),
        max_files: None,
    };
    let observer = Arc::new(Unobserved);
    let closing = CancellationToken::new();
    let common = Common::new(
        directory.to_owned(),
        limits,
        0,
        Duration::MAX,
        observer,
        closing,
    );
    let common = Arc::new(common);
    let (generation, books) = Generation::open(&common, How::default(), &plain())?;
    let generation = Arc::new(generation);
    let writer = Writer::new(Arc::clone(&generation), Arc::clone(&common), books);
    let thread = std::thread::Builder::new()
        .name("cache-writer".to_owned())
        .spawn(move || writer.run())
        .map_err(|error| Broken::io("cannot start a thread", &error))?;
    Ok((common, generation, thread))
}
