//! Killed at any moment: what was acknowledged is there, no byte is wrong, and nothing leaks.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::damage::Random;
use super::*;

const DIRECTORY: &str = "MEDIA_GATEWAY_TEST_DIRECTORY";
const ROUND: &str = "MEDIA_GATEWAY_TEST_ROUND";

fn kept_length(n: usize) -> usize {
    [700, 20_000, 70_000, 300_000][n % 4]
}

/// Content of a churning object: which one it is stands in its row.
fn churned(name: &str, stored: u64) -> Vec<u8> {
    bytes(&format!("{name} {stored}"), 3000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the test below, in a process of its own"]
async fn writes_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let round = std::env::var(ROUND).unwrap();
    let used = Used::on(Path::new(&directory)).await;
    let mut random = Random::new(round.parse().unwrap());
    let mut hundreds = Vec::new();
    for n in 0.. {
        let name = format!("kept/{round}/{n}");
        let content = bytes(&name, kept_length(n));
        assert!(used.put_soon(&name, &content).await.is_some());
        // Replaced, shared, removed and purged all the time.
        let churn = format!("churn/{}", random.below(20));
        let mut facts = used.facts(&churn, 3000);
        facts.stored = random.below(50) as u64;
        let content = churned(&churn, facts.stored);
        used.disk.keep(&facts, 0, &slice(&content)).await;
        match random.below(12) {
            0 => used
                .disk
                .remove(SPACE, &facts.key, facts.number, Evicted::Replaced),
            1 => used.disk.touch(SPACE, &facts.key, facts.number),
            2 => {
                let (space, key) = (SPACE.into(), facts.key);
                used.disk
                    .purge(super::super::Purge::Key { space, key })
                    .await;
            }
            _ => {}
        }
        hundreds.push(n);
        if random.below(6) == 0 {
            assert!(used.disk.flush().await);
            println!("durable {n}");
        }
    }
}

/// What a child wrote and acknowledged, until it was killed.
fn write_and_kill(directory: &Path, round: u64, after: Duration) -> Option<usize> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("disk::tests::crash::writes_until_it_is_killed")
        .env(DIRECTORY, directory)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (began, begins) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut last = None;
        for line in lines.map_while(Result::ok) {
            // The first follows the test's name, in the same line.
            if let Some((_, n)) = line.rsplit_once("durable ") {
                last = Some(n.parse().unwrap());
                let _ = began.send(());
            }
        }
        last
    });
    // Some die while they open, most while they write.
    if round % 8 != 7 {
        let _ = begins.recv_timeout(Duration::from_mins(1));
    }
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_moment_of_a_kill_nothing_acknowledged_is_lost_and_nothing_leaks() {
    let rounds = if soak() { 1000 } else { 24 };
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random::new(5);
    let (mut acknowledged, mut slowest) = (0_u64, Duration::ZERO);
    for round in 0..rounds {
        let after = Duration::from_micros(random.below(300_000) as u64);
        let last = write_and_kill(directory.path(), round, after);

        let began = std::time::Instant::now();
        let used = Used::on(directory.path()).await;
        for n in last.map_or(0..0, |last: usize| 0..last + 1) {
            let name = format!("kept/{round}/{n}");
            let found = used.get(&name).await;
            if n == 0 {
                slowest = slowest.max(began.elapsed());
            }
            let found = found.unwrap_or_else(|| panic!("{name} was acknowledged"));
            assert!(
                found == bytes(&name, kept_length(n)),
                "wrong bytes of {name}"
            );
            acknowledged += 1;
        }
        for n in 0..20 {
            let name = format!("churn/{n}");
            let Some((row, first)) = used.disk.find_with_first(SPACE, &key(&name)).await else {
                continue;
            };
            if let Some(first) = first {
                let expected = churned(&name, row.stored);
                assert!(first.chunks.concat() == expected, "wrong bytes of {name}");
            }
        }
        used.until_swept().await;
        used.until(|disk| disk.usage().files == content_files(&disk.common.directory).len() as u64)
            .await;
        let temporaries = on_disk(&directory.path().join("content/tmp")).1;
        assert_eq!(temporaries, [] as [PathBuf; 0]);
        let counted = used.disk.current().unwrap().index.count().unwrap();
        let usage = used.disk.usage();
        assert_eq!(
            (counted.entries, counted.files),
            (usage.entries, usage.files)
        );
        assert_eq!(counted.by_class, used.disk.common.meter.held().by_class);
        assert_eq!(used.counts.errors(CacheError::Corrupt), 0);
        if round % 4 == 3 {
            used.disk.purge(super::super::Purge::All).await;
            used.until(|disk| disk.usage().files == 0).await;
            assert_eq!(content_files(directory.path()), [] as [PathBuf; 0]);
        }
        used.close().await;
    }
    println!(
        "{rounds} kills: {acknowledged} acknowledged objects found and right, 0 wrong, nothing leaked; slowest start to first answer {slowest:?}"
    );
    assert!(acknowledged > rounds);
}

#[tokio::test]
async fn files_without_a_row_and_temporaries_go_and_young_ones_stay() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    used.put("a", b"one").await;
    let copy = tempfile::tempdir().unwrap();
    super::purged::copy_all(directory.path(), copy.path());
    let content = super::super::content::Content::new(copy.path().join("content"));
    let (orphaned, _) = content.write(slice(b"no row").chunks()).unwrap();
    std::fs::write(copy.path().join("content/tmp/.tmpleft"), b"x").unwrap();

    let again = Used::on(copy.path()).await;
    again.until_swept().await;
    assert!(!content.path(&orphaned).exists());
    assert_eq!(
        on_disk(&copy.path().join("content/tmp")).1,
        [] as [PathBuf; 0]
    );
    assert_eq!(again.get("a").await.unwrap(), b"one");
    assert_eq!(again.disk.usage().files, 1);
}

#[tokio::test]
async fn rows_whose_files_a_crash_took_are_swept() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    used.put("a", b"one").await;
    used.put("b", b"two").await;
    let video = used.facts("video", 3 * SLICE_BYTES);
    for n in 0..3 {
        let content = bytes(&n.to_string(), SLICE);
        used.disk.keep(&video, n, &slice(&content)).await.unwrap();
    }
    let row = used.disk.slice_row(video.number, 2).await;
    assert!(used.disk.flush().await);
    let row = row.or(used.disk.slice_row(video.number, 2).await).unwrap();
    let copy = tempfile::tempdir().unwrap();
    super::purged::copy_all(directory.path(), copy.path());
    let content = super::super::content::Content::new(copy.path().join("content"));
    content.unlink(&row.sha256).unwrap();
    let first = used.row("a").await.unwrap().slice0.unwrap();
    content.unlink(&first.sha256).unwrap();

    let again = Used::on(copy.path()).await;
    again.until_swept().await;
    assert_eq!(again.disk.slice_row(video.number, 2).await, None);
    assert!(again.disk.slice_row(video.number, 1).await.is_some());
    again.until(|disk| disk.usage().entries == 2).await;
    assert_eq!(again.disk.usage().files, 3);
    assert_eq!(again.get("a").await, None);
    assert_eq!(again.get("b").await.unwrap(), b"two");
}
