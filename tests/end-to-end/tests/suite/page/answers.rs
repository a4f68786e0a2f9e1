//! What the page answers to programs: headers, bounds, and what open tabs cost.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

use super::harness::{Stage, TOKEN};
use crate::process::harness::Gateway;

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_forbids_what_the_page_does_not_need() {
    let stage = Stage::new().await;
    for path in [
        "/",
        "/explain",
        "/withdrawn",
        "/purge",
        "/tombstone",
        "/page.css",
        "/page.js",
        "/icon.svg",
    ] {
        let answer = stage.gateway.operators(path).await;
        assert_eq!(answer.status, 200, "{path}");
        let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; "),
            "{path}: {policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{path}: {policy}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(answer.headers.get("set-cookie").is_none());
        assert!(answer.headers.get("access-control-allow-origin").is_none());
        assert!(!answer.text().contains(TOKEN), "{path}");
    }
    // Viewers see nothing of it.
    let answer = stage.gateway.get("/page.css").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_holds_the_numbers_of_the_page() {
    let stage = Stage::new().await;
    for key in ["1.mp4", "1.mp4", "99.mp4", "none.mp4"] {
        stage.view(key).await;
    }
    let status = stage.gateway.operators("/api/status").await.text();
    let status: Value = serde_json::from_str(&status).unwrap();
    let [current, old] = [&status["origins"][0], &status["origins"][1]];
    assert_eq!(
        [&current["name"], &old["name"]],
        ["current", "old"],
        "{status}"
    );
    assert_eq!([&current["state"], &old["state"]], ["active", "rehearsal"]);
    assert_eq!([&current["health"], &old["health"]], ["answers", "answers"]);
    assert_eq!(current["up"], true);
    assert_eq!(current["questions"]["missing"], 2);
    assert_eq!(old["saves"]["by_reason"]["missing"], 1);
    assert_eq!(status["egress_price"]["currency"], "USD");
    assert_eq!(status["cache"]["up"], true);
    assert_eq!(
        status["routes"][0]["origins"],
        serde_json::json!(["current", "old"])
    );
    assert_eq!(status["hour"]["failed"], 0);
    assert!(status["migrations"].is_array() && status["audits"].is_array());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_is_what_the_page_shows() {
    let mut stage = Stage::new().await;
    let file = stage.setup.path("gateway.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text
        .replace("0.09 USD/GB", "12 JPY/GB")
        .replace("state = \"rehearsal\"", "state = \"retired\"");
    std::fs::write(&file, text).unwrap();
    stage.gateway.signal(Signal::HUP);
    stage.gateway.logged("admin.egress_price").await;
    let status = stage.gateway.operators("/api/status").await.text();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["egress_price"]["currency"], "JPY");
    assert_eq!(status["retired"], serde_json::json!(["old"]));
    assert_eq!(status["origins"].as_array().unwrap().len(), 1);
    let page = stage.gateway.operators("/").await.text();
    assert!(page.contains("0.00 JPY"), "{page}");
    assert!(page.contains("Retired, never contacted: old"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_viewers_ask_for_makes_the_page_no_larger() {
    let stage = Stage::new().await;
    let size = async || {
        let page = stage.gateway.operators("/").await.text();
        let status = stage.gateway.operators("/api/status").await.text();
        assert!(!page.contains("unheard-of") && !status.contains("unheard-of"));
        (page.len(), status.len())
    };
    stage.view("1.mp4").await;
    let before = size().await;
    let resident = stage.gateway.resident_bytes();
    let asked = stream::iter(0..10_000)
        .map(async |n| stage.view(&format!("unheard-of-{n}.mp4")).await.0)
        .buffer_unordered(64);
    assert!(asked.all(async |status| status == 404).await);
    let more = stage.gateway.resident_bytes().saturating_sub(resident);
    // What is remembered of absent keys for moments, and connections.
    assert!(more < 64 << 20, "{more} bytes more");
    let after = size().await;
    // Digits of counts, and a few points of plots.
    assert!(after.0 < before.0 + 4_000, "{before:?} {after:?}");
    assert!(after.1 < before.1 + 4_000, "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_are_bounded_and_one_that_is_closed_makes_room() {
    let stage = Stage::new().await;
    let mut tabs = Vec::new();
    for _ in 0..64 {
        let tab = tab(&stage).await;
        assert_eq!(tab.status(), 200);
        tabs.push(tab);
    }
    assert_eq!(stage.gateway.operators("/events").await.status, 503);
    // The page itself is there for everybody.
    assert_eq!(stage.gateway.operators("/").await.status, 200);
    drop(tabs);
    let deadline = Instant::now() + crate::process::harness::PATIENCE;
    loop {
        if tab(&stage).await.status() == 200 {
            break;
        }
        assert!(Instant::now() < deadline, "no room is made");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_not_held_up_by_open_tabs() {
    let stage = Stage::new().await;
    let mut tab = tab(&stage).await.bytes_stream();
    beats(&mut tab, 1).await;
    let began = Instant::now();
    stage.gateway.stopped().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_open_tabs_cost_next_to_nothing() {
    let stage = Stage::new().await;
    for n in 0..100 {
        stage.view(&format!("{n}.mp4")).await;
    }
    let mut tabs = Vec::new();
    for _ in 0..10 {
        tabs.push(tab(&stage).await.bytes_stream());
    }
    for tab in &mut tabs {
        beats(tab, 1).await;
    }
    let (before, began) = (cpu_seconds(&stage.gateway), Instant::now());
    for tab in &mut tabs {
        beats(tab, 5).await;
    }
    let took = began.elapsed();
    let cpu = cpu_seconds(&stage.gateway) - before;
    let part = cpu / took.as_secs_f64();
    println!("ten tabs: {:.2} % of a core in {took:?}", part * 100.0);
    assert!(took > Duration::from_secs(7), "{took:?}");
    // Without optimisation, on a machine that does other things.
    assert!(part < 0.05, "{part}");
}

/// Opens the page once more: what it is told from now on.
async fn tab(stage: &Stage) -> reqwest::Response {
    let events = stage.gateway.client().get(stage.page("/events"));
    events.send().await.unwrap()
}

/// The processor time that a gateway has taken.
fn cpu_seconds(gateway: &Gateway) -> f64 {
    let pid = gateway.pid().as_raw_nonzero();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which may have spaces: fields 14 and 15 (proc_pid_stat(5)).
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let fields: Vec<_> = fields.collect();
    let ticks = fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap();
    f64::from(ticks) / 100.0
}

/// Reads so many events.
async fn beats(
    tab: &mut (impl futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin),
    events: usize,
) {
    let mut seen = 0;
    let mut last = 0;
    while seen < events {
        for byte in tab.next().await.unwrap().unwrap() {
            // An empty line ends an event.
            seen += usize::from(byte == b'\n' && last == b'\n');
            last = byte;
        }
    }
}
