//! Many tombstones and ledger entries: what they take in memory, and how long they take to open.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use object::{Digest, ObjectKey};
use state::{By, Entry, StateDirectory};

use crate::child::{alone, is_soak, say, start, task};

fn name(n: u64) -> String {
    format!("misskey/{n:08}-4a2f-4c6e-9b1d-1f2e3d4c5b6a.webp")
}

fn open(path: &Path) -> StateDirectory {
    StateDirectory::open(path, ["media"]).unwrap()
}

#[test]
fn a_tombstone_takes_sixteen_bytes_of_memory() {
    let _alone = alone();
    let count = if is_soak() { 1_000_000 } else { 100_000 };
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    let began = Instant::now();
    for begin in (0..count).step_by(10_000) {
        let names: Vec<_> = (begin..begin + 10_000).map(name).collect();
        let keys: Vec<_> = names
            .iter()
            .map(|name| ("media", name.as_bytes()))
            .collect();
        state.tombstones().add(&keys, "a test").unwrap();
    }
    println!("{count} tombstones added in {:?}", began.elapsed());
    drop(state);
    // Memory is the whole process's, so it is measured in one that does nothing else.
    for said in start("scale::opens_and_measures", directory.path(), count).succeed() {
        println!("{said}");
    }
}

#[test]
#[ignore = "run by the test above in a process of its own"]
fn opens_and_measures() {
    let (directory, count) = task();
    let elsewhere = tempfile::tempdir().unwrap();
    let empty = open(elsewhere.path());
    let before = resident_bytes();
    let began = Instant::now();
    let state = open(&directory);
    let took = began.elapsed();
    let grown = resident_bytes().saturating_sub(before);
    let tombstones = state.tombstones();
    say(&format!(
        "{count} tombstones: {} bytes on disk, opened in {took:?}, resident memory grew by {grown} bytes",
        fs::metadata(directory.join("tombstones")).unwrap().len()
    ));
    assert_eq!(tombstones.len() as u64, count);
    assert_eq!(tombstones.resident_bytes() as u64, 16 * count);
    assert!(grown < 16 * count + 6 * 1024 * 1024, "{grown}");

    let names: Vec<_> = (0..1000).map(|n| name(n * (count / 1000) * 2)).collect();
    for (what, tombstones) in [("none", empty.tombstones()), ("all", tombstones)] {
        let began = Instant::now();
        for _ in 0..100 {
            for name in &names {
                black_box(tombstones.contains("media", black_box(name.as_bytes())));
            }
        }
        let each = began.elapsed() / 100_000;
        say(&format!("a look-up among {what} of them takes {each:?}"));
    }
    assert!(
        (0..count)
            .step_by(997)
            .all(|n| tombstones.contains("media", name(n).as_bytes()))
    );
    assert!((count..count + 1000).all(|n| !tombstones.contains("media", name(n).as_bytes())));
}

/// The whole database is checked when it is opened, so that takes longer the more it holds.
#[test]
fn a_large_ledger_is_known_after_a_kill() {
    let _alone = alone();
    let count = if is_soak() { 500_000 } else { 10_000 };
    let directory = tempfile::tempdir().unwrap();
    let mut child = start("scale::fills_a_ledger", directory.path(), count);
    println!("{}", child.hear().unwrap());
    child.kill();
    drop(child);
    let length = fs::metadata(directory.path().join("ledger.redb"))
        .unwrap()
        .len();
    let began = Instant::now();
    let state = open(directory.path());
    let opened = began.elapsed();
    // Where that has taken longer than an opening waits.
    state.ledger().flush().unwrap();
    println!(
        "{count} ledger entries: {length} bytes, opened in {opened:?}, ready in {:?}",
        began.elapsed()
    );
    let began = Instant::now();
    for n in (0..count).step_by(10) {
        let known = state.ledger().get("current", &object(n)).unwrap();
        assert_eq!(known.length, n);
    }
    println!(
        "a look-up takes {:?}",
        began.elapsed() / u32::try_from(count / 10).unwrap()
    );
    let began = Instant::now();
    assert_eq!(state.ledger().iter("current").count() as u64, count);
    println!("reading all takes {:?}", began.elapsed());
}

#[test]
#[ignore = "run by the test above in a process of its own, which it kills"]
fn fills_a_ledger() {
    let (directory, count) = task();
    let state = open(&directory);
    let began = Instant::now();
    for n in 0..count {
        let entry = Entry {
            length: n,
            digest: Some(Digest([7; 32])),
            verified: n,
            by: By::Serving,
            withdrawn: None,
        };
        while !state.ledger().verified("current", &object(n), entry) {
            std::thread::yield_now();
        }
    }
    state.ledger().flush().unwrap();
    say(&format!(
        "{count} ledger entries written in {:?}",
        began.elapsed()
    ));
    std::thread::park();
}

fn object(n: u64) -> ObjectKey {
    ObjectKey::parse(&name(n)).unwrap()
}

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib * 1024
}
