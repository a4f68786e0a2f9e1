//! A disk that fails, hangs, leaves, or belongs to somebody else.

use std::fs;

use rustix::io::Errno;

use super::*;

#[tokio::test]
async fn an_error_of_the_index_is_a_miss_until_the_disk_is_well_again() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    used.put("a", b"one").await;
    used.faults.fail_writes(Errno::IO.raw_os_error());
    used.faults.fail_reads(Errno::IO.raw_os_error());
    used.put_soon("b", b"two").await;
    used.until(|disk| !disk.is_up()).await;
    assert!(used.counts.errors(CacheError::Index) >= 1);
    assert_eq!(used.get("a").await, None);
    assert_eq!(used.put_soon("c", b"three").await, None);
    let early = used.disk.next_number();

    used.faults.fail_writes(0);
    used.faults.fail_reads(0);
    let counts = Arc::clone(&used.counts);
    used.until(move |disk| disk.is_up() && counts.ups().last() == Some(&true))
        .await;
    assert!(used.disk.next_number() > early);
    assert_eq!(used.get("a").await.unwrap(), b"one");
    used.put("b", b"two").await;
    assert_eq!(used.get("b").await.unwrap(), b"two");
    used.until_swept().await;
    assert_eq!(content_files(directory.path()).len(), 2);
}

/// Reading the memory of a process where it has none is an input/output error, as a bad sector is.
#[tokio::test]
async fn a_file_with_a_bad_sector_is_a_miss_and_a_new_one_takes_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    used.put("a", b"one").await;
    let [file] = &content_files(directory.path())[..] else {
        panic!("one object, one file");
    };
    fs::remove_file(file).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", file).unwrap();
    assert_eq!(used.get("a").await, None);
    assert_eq!(used.counts.errors(CacheError::Read), 1);
    assert!(used.disk.is_up(), "the rest of the disk is well");
    used.put("a", b"one").await;
    assert_eq!(used.get("a").await.unwrap(), b"one");
    assert!(fs::symlink_metadata(file).unwrap().is_file());
}

#[tokio::test]
async fn a_directory_that_is_deleted_under_way_is_made_again() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("cache");
    let used = Used::on(&directory).await;
    used.put("a", b"one").await;
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(used.get("a").await, None);
    let ups = used.counts.ups().len();
    let counts = Arc::clone(&used.counts);
    used.until(move |disk| counts.ups().len() > ups && disk.is_up())
        .await;
    assert!(directory.join("index.redb").exists());
    assert_eq!(used.get("a").await, None);
    used.put("a", b"one").await;
    assert_eq!(used.get("a").await.unwrap(), b"one");
}

#[tokio::test]
async fn a_disk_that_is_mounted_read_only_is_used_once_it_can_be_written() {
    let small = SmallDisk::mount("size=16m");
    let directory = small.path().join("cache");
    small.remount("ro");
    let used = Used::start(settings(&directory)).await;
    assert!(!used.disk.is_up());
    let error = used.disk.first_attempt().await.unwrap_err().to_string();
    assert!(error.contains("Read-only"), "{error}");
    assert!(error.contains("mount the file system"), "{error}");
    assert_eq!(used.put_soon("a", b"one").await, None);
    small.remount("rw");
    used.until(Disk::is_up).await;
    used.put("a", b"one").await;
    assert_eq!(used.get("a").await.unwrap(), b"one");
}

#[tokio::test]
async fn a_directory_that_is_a_file_is_said_and_tried_again() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("cache");
    fs::write(&directory, b"in the way").unwrap();
    let used = Used::start(settings(&directory)).await;
    assert!(used.disk.first_attempt().await.is_err());
    assert!(used.counts.errors(CacheError::Index) >= 1);
    assert!(used.disk.next_number() >= 1 << 63);
    fs::remove_file(&directory).unwrap();
    used.until(Disk::is_up).await;
    assert!(used.disk.next_number() < 1 << 63);
}

#[tokio::test]
async fn of_two_processes_one_waits_and_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let one = Used::on(directory.path()).await;
    one.put("a", b"one").await;
    let two = Used::start(settings(directory.path())).await;
    assert!(!two.disk.is_up());
    let error = two.disk.first_attempt().await.unwrap_err().to_string();
    let process = format!("process {} uses it", std::process::id());
    assert!(error.contains(&process), "{error}");
    assert_eq!(two.get("a").await, None);
    assert_eq!(one.get("a").await.unwrap(), b"one");
    one.close().await;
    two.until(Disk::is_up).await;
    assert_eq!(two.get("a").await.unwrap(), b"one");
}

/// A pipe that nobody writes hangs whoever opens it, as a dead file server does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_is_left_alone_and_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    for n in 0..8 {
        used.put(&format!("{n}"), &bytes(&n.to_string(), 1000))
            .await;
    }
    let files = content_files(directory.path());
    for file in &files {
        fs::remove_file(file).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            file,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
    }
    let asked = std::time::Instant::now();
    let names: Vec<String> = (0..8).map(|n| n.to_string()).collect();
    let got = futures_util::future::join_all(names.iter().map(|name| used.get(name))).await;
    assert!(got.iter().all(Option::is_none));
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(used.counts.errors(CacheError::Timeout), 8);
    assert!(!used.disk.is_up());
    // Nobody else waits for it.
    let asked = std::time::Instant::now();
    assert_eq!(used.get("0").await, None);
    assert!(asked.elapsed() < Duration::from_millis(200));

    // Opened for both, it lets everybody go.
    let released: Vec<fs::File> = files
        .iter()
        .map(|file| {
            fs::File::options()
                .read(true)
                .write(true)
                .open(file)
                .unwrap()
        })
        .collect();
    let counts = Arc::clone(&used.counts);
    used.until(move |disk| disk.is_up() && counts.ups().last() == Some(&true))
        .await;
    let mut ups = used.counts.ups();
    ups.dedup();
    assert_eq!(ups, [true, false, true]);
    drop(released);
    used.put("new", b"new").await;
    assert_eq!(used.get("new").await.unwrap(), b"new");
}

#[tokio::test]
async fn a_full_queue_refuses_and_counts() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let current = used.disk.current().unwrap();
    let mut places = Vec::new();
    while let Some(place) = current.queue.reserve() {
        places.push(place);
    }
    assert_eq!(used.put_soon("a", b"one").await, None);
    assert_eq!(used.counts.errors(CacheError::Queue), 1);
    assert_eq!(content_files(directory.path()), [] as [PathBuf; 0]);
    drop(places);
    used.put("a", b"one").await;
    assert_eq!(used.get("a").await.unwrap(), b"one");
}

#[tokio::test]
async fn a_closed_disk_answers_nothing_and_waits_for_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    used.put("a", b"one").await;
    used.disk.close().await;
    assert!(!used.disk.is_up());
    assert_eq!(used.get("a").await, None);
    assert_eq!(used.put_soon("b", b"two").await, None);
    assert!(!used.disk.flush().await);
    used.disk.close().await;
}

#[tokio::test]
async fn an_index_without_room_is_counted_as_full_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    used.put("a", b"one").await;
    used.faults.fail_writes(Errno::NOSPC.raw_os_error());
    used.put_soon("b", b"two").await;
    used.until(|disk| !disk.is_up()).await;
    assert!(used.counts.errors(CacheError::Full) >= 1);
    used.faults.fail_writes(0);
    used.until(Disk::is_up).await;
    used.put("c", b"three").await;
    assert_eq!(used.get("c").await.unwrap(), b"three");
}

#[tokio::test]
async fn whoever_forgets_to_close_it_leaves_an_index_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    used.put("a", b"one").await;
    let current = used.disk.current().unwrap();
    let ended = current.ended.clone();
    drop(current);
    drop(used);
    ended.cancelled().await;
    let again = Used::on(directory.path()).await;
    assert!(again.disk.current().unwrap().is_swept());
    assert_eq!(again.get("a").await.unwrap(), b"one");
}
