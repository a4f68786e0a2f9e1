//! The limits: bytes, free space, files, inodes, and a disk that is simply full.

use super::super::change::Change;
use super::super::eviction::evict_inactive;
use super::super::facts::{Class, RowChange};
use super::*;

/// Keeps objects of this length until told to stop; says how many were kept.
async fn fill(used: &Used, prefix: &str, count: usize, length: usize) -> usize {
    let mut kept = 0;
    for n in 0..count {
        let name = format!("{prefix}/{n}");
        let row = used.put_soon(&name, &bytes(&name, length)).await;
        kept += usize::from(row.is_some());
        if row.is_none() {
            used.disk.flush().await;
            // Eviction is on its own task.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    kept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_on_the_disk_never_exceeds_the_limit_as_the_kernel_counts_it() {
    let directory = tempfile::tempdir().unwrap();
    let max_size_bytes = 40 * MIB;
    let used = Used::start(DiskSettings {
        max_size_bytes,
        ..settings(directory.path())
    })
    .await;
    let mut most = 0;
    for round in 0..30 {
        fill(&used, &format!("large/{round}"), 4, SLICE).await;
        fill(&used, &format!("small/{round}"), 40, 20 * 1024).await;
        let (blocks, _) = on_disk(directory.path());
        most = most.max(blocks);
        assert!(blocks <= max_size_bytes, "{blocks} in round {round}");
    }
    assert!(used.disk.flush().await);
    assert!(most > max_size_bytes * 9 / 10, "only {most} are used");
    assert!(used.counts.evicted_for(Evicted::Size) > 50);
    // The newest are there.
    assert!(used.get("small/29/39").await.is_some());
    assert!(used.get("small/0/0").await.is_none());
    let usage = used.disk.usage();
    let (blocks, files) = on_disk(directory.path());
    assert_eq!(usage.files, content_files(directory.path()).len() as u64);
    assert!(files.len() as u64 == usage.files + 2, "index and lock");
    // Directories are reckoned, and the index is looked at four times a second.
    assert!(
        usage.bytes.abs_diff(blocks) < MIB,
        "{} reckoned, {blocks} on the disk",
        usage.bytes
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_disk_that_fills_up_goes_on_serving_and_storing() {
    let small = SmallDisk::mount("size=32m");
    let used = Used::on(small.path()).await;
    let kept = fill(&used, "a", 120, SLICE).await;
    assert!(kept > 60, "only {kept} of 120 were kept");
    for n in 0..120 {
        let name = format!("a/{n}");
        if let Some(found) = used.get(&name).await {
            assert!(found == bytes(&name, SLICE));
        }
    }
    used.until(Disk::is_up).await;
    used.put("last", b"last").await;
    assert_eq!(used.get("last").await.unwrap(), b"last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_others_fill_is_left_to_them_and_used_again_later() {
    let small = SmallDisk::mount("size=24m");
    let used = Used::on(&small.path().join("cache")).await;
    assert_eq!(fill(&used, "a", 5, SLICE).await, 5);
    used.put("kept", b"kept").await;
    let filler = small.path().join("filler");
    // To the last byte.
    let _ = std::fs::write(&filler, vec![1; 64 << 20]);
    for n in 0..50 {
        let name = format!("b/{n}");
        used.put_soon(&name, &bytes(&name, 100_000)).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        if let Some(found) = used.get("kept").await {
            assert_eq!(found, b"kept");
        }
    }
    assert!(used.counts.errors(CacheError::Full) > 0);
    std::fs::remove_file(filler).unwrap();
    used.until(Disk::is_up).await;
    let mut kept = None;
    for _ in 0..400 {
        kept = used.put_soon("new", b"new").await;
        if kept.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(kept.is_some());
    assert!(used.disk.flush().await);
    assert_eq!(used.get("new").await.unwrap(), b"new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_without_inodes_is_as_full_as_one_without_bytes() {
    let small = SmallDisk::mount("size=64m,nr_inodes=400");
    let used = Used::on(small.path()).await;
    let kept = fill(&used, "a", 600, 1000).await;
    assert!(kept > 150, "only {kept} were kept");
    assert!(used.counts.evicted_for(Evicted::Files) > 0);
    let (_, files) = on_disk(small.path());
    assert!(files.len() < 400);
    used.until(Disk::is_up).await;
    used.put("last", b"last").await;
    assert_eq!(used.get("last").await.unwrap(), b"last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_files_can_be_capped() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::start(DiskSettings {
        max_files: Some(100),
        ..settings(directory.path())
    })
    .await;
    // What comes before room is made is refused: how much that is, is the machine's affair.
    let kept = fill(&used, "a", 300, 1000).await;
    assert!(kept > 108, "{kept}");
    assert!(used.disk.flush().await);
    // A few may be on their way while the last place is taken.
    assert!(used.counts.evicted_for(Evicted::Files) >= kept - 108);
    assert!(content_files(directory.path()).len() <= 108);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crawler_does_not_flush_what_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::start(DiskSettings {
        max_size_bytes: 24 * MIB,
        ..settings(directory.path())
    })
    .await;
    let mut hot = Vec::new();
    for n in 0..100 {
        let name = format!("hot/{n}");
        let (facts, _) = used.put(&name, &bytes(&name, 50_000)).await;
        used.disk.touch(SPACE, &facts.key, facts.number);
        hot.push(name);
    }
    assert!(used.disk.flush().await);
    fill(&used, "crawled", 1500, 50_000).await;
    assert!(used.disk.flush().await);
    let mut left = 0;
    for name in &hot {
        left += usize::from(used.row(name).await.is_some());
    }
    assert_eq!(left, hot.len());
    assert!(used.counts.evicted_for(Evicted::Size) > 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_read_stays_and_then_nothing_more_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::start(DiskSettings {
        max_size_bytes: 20 * MIB,
        ..settings(directory.path())
    })
    .await;
    let mut pins = Vec::new();
    for n in 0..40 {
        let name = format!("pinned/{n}");
        let facts = used.facts(&name, MIB);
        pins.push((used.disk.pin(facts.number), name.clone()));
        let content = slice(&bytes(&name, SLICE));
        used.disk.keep(&facts, 0, &content).await;
        assert!(used.disk.flush().await);
    }
    assert_eq!(used.counts.evicted_for(Evicted::Size), 0);
    assert!(used.counts.errors(CacheError::Full) > 0);
    // Nor where it was chosen a moment before somebody began to read it.
    let current = used.disk.current().unwrap();
    let (place, _) = current
        .index
        .places(Class::Once, None, 1)
        .unwrap()
        .remove(0);
    let why = Evicted::Size;
    current.ask(&used.disk.common, Change::Evict { place, why });
    drop(current);
    assert!(used.disk.flush().await);
    assert_eq!(used.counts.evicted_for(Evicted::Size), 0);
    assert!(on_disk(directory.path()).0 <= 20 * MIB);
    for (_, name) in pins.iter().take(10) {
        assert!(used.get(name).await.is_some());
    }
    pins.clear();
    let mut kept = None;
    for _ in 0..400 {
        kept = used.put_soon("new", &bytes("new", SLICE)).await;
        if kept.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(kept.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_asked_for_goes_but_no_orphan_and_not_while_it_rests() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    for name in ["a", "b", "orphan"] {
        used.put(name, name.as_bytes()).await;
    }
    let row = used.row("orphan").await.unwrap();
    let change = RowChange::Orphan(true);
    used.disk.update(SPACE, &row.key, row.number, change);
    assert!(used.disk.flush().await);
    let evict = |hours: u32| {
        let (common, current) = (Arc::clone(&used.disk.common), used.disk.current().unwrap());
        let now = row.hour + hours;
        async move {
            let work = move || evict_inactive(&common, &current, now);
            tokio::task::spawn_blocking(work).await.unwrap().unwrap();
        }
    };
    let days = 90 * 24;
    evict(days).await;
    assert_eq!(used.disk.usage().entries, 3);
    used.disk.rest_inactivity(true);
    evict(days + 1).await;
    assert_eq!(used.disk.usage().entries, 3);
    used.disk.rest_inactivity(false);
    evict(days + 1).await;
    assert_eq!(used.disk.usage().entries, 1);
    assert_eq!(used.row("orphan").await.unwrap().class, Class::Orphan);
    assert_eq!(used.counts.evicted_for(Evicted::Inactive), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_of_thousands_of_slices_leaves_whole() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::start(DiskSettings {
        max_size_bytes: 10_000 * MIB,
        ..settings(directory.path())
    })
    .await;
    let facts = used.facts("video", 600 * SLICE_BYTES);
    for n in 0..600 {
        let content = slice(&bytes(&n.to_string(), 500));
        assert!(used.disk.keep(&facts, n, &content).await.is_some());
    }
    assert!(used.disk.flush().await);
    assert_eq!(used.disk.usage().files, 600);
    used.disk
        .remove(SPACE, &facts.key, facts.number, Evicted::Replaced);
    assert!(used.disk.flush().await);
    assert!(used.row("video").await.is_none());
    used.until(|disk| disk.usage().files == 0).await;
    assert_eq!(content_files(directory.path()), [] as [PathBuf; 0]);
    assert_eq!(used.counts.evicted_for(Evicted::Replaced), 1);
}
