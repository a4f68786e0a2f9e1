//! A journal that is torn, damaged, shared or old.

use std::fs;

use object::ObjectKey;
use origin_resolver::Cursor;

use super::*;
use crate::difference::{Seen, Written};
use crate::fingerprint::Mark;
use crate::record::{Left, NoteKind, Position, seen_to_value, value_to_seen, value_to_written};
use crate::tally::Tally;

pub(super) const NOW: u64 = 1_800_000_000;

fn open(path: &Path) -> Journal {
    Journal::open(path, "all", NOW).unwrap()
}

fn key(n: u64) -> ObjectKey {
    ObjectKey::parse(&format!("key {n}")).unwrap()
}

fn seen(size_bytes: u64) -> Seen {
    Seen {
        size_bytes,
        mark: Mark::of(Some("\"x\"")),
        modified: None,
    }
}

pub(super) fn target_page(keys: std::ops::Range<u64>, next: Option<&str>) -> TargetPage {
    TargetPage {
        next: next.map(at),
        bytes: 7 * (keys.end - keys.start),
        rows: keys
            .map(|n| (Fingerprint::of(&key(n)), seen_to_value(seen(7))))
            .collect(),
    }
}

fn at(after: &str) -> Position {
    Position {
        prefix: 0,
        after: Some(Cursor::new(after)),
    }
}

pub(super) fn plan_page(keys: std::ops::Range<u64>, next: Option<&str>) -> PlanFrame {
    let mut tally = Box::<Tally>::default();
    let items = keys.map(|n| {
        tally.source.add(7);
        tally.new.add(7);
        Item {
            key: key(n),
            size_bytes: 7,
            etag: None,
            modified: None,
            replaces: None,
        }
    });
    let items = items.collect();
    PlanFrame::Page {
        next: next.map(at),
        tally,
        items,
        notes: vec![Note::new(NoteKind::Differs, "other", &"longer")],
    }
}

pub(super) fn done(number: u64, outcome: Outcome) -> Done {
    Done {
        number,
        key: Fingerprint::of(&key(number)),
        outcome,
    }
}

pub(super) fn copied(size_bytes: u64) -> Outcome {
    Outcome::Copied {
        written: Written {
            size_bytes,
            source: 1,
            target: 2,
        },
        replaced: false,
    }
}

fn failed() -> Outcome {
    Outcome::Failed {
        name: "key 2".into(),
        why: "timeout".into(),
    }
}

/// A run with six items, of which three are done.
fn half(path: &Path) -> Journal {
    let mut journal = open(path);
    journal
        .add_target(&target_page(100..103, Some("a")))
        .unwrap();
    journal.add_target(&target_page(103..105, None)).unwrap();
    journal.add_plan(&plan_page(0..3, Some("b"))).unwrap();
    journal.add_plan(&plan_page(3..6, None)).unwrap();
    journal.add_plan(&PlanFrame::Ready).unwrap();
    journal
        .add_done(&[done(0, copied(7)), done(2, failed())])
        .unwrap();
    journal
        .add_done(&[done(4, Outcome::Left(Left::Vanished))])
        .unwrap();
    journal
}

fn todo(journal: &Journal) -> Vec<u64> {
    let (mut walk, mut all) = (Walk::default(), Vec::new());
    while let Some(items) = journal.todo(&mut walk).unwrap() {
        for (number, item) in items {
            assert_eq!(item.key, key(number));
            all.push(number);
        }
    }
    all
}

#[test]
fn a_run_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let before = half(directory.path()).standing().clone();
    let journal = open(directory.path());
    assert!(journal.is_resumed());
    assert_eq!(todo(&journal), [1, 3, 5]);
    let after = journal.standing();
    assert_eq!((after.tally, after.results), (before.tally, before.results));
    assert_eq!(after.results.copied.bytes, 7);
    assert_eq!((after.results.failed, after.results.vanished), (1, 1));
    assert_eq!((after.target.objects, after.target.bytes), (5, 35));
    assert!(after.is_ready && !after.is_finished && after.source_at.is_none());
    let present = journal.present().unwrap();
    let found = present.get(Fingerprint::of(&key(104))).unwrap();
    assert_eq!(value_to_seen(&found.unwrap()), Some(seen(7)));
    assert_eq!(present.get(Fingerprint::of(&key(1))).unwrap(), None);
    let (mut notes, mut failures) = (0, Vec::new());
    journal
        .remarks(
            |_| notes += 1,
            |name, why| failures.push(format!("{name}: {why}")),
        )
        .unwrap();
    assert_eq!((notes, failures), (2, vec!["key 2: timeout".to_owned()]));
}

#[test]
fn a_finished_run_is_followed_by_a_new_one_that_knows_what_was_copied() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = half(directory.path());
    let first = journal.run();
    journal.add_plan(&PlanFrame::Finished).unwrap();
    drop(journal);
    for round in 1..3 {
        let mut journal = open(directory.path());
        assert!(!journal.is_resumed());
        assert_eq!(journal.run(), first + round);
        assert!(todo(&journal).is_empty());
        let known = journal.known().unwrap();
        let found = known.get(Fingerprint::of(&key(0))).unwrap().unwrap();
        assert_eq!(value_to_written(&found).unwrap().target, 2);
        assert_eq!(known.rows(), 1);
        journal.add_target(&target_page(0..1, None)).unwrap();
        journal.add_plan(&plan_page(0..0, None)).unwrap();
        journal.add_plan(&PlanFrame::Ready).unwrap();
        journal.add_plan(&PlanFrame::Finished).unwrap();
    }
}

#[test]
fn a_journal_that_was_given_back_is_free_although_children_are_being_started() {
    let directory = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        let forking = scope.spawn(|| {
            for _ in 0..50 {
                let child = std::process::Command::new("true").status();
                assert!(child.unwrap().success());
            }
        });
        while !forking.is_finished() {
            drop(open(directory.path()));
        }
    });
}

#[test]
fn another_scope_and_a_plan_that_is_old_begin_anew() {
    let directory = tempfile::tempdir().unwrap();
    drop(half(directory.path()));
    let other = Journal::open(directory.path(), "some", NOW).unwrap();
    assert!(!other.is_resumed());
    drop(other);
    let mut journal = open(directory.path());
    journal.add_target(&target_page(0..0, None)).unwrap();
    journal.add_plan(&plan_page(0..1, None)).unwrap();
    journal.add_plan(&PlanFrame::Ready).unwrap();
    drop(journal);
    assert!(open(directory.path()).is_resumed());
    let later = Journal::open(directory.path(), "all", NOW + STALE + 1).unwrap();
    assert!(!later.is_resumed());
}

const STALE: u64 = 60 * 60;

#[test]
fn two_processes_never_have_one_journal() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path());
    let error = Journal::open(directory.path(), "all", NOW).unwrap_err();
    assert!(error.to_string().contains("runs already"), "{error}");
}

#[test]
fn a_torn_tail_costs_what_was_not_acknowledged_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    drop(half(directory.path()));
    let path = directory.path().join("done");
    let whole = fs::read(&path).unwrap();
    let last = whole.len() - (16 + 25);
    for end in last..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let mut journal = open(directory.path());
        assert!(journal.is_resumed(), "{end}");
        assert_eq!(todo(&journal), [1, 3, 4, 5], "{end}");
        journal.add_done(&[done(4, copied(7))]).unwrap();
        drop(journal);
        assert_eq!(todo(&open(directory.path())), [1, 3, 5]);
    }
    let plan = directory.path().join("plan");
    let whole = fs::read(&plan).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&plan, &whole[..whole.len() - 20]).unwrap();
    let journal = open(directory.path());
    assert!(journal.is_resumed() && !journal.standing().is_ready);
    assert_eq!(journal.standing().source_at, Some(at("b")));
}

#[test]
fn a_flipped_bit_anywhere_never_skips_what_was_not_done() {
    let directory = tempfile::tempdir().unwrap();
    drop(half(directory.path()));
    let names = ["plan", "target", "done"];
    let good = names.map(|name| fs::read(directory.path().join(name)).unwrap());
    for (name, bytes) in names.iter().zip(&good) {
        // Each byte in turn, another bit of it each time.
        for bit in (0..bytes.len()).step_by(3).map(|at| at * 8 + at % 8) {
            for (name, bytes) in names.iter().zip(&good) {
                fs::write(directory.path().join(name), bytes).unwrap();
            }
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            fs::write(directory.path().join(name), bad).unwrap();
            let Ok(journal) = Journal::open(directory.path(), "all", NOW) else {
                continue; // another format, which is left as it is
            };
            let left = todo(&journal);
            let is_new = !journal.is_resumed() && left.is_empty() && !journal.standing().is_ready;
            let goes_on = [1, 3, 5].iter().all(|one| left.contains(one));
            let lists_on = !journal.standing().is_ready && journal.standing().done_count() == 0;
            assert!(is_new || goes_on || lists_on, "{name} {bit}: {left:?}");
        }
    }
}

#[test]
fn what_cannot_stand_in_a_journal_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = half(directory.path());
    journal.add_done(&[done(0, copied(7))]).unwrap_err();
    assert_eq!(todo(&journal), [1, 3, 5]);
}
