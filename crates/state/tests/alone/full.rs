//! A full file system: what cannot be kept is refused, and nothing is half there.
//!
//! Mounts one, so it needs to be root, as the tests' container is.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use object::ObjectKey;
use state::{By, Entry, StateDirectory, TombstoneError, list_tombstones};

use crate::child::alone;

/// A small file system in memory; unmounted when it is dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(directory.path())
            .status()
            .unwrap();
        assert!(
            mounted.success(),
            "these tests need root to mount a file system"
        );
        Self(directory)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves not a block to anybody.
    fn fill(&self) {
        let mut filler = File::create(self.path().join("filler")).unwrap();
        while filler.write_all(&[1; 4096]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| format!("some/longer/key/{n:06}.webp"))
        .collect()
}

fn keys(names: &[String]) -> Vec<(&str, &[u8])> {
    names
        .iter()
        .map(|name| ("media", name.as_bytes()))
        .collect()
}

#[test]
fn tombstones_that_find_no_room_are_refused_as_a_whole() {
    let _alone = alone();
    let disk = Small::mount("16m");
    let path = disk.path().join("state");
    let state = StateDirectory::open(&path, ["media"]).unwrap();
    let tombstones = state.tombstones();
    tombstones.add(&[("media", b"before")], "a test").unwrap();
    let log = path.join("tombstones");
    let length = fs::metadata(&log).unwrap().len();
    disk.fill();
    // One page, several, and several frames.
    for count in [100, 2000, 30_000] {
        let names = names(count);
        let error = tombstones.add(&keys(&names), "a test").unwrap_err();
        assert!(
            matches!(error, TombstoneError::NotRecorded { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("No space left"), "{error}");
        assert_eq!(fs::metadata(&log).unwrap().len(), length);
        assert!(
            names
                .iter()
                .all(|name| !tombstones.contains("media", name.as_bytes()))
        );
        assert_eq!(tombstones.len(), 1);
    }
    assert_eq!(list_tombstones(&path).unwrap().count(), 1);
    disk.empty();
    let names = names(2000);
    tombstones.add(&keys(&names), "a test").unwrap();
    drop(state);
    let state = StateDirectory::open(&path, ["media"]).unwrap();
    assert_eq!(state.tombstones().len(), 2001);
    drop(state);
}

#[test]
fn a_directory_without_room_still_opens_with_its_tombstones() {
    let _alone = alone();
    let disk = Small::mount("16m");
    let path = disk.path().join("state");
    let state = StateDirectory::open(&path, ["media"]).unwrap();
    let names = names(1000);
    for _ in 0..4 {
        state.tombstones().add(&keys(&names), "a test").unwrap();
    }
    drop(state);
    disk.fill();
    // It wants to be shortened, for which there is no room either.
    let state = StateDirectory::open(&path, ["media"]).unwrap();
    assert_eq!(state.tombstones().len(), 1000);
    drop(state);
}

#[test]
fn a_ledger_that_finds_no_room_comes_back_with_what_it_was_told() {
    let _alone = alone();
    let disk = Small::mount("16m");
    let path = disk.path().join("state");
    let state = StateDirectory::open(&path, ["media"]).unwrap();
    let ledger = state.ledger();
    let entry = Entry {
        length: 5,
        digest: None,
        verified: 7,
        by: By::Serving,
        withdrawn: None,
    };
    let parse = |name: &String| ObjectKey::parse(name).unwrap();
    let names = names(3000);
    ledger.verified("current", &parse(&names[0]), entry);
    ledger.flush().unwrap();
    disk.fill();
    let mut refused = None;
    for name in &names {
        ledger.verified("current", &parse(name), entry);
        if let Err(down) = ledger.flush() {
            refused = Some(down.to_string());
            break;
        }
    }
    let refused = refused.expect("the disk is full");
    assert!(!ledger.is_up(), "{refused}");
    assert!(ledger.counts().failures > 0);
    assert_eq!(ledger.get("current", &parse(&names[0])), None);
    let last = &names[2999];
    assert!(ledger.verified("current", &parse(last), entry), "it waits");
    disk.empty();
    ledger.flush().unwrap();
    assert!(ledger.is_up());
    for name in [&names[0], last] {
        assert_eq!(ledger.get("current", &parse(name)), Some(entry));
    }
    assert_eq!(ledger.counts().dropped, 0);
    drop(state);
}
