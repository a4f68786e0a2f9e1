//! What the application's rows name, in migrations and audits; and targets that have lost what
//! was in them.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use migration::audit::{self, Against, Verdict};
use migration::{Barred, MigrationError, Named, Referenced, Share};
use object::ObjectKey;

use crate::audits::{Pair, against};
use crate::fake::at;
use crate::fixture::{Fixture, NOW};

fn names(keys: &[&str]) -> Arc<migration::Names> {
    let keys: BTreeSet<String> = keys.iter().map(ToString::to_string).collect();
    Arc::new(move |key| keys.contains(key.as_str()))
}

fn referenced(fixture: &mut Fixture, keys: &[&str]) {
    fixture.options.referenced = Some(Referenced {
        by: "a test".into(),
        names: names(keys),
    });
}

/// Rows that name these keys, read now.
fn rows(pair: &Pair, keys: &[&str]) -> audit::Rows {
    let file = pair.directory.path().join("rows");
    fs::write(&file, keys.join("\n")).unwrap();
    audit::Rows {
        keys: Named {
            name: "rows".into(),
            file: Arc::new(fs::File::open(file).unwrap()),
            digest: [0; 32],
            read: Arc::new(|line| ObjectKey::parse(line).map_err(|error| error.to_string())),
            may_be_absent: true,
        },
        row: Arc::new(|line| format!("row of {line}").into()),
        names: names(keys),
        read: at(NOW),
        max_unreferenced: Share::percent(10),
    }
}

#[tokio::test]
async fn only_what_a_row_names_is_copied_and_the_rest_is_counted() {
    let mut fixture = Fixture::new(5);
    referenced(&mut fixture, &["m/001", "m/003", "m/absent"]);
    let report = fixture.report().await;
    assert!(report.is_complete());
    assert_eq!(report.results.copied.objects, 2);
    assert_eq!(report.tally.unreferenced.objects, 3);
    assert!(fixture.target.get("m/001").is_some() && fixture.target.get("m/000").is_none());
}

#[tokio::test]
async fn what_loses_its_row_before_it_is_copied_is_not_copied() {
    let mut fixture = Fixture::new(3);
    // It has one when it is planned, and none when its turn comes.
    let asked = AtomicBool::new(false);
    fixture.options.referenced = Some(Referenced {
        by: "a test".into(),
        names: Arc::new(move |key| key.as_str() != "m/001" || !asked.swap(true, Ordering::Relaxed)),
    });
    let report = fixture.report().await;
    assert_eq!(report.tally.new.objects, 3);
    let results = report.results;
    assert_eq!((results.copied.objects, results.withdrawn), (2, 1));
    assert!(fixture.target.get("m/001").is_none());
}

#[tokio::test]
async fn with_the_rows_of_another_database_nothing_is_copied_and_that_is_said() {
    let mut fixture = Fixture::new(3);
    referenced(&mut fixture, &["somebody/else"]);
    let error = fixture.run().await.unwrap_err();
    assert!(
        matches!(error, MigrationError::Rowless { objects: 3, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("restored or wrong database"),
        "{error}"
    );
}

#[tokio::test]
async fn a_target_that_has_lost_much_stops_the_migration_and_a_few_deletions_do_not() {
    let mut fixture = Fixture::new(100);
    for n in 0..100 {
        let key = format!("m/{n:03}");
        if n >= 10 {
            fixture.target.set(&key, format!("object {n:03}"), 200);
        }
        fixture.memory.at_target.lock().unwrap().insert(key);
    }
    let report = fixture.report().await;
    assert_eq!(report.tally.unnoticed.objects, 10);
    assert_eq!(report.results.copied.objects, 0);

    for n in 10..30 {
        fixture.target.remove(&format!("m/{n:03}"));
    }
    let error = fixture.run().await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("30 of 100 keys") && said.contains("--lost"),
        "{said}"
    );
    fixture.options.dry_run = true;
    assert!(fixture.run().await.is_err(), "a dry run says it too");
    fixture.options.dry_run = false;

    // The operator's word, one way and the other; the first one lists nothing again.
    fixture.options.max_withdrawn = Share::percent(30);
    let report = fixture.report().await;
    assert_eq!((report.tally.withdrawn.objects, report.resumed), (30, true));
    assert_eq!(report.results.copied.objects, 0);
    fixture.options.lost = true;
    fixture
        .memory
        .barred
        .lock()
        .unwrap()
        .insert("m/000".to_owned(), Barred::Withdrawn);
    let report = fixture.report().await;
    assert_eq!(report.results.copied.objects, 29, "{report:?}");
    assert!(
        fixture.target.get("m/000").is_none(),
        "its deletion was noticed"
    );
}

#[tokio::test]
async fn an_emptied_target_stops_the_migration_however_little_there_was() {
    let mut fixture = Fixture::new(2);
    let known = ["m/000", "m/001"].map(str::to_owned);
    fixture.memory.at_target.lock().unwrap().extend(known);
    let error = fixture.run().await.unwrap_err();
    assert!(
        matches!(error, MigrationError::Withdrawn { missing: 2, .. }),
        "{error}"
    );
    fixture.options.max_withdrawn = Share::ALL;
    assert_eq!(fixture.report().await.tally.withdrawn.objects, 2);
}

#[tokio::test]
async fn an_audit_tells_what_no_row_names_from_what_would_be_lost() {
    let mut pair = Pair::new(20);
    for key in ["m/rowless", "m/named"] {
        pair.old.set(key, "only here", 100);
    }
    let both: Vec<_> = (0..20).map(|n| format!("m/{n:03}")).collect();
    let mut keys: Vec<_> = both.iter().map(String::as_str).collect();
    keys.extend(["m/named", "m/new", "m/nobody", "other/route"]);
    pair.new.set("m/new", "uploaded since", 300);
    pair.options.rows = Some(rows(&pair, &keys));
    let report = pair.report().await;
    assert_eq!(
        against(&report),
        [("m/named", Against::Missing)],
        "{report:?}"
    );
    let counts = report.counts;
    assert_eq!(counts.unreferenced.objects, 1);
    assert_eq!(counts.unreferenced_only_here.objects, 1);
    let rows = report.rows.unwrap();
    assert_eq!(
        (rows.keys, rows.here, rows.elsewhere, rows.nowhere),
        (23, 21, 1, 1)
    );
    let nobody = &rows.nobody_has[0];
    assert_eq!(
        (&*nobody.key, &*nobody.row),
        ("m/nobody", "row of m/nobody")
    );
    assert!(!nobody.existed);

    pair.old.remove("m/named");
    let report = pair.report().await;
    assert_eq!(report.verdict, Verdict::Safe, "{report:?}");
}

#[tokio::test]
async fn what_has_no_row_yet_may_get_one() {
    let mut pair = Pair::new(1);
    pair.old.set("m/fresh", "only here", NOW - 3600);
    pair.options.rows = Some(rows(&pair, &["m/000"]));
    let report = pair.report().await;
    let sorts: Vec<_> = report.blockers.iter().map(|one| one.what).collect();
    assert!(
        matches!(sorts[..], [Against::Missing, Against::Young { .. }]),
        "{report:?}"
    );
    assert_eq!(report.counts.unreferenced.objects, 0);
    // Where no times are looked at, it is as old as any.
    pair.options.quiet_for = std::time::Duration::ZERO;
    let report = pair.report().await;
    assert_eq!(report.verdict, Verdict::Safe, "{report:?}");
    assert_eq!(report.counts.unreferenced_only_here.objects, 1);
}

#[tokio::test]
async fn implausibly_many_objects_without_a_row_are_a_doubt() {
    let mut pair = Pair::new(5);
    for n in 0..30 {
        pair.old.set(&format!("m/old-{n}"), "only here", 100);
    }
    let keys = ["m/000", "m/001", "m/002", "m/003", "m/004"];
    pair.options.rows = Some(rows(&pair, &keys));
    let report = pair.report().await;
    assert_eq!(report.verdict, Verdict::CannotTell, "{report:?}");
    assert!(
        report.doubts[0].contains("30 of 35 objects have no row"),
        "{report:?}"
    );
    pair.options.rows.as_mut().unwrap().max_unreferenced = Share::ALL;
    assert_eq!(pair.report().await.verdict, Verdict::Safe);
}

#[tokio::test]
async fn what_a_row_names_was_lost_and_not_deleted() {
    let mut pair = Pair::new(2);
    pair.new.remove("m/001");
    let known = migration::audit::Known {
        length: 10,
        digest: None,
        verified: 300,
        copied: false,
    };
    pair.remember("m/001", known);
    let report = pair.report().await;
    assert_eq!(
        (report.verdict, report.counts.deleted.objects),
        (Verdict::Safe, 1)
    );
    pair.options.rows = Some(rows(&pair, &["m/000", "m/001"]));
    let missing = [("m/001", Against::Missing)];
    assert_eq!(against(&pair.report().await), missing);
    let barred = (String::from("m/001"), Barred::Withdrawn);
    pair.ledger.barred.lock().unwrap().extend([barred]);
    assert_eq!(against(&pair.report().await), missing);
}

#[tokio::test]
async fn what_only_the_cache_has_stands_against_it() {
    let mut pair = Pair::new(3);
    let key = |text: &str| ObjectKey::parse(text).unwrap();
    // Only here, which is said already; at the other one too; nowhere; and gone for good.
    pair.old.set("m/only-here", "listed", 100);
    pair.ledger.cached.lock().unwrap().extend(
        [
            "m/only-here",
            "m/000",
            "m/last-copy",
            "m/tombstoned",
            "other/key",
        ]
        .map(key),
    );
    let barred = (String::from("m/tombstoned"), Barred::Tombstoned);
    pair.ledger.barred.lock().unwrap().extend([barred]);
    let report = pair.report().await;
    assert_eq!(
        against(&report),
        [
            ("m/only-here", Against::Missing),
            ("m/last-copy", Against::OnlyCached)
        ],
        "{report:?}"
    );
    assert_eq!(report.counts.only_cached, 1);
    pair.old.remove("m/only-here");
    pair.options.rows = Some(rows(&pair, &["m/000", "m/001", "m/002"]));
    assert_eq!(
        pair.report().await.verdict,
        Verdict::Safe,
        "no row names it"
    );
}
