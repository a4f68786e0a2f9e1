//! Keys that stand in a file.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use migration::Named;
use object::ObjectKey;

use crate::fixture::Fixture;

fn named(fixture: &mut Fixture, lines: &str) {
    let file = fixture.directory.path().join("keys.txt");
    fs::write(&file, lines).unwrap();
    fixture.options.named = Some(Named {
        name: "keys.txt".into(),
        file: Arc::new(fs::File::open(file).unwrap()),
        digest: [u8::try_from(lines.len() % 256).unwrap(); 32],
        read: Arc::new(|line| ObjectKey::parse(line).map_err(|error| error.to_string())),
        may_be_absent: false,
    });
}

#[tokio::test]
async fn only_named_keys_are_copied_and_nothing_is_listed() {
    let mut fixture = Fixture::new(2000);
    fixture.target.set("m/0001", "object 001", 1);
    let lines: String = (0..1200)
        .map(|n| format!("m/{n:03}\n"))
        .collect::<Vec<_>>()
        .concat();
    named(&mut fixture, &lines);
    let report = fixture.report().await;
    assert!(report.is_complete());
    assert_eq!(report.results.copied.objects, 1200);
    assert_eq!(fixture.source.listings.load(Ordering::Relaxed), 0);
    assert_eq!(report.tally.source_requests, 1200);
    let again = fixture.report().await;
    assert_eq!(
        (again.tally.same.objects, again.tally.new.objects),
        (1200, 0)
    );
}

#[tokio::test]
async fn lines_that_name_nothing_are_said_each_with_its_reason() {
    let mut fixture = Fixture::new(1);
    named(&mut fixture, "m/000\r\n\nm/../x\nabsent");
    let report = fixture.report().await;
    assert_eq!(report.results.copied.objects, 1);
    assert_eq!(
        (report.tally.absent.objects, report.tally.unknown.objects),
        (1, 1)
    );
    let said: Vec<_> = report.remarks.unasked.iter().map(|one| &*one.key).collect();
    assert_eq!(said, ["m/../x", "absent"]);
    assert!(!report.is_complete());
}
