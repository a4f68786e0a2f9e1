//! What commands do with a cache, while a gateway uses it and while none does.

use std::fs;

use super::super::{Purge, purge_offline, stat, verify};
use super::*;

#[tokio::test]
async fn a_command_makes_no_cache_and_takes_none_that_is_in_use() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("cache");
    assert!(
        stat(&directory)
            .unwrap_err()
            .to_string()
            .contains("no cache")
    );
    assert!(verify(&directory, |_| true).is_err());
    assert!(!directory.exists());
    fs::create_dir(&directory).unwrap();
    assert!(purge_offline(&directory, &Purge::All).is_err());
    assert_eq!(on_disk(&directory).1, [] as [PathBuf; 0]);

    let used = Used::on(&directory).await;
    let error = stat(&directory).unwrap_err().to_string();
    let process = format!("process {} uses it", std::process::id());
    assert!(error.contains(&process), "{error}");
    used.close().await;
    assert_eq!(stat(&directory).unwrap().usage.entries, 0);
}

#[tokio::test]
async fn a_cache_is_counted_by_space_and_class() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let (facts, _) = used.put("a", b"one").await;
    used.put("b", &bytes("b", 10_000)).await;
    used.disk.touch(SPACE, &facts.key, facts.number);
    let mut other = used.facts("a", 5 * SLICE_BYTES);
    other.space = "other".into();
    for n in [0, 3] {
        let content = bytes(&n.to_string(), SLICE);
        used.disk.keep(&other, n, &slice(&content)).await.unwrap();
    }
    assert!(used.disk.flush().await);
    let serving = used.disk.stat().await.unwrap();
    used.close().await;

    let found = stat(directory.path()).unwrap();
    assert_eq!(found.spaces, serving.spaces);
    assert_eq!(found.by_class, [2, 1, 0]);
    assert_eq!((found.usage.entries, found.usage.files), (3, 4));
    let spaces: Vec<_> = found
        .spaces
        .iter()
        .map(|space| (&*space.name, space.entries, space.bytes))
        .collect();
    assert_eq!(spaces, [("media", 2, 4096 + 12_288), ("other", 1, 2 * MIB)]);
}

#[tokio::test]
async fn a_verification_finds_what_is_damaged_and_removes_it() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    for n in 0..100 {
        let name = n.to_string();
        used.put_soon(&name, &bytes(&name, 5000)).await;
    }
    let video = used.facts("video", 3 * SLICE_BYTES);
    for n in 0..3 {
        let content = bytes(&format!("video {n}"), SLICE);
        used.disk.keep(&video, n, &slice(&content)).await.unwrap();
    }
    assert!(used.disk.flush().await);
    let sound = used.disk.verify().await.unwrap();
    assert!(sound.is_sound(), "{sound:?}");
    assert_eq!((sound.slices, sound.bytes), (103, 100 * 5000 + 3 * MIB));

    let files = content_files(directory.path());
    let damage = |file: &PathBuf| {
        let mut content = fs::read(file).unwrap();
        let last = content.len() - 1;
        content[last] ^= 1;
        fs::write(file, content).unwrap();
    };
    files[..10].iter().for_each(damage);
    fs::remove_file(&files[10]).unwrap();
    // Longer than it was: what is read of it is right.
    let longer = fs::OpenOptions::new().append(true).open(&files[11]);
    std::io::Write::write_all(&mut longer.unwrap(), b"more").unwrap();
    let found = used.disk.verify().await.unwrap();
    assert_eq!((found.damaged, found.missing, found.bad_rows), (11, 1, 0));
    assert_eq!(found.list.len(), 12);
    assert_eq!(content_files(directory.path()).len(), 103 - 12);
    assert!(used.disk.verify().await.unwrap().is_sound());
    used.close().await;

    damage(&content_files(directory.path())[0]);
    let mut seen = 0;
    let found = verify(directory.path(), |progress| {
        seen = progress.slices;
        true
    })
    .unwrap();
    assert_eq!((found.damaged, seen), (1, 91));
    assert!(!found.is_sound());
    assert!(verify(directory.path(), |_| true).unwrap().is_sound());
}

#[tokio::test]
async fn a_purge_by_command_takes_a_prefix_a_space_or_everything() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    for name in ["a/1", "a/2", "b/1"] {
        used.put(name, name.as_bytes()).await;
    }
    let last = used.disk.next_number();
    used.close().await;
    let prefix = Purge::Prefix {
        space: SPACE.into(),
        prefix: "a/".into(),
    };
    let purged = purge_offline(directory.path(), &prefix).unwrap();
    assert_eq!((purged.versions, purged.bytes), (2, 8192));
    assert!(purged.durable && purged.swept);
    let other = Purge::Space("other".into());
    assert_eq!(purge_offline(directory.path(), &other).unwrap().versions, 0);
    let used = Used::on(directory.path()).await;
    assert!(used.disk.next_number() > last);
    assert_eq!(used.get("a/1").await, None);
    assert_eq!(used.get("b/1").await.unwrap(), b"b/1");
    used.put("a/1", b"new").await;
    assert_eq!(used.get("a/1").await.unwrap(), b"new");
    used.close().await;
    let all = purge_offline(directory.path(), &Purge::All).unwrap();
    assert_eq!(all.versions, 2);
    assert_eq!(content_files(directory.path()), [] as [PathBuf; 0]);
}
