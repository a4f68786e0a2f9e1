//! Killed at any moment under load: no wrong byte, nothing that was acknowledged is forgotten, and
//! it is back within two seconds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::json;
use test_servers::faulty::Faulty;

use super::client::get;
use super::harness::{Gateway, MIB, Random, before, film, noise, soak};

const OBJECTS: u64 = 120;
const TOKEN: &str = "a-token-of-a-test";
/// Of an unoptimised program beside other tests.
const BACK_WITHIN: Duration = Duration::from_secs(2);

fn bytes(n: u64) -> Vec<u8> {
    let length = match n % 8 {
        0 => 2 * MIB + 5,
        1 => MIB,
        _ => 3000,
    };
    noise(n, length)
}

fn path(n: u64) -> String {
    format!("/{n}.mp4")
}

struct Load {
    over: AtomicBool,
    /// Asked for, and those of them that were acknowledged.
    gone: Mutex<(Vec<String>, Vec<String>)>,
}

/// Reads at random until the gateway is gone. What ends cleanly is right.
async fn read(gateway: &Gateway, load: &Load, seed: u64) -> usize {
    let (mut random, mut answers) = (Random(seed), 0);
    while !load.over.load(Ordering::Relaxed) {
        let n = random.below(OBJECTS);
        let told = get(gateway, &path(n)).await;
        let fine = !told.whole || told.status == 503 || told.is(200, &bytes(n));
        assert!(fine, "{n}: {}", told.summary());
        answers += usize::from(told.whole && told.status == 200);
    }
    answers
}

/// Tombstones keys that nobody else asks for.
async fn bury(gateway: &Gateway, load: &Load, round: usize) {
    let url = format!("http://{}/api/tombstones", gateway.admin());
    for n in 0.. {
        if load.over.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("gone/{round}/{n}.mp4");
        load.gone.lock().unwrap().0.push(key.clone());
        let request = gateway.client().put(&url).bearer_auth(TOKEN);
        let body = json!({ "keys": [key] }).to_string();
        let request = request
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) {
            load.gone.lock().unwrap().1.push(key);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_serves_no_wrong_byte_and_forgets_no_tombstone() {
    let kills = if soak() { 1000 } else { 15 };
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let origin = Faulty::start().await;
    for n in 0..OBJECTS {
        origin.put(&format!("{n}.mp4"), film(&bytes(n)));
    }
    let setup = before(&origin)
        .admin(&format!("token = \"{TOKEN}\""))
        .cache("max_size = \"60 MB\"\nmemory = \"4 MB\"");
    let mut random = Random(seed);
    let (mut starts, mut answers) = (Vec::new(), 0);
    let load = Arc::new(Load {
        over: AtomicBool::new(false),
        gone: Mutex::default(),
    });
    for round in 0..kills {
        let began = Instant::now();
        let gateway = setup.start().await;
        starts.push(began.elapsed());
        let known = load.gone.lock().unwrap().1.clone();
        // All of the last life, and some of each before.
        for key in known.iter().rev().take(50).chain(known.iter().step_by(37)) {
            let told = get(&gateway, &format!("/{key}")).await;
            assert_eq!(told.status, 410, "seed {seed}, round {round}: {key}");
        }
        load.over.store(false, Ordering::Relaxed);
        let pause = Duration::from_millis(random.below(400));
        let killing = async {
            tokio::time::sleep(pause).await;
            gateway.signal(Signal::KILL);
            load.over.store(true, Ordering::Relaxed);
            0
        };
        let seeds = [random.next(), random.next(), random.next(), random.next()];
        let readers = join_all(seeds.map(|seed| read(&gateway, &load, seed)));
        let (counts, (), _) = tokio::join!(readers, bury(&gateway, &load, round), killing);
        answers += counts.iter().sum::<usize>();
    }
    let gateway = setup.start().await;
    for n in 0..OBJECTS {
        assert!(get(&gateway, &path(n)).await.is(200, &bytes(n)), "{n}");
    }
    let known = load.gone.lock().unwrap().1.clone();
    for key in &known {
        assert_eq!(get(&gateway, &format!("/{key}")).await.status, 410, "{key}");
    }
    gateway.stopped().await;
    let verified = setup.run(&["cache", "verify"]).await;
    assert_eq!(verified.status.code(), Some(0), "seed {seed}: {verified:?}");
    starts.sort();
    // One in a hundred may meet a machine that does something else.
    let (median, late) = (starts[kills / 2], starts[kills - 1 - kills / 100]);
    println!(
        "{kills} kills: {answers} answers, {} tombstones; back after {median:?}, {late:?}, at the \
         latest {:?}",
        known.len(),
        starts[kills - 1]
    );
    assert!(answers > 0 && !known.is_empty());
    assert!(late < BACK_WITHIN, "{late:?}");
}
