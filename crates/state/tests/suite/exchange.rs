//! The state as one file: whole or refused, merged or untouched.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use object::{Digest, ObjectKey};
use state::{
    By, Entry, ImportError, Imported, Save, SaveReason, StateDirectory, Taken, Tombstone, export,
    import, list_tombstones,
};

pub(crate) fn open(path: &Path) -> StateDirectory {
    StateDirectory::open(path, ["media"]).unwrap()
}

pub(crate) fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

pub(crate) fn entry(verified: u64) -> Entry {
    Entry {
        length: 5,
        digest: None,
        verified,
        by: By::Promotion,
        withdrawn: None,
    }
}

/// A state with something of everything.
fn fill(state: &StateDirectory) {
    let tombstones = state.tombstones();
    tombstones
        .add(
            &[("media", b"//x"), ("media", b"\xff\x00")],
            "court \"1\"\n",
        )
        .unwrap();
    tombstones
        .add(&[("media", "写真 1.png".as_bytes())], "")
        .unwrap();
    tombstones.add(&[("lost", b"mistake")], "").unwrap();
    tombstones
        .remove(&[("lost", b"mistake")], "it was one")
        .unwrap();
    let canaries = BTreeMap::from([("current".to_owned(), vec![key("a"), key("b")])]);
    state.keep_canaries(&canaries).unwrap();
    let ledger = state.ledger();
    ledger.verified("current", &key("a"), entry(10));
    let digest = Some(Digest([9; 32]));
    ledger.verified(
        "current",
        &key("b"),
        Entry {
            digest,
            ..entry(11)
        },
    );
    ledger.withdrawn("current", &key("b"), 12);
    ledger.record_save("old", SaveReason::Missing, &key("a"), 13);
    ledger.record_save("old", SaveReason::Missing, &key("a"), 14);
    ledger.record_save("old", SaveReason::Unknown, &key("a"), 15);
    ledger.flush().unwrap();
}

/// All that can be read of a state.
#[derive(Debug, PartialEq)]
struct Everything {
    tombstones: Vec<Tombstone>,
    canaries: BTreeMap<String, Vec<ObjectKey>>,
    ledger: Vec<(ObjectKey, Entry)>,
    saves: Vec<Save>,
}

fn everything(state: &StateDirectory) -> Everything {
    let listed = list_tombstones(state.path()).unwrap();
    Everything {
        tombstones: listed.map(Result::unwrap).collect(),
        canaries: state.canaries(),
        ledger: state.ledger().iter("current").map(Result::unwrap).collect(),
        saves: state.ledger().saves("old").map(Result::unwrap).collect(),
    }
}

pub(crate) fn exported(state: &StateDirectory) -> Vec<u8> {
    let mut file = Vec::new();
    export(state, &mut file).unwrap();
    file
}

#[test]
fn what_is_exported_is_what_an_import_brings_back() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (here, there) = (open(here.path()), open(there.path()));
    fill(&here);
    let mut file = Vec::new();
    let written = export(&here, &mut file).unwrap();
    assert_eq!(written.without_ledger, None);
    assert_eq!((written.counts.tombstones, written.counts.removals), (3, 1));
    let taken = |taken| Taken { taken, left: 0 };
    let all = Imported {
        tombstones: taken(4),
        canaries: taken(2),
        ledger: taken(2),
        saves: taken(2),
    };
    assert_eq!(import(&there, &file[..]).unwrap(), all);
    assert_eq!(everything(&there), everything(&here));
    assert!(
        there.tombstones().contains("media", b"//x"),
        "from now on, not from a restart"
    );
    assert_eq!(exported(&there), file, "the same state is the same file");

    // A second time there is nothing to take.
    let left = |left| Taken { taken: 0, left };
    let none = Imported {
        tombstones: left(4),
        canaries: left(2),
        ledger: left(2),
        saves: left(2),
    };
    assert_eq!(import(&there, &file[..]).unwrap(), none);
    assert_eq!(exported(&there), file);
}

#[test]
fn an_import_is_durable_when_it_is_reported() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let here = open(here.path());
    fill(&here);
    let file = exported(&here);
    let state = open(there.path());
    import(&state, &file[..]).unwrap();
    drop(state);
    let state = open(there.path());
    assert_eq!(everything(&state), everything(&here));
    state.tombstones().add(&[("media", b"more")], "").unwrap();
    assert_eq!(state.tombstones().len(), 4);
}

#[test]
fn an_empty_state_is_a_file_too() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    let file = exported(&state);
    assert_eq!(import(&state, &file[..]).unwrap(), Imported::default());
}

#[test]
fn a_file_cut_at_any_byte_is_refused_and_changes_nothing() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (here, there) = (open(here.path()), open(there.path()));
    fill(&here);
    let file = exported(&here);
    for end in 0..file.len() {
        let error = import(&there, &file[..end]).unwrap_err();
        assert!(
            matches!(error, ImportError::Truncated { .. }),
            "{end}: {error}"
        );
    }
    // A line is missing, and the file ends as it should.
    let text = String::from_utf8(file).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for missing in 1..lines.len() - 1 {
        let mut cut = lines.clone();
        cut.remove(missing);
        let cut = cut.join("\n") + "\n";
        let error = import(&there, cut.as_bytes()).unwrap_err();
        assert!(
            matches!(error, ImportError::Damaged { .. }),
            "{missing}: {error}"
        );
    }
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(everything(&there), everything(&open(empty.path())));
}

#[test]
fn a_flipped_byte_anywhere_is_refused_and_changes_nothing() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (here, there) = (open(here.path()), open(there.path()));
    fill(&here);
    let file = exported(&here);
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 0x02;
        let error = import(&there, &bad[..]).unwrap_err();
        assert!(
            !matches!(error, ImportError::Stopped { .. }),
            "{at}: {error}"
        );
        assert!(
            error.to_string().contains("nothing was imported"),
            "{error}"
        );
    }
    assert!(there.tombstones().is_empty());
}

#[test]
fn what_is_no_export_of_this_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    for foreign in [
        "hello\n",
        "{}\n",
        "{\"format\":\"something\",\"version\":1,\"counts\":{}}\n",
        "[1,2]",
        "\u{0}\u{0}\u{0}",
    ] {
        let error = import(&state, foreign.as_bytes()).unwrap_err();
        assert!(matches!(error, ImportError::Foreign), "{foreign}: {error}");
    }
    let newer = "{\"format\":\"media-gateway-state\",\"version\":2,\"wishes\":{}}\nmore\n";
    let error = import(&state, newer.as_bytes()).unwrap_err();
    assert!(
        matches!(error, ImportError::OtherVersion { found: 2 }),
        "{error}"
    );
    let mut followed = exported(&state);
    followed.extend(b"{}\n");
    let error = import(&state, &followed[..]).unwrap_err();
    assert!(matches!(error, ImportError::Damaged { .. }), "{error}");
    // A line without an end must not fill the memory.
    let endless = vec![b'x'; 10_000_000];
    assert!(matches!(
        import(&state, &endless[..]),
        Err(ImportError::Foreign)
    ));
}

#[test]
fn a_state_whose_ledger_is_damaged_is_exported_without_it_and_says_so() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(here.path().join("ledger.redb"), [0xa5; 9000]).unwrap();
    let (here, there) = (open(here.path()), open(there.path()));
    here.tombstones().add(&[("media", b"a")], "").unwrap();
    let mut file = Vec::new();
    let written = export(&here, &mut file).unwrap();
    assert!(written.without_ledger.unwrap().contains("damaged"));
    import(&there, &file[..]).unwrap();
    assert!(there.tombstones().contains("media", b"a"));
    // The other way round the tombstones are taken, and the rest is said not to be.
    fill(&there);
    let error = import(&here, &exported(&there)[..]).unwrap_err();
    let ImportError::Stopped { kind, done, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*kind, "ledger entries");
    assert_eq!(done.tombstones.taken, 4);
    assert!(here.tombstones().contains("media", b"//x"));
}

#[test]
fn a_file_is_whole_while_the_state_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    fill(&state);
    std::thread::scope(|scope| {
        let using = scope.spawn(|| {
            for n in 0..300 {
                let name = format!("{n}");
                state
                    .tombstones()
                    .add(&[("media", name.as_bytes())], "")
                    .unwrap();
                state.ledger().verified("current", &key(&name), entry(n));
            }
        });
        let mut files = 0;
        while !using.is_finished() || files == 0 {
            let fresh = tempfile::tempdir().unwrap();
            let (known, file) = (state.tombstones().len(), exported(&state));
            let fresh = open(fresh.path());
            import(&fresh, &file[..]).unwrap();
            assert!(fresh.tombstones().len() >= known);
            files += 1;
        }
    });
}
