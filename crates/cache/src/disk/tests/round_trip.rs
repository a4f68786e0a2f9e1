//! What is kept is found again, and rows say what they were told.

use object::Validator;

use super::super::facts::{Class, Purge, RowChange};
use super::*;

#[tokio::test]
async fn what_was_kept_is_found_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let lengths = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 300 * 1024, SLICE];
    let used = Used::on(directory.path()).await;
    for length in lengths {
        let name = format!("a/{length}");
        used.put(&name, &bytes(&name, length)).await;
    }
    for _ in 0..2 {
        for length in lengths {
            let name = format!("a/{length}");
            assert_eq!(used.get(&name).await, Some(bytes(&name, length)), "{name}");
        }
        assert_eq!(used.disk.usage().entries, lengths.len() as u64);
    }
    let last = used.disk.next_number();
    used.close().await;

    let again = Used::on(directory.path()).await;
    assert!(again.disk.next_number() > last);
    for length in lengths {
        let name = format!("a/{length}");
        assert_eq!(again.get(&name).await, Some(bytes(&name, length)), "{name}");
    }
    assert_eq!(again.get("absent").await, None);
    assert_eq!(again.disk.usage().entries, lengths.len() as u64);
    assert_eq!(again.disk.usage().files, lengths.len() as u64);
}

#[tokio::test]
async fn a_large_object_is_kept_slice_by_slice_from_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let total = 5 * SLICE_BYTES;
    let facts = used.facts("video", total);
    for n in [3, 1, 4] {
        let name = format!("slice {n}");
        let kept = used
            .disk
            .keep(&facts, n, &slice(&bytes(&name, SLICE)))
            .await;
        assert!(kept.is_some());
    }
    assert!(used.disk.flush().await);
    let (row, first) = used.disk.find_with_first(SPACE, &facts.key).await.unwrap();
    assert_eq!((row.total, row.slice0.is_none()), (total, true));
    assert!(first.is_none());

    let absent = |range| used.disk.first_absent(facts.number, range);
    assert_eq!(absent(1..2).await, None);
    assert_eq!(absent(1..5).await, Some(2));
    assert_eq!(absent(3..5).await, None);
    assert_eq!(absent(3..6).await, Some(5));
    assert_eq!(absent(3..3).await, None);
    let held = |range| used.disk.next_held(facts.number, range);
    assert_eq!(held(0..5).await, Some(1));
    assert_eq!(held(2..5).await, Some(3));
    assert_eq!(held(2..3).await, None);

    let row = used.disk.slice_row(facts.number, 3).await.unwrap();
    let at = SliceAt {
        number: facts.number,
        n: 3,
    };
    let whole = bytes("slice 3", SLICE);
    let (file, chunks) = used.disk.read(None, &row, at, 0, 5).await.unwrap();
    assert_eq!(chunks.concat(), whole[..5 * CHUNK]);
    let (_, chunks) = used.disk.read(Some(file), &row, at, 5, 16).await.unwrap();
    assert_eq!(chunks.concat(), whole[5 * CHUNK..]);
    assert_eq!(used.disk.slice_row(facts.number, 2).await, None);
}

#[tokio::test]
async fn a_newer_version_takes_the_place_of_an_older_one_and_never_the_other_way() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let late = used.facts("a", 3);
    used.put("a", b"one").await;
    used.put("a", b"two").await;
    assert_eq!(used.get("a").await.unwrap(), b"two");
    // The older one's file is gone, and one that arrives late leaves nothing behind.
    assert!(used.disk.keep(&late, 0, &slice(b"old")).await.is_some());
    assert!(used.disk.flush().await);
    assert_eq!(used.get("a").await.unwrap(), b"two");
    let usage = used.disk.usage();
    assert_eq!((usage.entries, usage.files), (1, 1));
    assert_eq!(content_files(directory.path()).len(), 1);
    assert_eq!(used.counts.evicted_for(Evicted::Replaced), 1);
}

#[tokio::test]
async fn a_version_that_is_replaced_keeps_its_slices_until_its_last_reader_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let (old, row) = used.put("a", &bytes("old", SLICE)).await;
    let pin = used.disk.pin(old.number);
    used.put("a", b"new").await;
    let at = SliceAt {
        number: old.number,
        n: 0,
    };
    assert!(used.disk.read(None, &row, at, 15, 1).await.is_some());
    assert_eq!(used.get("a").await.unwrap(), b"new");
    drop(pin);
    used.until(|disk| disk.usage().files == 1).await;
    assert!(used.disk.read(None, &row, at, 15, 1).await.is_none());
}

#[tokio::test]
async fn rows_say_what_they_were_told() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let (facts, _) = used.put("a", b"one").await;
    let row = used.row("a").await.unwrap();
    assert_eq!(row.facts, facts);
    assert_eq!(
        (row.class, row.gone, row.proofs.len()),
        (Class::Once, None, 0)
    );

    let proof = |n: u8| {
        let tag = format!("\"{n}\"").into_boxed_str();
        (
            format!("origin {n}").into_boxed_str(),
            Validator::Strong(tag),
        )
    };
    let update = |change| used.disk.update(SPACE, &key("a"), facts.number, change);
    for n in [0, 1, 2, 3, 0, 4] {
        update(RowChange::Checked {
            at: 1_700_000_100 + u64::from(n),
            source: (n == 4).then(|| "old".into()),
            proof: Some(proof(n)),
        });
    }
    update(RowChange::Gone(Some(5)));
    update(RowChange::Etag("\"e\"".into()));
    update(RowChange::Orphan(true));
    // Of another version: not for this row.
    let change = RowChange::Gone(None);
    used.disk.update(SPACE, &key("a"), facts.number + 1, change);
    assert!(used.disk.flush().await);

    let row = used.row("a").await.unwrap();
    assert_eq!(row.checked, 1_700_000_104);
    assert_eq!(&*row.source, "old");
    // The oldest of five is forgotten.
    assert_eq!(row.proofs, [proof(2), proof(3), proof(0), proof(4)]);
    assert_eq!(row.gone, Some(5));
    assert_eq!(row.etag.as_deref(), Some("\"e\""));
    assert_eq!(row.class, Class::Orphan);
    assert_eq!(used.disk.usage().orphans, 1);

    update(RowChange::Orphan(false));
    update(RowChange::Gone(None));
    assert!(used.disk.flush().await);
    let row = used.row("a").await.unwrap();
    assert_eq!((row.class, row.gone), (Class::Again, None));
    assert_eq!(used.disk.usage().orphans, 0);
}

#[tokio::test]
async fn a_second_use_makes_a_version_dearer_and_is_written_once_an_hour() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let (facts, _) = used.put("a", b"one").await;
    assert_eq!(used.row("a").await.unwrap().class, Class::Once);
    for _ in 0..10_000 {
        used.disk.touch(SPACE, &facts.key, facts.number);
    }
    assert!(used.disk.flush().await);
    assert_eq!(used.row("a").await.unwrap().class, Class::Again);
    assert_eq!(used.counts.errors(CacheError::Queue), 0);
}

#[tokio::test]
async fn what_was_removed_is_gone_and_its_file_too() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let (facts, _) = used.put("a", b"one").await;
    let other = facts.number + 1;
    used.disk
        .remove(SPACE, &facts.key, other, Evicted::Replaced);
    assert!(used.disk.flush().await);
    assert!(used.row("a").await.is_some());
    used.disk
        .remove(SPACE, &facts.key, facts.number, Evicted::Replaced);
    assert!(used.disk.flush().await);
    assert!(used.row("a").await.is_none());
    assert_eq!(content_files(directory.path()), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn what_is_too_large_or_too_long_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let tenth = settings(directory.path()).max_size_bytes / 10;
    let large = used.facts("large", tenth + 1);
    assert!(used.disk.keep(&large, 0, &slice(b"x")).await.is_none());

    let mut long = used.facts("long", 1);
    long.head.content_disposition = Some("x".repeat(70_000).into());
    used.disk.keep(&long, 0, &slice(b"y")).await;
    let unstorable = facts(1 << 63, "unstorable", 1);
    assert!(used.disk.keep(&unstorable, 0, &slice(b"z")).await.is_none());
    assert!(used.disk.flush().await);
    assert_eq!(used.disk.usage().entries, 0);
    assert_eq!(content_files(directory.path()), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn spaces_do_not_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let mut other = used.facts("a", 5);
    other.space = "other".into();
    assert!(used.disk.keep(&other, 0, &slice(b"other")).await.is_some());
    used.put("a", b"media").await;
    let (row, first) = used.disk.find_with_first("other", &key("a")).await.unwrap();
    assert_eq!(&*row.space, "other");
    assert_eq!(first.unwrap().chunks.concat(), b"other");
    assert_eq!(used.get("a").await.unwrap(), b"media");
    assert!(used.disk.find("never named", &key("a")).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn with_a_clock_that_a_test_has_stopped_nothing_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..3_u64 {
        let used = Used::on(directory.path()).await;
        assert_eq!(used.disk.usage().entries, round.min(1));
        used.put("a", b"one").await;
        assert_eq!(used.get("a").await.unwrap(), b"one");
        let name = round.to_string();
        used.put(&name, b"gone").await;
        let (space, key) = (SPACE.into(), key(&name));
        let purged = used
            .disk
            .purge(super::super::Purge::Key { space, key })
            .await;
        assert!(purged.durable && purged.swept);
        tokio::time::advance(Duration::from_hours(24)).await;
        assert_eq!(used.get("a").await.unwrap(), b"one");
        used.close().await;
    }
}

#[tokio::test]
async fn what_was_written_or_read_lately_is_found_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let found = |used: &Used| {
        let found = used.disk.find_at_once(SPACE, &key("a"), u64::MAX);
        found.map(|(row, first)| (row.checked, first.chunks.concat()))
    };
    assert_eq!(found(&used), None);
    let (facts, _) = used.put("a", b"one").await;
    assert_eq!(found(&used).unwrap(), (facts.checked, b"one".to_vec()));
    // Also what was said of it since.
    let checked = RowChange::Checked {
        at: facts.checked + 60,
        source: None,
        proof: None,
    };
    used.disk.update(SPACE, &facts.key, facts.number, checked);
    assert!(used.disk.flush().await);
    assert_eq!(found(&used).unwrap().0, facts.checked + 60);
    used.close().await;

    let used = Used::on(directory.path()).await;
    assert_eq!(found(&used), None);
    assert!(used.row("a").await.is_some());
    assert!(found(&used).is_some());
    used.put("a", b"another").await;
    assert_eq!(found(&used).unwrap().1, b"another");
    drop(used.disk.purge(Purge::Space(SPACE.into())));
    assert_eq!(found(&used), None);
}
