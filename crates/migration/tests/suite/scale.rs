//! Memory does not grow with the number of keys.

use std::fs;

use bytes::Bytes;

use crate::fake::Shelf;
use crate::fixture::Fixture;

/// What this process takes at most so far, in KiB.
pub(crate) fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn half_a_million_keys_take_little_memory_besides_the_origins() {
    let exe = std::env::current_exe().unwrap();
    let output = std::process::Command::new(exe)
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "scale::migrates_many",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let grown: u64 = said
        .split_once("grown ")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok())
        .unwrap();
    assert!(grown < 128 * 1024, "{grown} KiB");
}

#[tokio::test]
#[ignore = "run by the test above in a process of its own, whose memory it measures"]
async fn migrates_many() {
    let shelf = || Shelf {
        page: 1000,
        ..Shelf::new()
    };
    let mut fixture = Fixture::of(shelf(), shelf());
    for n in 0..500_000 {
        let key = format!("misskey/webpublic-{n:08}-4b2bde99ef348df7e548e65f7d9e.webp");
        fixture.source.set(&key, Bytes::from_static(b"x"), 1);
        if n % 2 == 0 {
            fixture.target.set(&key, Bytes::from_static(b"x"), 1);
        }
    }
    // Storing would fill the target's memory, which is this process's.
    fixture.options.dry_run = true;
    let before = peak_kib();
    let report = fixture.report().await;
    assert_eq!(report.tally.new.objects, 250_000);
    assert_eq!(report.tally.same.objects, 250_000);
    println!("grown {} KiB", peak_kib() - before);
}
