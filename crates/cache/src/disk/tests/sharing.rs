//! Equal slices are one file, and nobody loses it to another.

use super::*;

#[tokio::test]
async fn equal_slices_are_one_file_until_the_last_of_them_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let content = bytes("shared", 100_000);
    let mut versions = Vec::new();
    for name in ["a", "b", "c"] {
        versions.push(used.put(name, &content).await.0);
    }
    let usage = used.disk.usage();
    assert_eq!((usage.entries, usage.files), (3, 1));
    for (gone, version) in versions.iter().enumerate() {
        for name in ["a", "b", "c"].iter().skip(gone) {
            assert_eq!(used.get(name).await.as_ref(), Some(&content));
        }
        used.disk
            .remove(SPACE, &version.key, version.number, Evicted::Replaced);
        assert!(used.disk.flush().await);
    }
    assert_eq!(used.disk.usage().files, 0);
    assert_eq!(content_files(directory.path()), [] as [PathBuf; 0]);
}

/// Without the guard in `pending`, a row points at nothing within a few hundred rounds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removing_one_of_two_equal_slices_while_the_other_is_written_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let content = bytes("shared", 30_000);
    for round in 0..300 {
        let (old, _) = used.put(&format!("old {round}"), &content).await;
        let new = used.facts(&format!("new {round}"), content.len() as u64);
        used.disk
            .remove(SPACE, &old.key, old.number, Evicted::Replaced);
        let kept = used.disk.keep(&new, 0, &slice(&content)).await;
        assert!(kept.is_some());
        assert!(used.disk.flush().await);
        let found = used.get(new.key.as_str()).await;
        assert_eq!(found.as_ref(), Some(&content), "round {round}");
        used.disk
            .remove(SPACE, &new.key, new.number, Evicted::Replaced);
    }
    assert!(used.disk.flush().await);
    used.until(|disk| disk.usage().files == 0).await;
    assert_eq!(content_files(directory.path()), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn a_slice_that_is_written_again_repairs_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    used.put("a", b"content").await;
    let files = content_files(directory.path());
    std::fs::write(&files[0], b"damaged").unwrap();
    used.put("b", b"content").await;
    assert_eq!(used.get("a").await.unwrap(), b"content");
    assert_eq!(used.counts.errors(CacheError::Corrupt), 0);
}
