//! A cache over a directory of its own, and what a client does with it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::StreamExt;
use object::{BodyError, ByteRange, ObjectBody, ObjectKey, Part, RangeRequest};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::fake::FakeSource;
use crate::disk::{DiskSettings, Purge};
use crate::{Answer, Cache, Held, Purged, Refused, Served, Settings, Unobserved};

/// 2001-09-09, a whole number of hours later.
const BEGAN: u64 = 1_000_000_800;

pub(crate) struct Fixture {
    pub(crate) cache: Cache,
    pub(crate) source: FakeSource,
    pub(crate) space: Arc<str>,
    now: Arc<AtomicU64>,
    settings: Settings,
    tasks: TaskTracker,
    stop: DropGuard,
    directory: tempfile::TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicU64::new(BEGAN));
        let clock = Arc::clone(&now);
        let mut settings = Settings {
            disk: DiskSettings {
                rows_bytes: 1 << 20,
                directory: directory.path().join("cache"),
                max_size_bytes: 10_000_000_000,
                min_free_bytes: Some(0),
                inactive: Duration::from_hours(24 * 90),
                max_files: None,
            },
            memory_bytes: 256 * 1024 * 1024,
            fill_memory_bytes: 64 * 1024 * 1024,
            found: Duration::from_hours(24 * 90),
            missing: Duration::from_secs(5),
            clock: Arc::new(move || UNIX_EPOCH + Duration::from_secs(clock.load(Ordering::SeqCst))),
        };
        change(&mut settings);
        Self::over(directory, settings, FakeSource::new(), now).await
    }

    async fn over(
        directory: tempfile::TempDir,
        settings: Settings,
        source: FakeSource,
        now: Arc<AtomicU64>,
    ) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let cache = Cache::new(settings.clone(), Arc::new(Unobserved), &tasks, &stop);
        let _ = cache.first_attempt().await;
        Self {
            cache,
            source,
            space: "media".into(),
            now,
            settings,
            tasks,
            stop: stop.drop_guard(),
            directory,
        }
    }

    /// Another cache over the same directory; nothing of this one was written down in the end.
    pub(crate) async fn restarted(self) -> Self {
        let Self {
            cache,
            source,
            now,
            settings,
            tasks,
            stop,
            directory,
            ..
        } = self;
        drop((cache, stop));
        tasks.close();
        tasks.wait().await;
        Self::over(directory, settings, source, now).await
    }

    /// Where its disk is.
    pub(crate) fn directory(&self) -> &Path {
        &self.settings.disk.directory
    }

    pub(crate) async fn erase(&self, key: &str) -> Purged {
        let key = ObjectKey::parse(key).unwrap();
        self.cache.erase(&[(Arc::clone(&self.space), key)]).await
    }

    pub(crate) fn key(&self, key: &str) -> Purge {
        Purge::Key {
            space: Arc::clone(&self.space),
            key: ObjectKey::parse(key).unwrap(),
        }
    }

    /// The time of day goes on.
    pub(crate) fn pass(&self, time: Duration) {
        self.now.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    pub(crate) async fn open(&self, key: &str, part: Part) -> Answer {
        let key = ObjectKey::parse(key).unwrap();
        let source = self.source.source();
        self.cache.open(&self.space, &key, &source, part).await
    }

    pub(crate) async fn held(&self, key: &str, part: Part) -> Held {
        match self.open(key, part).await {
            Answer::Held(held) => *held,
            other => panic!("{key}: {}", name(&other)),
        }
    }

    /// Reads a part of an object that can be kept; opens it anew where it has changed, as a
    /// handler does.
    pub(crate) async fn get(&self, key: &str, part: Part) -> (Served, Result<Vec<u8>, BodyError>) {
        loop {
            let mut held = self.held(key, part).await;
            let range = match part {
                Part::Range(range) => range.resolve(held.total()).unwrap(),
                Part::Head | Part::Whole => ByteRange::whole(held.total()),
            };
            match held.begin(range, part).await {
                Ok(body) => return (held.served(), read(body).await),
                Err(Refused::Changed) => {}
                Err(refused) => panic!("{key}: {refused:?}"),
            }
        }
    }

    pub(crate) async fn refused(&self, key: &str, part: Part) -> Refused {
        let mut held = self.held(key, part).await;
        let range = ByteRange::whole(held.total());
        match held.begin(range, part).await {
            Ok(_) => panic!("{key}: a body began"),
            Err(refused) => refused,
        }
    }
}

/// Waits for what happens in the background.
pub(crate) async fn eventually(what: &str, mut happens: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !happens().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let limit = Duration::from_secs(10);
    assert!(tokio::time::timeout(limit, waited).await.is_ok(), "{what}");
}

pub(crate) fn range(first: u64, last: u64) -> Part {
    Part::Range(RangeRequest::FromTo { first, last })
}

pub(crate) async fn read(mut body: ObjectBody) -> Result<Vec<u8>, BodyError> {
    let mut all = Vec::new();
    while let Some(chunk) = body.next().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all)
}

/// Bytes of which no two places look alike.
pub(crate) fn noise(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

pub(crate) fn name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Held(_) => "held",
        Answer::Passing(_) => "passing",
        Answer::Unsatisfiable { .. } => "unsatisfiable",
        Answer::Missing { .. } => "missing",
        Answer::Withdrawn { .. } => "withdrawn",
        Answer::Withheld { .. } => "withheld",
        Answer::Unknown { .. } => "unknown",
    }
}
