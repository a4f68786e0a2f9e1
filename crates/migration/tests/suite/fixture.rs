//! A source, a target, and what is remembered of both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use migration::{
    Barred, End, Forgetful, Journal, Knowledge, Migration, MigrationError, Options, Recalled,
    Report, Selection, Share, Verified, Verify,
};
use object::ObjectKey;
use origin_resolver::{
    Canary, FilesystemSettings, ForbiddenMeans, GuardedOrigin, HttpSettings, IpVersions, Kind,
    MissingMeans, OriginSettings, OriginState, Unobserved,
};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use crate::fake::{Shelf, Shop};

pub(crate) const NOW: u64 = 1_800_000_000;

/// Everything a migration needs.
pub(crate) struct Fixture {
    pub(crate) source: Arc<Shelf>,
    pub(crate) target: Arc<Shelf>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) options: Options,
    /// Whether what is read at the source is paid for.
    pub(crate) is_billed: bool,
    pub(crate) directory: TempDir,
}

/// What a gateway would remember.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) barred: Mutex<BTreeMap<String, Barred>>,
    pub(crate) at_target: Mutex<BTreeSet<String>>,
    /// Whether it wants to be told what is found at the target.
    pub(crate) is_unseen: AtomicBool,
    pub(crate) learned: Mutex<Vec<Verified>>,
    /// Keys that become tombstones when something is stored.
    pub(crate) after: Mutex<Option<(String, Arc<Shelf>)>>,
}

impl Knowledge for Memory {
    fn recall<'a>(
        &'a self,
        keys: &'a [ObjectKey],
    ) -> BoxFuture<'a, Result<Vec<Recalled>, Forgetful>> {
        Box::pin(async move {
            let recall = |key: &ObjectKey| {
                let text = key.as_str();
                let after = self.after.lock().unwrap();
                let stored = after
                    .as_ref()
                    .is_some_and(|(key, shelf)| key == text && shelf.get(text).is_some());
                let barred = self.barred.lock().unwrap().get(text).copied();
                Recalled {
                    barred: barred.or(stored.then_some(Barred::Tombstoned)),
                    was_at_target: self.at_target.lock().unwrap().contains(text),
                    unseen_at_target: self.is_unseen.load(Ordering::Relaxed),
                    ..Recalled::default()
                }
            };
            Ok(keys.iter().map(recall).collect())
        })
    }

    fn learn(&self, copies: Vec<Verified>) -> BoxFuture<'_, Result<(), Forgetful>> {
        Box::pin(async move {
            self.learned.lock().unwrap().extend(copies);
            Ok(())
        })
    }
}

impl Fixture {
    /// A source with so many objects of 10 bytes, and an empty target.
    pub(crate) fn new(objects: usize) -> Self {
        let this = Self::of(Shelf::new(), Shelf::new());
        for n in 0..objects {
            this.source
                .set(&format!("m/{n:03}"), format!("object {n:03}"), 100);
        }
        this
    }

    pub(crate) fn of(source: Shelf, target: Shelf) -> Self {
        Self {
            source: Arc::new(source),
            target: Arc::new(target),
            memory: Arc::default(),
            options: Options {
                selection: Selection::everything(),
                named: None,
                referenced: None,
                lost: false,
                max_withdrawn: Share::percent(10),
                verify: Verify::Checksum,
                jobs: 4,
                bandwidth: None,
                egress_left: (None, None),
                dry_run: false,
            },
            is_billed: false,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn migration(&self) -> Migration {
        let end = |name, shelf: &Arc<Shelf>| {
            let shop = Arc::new(Shop(Arc::clone(shelf)));
            let mut settings = settings(name);
            if name == "old" && self.is_billed {
                settings.kind = web();
            }
            let guarded =
                GuardedOrigin::new(settings, shop, Arc::new(Unobserved), TaskTracker::new());
            End::new(guarded)
        };
        Migration::new(
            end("old", &self.source),
            end("new", &self.target),
            self.options.clone(),
            Arc::clone(&self.memory) as Arc<dyn Knowledge>,
        )
    }

    /// The journal, once nobody has it any more: a run that was dropped may still be writing to
    /// it on a thread of its own.
    pub(crate) fn journal(&self) -> Journal {
        if let Ok(lock) = File::open(self.directory.path().join("lock")) {
            lock.lock().unwrap();
        }
        Journal::open(self.directory.path(), &self.options.scope(), NOW).unwrap()
    }

    pub(crate) async fn run(&self) -> Result<Report, MigrationError> {
        self.migration().run(self.journal()).await
    }

    pub(crate) async fn report(&self) -> Report {
        self.run().await.unwrap()
    }
}

fn web() -> Kind {
    Kind::Http(HttpSettings {
        url: "http://127.0.0.1:1/".parse().unwrap(),
        missing_means: MissingMeans::Missing,
        allow_html: false,
        ip: IpVersions::Any,
    })
}

pub(crate) fn settings(name: &str) -> OriginSettings {
    OriginSettings {
        name: name.into(),
        kind: Kind::Filesystem(FilesystemSettings {
            root: "/nowhere".into(),
            marker: "".into(),
            min_free_bytes: None,
        }),
        state: OriginState::Active,
        rewrite: Vec::new(),
        canary: Canary::Keys(Vec::new()),
        forbidden_means: ForbiddenMeans::Unknown,
        connect_timeout: Duration::from_secs(5),
        first_byte_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(5),
        hedge_after: Duration::from_secs(1),
        max_requests_per_second: None,
        max_concurrency: 64,
    }
}
