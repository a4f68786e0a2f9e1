//! A million entries: opened at once, and no memory for each.

use std::process::Command;
use std::time::Instant;

use super::super::change::{Change, Kept};
use super::*;

const DIRECTORY: &str = "MEDIA_GATEWAY_TEST_MANY";
const COUNT: &str = "MEDIA_GATEWAY_TEST_COUNT";

/// Resident memory, in bytes.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn roomy(directory: &Path) -> DiskSettings {
    DiskSettings {
        max_size_bytes: u64::MAX / 2,
        ..settings(directory)
    }
}

/// Rows without files: what opening costs lies in the index.
async fn build(directory: &Path, count: usize) {
    let used = Used::start(roomy(directory)).await;
    let current = used.disk.current().unwrap();
    let first = used.disk.next_number();
    let queue = Arc::clone(&current.queue);
    let put = move || {
        for n in 0..count {
            let name = format!("misskey/{n:08}-0b3c-4d5e-8f90.webp");
            let digest = bytes(&name, 32).try_into().unwrap();
            let kept = Kept {
                facts: facts(first + n as u64, &name, 20_000),
                n: 0,
                slice: SliceRow {
                    sha256: digest,
                    length: 20_000,
                    allocated: 20_480,
                    xxh3: [n as u64].into(),
                },
                hour: 472_222 + u32::try_from(n / 1000).unwrap(),
                guard: None,
                coming: None,
            };
            let slot = queue.reserve_waiting().unwrap();
            slot.send(Change::Keep(Box::new(kept)));
        }
    };
    let began = Instant::now();
    tokio::task::spawn_blocking(put).await.unwrap();
    assert!(used.disk.flush().await);
    let each = began.elapsed() / u32::try_from(count.max(1)).unwrap();
    println!("{count} rows written, {each:?} each");
    drop(current);
    used.close().await;
}

#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn opens_and_asks() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let count: usize = std::env::var(COUNT).unwrap().parse().unwrap();
    let began = Instant::now();
    let used = Used::start_unawaited(roomy(Path::new(&directory)));
    used.disk.first_attempt().await.unwrap();
    let name = format!("misskey/{:08}-0b3c-4d5e-8f90.webp", count / 2);
    let found = used.row(&name).await;
    let first = began.elapsed();
    assert_eq!(found.is_some(), count > 0);
    assert_eq!(used.disk.usage().entries, count as u64);
    let began = Instant::now();
    for n in (0..count).step_by((count / 2000).max(1)) {
        let name = format!("misskey/{n:08}-0b3c-4d5e-8f90.webp");
        assert!(used.row(&name).await.is_some());
    }
    let each = began.elapsed().as_micros() / 2000;
    println!("figures {} {} {each}", first.as_micros(), resident());
    // Closing would keep what was measured from being measured again.
    std::process::exit(0);
}

/// First answer in µs, resident bytes, and µs for an answer thereafter.
fn measure(directory: &Path, count: usize) -> [u64; 3] {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture"])
        .arg("disk::tests::many::opens_and_asks")
        .env(DIRECTORY, directory)
        .env(COUNT, count.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figures = text
        .split("figures ")
        .nth(1)
        .unwrap_or_else(|| panic!("{output:?}"));
    let mut figures = figures
        .split_whitespace()
        .map(|figure| figure.parse().unwrap());
    [(); 3].map(|()| figures.next().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_entries_are_opened_within_a_second_and_cost_no_memory_each() {
    let count = if soak() { 1_000_000 } else { 100_000 };
    let (empty, full) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    build(empty.path(), 0).await;
    build(full.path(), count).await;
    let [_, base, _] = measure(empty.path(), 0);
    let [first, resident, each] = measure(full.path(), count);
    let index = std::fs::metadata(full.path().join("index.redb"))
        .unwrap()
        .len();
    println!(
        "{count} entries, index {} MiB: first answer {} ms after start, then {each} µs each; \
         {} MiB resident more than an empty one",
        index / MIB,
        first / 1000,
        resident.saturating_sub(base) / MIB,
    );
    assert!(first < 1_000_000, "{first} µs");
    assert!(resident < base + 64 * MIB, "{resident} against {base}");
    // Also after a kill: the child above did not close it.
    let [again, ..] = measure(full.path(), count);
    println!("after a kill: first answer {} ms after start", again / 1000);
    assert!(again < 1_000_000, "{again} µs");
}
