//! What it takes to answer from memory, from the disk, and to keep what an origin brings: through
//! the cache alone, without HTTP.
//!
//! Compares nothing itself; criterion does, with its last run.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cache::{
    Answer, Cache, DiskSettings, Found, Keep, Known, Opened, Opening, Rest, Settings, Source,
    Standing, Unobserved,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use object::{ByteRange, Extent, ObjectBody, ObjectHead, ObjectKey, Part, Validator};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const SIZES: [u64; 4] = [8 * KIB, 200 * KIB, MIB, 5 * MIB];
const MEMORY_BYTES: u64 = 256 * MIB;
/// What a connection brings at one time.
const PIECE_BYTES: usize = 16 * 1024;

/// An origin that has every key.
struct Everything {
    length: u64,
}

impl Everything {
    /// No two slices are equal: equal ones would be kept once.
    fn body(key: &ObjectKey, range: ByteRange) -> ObjectBody {
        let length = usize::try_from(range.length()).unwrap();
        let mut bytes = vec![b'x'; length];
        for (n, piece) in bytes.chunks_mut(PIECE_BYTES).enumerate() {
            let mark = format!("{} {} {n}", key.as_str(), range.start);
            piece[..mark.len()].copy_from_slice(mark.as_bytes());
        }
        let bytes = Bytes::from(bytes);
        let pieces = (0..length).step_by(PIECE_BYTES).map(move |at| {
            let end = (at + PIECE_BYTES).min(length);
            Ok(bytes.slice(at..end))
        });
        ObjectBody::new(stream::iter(pieces))
    }
}

impl Source for Everything {
    fn list(&self) -> u64 {
        1
    }

    fn keeps(&self) -> bool {
        true
    }

    fn open(&self, key: &ObjectKey, _: Part) -> BoxFuture<'static, Opened> {
        let whole = ByteRange::whole(self.length);
        let tag = format!("\"{}\"", key.as_str()).into_boxed_str();
        let found = Found {
            origin: "only".into(),
            head: ObjectHead {
                length: Some(self.length),
                content_type: Some("video/mp4".into()),
                validator: Some(Validator::Strong(tag.clone())),
                ..ObjectHead::default()
            },
            etag: Some(tag),
            extent: Extent::Bytes(whole),
            body: Self::body(key, whole),
            keep: Keep::Disk,
        };
        let opened = Opened {
            outcome: Opening::Found(Box::new(found)),
            trail: "only=found".into(),
        };
        std::future::ready(opened).boxed()
    }

    fn rest(&self, key: &ObjectKey, known: Known, range: ByteRange) -> BoxFuture<'static, Rest> {
        let rest = Rest::Bytes {
            origin: known.origin,
            body: Self::body(key, range),
        };
        std::future::ready(rest).boxed()
    }

    fn standing(&self, _: &str) -> Standing {
        Standing::Active
    }
}

/// A cache over a directory of its own.
struct Stage {
    cache: Cache,
    source: Arc<dyn Source>,
    space: Arc<str>,
    tasks: TaskTracker,
    _stop: DropGuard,
    _directory: TempDir,
}

impl Stage {
    async fn set(length: u64, memory_bytes: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let settings = Settings {
            disk: DiskSettings {
                rows_bytes: cache::rows_bytes(memory_bytes),
                directory: directory.path().join("cache"),
                max_size_bytes: 20_000_000_000,
                min_free_bytes: Some(0),
                inactive: Duration::from_hours(24 * 90),
                max_files: None,
            },
            memory_bytes,
            fill_memory_bytes: 64 * MIB,
            found: Duration::from_hours(24 * 90),
            missing: Duration::from_secs(5),
            clock: Settings::system_clock(),
        };
        let cache = Cache::new(settings, Arc::new(Unobserved), &tasks, &stop);
        cache.first_attempt().await.unwrap();
        Self {
            cache,
            source: Arc::new(Everything { length }),
            space: "media".into(),
            tasks,
            _stop: stop.drop_guard(),
            _directory: directory,
        }
    }

    /// One request to its end; returns how many bytes came.
    async fn get(&self, key: &ObjectKey, length: u64) -> u64 {
        let opened = self
            .cache
            .open(&self.space, key, &self.source, Part::Whole)
            .await;
        let Answer::Held(mut held) = opened else {
            panic!("{} is not held", key.as_str());
        };
        let whole = ByteRange::whole(length);
        let mut body = held.begin(whole, Part::Whole).await.unwrap();
        let mut came = 0;
        while let Some(chunk) = body.next().await {
            came += chunk.unwrap().len() as u64;
        }
        assert_eq!(came, length);
        came
    }

    /// Everything that was begun is written.
    async fn settled(&self) {
        self.tasks.close();
        self.cache.close().await;
    }
}

fn hits(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let key = ObjectKey::parse("misskey/a.webp").unwrap();
    for (tier, memory_bytes) in [("memory", MEMORY_BYTES), ("disk", 0)] {
        let mut group = criterion.benchmark_group(format!("hit from {tier}"));
        for length in SIZES {
            let stage = runtime.block_on(Stage::set(length, memory_bytes));
            // What is kept can be seen by other requests as soon as it is written.
            runtime.block_on(async {
                for _ in 0..20 {
                    stage.get(&key, length).await;
                }
            });
            group.throughput(Throughput::Bytes(length));
            group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
                bencher.iter(|| runtime.block_on(stage.get(&key, length)));
            });
            runtime.block_on(stage.settled());
        }
        group.finish();
    }
}

fn misses(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("miss that is kept");
    for length in SIZES {
        let stage = runtime.block_on(Stage::set(length, MEMORY_BYTES));
        let next = AtomicU64::new(0);
        group.throughput(Throughput::Bytes(length));
        group.bench_function(BenchmarkId::from_parameter(length), |bencher| {
            bencher.iter(|| {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let key = ObjectKey::parse(&format!("misskey/{n}.webp")).unwrap();
                runtime.block_on(stage.get(&key, length))
            });
        });
        runtime.block_on(stage.settled());
    }
    group.finish();
}

criterion_group!(
    name = through_the_cache;
    config = Criterion::default().measurement_time(Duration::from_secs(3));
    targets = hits, misses
);
criterion_main!(through_the_cache);
