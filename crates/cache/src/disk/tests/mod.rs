//! The disk as a whole: real files, real crashes, real file systems.
//!
//! What stands here is the fixture; the tests are in the files below.

mod crash;
mod damage;
mod failing;
mod faulty;
mod figures;
mod format;
mod full;
mod many;
mod purged;
mod round_trip;
mod sharing;
mod tools;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use object::{ObjectHead, ObjectKey};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use faulty::Faults;

use super::facts::{Row, SliceRow, VersionFacts};
use super::{Disk, DiskSettings, SliceAt};
use crate::slice::{Slice, SliceBuilder};
use crate::{CHUNK_BYTES, CacheError, CacheObserver, Evicted, SLICE_BYTES, Tier};

pub(super) const SPACE: &str = "media";
pub(super) const MIB: u64 = 1024 * 1024;

/// Whether the tests that go on for long are wanted.
pub(super) fn soak() -> bool {
    std::env::var_os("MEDIA_GATEWAY_SOAK").is_some()
}

/// Counts what it is told.
#[derive(Debug, Default)]
pub(super) struct Counts {
    errors: Mutex<HashMap<CacheError, usize>>,
    evicted: Mutex<HashMap<Evicted, usize>>,
    ups: Mutex<Vec<bool>>,
}

impl Counts {
    pub(super) fn errors(&self, kind: CacheError) -> usize {
        *self.errors.lock().unwrap().get(&kind).unwrap_or(&0)
    }

    pub(super) fn evicted_for(&self, why: Evicted) -> usize {
        *self.evicted.lock().unwrap().get(&why).unwrap_or(&0)
    }

    pub(super) fn ups(&self) -> Vec<bool> {
        self.ups.lock().unwrap().clone()
    }
}

impl CacheObserver for Counts {
    fn up(&self, up: bool) {
        self.ups.lock().unwrap().push(up);
    }
    fn hit(&self, _: Tier) {}
    fn error(&self, kind: CacheError) {
        *self.errors.lock().unwrap().entry(kind).or_default() += 1;
    }
    fn evicted(&self, reason: Evicted) {
        *self.evicted.lock().unwrap().entry(reason).or_default() += 1;
    }
    fn fills(&self, _: i64) {}
    fn follower(&self) {}
}

/// A disk in use.
pub(super) struct Used {
    pub(super) disk: Arc<Disk>,
    pub(super) counts: Arc<Counts>,
    faults: Faults,
    tasks: TaskTracker,
    stop: CancellationToken,
}

pub(super) fn settings(directory: &Path) -> DiskSettings {
    DiskSettings {
        rows_bytes: 1 << 20,
        directory: directory.to_owned(),
        max_size_bytes: 1024 * MIB,
        min_free_bytes: Some(0),
        inactive: Duration::from_hours(90 * 24),
        max_files: None,
    }
}

impl Used {
    /// Opened, or not: the first attempt is over.
    pub(super) async fn start(settings: DiskSettings) -> Self {
        let used = Self::start_unawaited(settings);
        let _ = used.disk.first_attempt().await;
        used
    }

    pub(super) fn start_unawaited(settings: DiskSettings) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let counts = Arc::<Counts>::default();
        let (observer, faults) = (
            Arc::clone(&counts) as Arc<dyn CacheObserver>,
            Faults::default(),
        );
        let disk = Disk::start_with(settings, &observer, &tasks, &stop, faults.create());
        Self {
            disk,
            counts,
            faults,
            tasks,
            stop,
        }
    }

    pub(super) async fn on(directory: &Path) -> Self {
        let used = Self::start(settings(directory)).await;
        assert!(used.disk.is_up(), "{:?}", used.disk.first_attempt().await);
        used
    }

    pub(super) fn facts(&self, name: &str, total: u64) -> VersionFacts {
        facts(self.disk.next_number(), name, total)
    }

    /// Keeps an object of up to a slice; it is durable when this returns.
    pub(super) async fn put(&self, name: &str, bytes: &[u8]) -> (VersionFacts, SliceRow) {
        let facts = self.facts(name, bytes.len() as u64);
        let row = self.disk.keep(&facts, 0, &slice(bytes)).await;
        assert!(self.disk.flush().await);
        (facts, row.expect("there is room"))
    }

    /// Keeps an object of up to a slice; its row waits to be written when this returns.
    pub(super) async fn put_soon(&self, name: &str, bytes: &[u8]) -> Option<SliceRow> {
        let facts = self.facts(name, bytes.len() as u64);
        self.disk.keep(&facts, 0, &slice(bytes)).await
    }

    /// The bytes of an object of up to a slice, however it is read.
    pub(super) async fn get(&self, name: &str) -> Option<Vec<u8>> {
        let at_once = self.disk.find_at_once(SPACE, &key(name), u64::MAX);
        let found = self.disk.find_with_first(SPACE, &key(name)).await;
        if let Some((row, first)) = at_once {
            let (same, bytes) = found.as_ref().expect("it is in the index too");
            assert_eq!((&row.facts, &row.slice0), (&same.facts, &same.slice0));
            assert_eq!(bytes.as_ref().unwrap().chunks, first.chunks);
        }
        let (row, first) = found?;
        let first = first?;
        let mut bytes = first.chunks.concat();
        let slice = row.slice0.clone().unwrap();
        let rest = first.chunks.len();
        if rest < slice.xxh3.len() {
            let at = SliceAt {
                number: row.number,
                n: 0,
            };
            let read = self.disk.read(Some(first.file), &slice, at, rest, 16);
            bytes.extend(read.await?.1.concat());
        }
        Some(bytes)
    }

    pub(super) async fn row(&self, name: &str) -> Option<Row> {
        self.disk.find(SPACE, &key(name)).await
    }

    /// Closes in order.
    pub(super) async fn close(self) {
        self.disk.close().await;
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Waits for what no event tells.
    #[track_caller]
    pub(super) fn until(&self, holds: impl Fn(&Disk) -> bool) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        let disk = Arc::clone(&self.disk);
        async move {
            let limit = std::time::Instant::now() + Duration::from_mins(1);
            while !holds(&disk) {
                assert!(std::time::Instant::now() < limit, "it never came: {place}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Waits until what was left by a crash is gone.
    pub(super) async fn until_swept(&self) {
        self.until(|disk| disk.current().is_some_and(|current| current.is_swept()))
            .await;
        assert!(self.disk.flush().await);
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(super) fn facts(number: u64, name: &str, total: u64) -> VersionFacts {
    VersionFacts {
        number,
        space: SPACE.into(),
        key: key(name),
        total,
        source: "current".into(),
        head: ObjectHead {
            length: Some(total),
            content_type: Some("image/webp".into()),
            ..ObjectHead::default()
        },
        etag: None,
        stored: 1_700_000_000,
        checked: 1_700_000_000,
    }
}

pub(super) fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).unwrap()
}

pub(super) fn slice(bytes: &[u8]) -> Slice {
    let mut builder = SliceBuilder::default();
    builder.push(bytes);
    builder.finish()
}

/// Bytes that differ by name, and nowhere repeat.
pub(super) fn bytes(name: &str, length: usize) -> Vec<u8> {
    let mut state = xxhash_rust::xxh3::xxh3_64(name.as_bytes()) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// What the kernel says lies below a directory, as `du` counts it: blocks, and files.
pub(super) fn on_disk(directory: &Path) -> (u64, Vec<PathBuf>) {
    use std::os::unix::fs::MetadataExt as _;
    let (mut blocks, mut files) = (0, Vec::new());
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            let Ok(metadata) = path.symlink_metadata() else {
                continue; // it was being written, or removed
            };
            blocks += metadata.blocks() * 512;
            if metadata.is_dir() {
                directories.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    (blocks, files)
}

/// The content files below a cache's directory.
pub(super) fn content_files(directory: &Path) -> Vec<PathBuf> {
    on_disk(&directory.join("content").join("content-v2")).1
}

/// A small file system in memory, with the faults of real ones.
pub(super) struct SmallDisk(TempDir);

impl SmallDisk {
    /// `options` as for `mount -t tmpfs -o`.
    pub(super) fn mount(options: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let small = Self(directory);
        small.run("mount", &["-t", "tmpfs", "-o", options, "tmpfs"]);
        small
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn remount(&self, options: &str) {
        self.run("mount", &["-o", &format!("remount,{options}")]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let status = std::process::Command::new(program)
            .args(arguments)
            .arg(self.path())
            .status();
        assert!(
            status.as_ref().is_ok_and(std::process::ExitStatus::success),
            "{program} needs root: {status:?}"
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a test that failed may still have files open.
        let _ = std::process::Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}

pub(super) const CHUNK: usize = CHUNK_BYTES;
pub(super) const SLICE: usize = 16 * CHUNK_BYTES;
