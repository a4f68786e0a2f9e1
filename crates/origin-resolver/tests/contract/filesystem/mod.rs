//! A directory: the contract, and what only a directory promises.

mod bodies;
mod confinement;
mod headers;
mod operators;
mod permissions;
mod trust;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use origin_resolver::{Answer, Failure, Filesystem, FilesystemSettings, Origin, Part, Reason};
use sha2::{Digest, Sha256};

use crate::fixture::{Fixture, ask, contract};

contract!(Directory::new());

/// A marked directory with an origin on it.
pub(crate) struct Directory {
    outside: tempfile::TempDir,
    origin: Arc<Filesystem>,
    puts: AtomicU64,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self::below(tempfile::tempdir().unwrap())
    }

    /// In a temporary directory of the caller's choice.
    pub(crate) fn below(outside: tempfile::TempDir) -> Self {
        let root = outside.path().join("root");
        fs::create_dir(&root).unwrap();
        let origin = Arc::new(Filesystem::open("disk", &settings(&root, ".media-gateway")));
        origin.create_marker().unwrap();
        Self {
            outside,
            origin,
            puts: AtomicU64::new(0),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.outside.path().join("root")
    }

    /// The directory around the root, where nothing may be read.
    pub(crate) fn outside(&self) -> &Path {
        self.outside.path()
    }

    /// Writes a file of this path, an hour ago.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        // Each version a little younger than the one before, and none so young that it might
        // still be growing.
        let put = self.puts.fetch_add(1, Ordering::Relaxed);
        let modified = SystemTime::now() - Duration::from_hours(1) + Duration::from_secs(put);
        fs::File::open(&path)
            .unwrap()
            .set_modified(modified)
            .unwrap();
    }

    pub(crate) async fn ask(&self, key: &str) -> Answer {
        ask(&*self.origin, key, Part::Whole).await
    }

    pub(crate) async fn failure(&self, key: &str) -> Failure {
        match self.ask(key).await {
            Answer::Unknown(failure) => failure,
            other => panic!("{key:?}: {other:?}"),
        }
    }

    pub(crate) async fn assert_disk_failure(&self, key: &str) {
        assert_eq!(self.failure(key).await.reason, Reason::Disk, "{key:?}");
    }

    /// The documented place of a key, written down a second time on purpose.
    fn place(key: &str) -> String {
        key.split('/')
            .map(|segment| match segment.len() {
                0 => ".media-gateway-empty".to_owned(),
                1..=255 => segment.to_owned(),
                _ => format!(
                    ".media-gateway-long-{}",
                    hex::encode(Sha256::digest(segment))
                ),
            })
            .collect::<Vec<_>>()
            .join("/")
    }

    /// Makes room for files below those that are in the way.
    fn move_aside(&self, place: &str) {
        for (end, _) in place.match_indices('/') {
            let path = self.path().join(&place[..end]);
            if path.is_file() {
                let own = self.outside.path().join("moving");
                fs::rename(&path, &own).unwrap();
                fs::create_dir(&path).unwrap();
                fs::rename(&own, path.join(".media-gateway-self")).unwrap();
            }
        }
    }
}

impl Fixture for Directory {
    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        content_type: Option<&'a str>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut place = Self::place(key);
            self.move_aside(&place);
            if self.path().join(&place).is_dir() {
                place.push_str("/.media-gateway-self");
            }
            self.write(&place, bytes);
            if let Some(content_type) = content_type {
                let (directory, name) = place.rsplit_once('/').unwrap_or((".", &place));
                let json = serde_json::json!({ "content_type": content_type });
                let sidecar = format!("{directory}/.media-gateway-meta/{name}.json");
                self.write(&sidecar, json.to_string());
            }
        })
    }

    fn origin(&self) -> Arc<dyn Origin> {
        self.origin.clone()
    }

    fn released(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let held: Vec<_> = fs::read_dir("/proc/self/fd")
                .unwrap()
                .filter_map(|fd| fs::read_link(fd.unwrap().path()).ok())
                .filter(|path| path.starts_with(self.path()))
                .collect();
            assert!(held.is_empty(), "{held:?}");
        })
    }
}

pub(crate) fn settings(root: &Path, marker: &str) -> FilesystemSettings {
    FilesystemSettings {
        root: root.to_owned(),
        marker: marker.into(),
        min_free_bytes: None,
    }
}

/// A thread that does the same thing again and again while a test looks on.
pub(crate) struct Repeating {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Repeating {
    pub(crate) fn start(mut act: impl FnMut() + Send + 'static) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let seen = done.clone();
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                act();
            }
        });
        Self {
            done,
            thread: Some(thread),
        }
    }

    /// Waits for it and passes its panic on.
    pub(crate) fn stop(mut self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Repeating {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}
