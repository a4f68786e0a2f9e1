//! Audits of one origin before others, all of them in memory.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use migration::audit::{
    Against, Audit, Cached, Known, Memory, Options, Recollection, Report, Route, Saved, Standing,
    Verdict,
};
use migration::{Barred, End, Forgetful, MigrationError};
use object::{Digest, ObjectKey};
use origin_resolver::{GuardedOrigin, Reason, Unobserved};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

use crate::fake::{Shelf, Shop, at};
use crate::fixture::{NOW, settings};
use crate::scale::peak_kib;

/// What the gateway would remember of one home.
#[derive(Default)]
pub(crate) struct Ledger {
    at_home: Mutex<BTreeMap<String, Known>>,
    pub(crate) barred: Mutex<BTreeMap<String, Barred>>,
    standing: Mutex<Standing>,
    pub(crate) cached: Mutex<Vec<ObjectKey>>,
    is_down: bool,
}

impl Memory for Ledger {
    fn recall<'a>(
        &'a self,
        keys: &'a [ObjectKey],
    ) -> BoxFuture<'a, Result<Vec<Recollection>, Forgetful>> {
        Box::pin(async move {
            let of = |key: &ObjectKey| Recollection {
                here: None,
                there: vec![self.at_home.lock().unwrap().get(key.as_str()).copied()],
                barred: vec![self.barred.lock().unwrap().get(key.as_str()).copied()],
            };
            Ok(keys.iter().map(of).collect())
        })
    }

    /// One key on each page.
    fn cached(&self, after: Option<String>) -> BoxFuture<'_, Result<Cached, Forgetful>> {
        Box::pin(async move {
            let at: usize = after.map_or(0, |after| after.parse().unwrap());
            let keys = self.cached.lock().unwrap();
            Ok(Cached {
                keys: keys.get(at).cloned().into_iter().collect(),
                next: (at + 1 < keys.len()).then(|| (at + 1).to_string()),
            })
        })
    }

    fn standing(&self, _since: u64) -> BoxFuture<'_, Result<Standing, Forgetful>> {
        Box::pin(async {
            if self.is_down {
                return Err(Forgetful("as the test says".to_owned()));
            }
            Ok(self.standing.lock().unwrap().clone())
        })
    }
}

/// An old origin, and the one that remains.
pub(crate) struct Pair {
    pub(crate) old: Arc<Shelf>,
    pub(crate) new: Arc<Shelf>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) options: Options,
    route: Route,
    pub(crate) directory: TempDir,
}

impl Pair {
    /// Both have so many objects.
    pub(crate) fn new(objects: usize) -> Self {
        Self::of(Shelf::new(), Shelf::new(), objects)
    }

    fn of(old: Shelf, new: Shelf, objects: usize) -> Self {
        let this = Self {
            old: Arc::new(old),
            new: Arc::new(new),
            ledger: Arc::default(),
            options: Options {
                quiet_for: Duration::from_hours(24),
                saves_within: Duration::from_hours(24),
                named: None,
                rows: None,
                sample: None,
                seed: 7,
                max_egress: 0,
                jobs: 4,
                most_blockers: 1000,
            },
            route: Route {
                name: "media".into(),
                keys: vec!["m/".to_owned()],
                homes: vec![0],
                uploads: Some(0),
                roles: Vec::new(),
            },
            directory: tempfile::tempdir().unwrap(),
        };
        for n in 0..objects {
            let (key, bytes) = (format!("m/{n:03}"), format!("object {n:03}"));
            this.old.set(&key, bytes.clone(), 100);
            this.new.set(&key, bytes, 300);
        }
        this
    }

    async fn run(&self) -> Result<Report, MigrationError> {
        let end = |name, shelf: &Arc<Shelf>| {
            let shop = Arc::new(Shop(Arc::clone(shelf)));
            let tasks = TaskTracker::new();
            let guarded = GuardedOrigin::new(settings(name), shop, Arc::new(Unobserved), tasks);
            End::new(guarded)
        };
        let audit = Audit::new(
            end("old", &self.old),
            vec![end("new", &self.new)],
            vec![self.route.clone()],
            self.options.clone(),
            Arc::clone(&self.ledger) as Arc<dyn Memory>,
            at(NOW),
        );
        audit.run().await
    }

    pub(crate) async fn report(&self) -> Report {
        self.run().await.unwrap()
    }

    pub(crate) fn remember(&self, key: &str, known: Known) {
        self.ledger
            .at_home
            .lock()
            .unwrap()
            .insert(key.to_owned(), known);
    }
}

fn copy(length: u64) -> Known {
    Known {
        length,
        digest: Some(Digest([7; 32])),
        verified: 300,
        copied: true,
    }
}

pub(crate) fn against(report: &Report) -> Vec<(&str, Against)> {
    let blockers = report.blockers.iter();
    blockers
        .map(|one| (one.key.as_deref().unwrap_or_default(), one.what))
        .collect()
}

/// Tags of this shelf look like MD5s and are none.
fn opaque() -> Shelf {
    Shelf {
        opaque: true,
        ..Shelf::new()
    }
}

#[tokio::test]
async fn what_both_list_with_equal_checksums_is_safe_and_nothing_was_read() {
    let pair = Pair::new(10);
    let report = pair.report().await;
    assert_eq!(report.verdict, Verdict::Safe, "{report:?}");
    assert_eq!(report.counts.by_checksum.objects, 10);
    for shelf in [&pair.old, &pair.new] {
        assert_eq!(shelf.reads.load(Ordering::Relaxed), 0);
        assert_eq!(shelf.heads.load(Ordering::Relaxed), 0);
        assert_eq!(shelf.writes.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test]
async fn each_way_in_which_a_home_lacks_an_object_is_not_safe() {
    let pair = Pair::new(3);
    pair.old.set("m/absent", "only here", 100);
    pair.old.set("m/short", "whole", 100);
    pair.new.set("m/short", "whol", 300);
    pair.old.set("m/other", "these", 100);
    pair.new.set("m/other", "those", 300);
    let report = pair.report().await;
    assert_eq!(report.verdict, Verdict::NotSafe);
    assert_eq!(
        against(&report),
        [
            ("m/absent", Against::Missing),
            ("m/short", Against::Length { here: 5, there: 4 }),
            ("m/other", Against::Content),
        ]
    );
}

#[tokio::test]
async fn an_equal_length_is_proven_by_the_ledger_or_by_reading_and_else_not() {
    let mut pair = Pair::of(Shelf::new(), opaque(), 2);
    let report = pair.report().await;
    assert_eq!(report.verdict, Verdict::NotSafe, "{report:?}");
    assert_eq!(report.counts.unproven.objects, 2);
    pair.remember("m/000", copy(10));
    pair.remember("m/001", copy(11));
    assert_eq!(
        against(&pair.report().await),
        [("m/001", Against::Unproven)]
    );
    // Written anew since it was copied.
    pair.old.set("m/000", "object xxx", 301);
    assert_eq!(pair.report().await.counts.unproven.objects, 2);
    assert_eq!(pair.new.reads.load(Ordering::Relaxed), 0);

    pair.options.max_egress = 1;
    let report = pair.report().await;
    assert_eq!(report.counts.by_reading.objects, 1, "{report:?}");
    assert_eq!(against(&report), [("m/000", Against::Content)]);
}

#[tokio::test]
async fn tags_that_only_look_like_checksums_accuse_nobody_and_soon_cost_nothing() {
    let pair = Pair::of(Shelf::new(), opaque(), 40);
    for n in 0..40 {
        pair.remember(&format!("m/{n:03}"), copy(10));
    }
    let report = pair.report().await;
    assert_eq!(report.verdict, Verdict::Safe, "{report:?}");
    assert_eq!(report.counts.by_copy.objects, 40);
    // Those that are asked about at the same time go beyond.
    assert!(pair.new.heads.load(Ordering::Relaxed) <= 16 + 4);
}

#[tokio::test]
async fn what_must_stay_gone_is_counted_apart_and_a_loss_is_not_taken_for_deletions() {
    let pair = Pair::new(20);
    pair.old.set("m/tomb", "x", 100);
    pair.old.set("m/gone", "x", 100);
    pair.old.set("m/deleted", "x", 100);
    for (key, why) in [
        ("m/tomb", Barred::Tombstoned),
        ("m/gone", Barred::Withdrawn),
    ] {
        pair.ledger
            .barred
            .lock()
            .unwrap()
            .insert(key.to_owned(), why);
    }
    pair.remember("m/deleted", copy(1));
    let report = pair.report().await;
    assert_eq!(report.verdict, Verdict::Safe, "{report:?}");
    let counts = report.counts;
    let apart = [counts.tombstoned, counts.withdrawn, counts.deleted];
    assert_eq!(apart.map(|sum| sum.objects), [1, 1, 1]);

    // The remaining bucket is emptied, and the ledger knows all that was there.
    for n in 0..20 {
        pair.remember(&format!("m/{n:03}"), copy(10));
    }
    pair.new.objects.lock().unwrap().clear();
    let report = pair.report().await;
    assert_eq!(report.verdict, Verdict::CannotTell, "{report:?}");
    assert!(report.doubts[0].contains("has it lost them"), "{report:?}");
}

#[tokio::test]
async fn what_is_young_saved_waiting_or_needed_stands_against_it() {
    let mut pair = Pair::new(3);
    pair.old.set("m/000", "object 000", NOW - 3600);
    let young = Against::Young {
        modified: Some(NOW - 3600),
    };
    assert_eq!(against(&pair.report().await), [("m/000", young)]);
    pair.options.quiet_for = Duration::from_mins(30);
    assert_eq!(pair.report().await.verdict, Verdict::Safe);

    *pair.ledger.standing.lock().unwrap() = Standing {
        is_serving: true,
        promotions_waiting: 2,
        saves: vec![Saved {
            key: ObjectKey::parse("m/saved").unwrap(),
            first: 9,
            count: 3,
        }],
        unlisted_saves: 0,
    };
    pair.route.roles = vec![Against::UploadsTo];
    let report = pair.report().await;
    let save = Against::Save { first: 9, count: 3 };
    let waiting = Against::PromotionsWaiting { waiting: 2 };
    assert_eq!(
        against(&report),
        [("", Against::UploadsTo), ("", waiting), ("m/saved", save)]
    );
    pair.route.homes.clear();
    pair.route.uploads = None;
    let report = pair.report().await;
    assert!(
        against(&report).contains(&("", Against::OnlyOrigin)),
        "{report:?}"
    );
    assert_eq!(report.counts.missing.objects, 3);
}

#[tokio::test]
async fn a_sample_finds_reasons_against_it_and_is_never_safe() {
    let mut pair = Pair::new(30);
    pair.options.sample = Some(5);
    let report = pair.report().await;
    assert_eq!(report.verdict, Verdict::CannotTell, "{report:?}");
    assert_eq!(report.proven.objects, 5);
    pair.new.objects.lock().unwrap().clear();
    assert_eq!(pair.report().await.verdict, Verdict::NotSafe);
}

#[tokio::test]
async fn what_cannot_be_listed_or_remembered_cannot_be_told() {
    let pair = Pair::new(3);
    for shelf in [&pair.old, &pair.new] {
        *shelf.down.lock().unwrap() = Some(Reason::Denied);
        let error = pair.run().await.unwrap_err();
        assert!(matches!(error, MigrationError::Listing { .. }), "{error}");
        *shelf.down.lock().unwrap() = None;
    }
    let forgetful = Pair {
        ledger: Arc::new(Ledger {
            is_down: true,
            ..Ledger::default()
        }),
        ..pair
    };
    let error = forgetful.run().await.unwrap_err();
    assert!(matches!(error, MigrationError::Forgetful(_)), "{error}");
    assert_eq!(forgetful.old.listings.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_no_route_publishes_or_no_key_names_is_said_and_stands_against_nothing() {
    let old = Shelf {
        unfit: Some(".media-gateway"),
        ..Shelf::new()
    };
    let mut pair = Pair::of(old, Shelf::new(), 2);
    pair.old.set("private/a", "secret", NOW);
    let report = pair.report().await;
    assert_eq!(report.verdict, Verdict::Safe, "{report:?}");
    assert_eq!(report.counts.unfit.objects, 1);
    assert_eq!(report.counts.objects.objects, 2);
    pair.route.keys = vec![String::new()];
    assert_eq!(pair.report().await.verdict, Verdict::NotSafe);
}

#[test]
fn half_a_million_keys_and_as_many_blockers_take_less_than_256_mib() {
    let exe = std::env::current_exe().unwrap();
    let output = std::process::Command::new(exe)
        .args(["--ignored", "--exact", "--nocapture", "audits::audits_many"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let grown: u64 = said
        .split_once("grown ")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok())
        .unwrap();
    assert!(grown < 256 * 1024, "{grown} KiB");
}

#[tokio::test]
#[ignore = "run by the test above in a process of its own, whose memory it measures"]
async fn audits_many() {
    let shelf = || Shelf {
        page: 1000,
        ..Shelf::new()
    };
    let mut pair = Pair::of(shelf(), shelf(), 0);
    pair.options.most_blockers = usize::MAX;
    for n in 0..500_000 {
        let key = format!("m/webpublic-{n:08}-4b2bde99ef348df7e548e65f7d9e.webp");
        pair.old.set(&key, bytes::Bytes::from_static(b"x"), 1);
        let there: &[u8] = if n % 2 == 0 { b"x" } else { b"yy" };
        pair.new.set(&key, bytes::Bytes::from_static(there), 1);
    }
    let before = peak_kib();
    let report = pair.report().await;
    assert_eq!(report.counts.by_checksum.objects, 250_000);
    assert_eq!(report.blockers.len(), 250_000);
    println!("grown {} KiB", peak_kib() - before);
}
