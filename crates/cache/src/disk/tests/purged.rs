//! What was purged is gone at once, for good, and whatever comes late.

use super::super::change::Change;
use super::super::facts::Purge;
use super::*;

fn one(name: &str) -> Purge {
    Purge::Key {
        space: SPACE.into(),
        key: key(name),
    }
}

#[tokio::test]
async fn a_purge_holds_before_anybody_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let (old, _) = used.put("a", b"one").await;
    used.put("b", b"two").await;
    let purge = used.disk.purge(one("a"));
    assert!(used.disk.is_purged(SPACE, &old.key, old.number));
    assert_eq!(used.get("a").await, None);
    let purged = purge.await;
    assert_eq!((purged.versions, purged.bytes), (1, 4096));
    assert!(purged.durable && purged.swept);
    assert_eq!(used.get("b").await.unwrap(), b"two");
    assert_eq!(content_files(directory.path()).len(), 1);
    // What was downloaded since is not of before.
    used.put("a", b"new").await;
    assert_eq!(used.get("a").await.unwrap(), b"new");
}

#[tokio::test]
async fn a_download_that_began_before_a_purge_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let late = used.facts("a", 3);
    let elsewhere = used.facts("b", 3);
    used.disk.purge(one("a")).await;
    assert!(used.disk.keep(&late, 0, &slice(b"old")).await.is_none());
    // Also where it passed the first look just before.
    let slot = used.disk.current().unwrap().queue.reserve().unwrap();
    let current = used.disk.current().unwrap();
    let common = Arc::clone(&used.disk.common);
    tokio::task::spawn_blocking(move || {
        current.keep(&common, late, 0, &slice(b"old"), slot);
    })
    .await
    .unwrap();
    assert!(used.disk.flush().await);
    assert_eq!(used.get("a").await, None);
    assert_eq!(content_files(directory.path()), [] as [PathBuf; 0]);
    let kept = used.disk.keep(&elsewhere, 0, &slice(b"two")).await;
    assert!(kept.is_some());
}

#[tokio::test]
async fn a_prefix_a_space_and_everything_can_be_purged() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    for n in 0..300 {
        used.put_soon(&format!("a/{n}"), &bytes(&n.to_string(), 10))
            .await;
    }
    for name in ["b/1", "a"] {
        used.put(name, name.as_bytes()).await;
    }
    let mut other = used.facts("a/1", 5);
    other.space = "other".into();
    used.disk.keep(&other, 0, &slice(b"other")).await.unwrap();
    assert!(used.disk.flush().await);

    let prefix = Purge::Prefix {
        space: SPACE.into(),
        prefix: "a/".into(),
    };
    let purged = used.disk.purge(prefix).await;
    assert_eq!((purged.versions, purged.bytes), (300, 300 * 4096));
    assert!(purged.swept);
    assert_eq!(used.disk.usage().entries, 3);
    assert!(used.row("a").await.is_some());

    let purged = used.disk.purge(Purge::Space(SPACE.into())).await;
    assert_eq!(purged.versions, 2);
    assert!(used.disk.find("other", &key("a/1")).await.is_some());

    let purged = used.disk.purge(Purge::All).await;
    assert_eq!(purged.versions, 1);
    assert_eq!(used.disk.usage().files, 0);
    assert_eq!(content_files(directory.path()), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn a_purge_whose_sweep_a_crash_cut_off_still_holds_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    used.put("a", b"one").await;
    used.put("b", b"two").await;
    let number = used.disk.next_number();
    let current = used.disk.current().unwrap();
    let what = one("a");
    current.ask(&used.disk.common, Change::Purge { what, number });
    assert!(used.disk.flush().await);
    // As a crash leaves it: not closed, and copied by the kernel's view of it.
    let copy = tempfile::tempdir().unwrap();
    copy_all(directory.path(), copy.path());

    let again = Used::on(copy.path()).await;
    assert_eq!(again.get("a").await, None);
    assert_eq!(again.get("b").await.unwrap(), b"two");
    again.until(|disk| disk.usage().entries == 1).await;
    again.until_swept().await;
    assert_eq!(content_files(copy.path()).len(), 1);
}

pub(super) fn copy_all(from: &Path, to: &Path) {
    for path in on_disk(from).1 {
        let at = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::copy(&path, at).unwrap();
    }
}

#[tokio::test]
async fn a_purge_while_the_disk_is_down_takes_what_lies_there() {
    let directory = tempfile::tempdir().unwrap();
    let one = Used::on(directory.path()).await;
    one.put("a/1", b"one").await;
    one.put("b/1", b"two").await;
    let two = Used::start(settings(directory.path())).await;
    assert!(!two.disk.is_up());
    let prefix = Purge::Prefix {
        space: SPACE.into(),
        prefix: "a/".into(),
    };
    let purged = two.disk.purge(prefix).await;
    assert!(!purged.durable);
    one.close().await;
    two.until(Disk::is_up).await;
    assert_eq!(two.get("a/1").await, None);
    assert_eq!(two.get("b/1").await.unwrap(), b"two");
    two.put("a/1", b"new").await;
    assert_eq!(two.get("a/1").await.unwrap(), b"new");
    two.until(|disk| disk.usage().entries == 2).await;
}

#[tokio::test]
async fn a_purge_takes_versions_that_are_being_read() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let (facts, _) = used.put("a", b"one").await;
    let _pin = used.disk.pin(facts.number);
    let purged = used.disk.purge(one("a")).await;
    assert!(purged.swept);
    assert_eq!(content_files(directory.path()), [] as [PathBuf; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_purges_at_once_are_done_in_turn() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    for n in 0..200 {
        let name = n.to_string();
        used.put_soon(&name, &bytes(&name, 10)).await;
    }
    assert!(used.disk.flush().await);
    let purges = (0..200).map(|n| used.disk.purge(one(&n.to_string())));
    let results = futures_util::future::join_all(purges).await;
    let versions: u64 = results.iter().map(|result| result.versions).sum();
    assert_eq!(versions, 200);
    used.until(|disk| disk.usage().files == 0).await;
    assert_eq!(content_files(directory.path()), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn a_download_that_outlives_the_memory_of_a_purge_is_still_refused() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let long = used.facts("long", 3 * SLICE_BYTES);
    let content = slice(&bytes("0", SLICE));
    used.disk.keep(&long, 0, &content).await.unwrap();
    let late = used.facts("a", 3);
    assert!(used.disk.purge(one("a")).await.swept);
    let later = std::time::Instant::now() + Duration::from_mins(11);
    used.disk.common.purges.forget_old(later);
    used.disk.keep(&late, 0, &slice(b"old")).await;
    // What was there before and was not purged grows as ever.
    used.disk.keep(&long, 1, &slice(b"more")).await.unwrap();
    assert!(used.disk.flush().await);
    assert_eq!(used.get("a").await, None);
    assert!(used.disk.slice_row(long.number, 1).await.is_some());
    assert_eq!(used.disk.usage().files, 2);
    assert_eq!(content_files(directory.path()).len(), 2);
}
