//! Killed at any moment, the directory has forgotten nothing that it acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Instant;

use object::ObjectKey;
use state::{By, Entry, StateDirectory, list_tombstones};

use crate::child::{alone, rounds, say, scatter, start, task};

fn open(path: &Path) -> StateDirectory {
    StateDirectory::open(path, ["media"]).unwrap()
}

#[test]
fn every_acknowledged_action_is_there_after_a_kill() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    // What must hold of each key; nothing where an action was begun and not acknowledged.
    let mut gone: BTreeMap<String, bool> = BTreeMap::new();
    let mut verified = BTreeSet::new();
    let kills = rounds(60, 1000);
    let began = Instant::now();
    for round in 0..kills {
        let mut child = start(
            "kill::adds_and_removes_until_it_is_killed",
            directory.path(),
            round,
        );
        let mut patience = 1 + scatter(round, 60);
        while let Some(said) = child.hear() {
            let (action, keys) = said.split_once(' ').unwrap();
            for key in keys.split(' ') {
                match action {
                    "added" => drop(gone.insert(key.to_owned(), true)),
                    "removed" => drop(gone.insert(key.to_owned(), false)),
                    "begins" => drop(gone.remove(key)),
                    "flushed" => drop(verified.insert(key.to_owned())),
                    other => panic!("{other}"),
                }
            }
            patience -= u64::from(patience > 0);
            if patience == 0 {
                child.kill();
            }
        }
        drop(child);
        let state = open(directory.path());
        // All of them now and then, and at the end; this round's always.
        let everything = round % 50 == 0 || round == kills - 1;
        for (key, gone) in &gone {
            if everything || key.starts_with(&format!("{round}-")) {
                let found = state.tombstones().contains("media", key.as_bytes());
                assert_eq!(found, *gone, "{key} after kill {round}");
            }
        }
        let flushed = ObjectKey::parse(&format!("{round}-flushed")).unwrap();
        if verified.contains(flushed.as_str()) {
            assert!(state.ledger().get("current", &flushed).is_some());
        }
    }
    let state = open(directory.path());
    for key in &verified {
        let key = ObjectKey::parse(key).unwrap();
        assert!(state.ledger().get("current", &key).is_some(), "{key}");
    }
    let listed = list_tombstones(directory.path()).unwrap().count();
    assert_eq!(listed, state.tombstones().len());
    println!(
        "{kills} kills in {:?}: {} acknowledged keys, {} flushed entries, none forgotten",
        began.elapsed(),
        gone.len(),
        verified.len()
    );
    assert!(gone.len() as u64 > kills);
}

#[test]
#[ignore = "run by the test above in a process of its own, which it kills"]
fn adds_and_removes_until_it_is_killed() {
    let (directory, round) = task();
    let state = open(&directory);
    let tombstones = state.tombstones();
    let flushed = ObjectKey::parse(&format!("{round}-flushed")).unwrap();
    for n in 0.. {
        let size = [1, 1, 3, 40][n % 4];
        let names: Vec<_> = (0..size).map(|m| format!("{round}-{n}-{m}")).collect();
        let keys: Vec<_> = names
            .iter()
            .map(|name| ("media", name.as_bytes()))
            .collect();
        tombstones.add(&keys, "a test").unwrap();
        say(&format!("added {}", names.join(" ")));
        if n % 3 == 2 {
            say(&format!("begins {}", names[0]));
            tombstones.remove(&keys[..1], "a test").unwrap();
            say(&format!("removed {}", names[0]));
        }
        if n == 5 {
            let entry = Entry {
                length: 1,
                digest: None,
                verified: round,
                by: By::Serving,
                withdrawn: None,
            };
            state.ledger().verified("current", &flushed, entry);
            state.ledger().flush().unwrap();
            say(&format!("flushed {flushed}"));
        }
    }
}

#[test]
fn a_kill_while_the_log_is_shortened_forgets_nothing() {
    let _alone = alone();
    let made = tempfile::tempdir().unwrap();
    let state = open(made.path());
    let names: Vec<_> = (0..2500).map(|n| format!("{n}")).collect();
    let keys: Vec<_> = names
        .iter()
        .map(|name| ("media", name.as_bytes()))
        .collect();
    for _ in 0..5 {
        state.tombstones().add(&keys, "a test").unwrap();
    }
    state.tombstones().remove(&keys[..500], "a test").unwrap();
    drop(state);
    let crowded = fs::read(made.path().join("tombstones")).unwrap();

    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("tombstones");
    fs::write(&log, &crowded).unwrap();
    let mut child = start("kill::opens", directory.path(), 0);
    assert_eq!(child.hear().as_deref(), Some("opening"));
    let began = Instant::now();
    assert_eq!(child.hear().as_deref(), Some("opened"));
    let whole = began.elapsed();
    child.succeed();
    let shortened = fs::metadata(&log).unwrap().len();
    assert!(shortened < crowded.len() as u64 / 2);

    let (mut before, mut after) = (0, 0);
    let kills = rounds(40, 500);
    for round in 0..kills {
        fs::write(&log, &crowded).unwrap();
        let mut child = start("kill::opens", directory.path(), round);
        assert_eq!(child.hear().as_deref(), Some("opening"));
        child.hear_within(
            whole.mul_f64(f64::from(u32::try_from(scatter(round, 1000)).unwrap()) / 800.0),
        );
        child.kill();
        drop(child);
        if fs::metadata(&log).unwrap().len() == shortened {
            after += 1;
        } else {
            assert_eq!(fs::read(&log).unwrap(), crowded);
            before += 1;
        }
        let state = open(directory.path());
        for (n, (scope, key)) in keys.iter().enumerate() {
            assert_eq!(state.tombstones().contains(scope, key), n >= 500, "{n}");
        }
    }
    println!("{kills} kills within {whole:?}: {before} before the new log, {after} after");
}

#[test]
#[ignore = "run by the test above in a process of its own, which it kills"]
fn opens() {
    let (directory, _) = task();
    say("opening");
    let _state = open(&directory);
    say("opened");
}
