//! What stays where an imported file and the state differ.

use object::Digest;
use proptest::prelude::*;
use state::{Entry, Taken, Withdrawn, import};

use crate::exchange::{entry, exported, key, open};

/// A file with these lines between header and end, as an export would have written it.
fn file_of(counts: &str, lines: &[String]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut text =
        format!("{{\"format\":\"media-gateway-state\",\"version\":1,\"counts\":{{{counts}}}}}\n");
    for line in lines {
        text += line;
        text.push('\n');
    }
    let sum = hex::encode(Sha256::digest(&text));
    let count = lines.len() + 1;
    let end = format!("{{\"end\":{{\"lines\":{count},\"sha256\":\"{sum}\"}}}}\n");
    (text + &end).into_bytes()
}

fn actions(tombstones: &[(&str, u64)], removals: &[(&str, u64)]) -> Vec<u8> {
    let line = |what: &str, (key, time): &(&str, u64)| {
        format!(
            "{{\"{what}\":{{\"scope\":\"media\",\"key\":\"{key}\",\"time\":{time},\"reason\":\"\"}}}}"
        )
    };
    let mut lines: Vec<_> = tombstones
        .iter()
        .map(|one| line("tombstone", one))
        .collect();
    lines.extend(removals.iter().map(|one| line("removal", one)));
    let counts = format!(
        "\"tombstones\":{},\"removals\":{},\"canaries\":0,\"ledger\":0,\"saves\":0,\"save_totals\":0",
        tombstones.len(),
        removals.len()
    );
    file_of(&counts, &lines)
}

#[test]
fn of_two_actions_on_one_key_the_later_one_stays() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path());
    let tombstones = state.tombstones();
    let gone = |name: &str| tombstones.contains("media", name.as_bytes());
    tombstones
        .add(&[("media", b"kept"), ("media", b"opened")], "")
        .unwrap();
    tombstones
        .add(&[("media", b"closed"), ("media", b"open")], "")
        .unwrap();
    tombstones
        .remove(&[("media", b"closed"), ("media", b"open")], "")
        .unwrap();
    let (past, future) = (1000, 4_000_000_000);
    let file = actions(
        &[("closed", future), ("open", past), ("new", past)],
        &[("opened", future), ("kept", past), ("never", past)],
    );
    let imported = import(&state, &file[..]).unwrap();
    assert_eq!(imported.tombstones, Taken { taken: 4, left: 2 });
    for (name, expected) in [
        ("kept", true),
        ("opened", false),
        ("closed", true),
        ("open", false),
        ("new", true),
        ("never", false),
    ] {
        assert_eq!(gone(name), expected, "{name}");
    }
    // At the same second it is safer to keep the key gone, whichever comes first.
    import(&state, &actions(&[("tie", 5)], &[])[..]).unwrap();
    import(&state, &actions(&[], &[("tie", 5)])[..]).unwrap();
    assert!(gone("tie"));
    import(&state, &actions(&[], &[("tie-2", 5)])[..]).unwrap();
    import(&state, &actions(&[("tie-2", 5)], &[])[..]).unwrap();
    assert!(gone("tie-2"));
}

fn followed(since: u64, followed: Option<u64>) -> Entry {
    Entry {
        withdrawn: Some(Withdrawn { since, followed }),
        ..entry(5)
    }
}

#[test]
fn of_two_entries_of_one_key_the_newer_one_stays() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (here, there) = (open(here.path()), open(there.path()));
    let digest = Some(Digest([1; 32]));
    let rows = [
        // (key, here, there, expected)
        ("newer", entry(20), entry(10), entry(20)),
        ("older", entry(10), entry(20), entry(20)),
        (
            "withdrawn since",
            entry(10),
            Entry {
                withdrawn: Some(Withdrawn::since(15)),
                ..entry(5)
            },
            Entry {
                withdrawn: Some(Withdrawn::since(15)),
                ..entry(5)
            },
        ),
        (
            "followed since",
            followed(15, None),
            followed(15, Some(16)),
            followed(15, Some(16)),
        ),
        (
            "another deletion followed",
            followed(15, Some(16)),
            followed(20, None),
            followed(20, None),
        ),
        (
            "digest",
            Entry {
                digest,
                ..entry(10)
            },
            entry(20),
            Entry {
                digest,
                ..entry(20)
            },
        ),
        (
            "digest of another length",
            Entry {
                digest,
                length: 6,
                ..entry(10)
            },
            entry(20),
            entry(20),
        ),
    ];
    for (name, here_entry, there_entry, _) in rows {
        here.ledger().verified("current", &key(name), here_entry);
        there.ledger().verified("current", &key(name), there_entry);
    }
    import(&there, &exported(&here)[..]).unwrap();
    for (name, _, _, expected) in rows {
        assert_eq!(
            there.ledger().get("current", &key(name)),
            Some(expected),
            "{name}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_lines_never_panic(lines in prop::collection::vec("\\PC{0,80}", 0..5)) {
        let directory = tempfile::tempdir().unwrap();
        let state = open(directory.path());
        let counts = "\"tombstones\":0,\"removals\":0,\"canaries\":0,\"ledger\":0,\"saves\":0,\"save_totals\":0";
        let lines: Vec<_> = lines.into_iter().map(|line| line.replace('\n', "")).collect();
        prop_assert_eq!(import(&state, &file_of(counts, &lines)[..]).is_ok(), lines.is_empty());
        prop_assert!(import(&state, lines.join("\n").as_bytes()).is_err());
    }
}
