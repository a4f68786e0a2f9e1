//! A body that ended early is never kept as complete, and never ends cleanly.

use rustix::process::Signal;
use test_servers::faulty::{Fault, Faulty, Gate, On};

use super::client::{Told, get, get_once_up, rest};
use super::harness::{Gateway, MIB, Setup, before, film, keeping, noise, route, web};

const SIZES: [usize; 2] = [600_000, 2 * MIB + 77];

/// Cut the first time, and broken for whoever asks for the rest.
fn cut(origin: &Faulty, key: &str, fault: &Fault) {
    origin.fault(On::key(key).nth(1), fault.clone());
    origin.fault(On::key(key).after(1), Fault::status(500));
}

fn is_no_lie(told: &Told, bytes: &[u8], what: &str) {
    let said = told.summary();
    assert!(!told.whole || told.status == 503, "{what}: {said}");
    if told.status == 200 {
        assert!(told.body.len() < bytes.len(), "{what}: {said}");
        assert!(bytes.starts_with(&told.body), "{what}: {said}");
    }
}

/// Once the origin is well, and after a restart, all of them are whole.
async fn are_whole(origin: &Faulty, setup: &Setup, gateway: Gateway, films: &[(String, Vec<u8>)]) {
    origin.heal();
    for (key, bytes) in films {
        let told = get_once_up(&gateway, &format!("/{key}")).await;
        assert!(told.is(200, bytes), "{key}: {}", told.summary());
    }
    gateway.stopped().await;
    let gateway = setup.start().await;
    for (key, bytes) in films {
        let told = get(&gateway, &format!("/{key}")).await;
        assert!(told.is(200, bytes), "{key}: {}", told.summary());
    }
}

#[tokio::test]
async fn a_body_that_was_cut_is_never_kept_as_complete() {
    let origin = Faulty::start().await;
    let setup = before(&origin);
    let gateway = setup.start().await;
    let mut films = Vec::new();
    for size in SIZES {
        for at in [0, 1, size / 2, size - 1] {
            for (how, fault) in [
                ("cut", Fault::CutAfter(at)),
                ("reset", Fault::ResetAfter(at)),
                ("stall", Fault::StallAfter(at)),
            ] {
                let key = format!("{size}-{at}-{how}.mp4");
                let bytes = noise(films.len() as u64, size);
                origin.put(&key, film(&bytes));
                cut(&origin, &key, &fault);
                let told = get(&gateway, &format!("/{key}")).await;
                is_no_lie(&told, &bytes, &key);
                films.push((key, bytes));
            }
        }
    }
    are_whole(&origin, &setup, gateway, &films).await;
}

#[tokio::test]
async fn a_chunked_body_that_was_cut_is_never_kept_as_complete() {
    let origin = Faulty::start().await;
    let setup = keeping(web("web", &origin) + &route(&["web"]));
    let gateway = setup.start().await;
    let mut films = Vec::new();
    for size in SIZES {
        for at in [0, 1, size / 2, size - 1] {
            for deaf in [false, true] {
                let key = format!("{size}-{at}-{deaf}.mp4");
                let bytes = noise(films.len() as u64, size);
                origin.put(&key, film(&bytes));
                origin.fault(On::key(&key), Fault::Chunked);
                if deaf {
                    origin.fault(On::key(&key), Fault::IgnoreRange);
                }
                cut(&origin, &key, &Fault::CutAfter(at));
                let told = get(&gateway, &format!("/{key}")).await;
                is_no_lie(&told, &bytes, &key);
                films.push((key, bytes));
            }
        }
    }
    are_whole(&origin, &setup, gateway, &films).await;
}

#[tokio::test]
async fn a_body_whose_end_only_the_connection_tells_is_not_kept() {
    let origin = Faulty::start().await;
    let bytes = noise(9, 100_000);
    origin.put("a.mp4", film(&bytes));
    origin.fault(On::any(), Fault::UntilClose);
    origin.fault(On::any(), Fault::IgnoreRange);
    let gateway = keeping(web("web", &origin) + &route(&["web"]))
        .start()
        .await;
    for _ in 0..2 {
        assert_ne!(get(&gateway, "/a.mp4").await.label(), "HIT");
    }
    // Cut off, it looks the same.
    origin.fault(On::any(), Fault::CutAfter(50_000));
    get(&gateway, "/a.mp4").await;
    origin.heal();
    let told = get_once_up(&gateway, "/a.mp4").await;
    assert!(told.is(200, &bytes), "{}", told.summary());
}

#[tokio::test]
async fn over_http2_a_body_that_was_cut_resets_its_stream_and_is_not_kept() {
    let origin = Faulty::start().await;
    let gateway = before(&origin).start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge();
    let client = client.no_proxy().build().unwrap();
    let bytes = noise(10, 2 * MIB);
    for at in [1, MIB, 2 * MIB - 1] {
        let key = format!("{at}.mp4");
        origin.put(&key, film(&bytes));
        cut(&origin, &key, &Fault::CutAfter(at));
        let asked = || client.get(gateway.url(&format!("/{key}"))).send();
        is_no_lie(&rest(asked().await.unwrap()).await, &bytes, &key);
        origin.heal();
        let told = get_once_up(&gateway, &format!("/{key}")).await;
        assert!(told.is(200, &bytes), "{key}: {}", told.summary());
        assert!(rest(asked().await.unwrap()).await.is(200, &bytes), "{key}");
    }
}

#[tokio::test]
async fn what_a_shutdown_interrupts_is_not_kept_as_complete() {
    let bytes = noise(11, 2 * MIB + MIB / 2);
    let origin = Faulty::start().await;
    let setup = before(&origin).server("drain = \"300ms\"");
    for at in [0, MIB / 2, MIB, 2 * MIB + 5] {
        let key = format!("{at}.mp4");
        origin.put(&key, film(&bytes));
        let gate = Gate::new();
        let held = Fault::HoldAfter(at, gate.clone());
        origin.fault(On::key(&key).nth(1), held);
        let mut gateway = setup.start().await;
        let running = gateway.ask(&format!("/{key}")).await.unwrap();
        gateway.signal(Signal::TERM);
        let told = rest(running).await;
        is_no_lie(&told, &bytes, &key);
        assert_eq!(gateway.ended().await.code(), Some(0));
        gate.open();
        let gateway = setup.start().await;
        let told = get(&gateway, &format!("/{key}")).await;
        assert!(told.is(200, &bytes), "{at}: {}", told.summary());
        gateway.stopped().await;
    }
}
