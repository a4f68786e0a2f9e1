//! What a run copies, what it leaves, and what the next one finds.

use std::sync::atomic::Ordering;

use migration::{Barred, MigrationError, Pattern, Shard, Verify};
use origin_resolver::Capacity;

use crate::fake::{Fault, Shelf};
use crate::fixture::Fixture;

#[tokio::test]
async fn everything_is_copied_and_the_next_run_finds_nothing_new() {
    let fixture = Fixture::new(10);
    let report = fixture.report().await;
    assert_eq!(report.results.copied.objects, 10);
    assert_eq!(report.results.copied.bytes, 100);
    assert!(report.is_complete() && !report.resumed);
    assert_eq!(fixture.target.keys(), fixture.source.keys());
    assert_eq!(fixture.target.get("m/003"), fixture.source.get("m/003"));
    assert_eq!(fixture.memory.learned.lock().unwrap().len(), 10);
    let again = fixture.report().await;
    assert_eq!((again.tally.new.objects, again.tally.same.objects), (0, 10));
    assert_eq!(fixture.source.reads.load(Ordering::Relaxed), 10);
    fixture.source.set("m/later", "x", 100);
    assert_eq!(fixture.report().await.results.copied.objects, 1);
    assert_eq!(fixture.source.reads.load(Ordering::Relaxed), 11);
}

#[tokio::test]
async fn a_run_that_is_dropped_goes_on_and_copies_nothing_twice() {
    let mut fixture = Fixture::new(200);
    fixture.options.jobs = 1;
    let migration = fixture.migration();
    let half = async {
        while fixture.target.keys().len() < 100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = migration.run(fixture.journal()) => panic!("it was not stopped"),
        () = half => {}
    }
    let listings = fixture.source.listings.load(Ordering::Relaxed);
    let report = fixture.report().await;
    assert!(report.resumed && report.is_complete());
    assert_eq!(fixture.source.listings.load(Ordering::Relaxed), listings);
    let done = report.results;
    assert_eq!(done.copied.objects + done.appeared, 200);
    // The one that was under way.
    assert!(done.appeared <= 1);
    assert!(fixture.source.reads.load(Ordering::Relaxed) <= 202);
}

#[tokio::test]
async fn what_is_found_where_the_application_deletes_is_told_and_nothing_is_claimed_of_it() {
    let fixture = Fixture::new(4);
    fixture.memory.is_unseen.store(true, Ordering::Relaxed);
    fixture.target.set("m/000", "object 000", 100);
    fixture.target.set("m/001", "another", 100);
    let theirs = Fault::Interferes(b"theirs");
    fixture.target.puts.lock().unwrap().push_back(theirs);
    let report = fixture.report().await;
    assert_eq!(report.results.appeared, 1, "of m/002 or m/003");
    let learned = fixture.memory.learned.lock().unwrap().clone();
    let of = |claims: bool| {
        let such = learned.iter().filter(|one| one.digest.is_some() == claims);
        let mut such: Vec<_> = such.map(|one| (one.key.as_str(), one.length)).collect();
        such.sort_unstable();
        such
    };
    let (found, copied) = (of(false), of(true));
    assert_eq!(found[..2], [("m/000", 10), ("m/001", 7)]);
    assert_eq!((found.len(), copied.len()), (3, 1));
    assert_eq!(found[2].1, 6, "as long as theirs");
}

#[tokio::test]
async fn what_must_stay_gone_is_never_copied() {
    let fixture = Fixture::new(4);
    let bar = |key: &str, why| {
        fixture
            .memory
            .barred
            .lock()
            .unwrap()
            .insert(key.to_owned(), why);
    };
    bar("m/000", Barred::Tombstoned);
    bar("m/001", Barred::Withdrawn);
    fixture
        .memory
        .at_target
        .lock()
        .unwrap()
        .insert("m/002".to_owned());
    // So that it does not look as if it had lost everything.
    fixture.target.set("m/uploaded", "there", 1);
    let report = fixture.report().await;
    assert_eq!(fixture.target.keys(), ["m/003", "m/uploaded"]);
    assert_eq!(report.tally.tombstoned.objects, 1);
    assert_eq!(report.tally.withdrawn.objects, 2);
    assert!(report.is_complete());
}

#[tokio::test]
async fn a_key_that_becomes_a_tombstone_while_it_is_copied_does_not_stay() {
    let fixture = Fixture::new(3);
    let shelf = std::sync::Arc::clone(&fixture.target);
    *fixture.memory.after.lock().unwrap() = Some(("m/001".to_owned(), shelf));
    let report = fixture.report().await;
    assert_eq!(fixture.target.keys(), ["m/000", "m/002"]);
    assert_eq!(report.results.tombstoned, 1);
    assert_eq!(fixture.memory.learned.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_differs_is_reported_and_left() {
    let fixture = Fixture::new(3);
    fixture.target.set("m/000", "longer than that", 900);
    fixture.target.set("m/001", "OBJECT 001", 900);
    let report = fixture.report().await;
    assert_eq!(report.tally.differs.objects, 2);
    assert!(!report.is_complete());
    let why: Vec<_> = report.remarks.differs.iter().map(|one| &*one.why).collect();
    assert_eq!(
        why,
        [
            "10 bytes at the source, 16 at the target",
            "the same length and another checksum"
        ]
    );
    assert_eq!(
        &fixture.target.get("m/000").unwrap()[..],
        b"longer than that"
    );
}

#[tokio::test]
async fn tags_that_only_look_like_checksums_stop_no_migration_and_are_not_asked_about_for_ever() {
    let opaque = || Shelf {
        opaque: true,
        ..Shelf::new()
    };
    let fixture = Fixture::of(opaque(), opaque());
    for n in 0..60 {
        fixture.source.set(&format!("{n:03}"), "the same", 1);
        fixture.target.set(&format!("{n:03}"), "the same", 2);
    }
    let report = fixture.report().await;
    assert_eq!(report.tally.same.objects, 60);
    assert_eq!(report.tally.target_requests, 16);
}

#[tokio::test]
async fn a_copy_of_ours_is_replaced_when_the_source_is_newer_and_a_foreign_one_is_not() {
    let fixture = Fixture::new(3);
    fixture.report().await;
    for key in ["m/000", "m/001"] {
        fixture.source.set(key, "written anew", 1000);
    }
    fixture.target.set("m/001", "somebody else's", 600);
    let report = fixture.report().await;
    assert_eq!(
        (report.tally.newer.objects, report.tally.differs.objects),
        (1, 1)
    );
    assert_eq!(report.results.replaced.objects, 1);
    assert_eq!(&fixture.target.get("m/000").unwrap()[..], b"written anew");
    assert_eq!(
        &fixture.target.get("m/001").unwrap()[..],
        b"somebody else's"
    );
}

#[tokio::test]
async fn nothing_is_copied_that_does_not_fit() {
    let target = Shelf {
        capacity: Some(Capacity {
            free_bytes: 4096 * 3,
            free_inodes: 100,
        }),
        ..Shelf::new()
    };
    let mut fixture = Fixture::of(Shelf::new(), target);
    for n in 0..4 {
        fixture.source.set(&format!("{n}"), "x", 1);
    }
    let error = fixture.run().await.unwrap_err();
    assert!(matches!(error, MigrationError::DoesNotFit(_)), "{error}");
    assert!(fixture.target.keys().is_empty());
    fixture.options.dry_run = true;
    let report = fixture.report().await;
    assert!(report.shortfall.is_some());
    fixture.options.dry_run = false;
    fixture.options.egress_left = (Some(3), None);
    fixture.options.selection.prefix = "0".to_owned();
    assert_eq!(fixture.report().await.results.copied.objects, 1);
}

#[tokio::test]
async fn a_dry_run_copies_nothing_and_the_run_behind_it_lists_nothing_again() {
    let mut fixture = Fixture::new(5);
    fixture.options.dry_run = true;
    fixture.options.verify = Verify::Read;
    fixture.options.bandwidth = Some(10);
    let report = fixture.report().await;
    assert!(fixture.target.keys().is_empty() && report.dry_run);
    assert_eq!(report.estimate.source_bytes, 50);
    assert_eq!(report.estimate.seconds, Some(10));
    let others: Vec<_> = report.alternatives.iter().map(|one| one.seconds).collect();
    assert_eq!(others, [Some(5), Some(5)]);
    let listings = fixture.source.listings.load(Ordering::Relaxed);
    fixture.options.dry_run = false;
    fixture.options.bandwidth = None;
    assert_eq!(fixture.report().await.results.copied.objects, 5);
    assert_eq!(fixture.source.listings.load(Ordering::Relaxed), listings);
}

#[tokio::test]
async fn shards_share_the_keys_out() {
    let mut fixture = Fixture::new(40);
    let mut copied = 0;
    for n in 1..=3 {
        let directory = tempfile::tempdir().unwrap();
        fixture.directory = directory;
        fixture.options.selection.shard = Shard::new(n, 3).unwrap();
        let report = fixture.report().await;
        assert!(report.results.copied.objects > 0);
        copied += report.results.copied.objects;
    }
    assert_eq!(copied, 40);
    assert_eq!(fixture.target.keys().len(), 40);
}

#[tokio::test]
async fn only_what_is_wanted_is_copied_and_the_rest_is_counted() {
    let mut fixture = Fixture::new(2);
    for key in ["m/a.tmp", "private/a", "null/a"] {
        fixture.source.set(key, "x", 1);
    }
    fixture.options.selection.published = Some(vec!["m/".to_owned(), "null/".to_owned()]);
    fixture.options.selection.exclude = vec![Pattern::new("*.tmp")];
    let report = fixture.report().await;
    assert_eq!(fixture.target.keys(), ["m/000", "m/001", "null/a"]);
    assert_eq!(report.tally.excluded.objects, 1);
    // What no route publishes is not even listed.
    assert_eq!(report.tally.source.objects, 4);
}

#[tokio::test]
async fn what_no_key_can_name_is_said() {
    let source = Shelf {
        unfit: Some(".media-gateway-x"),
        ..Shelf::new()
    };
    let fixture = Fixture::of(source, Shelf::new());
    fixture.source.set("a", "x", 1);
    let report = fixture.report().await;
    assert_eq!(report.tally.unfit.objects, 1);
    assert_eq!(&*report.remarks.unfit[0].key, ".media-gateway-x");
    assert!(!report.is_complete());
}
