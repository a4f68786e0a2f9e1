//! Killed in the middle of an import, the directory has each kind wholly or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

use object::ObjectKey;
use state::{By, Entry, SaveReason, StateDirectory, export, import};

use crate::child::{alone, rounds, say, scatter, start, task};

fn open(path: &Path) -> StateDirectory {
    StateDirectory::open(path, ["media"]).unwrap()
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn entry(verified: u64) -> Entry {
    Entry {
        length: 5,
        digest: None,
        verified,
        by: By::Promotion,
        withdrawn: None,
    }
}

fn exported(state: &StateDirectory) -> Vec<u8> {
    let mut file = Vec::new();
    export(state, &mut file).unwrap();
    file
}

#[test]
fn an_import_that_is_killed_has_taken_each_kind_wholly_or_not_at_all() {
    const MANY: usize = 2000;
    let _alone = alone();
    let made = tempfile::tempdir().unwrap();
    let state = open(made.path());
    let names: Vec<_> = (0..MANY).map(|n| format!("{n}")).collect();
    let keys: Vec<_> = names
        .iter()
        .map(|name| ("media", name.as_bytes()))
        .collect();
    state.tombstones().add(&keys, "").unwrap();
    for name in &names {
        while !state.ledger().verified("current", &key(name), entry(1))
            || !state
                .ledger()
                .record_save("old", SaveReason::Missing, &key(name), 1)
        {
            std::thread::yield_now();
        }
    }
    state.ledger().flush().unwrap();
    let file = exported(&state);
    drop(state);

    let kills = rounds(25, 300);
    let mut seen = BTreeSet::new();
    let mut whole = None;
    for round in 0..kills {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), &file).unwrap();
        let mut child = start("import::imports", directory.path(), round);
        assert_eq!(child.hear().as_deref(), Some("importing"));
        let began = Instant::now();
        match whole {
            None => {
                assert_eq!(child.hear().as_deref(), Some("imported"));
                whole = Some(began.elapsed());
            }
            Some(whole) => {
                child.hear_within(
                    whole.mul_f64(f64::from(u32::try_from(scatter(round, 1000)).unwrap()) / 900.0),
                );
            }
        }
        child.kill();
        drop(child);
        let path = directory.path().join("state");
        let state = open(&path);
        let counts = [
            state.tombstones().len(),
            state.ledger().iter("current").map(Result::unwrap).count(),
            state.ledger().saves("old").map(Result::unwrap).count(),
        ];
        assert!(
            counts.iter().all(|count| [0, MANY].contains(count)),
            "{counts:?}"
        );
        assert!(counts.is_sorted_by(|a, b| a >= b), "in order: {counts:?}");
        seen.insert(counts.map(|count| count > 0));
        let left: Vec<_> = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains(".new"))
            .collect();
        assert_eq!(left, [""; 0]);
        import(&state, &file[..]).unwrap();
        assert!(exported(&state) == file, "after kill {round}");
    }
    println!("{kills} kills within {whole:?}: found {seen:?}");
    assert!(seen.len() > 1, "every kill came before or after: {seen:?}");
}

#[test]
#[ignore = "run by the test above in a process of its own, which it kills"]
fn imports() {
    let (directory, _) = task();
    let file = fs::read(directory.join("file")).unwrap();
    let state = open(&directory.join("state"));
    say("importing");
    import(&state, &file[..]).unwrap();
    say("imported");
}
