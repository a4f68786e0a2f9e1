//! What the disk costs. Printed with `--nocapture`; the limits are wide, for slow machines.

use std::time::Instant;

use super::*;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_costs_to_find_and_to_keep() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    for (length, count) in [(20 * 1024, 400), (SLICE, 60)] {
        let mut times = Vec::new();
        for n in 0..count {
            let name = format!("{length}/{n}");
            let (facts, content) = (
                used.facts(&name, length as u64),
                slice(&bytes(&name, length)),
            );
            let began = Instant::now();
            used.disk.keep(&facts, 0, &content).await.unwrap();
            times.push(began.elapsed());
        }
        assert!(used.disk.flush().await);
        println!("keep of {length} bytes: {:?}", median(times));
    }
    let names: Vec<_> = (0..400)
        .map(|n| key(&format!("{}/{n}", 20 * 1024)))
        .collect();
    let (mut found, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        for name in &names {
            let began = Instant::now();
            used.disk.find(SPACE, name).await.unwrap();
            found.push(began.elapsed());
            let began = Instant::now();
            let (_, first) = used.disk.find_with_first(SPACE, name).await.unwrap();
            whole.push(began.elapsed());
            assert_eq!(first.unwrap().chunks[0].len(), 20 * 1024);
        }
    }
    println!("find of a row: {:?}", median(found));
    let whole = median(whole);
    println!("find_with_first of 20 KiB, page cache warm: {whole:?}");
    assert!(whole < Duration::from_millis(20), "{whole:?}");

    let (row, first) = used
        .disk
        .find_with_first(SPACE, &key(&format!("{SLICE}/7")))
        .await
        .unwrap();
    let (slice, file) = (row.slice0.clone().unwrap(), first.unwrap().file);
    let at = SliceAt {
        number: row.number,
        n: 0,
    };
    let mut times = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        let (_, chunks) = used
            .disk
            .read(Some(file.clone()), &slice, at, 0, 16)
            .await
            .unwrap();
        times.push(began.elapsed());
        assert_eq!(chunks.len(), 16);
    }
    println!(
        "read of 1 MiB in 16 chunks, open already: {:?}",
        median(times)
    );
}
