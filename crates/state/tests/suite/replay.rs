//! The log, replayed, is a plain set; and scopes mean what they should.

use std::collections::BTreeSet;

use proptest::prelude::*;
use state::{Added, MAX_REASON_BYTES, StateDirectory, TombstoneError, list_tombstones};

#[derive(Debug, Clone)]
enum Step {
    Add(Vec<(usize, u8)>),
    Remove(Vec<(usize, u8)>),
    Reopen,
}

const SCOPES: [&str; 3] = ["media", "avatars", "lost"];

fn places() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((0_usize..3, 0_u8..12), 0..6)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => places().prop_map(Step::Add),
        3 => places().prop_map(Step::Remove),
        2 => Just(Step::Reopen),
    ]
}

fn named(places: &[(usize, u8)]) -> Vec<(&'static str, [u8; 1])> {
    places
        .iter()
        .map(|(scope, key)| (SCOPES[*scope], [*key]))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_log_replayed_is_the_set_that_it_was_told(steps in prop::collection::vec(step(), 1..30)) {
        let directory = tempfile::tempdir().unwrap();
        let open = || StateDirectory::open(directory.path(), ["media", "avatars"]).unwrap();
        let mut state = open();
        let mut plain: BTreeSet<(&str, [u8; 1])> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Add(places) => {
                    let places = named(&places);
                    let keys: Vec<_> = places.iter().map(|(scope, key)| (*scope, &key[..])).collect();
                    let before = plain.len();
                    plain.extend(&places);
                    let added = state.tombstones().add(&keys, "why").unwrap();
                    let new = plain.len() - before;
                    prop_assert_eq!(added, Added { new, again: keys.len() - new });
                }
                Step::Remove(places) => {
                    let places = named(&places);
                    let keys: Vec<_> = places.iter().map(|(scope, key)| (*scope, &key[..])).collect();
                    let before = plain.len();
                    plain.retain(|place| !places.contains(place));
                    let removed = state.tombstones().remove(&keys, "why not").unwrap();
                    prop_assert_eq!(removed, before - plain.len());
                }
                Step::Reopen => {
                    // The lock of the old one has to go first.
                    drop(state);
                    state = open();
                }
            }
            let tombstones = state.tombstones();
            prop_assert_eq!(tombstones.len(), plain.len());
            let listed: BTreeSet<_> = list_tombstones(directory.path())
                .unwrap()
                .map(|tombstone| tombstone.unwrap())
                .map(|tombstone| (tombstone.scope.into_string(), tombstone.key[0]))
                .collect();
            let expected: BTreeSet<_> =
                plain.iter().map(|(scope, key)| ((*scope).to_owned(), key[0])).collect();
            prop_assert_eq!(listed, expected);
            for scope in ["media", "avatars"] {
                for key in 0..12 {
                    // No route has the scope "lost": its tombstones apply to all of them.
                    let gone = plain.contains(&(scope, [key])) || plain.contains(&("lost", [key]));
                    prop_assert_eq!(tombstones.contains(scope, &[key]), gone);
                }
            }
            let counted: Vec<_> = tombstones
                .scopes()
                .into_iter()
                .map(|scope| (scope.name.into_string(), scope.tombstones, scope.known))
                .collect();
            let mut expected = Vec::new();
            for scope in ["avatars", "lost", "media"] {
                let count = plain.iter().filter(|(name, _)| *name == scope).count() as u64;
                if count > 0 {
                    expected.push((scope.to_owned(), count, scope != "lost"));
                }
            }
            prop_assert_eq!(counted, expected);
        }
    }
}

#[test]
fn tombstones_of_a_scope_that_a_reload_takes_away_apply_everywhere_until_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDirectory::open(directory.path(), ["media", "avatars"]).unwrap();
    let tombstones = state.tombstones();
    tombstones.add(&[("avatars", b"a")], "").unwrap();
    assert!(!tombstones.contains("media", b"a"));
    let before = tombstones.changes();
    tombstones.know(["media"]);
    assert!(
        tombstones.changes() > before,
        "running responses look again"
    );
    assert!(tombstones.contains("media", b"a"));
    tombstones.know(["media", "avatars"]);
    assert!(!tombstones.contains("media", b"a"));
    assert!(tombstones.contains("avatars", b"a"));
}

#[test]
fn a_list_tells_when_and_why_in_the_order_of_writing() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(list_tombstones(directory.path()).unwrap().count(), 0);
    let state = StateDirectory::open(directory.path(), ["media"]).unwrap();
    let tombstones = state.tombstones();
    tombstones
        .add(&[("media", b"b"), ("media", b"\xff")], "court")
        .unwrap();
    tombstones.add(&[("media", b"a")], "wish").unwrap();
    tombstones.remove(&[("media", b"b")], "mistake").unwrap();
    let listed: Vec<_> = list_tombstones(directory.path())
        .unwrap()
        .map(Result::unwrap)
        .map(|one| {
            (
                one.key.to_vec(),
                one.reason.into_string(),
                one.time > 1_700_000_000,
            )
        })
        .collect();
    let expected = [
        (b"\xff".to_vec(), "court".to_owned(), true),
        (b"a".to_vec(), "wish".to_owned(), true),
    ];
    assert_eq!(listed, expected);
}

#[test]
fn what_is_too_long_is_refused_and_nothing_of_its_batch_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDirectory::open(directory.path(), ["media"]).unwrap();
    let tombstones = state.tombstones();
    let long = "x".repeat(MAX_REASON_BYTES + 1);
    let error = tombstones.add(&[("media", b"a")], &long).unwrap_err();
    assert!(
        matches!(error, TombstoneError::TooLong { what: "reason", .. }),
        "{error}"
    );
    let error = tombstones
        .add(&[("media", b"a"), ("media", &[b'k'; 1025])], "")
        .unwrap_err();
    assert!(
        matches!(error, TombstoneError::TooLong { what: "key", .. }),
        "{error}"
    );
    assert!(tombstones.is_empty());
    tombstones
        .add(&[("media", &[b'k'; 1024])], &long[1..])
        .unwrap();
    assert_eq!(tombstones.len(), 1);
}

#[test]
fn a_log_in_use_does_not_grow_for_ever() {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDirectory::open(directory.path(), ["media"]).unwrap();
    let names: Vec<_> = (0..5000).map(|n| format!("{n}")).collect();
    let keys: Vec<_> = names
        .iter()
        .map(|name| ("media", name.as_bytes()))
        .collect();
    let length = || {
        std::fs::metadata(directory.path().join("tombstones"))
            .unwrap()
            .len()
    };
    state.tombstones().add(&keys, "").unwrap();
    let once = length();
    let mut most = 0;
    for _ in 0..40 {
        state.tombstones().add(&keys, "").unwrap();
        most = most.max(length());
    }
    assert!(most < 20 * once, "{most} bytes, and {once} for each time");
    assert_eq!(state.tombstones().len(), 5000);
    drop(state);
    let state = StateDirectory::open(directory.path(), ["media"]).unwrap();
    assert!(
        keys.iter()
            .all(|(scope, key)| state.tombstones().contains(scope, key))
    );
}
