//! What the ledger promises, with a real database.

use std::fs;

use object::Digest;
use redb::{Builder, ReadableTable, TableDefinition};

use super::*;
use crate::directory::hold;

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("ledger");
const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");

fn pace() -> Pace {
    Pace {
        most_saved_keys: 3,
        ..Pace::default()
    }
}

fn open(directory: &Path) -> Ledger {
    Ledger::open(directory, hold(directory).unwrap(), pace())
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn entry(length: u64) -> Entry {
    Entry {
        length,
        digest: None,
        verified: 1000 + length,
        by: By::Serving,
        withdrawn: None,
    }
}

fn all(rows: LedgerRows) -> Vec<(ObjectKey, Entry)> {
    rows.map(Result::unwrap).collect()
}

#[test]
fn what_was_verified_is_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    assert!(ledger.verified("current", &key("//x"), entry(5)));
    ledger.flush().unwrap();
    assert_eq!(ledger.get("current", &key("//x")), Some(entry(5)));
    // The last ones need no flush: the end waits for them.
    assert!(ledger.verified("current", &key("写真 1.png"), entry(6)));
    drop(ledger);
    let ledger = open(directory.path());
    assert_eq!(ledger.get("current", &key("//x")), Some(entry(5)));
    assert_eq!(ledger.get("current", &key("写真 1.png")), Some(entry(6)));
    assert_eq!(ledger.get("old", &key("//x")), None);
    assert_eq!(ledger.counts(), LedgerCounts::default());
}

#[test]
fn what_is_noted_becomes_durable_without_being_asked() {
    let directory = tempfile::tempdir().unwrap();
    let pace = Pace {
        commit_every: Duration::from_millis(1),
        ..pace()
    };
    let ledger = Ledger::open(directory.path(), hold(directory.path()).unwrap(), pace);
    ledger.verified("current", &key("a"), entry(1));
    let began = std::time::Instant::now();
    while ledger.get("current", &key("a")).is_none() {
        assert!(began.elapsed() < Duration::from_secs(30), "never written");
        std::thread::yield_now();
    }
}

#[test]
fn serving_a_key_again_does_not_take_its_digest_away() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let copied = Entry {
        digest: Some(Digest([7; 32])),
        by: By::Migration,
        ..entry(5)
    };
    ledger.verified("current", &key("a"), copied);
    ledger.verified("current", &key("a"), entry(5));
    ledger.flush().unwrap();
    let known = ledger.get("current", &key("a")).unwrap();
    assert_eq!(known.digest, copied.digest);
    assert_eq!(known.by, By::Serving);
    ledger.verified("current", &key("a"), entry(6));
    ledger.flush().unwrap();
    assert_eq!(ledger.get("current", &key("a")), Some(entry(6)));
}

#[test]
fn only_what_was_verified_can_be_withdrawn_and_it_comes_back_when_it_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    ledger.verified("current", &key("a"), entry(5));
    ledger.withdrawn("current", &key("a"), 2000);
    ledger.withdrawn("current", &key("a"), 3000);
    ledger.withdrawn("current", &key("b"), 2000);
    ledger.flush().unwrap();
    let withdrawn = |name| {
        ledger
            .get("current", &key(name))
            .map(|known| known.withdrawn)
    };
    assert_eq!(withdrawn("a"), Some(Some(Withdrawn::since(2000))));
    assert_eq!(withdrawn("b"), None);
    ledger.verified("current", &key("a"), entry(5));
    ledger.flush().unwrap();
    assert_eq!(withdrawn("a"), Some(None));
}

#[test]
fn only_what_is_withdrawn_can_be_followed_and_the_first_time_stays() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    for name in ["a", "b"] {
        ledger.verified("current", &key(name), entry(5));
    }
    ledger.followed("current", &key("b"), 2000);
    ledger.withdrawn("current", &key("a"), 2000);
    ledger.followed("current", &key("a"), 2001);
    ledger.followed("current", &key("a"), 3000);
    ledger.followed("current", &key("c"), 2000);
    drop(ledger);
    let ledger = open(directory.path());
    let known = |name| ledger.get("current", &key(name));
    let withdrawn = Withdrawn {
        since: 2000,
        followed: Some(2001),
    };
    assert_eq!(known("a").unwrap().withdrawn, Some(withdrawn));
    assert_eq!(known("b").unwrap().withdrawn, None);
    assert_eq!(known("c"), None);
    ledger.verified("current", &key("a"), entry(5));
    ledger.flush().unwrap();
    assert_eq!(known("a").unwrap().withdrawn, None);
}

#[test]
fn what_was_seen_at_an_origin_is_forgotten_and_what_was_withdrawn_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    for origin in ["current", "currents"] {
        for name in ["a", "b"] {
            ledger.verified(origin, &key(name), entry(5));
        }
    }
    ledger.withdrawn("current", &key("b"), 2000);
    ledger.forget_seen("current").unwrap();
    assert_eq!(ledger.get("current", &key("a")), None);
    assert!(
        ledger
            .get("current", &key("b"))
            .unwrap()
            .withdrawn
            .is_some()
    );
    assert!(ledger.get("currents", &key("a")).is_some());
}

#[test]
fn an_origins_rows_come_in_order_across_pages_and_without_anothers() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let expected: Vec<_> = (0..2500_u64)
        .map(|n| (key(&format!("{n:05}")), entry(n)))
        .collect();
    for (key, entry) in &expected {
        while !ledger.verified("b", key, *entry) {
            std::thread::yield_now();
        }
    }
    ledger.verified("a", &key("zzz"), entry(1));
    ledger.verified("bb", &key("0"), entry(1));
    ledger.flush().unwrap();
    assert_eq!(all(ledger.iter("b")), expected);
    assert_eq!(all(ledger.iter("nobody")), []);
    let behind = all(ledger.iter_after("b", &key("00009x")));
    assert_eq!(behind, expected[10..]);
    assert_eq!(all(ledger.iter_after("b", &expected[2499].0)), []);
    ledger.forget_origin("b").unwrap();
    assert_eq!(all(ledger.iter("b")), []);
    assert_eq!(all(ledger.iter("a")).len(), 1);
    assert_eq!(all(ledger.iter("bb")).len(), 1);
}

#[test]
fn saves_are_listed_up_to_a_limit_and_counted_beyond() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    for (n, name) in (1..).zip(["a", "b", "a", "c", "d", "d", "a"]) {
        ledger.record_save("old", SaveReason::Missing, &key(name), n);
    }
    ledger.record_save("other", SaveReason::Unknown, &key("a"), 9);
    ledger.flush().unwrap();
    let saves: Vec<_> = ledger.saves("old").map(Result::unwrap).collect();
    let save = |name, first, count| Save {
        reason: SaveReason::Missing,
        key: key(name),
        first,
        count,
    };
    assert_eq!(saves, [save("a", 1, 3), save("b", 2, 1), save("c", 4, 1)]);
    let totals = SaveTotals { keys: 3, beyond: 2 };
    assert_eq!(ledger.save_totals("old").unwrap(), totals);
    ledger.clear_saves("old").unwrap();
    assert_eq!(ledger.saves("old").count(), 0);
    assert_eq!(ledger.save_totals("old").unwrap(), SaveTotals::default());
    assert_eq!(ledger.saves("other").count(), 1);
    // There is room again.
    ledger.record_save("old", SaveReason::Missing, &key("d"), 10);
    ledger.flush().unwrap();
    assert_eq!(ledger.saves("old").count(), 1);
}

#[test]
fn what_finds_no_place_is_dropped_and_counted_and_nobody_waits() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    // While this transaction runs the writer can write nothing.
    let dropped = ledger
        .store
        .transfer(|database| {
            let transaction = database.begin_write()?;
            let noted = (0..3 * QUEUE as u64)
                .filter(|n| ledger.verified("current", &key(&n.to_string()), entry(*n)))
                .count();
            transaction.abort()?;
            Ok(3 * QUEUE - noted)
        })
        .unwrap();
    assert!(dropped > 0);
    ledger.flush().unwrap();
    assert_eq!(ledger.counts().dropped, dropped as u64);
    assert_eq!(all(ledger.iter("current")).len(), 3 * QUEUE - dropped);
}

#[test]
fn a_damaged_row_is_absent_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    ledger.verified("current", &key("a"), entry(5));
    ledger.verified("current", &key("b"), entry(6));
    drop(ledger);
    tamper(directory.path(), |value| value[5] ^= 1);
    let ledger = open(directory.path());
    assert_eq!(ledger.get("current", &key("a")), None);
    assert_eq!(ledger.get("current", &key("b")), Some(entry(6)));
    let mut rows = ledger.iter("current");
    assert_eq!(rows.by_ref().count(), 1);
    assert_eq!(rows.damaged(), 1);
    assert_eq!(ledger.counts().damaged, 2);
    assert!(ledger.is_up());
}

/// Changes the value of the first row of a database that nobody has open.
fn tamper(directory: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let database = Builder::new().open(directory.join("ledger.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(ROWS).unwrap();
        let (row, mut value) = {
            let first = table.first().unwrap().unwrap();
            (first.0.value().to_vec(), first.1.value().to_vec())
        };
        change(&mut value);
        table.insert(&row[..], &value[..]).unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn a_file_that_is_no_database_is_no_reason_to_refuse() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.redb");
    let rubbish = vec![0xa5; 100_000];
    fs::write(&path, &rubbish).unwrap();
    let ledger = open(directory.path());
    assert!(!ledger.is_up());
    assert!(ledger.verified("current", &key("a"), entry(5)));
    assert_eq!(ledger.get("current", &key("a")), None);
    assert!(ledger.iter("current").next().unwrap().is_err());
    let error = ledger.flush().unwrap_err().to_string();
    assert!(error.contains("state import"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), rubbish, "it is left as it is");
    assert!(ledger.counts().failures > 0);
    // It comes back by itself, with what was noted meanwhile.
    fs::remove_file(&path).unwrap();
    ledger.flush().unwrap();
    assert_eq!(ledger.get("current", &key("a")), Some(entry(5)));
}

#[test]
fn another_format_is_left_as_it_is_and_the_remedy_named() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let path = directory.path().join("ledger.redb");
    let database = Builder::new().open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let mut meta = transaction.open_table(META).unwrap();
    meta.insert("format", 2).unwrap();
    drop(meta);
    transaction.commit().unwrap();
    drop(database);
    let ledger = open(directory.path());
    assert!(!ledger.is_up());
    ledger.verified("current", &key("a"), entry(5));
    let error = ledger.flush().unwrap_err().to_string();
    assert!(error.contains("its format is 2"), "{error}");
    assert!(error.contains("run the version that wrote it"), "{error}");
    drop(ledger);
    let database = Builder::new().open(&path).unwrap();
    let rows = database.begin_read().unwrap().open_table(ROWS).unwrap();
    assert!(rows.first().unwrap().is_none());
}

/// Damages one place after the other: what is still told is true, and nothing panics.
#[test]
fn no_flipped_byte_makes_it_tell_what_it_was_not_told() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    for n in 0..300 {
        ledger.verified("current", &key(&format!("{n:03}")), entry(n));
    }
    drop(ledger);
    let path = directory.path().join("ledger.redb");
    let good = fs::read(&path).unwrap();
    let used: Vec<_> = (0..good.len()).filter(|at| good[*at] != 0).collect();
    let soak = std::env::var_os("MEDIA_GATEWAY_SOAK").is_some();
    let step = used.len() / if soak { 2000 } else { 60 };
    let mut told = 0;
    for at in used.into_iter().step_by(step.max(1)) {
        let mut bad = good.clone();
        bad[at] ^= 0x11;
        fs::write(&path, &bad).unwrap();
        let ledger = open(directory.path());
        for n in 0..300 {
            if let Some(known) = ledger.get("current", &key(&format!("{n:03}"))) {
                assert_eq!(known, entry(n), "byte {at}");
                told += 1;
            }
        }
        for (key, known) in ledger.iter("current").flatten() {
            assert_eq!(key.as_str(), format!("{:03}", known.length), "byte {at}");
        }
    }
    assert!(told > 0, "most damage hits other rows");
}

/// A disk that changes what was written under a running process.
#[test]
fn damage_while_it_is_in_use_ends_nothing_but_the_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.redb");
    drop(open(directory.path()));
    let length = fs::metadata(&path).unwrap().len();
    for page in 0..length / 4096 {
        fs::remove_file(&path).unwrap();
        let ledger = open(directory.path());
        for n in 0..300 {
            ledger.verified("current", &key(&format!("{n:03}")), entry(n));
        }
        ledger.flush().unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[0xa5; 4096], page * 4096).unwrap();
        for n in 0..600 {
            ledger.verified("current", &key(&format!("{n:03}")), entry(n));
        }
        let _ = ledger.flush();
        for n in 0..300 {
            let known = ledger.get("current", &key(&format!("{n:03}")));
            assert!(known.is_none_or(|known| known == entry(n)), "page {page}");
        }
        drop(ledger);
        let ledger = open(directory.path());
        for n in 0..300 {
            let known = ledger.get("current", &key(&format!("{n:03}")));
            assert!(known.is_none_or(|known| known == entry(n)), "page {page}");
        }
    }
}
