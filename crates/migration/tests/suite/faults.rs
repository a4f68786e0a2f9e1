//! What goes wrong with single objects, and with an end as a whole.

use std::sync::atomic::Ordering;

use migration::{MigrationError, Verify};
use object::Interruption;
use origin_resolver::Reason;

use crate::fake::Fault;
use crate::fixture::Fixture;

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_and_copied() {
    let fixture = Fixture::new(3);
    fixture.source.gets.lock().unwrap().extend([
        Fault::Fails(Reason::Throttled),
        Fault::Cut(4, Interruption::Cut),
        Fault::Fails(Reason::Timeout),
    ]);
    fixture
        .target
        .puts
        .lock()
        .unwrap()
        .push_back(Fault::Fails(Reason::ServerError));
    let report = fixture.report().await;
    assert!(report.is_complete(), "{:?}", report.remarks);
    assert_eq!(fixture.target.keys().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_is_listed_with_its_reason_and_retried_by_the_next_run() {
    let mut fixture = Fixture::new(3);
    fixture.options.jobs = 1;
    fixture
        .source
        .gets
        .lock()
        .unwrap()
        .push_back(Fault::Fails(Reason::Denied));
    let report = fixture.report().await;
    assert_eq!(
        (report.results.copied.objects, report.results.failed),
        (2, 1)
    );
    assert!(!report.is_complete());
    let failed = &report.remarks.failed[0];
    assert_eq!(&*failed.key, "m/000");
    assert!(failed.why.contains("denied"), "{}", failed.why);
    let next = fixture.report().await;
    assert_eq!((next.results.copied.objects, next.results.failed), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changes_is_begun_again_once() {
    let mut fixture = Fixture::new(1);
    fixture.options.jobs = 1;
    let change = || Fault::Interferes(b"another version");
    fixture.source.gets.lock().unwrap().push_back(change());
    let report = fixture.report().await;
    assert!(report.is_complete());
    assert_eq!(
        &fixture.target.get("m/000").unwrap()[..],
        b"another version"
    );

    let fixture = Fixture::new(1);
    let cut = || Fault::Cut(4, Interruption::Changed);
    fixture.source.gets.lock().unwrap().extend([cut(), cut()]);
    let report = fixture.report().await;
    assert_eq!(report.results.failed, 1);
    assert!(report.remarks.failed[0].why.contains("the body broke"));
    assert!(fixture.target.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_not_the_sources_are_taken_back() {
    let fixture = Fixture::new(1);
    fixture
        .target
        .puts
        .lock()
        .unwrap()
        .push_back(Fault::Mangles);
    let report = fixture.report().await;
    assert!(report.is_complete());
    assert_eq!(fixture.target.get("m/000"), fixture.source.get("m/000"));
    assert_eq!(fixture.target.writes.load(Ordering::Relaxed), 2);

    let fixture = Fixture::new(1);
    let mangled = std::iter::repeat_n(Fault::Mangles, 2);
    fixture.target.puts.lock().unwrap().extend(mangled);
    let report = fixture.report().await;
    assert!(report.remarks.failed[0].why.contains("checksum"));
    assert!(fixture.target.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn somebody_who_stores_the_key_meanwhile_is_not_overwritten() {
    let fixture = Fixture::new(1);
    let theirs = Fault::Interferes(b"theirs");
    fixture.target.puts.lock().unwrap().push_back(theirs);
    let report = fixture.report().await;
    assert_eq!(
        (report.results.appeared, report.results.copied.objects),
        (1, 0)
    );
    assert_eq!(&fixture.target.get("m/000").unwrap()[..], b"theirs");
    assert_eq!(fixture.report().await.tally.differs.objects, 1);
}

#[tokio::test(start_paused = true)]
async fn a_storing_that_nobody_answers_leaves_one_good_copy() {
    let fixture = Fixture::new(1);
    fixture
        .target
        .puts
        .lock()
        .unwrap()
        .push_back(Fault::Unanswered);
    let report = fixture.report().await;
    assert!(report.is_complete());
    assert_eq!(fixture.target.get("m/000"), fixture.source.get("m/000"));
    assert_eq!(fixture.report().await.tally.same.objects, 1);
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_read_again_where_that_is_asked_for() {
    let mut fixture = Fixture::new(2);
    fixture.options.verify = Verify::Read;
    fixture.options.jobs = 1;
    let cut = Fault::Cut(2, Interruption::Cut);
    fixture.target.gets.lock().unwrap().push_back(cut);
    let report = fixture.report().await;
    assert!(report.is_complete());
    assert_eq!(fixture.target.reads.load(Ordering::Relaxed), 3);
    let mut fixture = Fixture::new(2);
    fixture.options.verify = Verify::Length;
    assert!(fixture.report().await.is_complete());
    assert_eq!(fixture.target.heads.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn what_the_source_has_lost_meanwhile_is_no_failure() {
    let fixture = Fixture::new(3);
    let mut dry = Fixture { ..fixture };
    dry.options.dry_run = true;
    dry.report().await;
    dry.options.dry_run = false;
    let key = object::ObjectKey::parse("m/001").unwrap();
    dry.source.objects.lock().unwrap().remove(&key);
    let report = dry.report().await;
    assert_eq!(
        (report.results.copied.objects, report.results.vanished),
        (2, 1)
    );
    assert!(report.is_complete());
}

#[tokio::test(start_paused = true)]
async fn an_end_that_goes_down_stops_the_run_and_makes_no_failures_of_what_is_left() {
    let mut fixture = Fixture::new(100);
    fixture.options.dry_run = true;
    fixture.report().await;
    fixture.options.dry_run = false;
    *fixture.source.down.lock().unwrap() = Some(Reason::Credentials);
    let error = fixture.run().await.unwrap_err();
    assert!(matches!(error, MigrationError::Stopped { .. }), "{error}");
    *fixture.source.down.lock().unwrap() = None;
    let report = fixture.report().await;
    assert!(report.resumed && report.is_complete());
    assert_eq!(report.results.copied.objects, 100);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_goes_down_costs_no_more_readings_than_there_are_jobs() {
    let mut fixture = Fixture::new(100);
    fixture.is_billed = true;
    fixture.options.jobs = 4;
    fixture.options.dry_run = true;
    fixture.report().await;
    fixture.options.dry_run = false;
    *fixture.target.down.lock().unwrap() = Some(Reason::Disk);
    let error = fixture.run().await.unwrap_err();
    assert!(matches!(error, MigrationError::Stopped { .. }), "{error}");
    let reads = fixture.source.reads.load(Ordering::Relaxed);
    assert!((1..=4).contains(&reads), "{reads}");
    *fixture.target.down.lock().unwrap() = None;
    let report = fixture.report().await;
    assert!(report.resumed && report.is_complete());
    assert_eq!(report.results.copied.objects, 100);
    assert_eq!(fixture.source.reads.load(Ordering::Relaxed), 100 + reads);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_listed_is_said_and_the_listing_goes_on_later() {
    let fixture = Fixture::new(10);
    *fixture.source.down.lock().unwrap() = Some(Reason::Denied);
    let error = fixture.run().await.unwrap_err();
    assert!(
        error.to_string().starts_with("old cannot be listed"),
        "{error}"
    );
    *fixture.source.down.lock().unwrap() = None;
    let listings = fixture.target.listings.load(Ordering::Relaxed);
    let report = fixture.report().await;
    assert!(report.is_complete());
    assert_eq!(fixture.target.listings.load(Ordering::Relaxed), listings);
}

fn billed(faults: impl IntoIterator<Item = Fault>) -> Fixture {
    let mut fixture = Fixture::new(1);
    fixture.is_billed = true;
    fixture.source.gets.lock().unwrap().extend(faults);
    fixture
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_is_read_on_from_there_and_no_byte_of_it_twice() {
    let cut = |after| Fault::Cut(after, Interruption::Cut);
    let fixture = billed([
        cut(4),
        Fault::Fails(Reason::Timeout),
        cut(3),
        Fault::Cut(1, Interruption::Stalled),
    ]);
    let report = fixture.report().await;
    assert!(report.is_complete(), "{:?}", report.remarks);
    assert_eq!(fixture.target.get("m/000"), fixture.source.get("m/000"));
    assert_eq!(fixture.source.bytes.load(Ordering::Relaxed), 10);
}

#[tokio::test(start_paused = true)]
async fn a_body_whose_object_was_replaced_when_it_broke_is_not_continued_by_another_version() {
    let cut = Fault::Cut(4, Interruption::Cut);
    let fixture = billed([cut, Fault::Interferes(b"the next 1")]);
    let report = fixture.report().await;
    assert!(report.is_complete(), "{:?}", report.remarks);
    assert_eq!(&fixture.target.get("m/000").unwrap()[..], b"the next 1");
    assert_eq!(fixture.source.bytes.load(Ordering::Relaxed), 4 + 10);
}

#[tokio::test(start_paused = true)]
async fn what_was_paid_for_and_is_spoiled_is_read_again_by_the_next_run_only() {
    let fixture = billed([]);
    let mangles = Fault::Mangles;
    fixture.target.puts.lock().unwrap().push_back(mangles);
    let report = fixture.report().await;
    assert_eq!(report.results.failed, 1);
    let why = &report.remarks.failed[0].why;
    assert!(why.contains("by the next run only"), "{why}");
    assert_eq!(fixture.source.bytes.load(Ordering::Relaxed), 10);
    assert!(fixture.target.keys().is_empty());
    assert!(fixture.report().await.is_complete());
    assert_eq!(fixture.source.bytes.load(Ordering::Relaxed), 20);
}
