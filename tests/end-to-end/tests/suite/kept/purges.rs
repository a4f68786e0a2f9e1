//! `purge` and `cache stat`: beside a running gateway, and without one.

use serde_json::Value;

use super::client::{get, get_once_up};
use super::harness::{Gateway, Setup, before, holding, route};
use test_servers::faulty::Faulty;

const KEYS: [&str; 6] = ["a.mp4", "b.mp4", "x/1.mp4", "x/2.mp4", "xy.mp4", "z z.mp4"];

async fn filled() -> (Faulty, Setup) {
    let origin = holding(&KEYS.map(|key| (key, key.as_bytes()))).await;
    let setup = before(&origin);
    (origin, setup)
}

async fn fill(gateway: &Gateway) {
    for key in KEYS {
        let told = get(gateway, &format!("/{}", key.replace(' ', "%20"))).await;
        assert!(told.is(200, key.as_bytes()), "{key}: {}", told.summary());
    }
}

/// The keys that an origin is asked for again.
async fn dropped(gateway: &Gateway, origin: &Faulty) -> Vec<String> {
    let before = origin.requests().len();
    fill(gateway).await;
    let key = |request: &test_servers::faulty::Request| request.key().unwrap();
    let asked = origin.requests()[before..]
        .iter()
        .map(key)
        .collect::<Vec<_>>();
    let mut asked: Vec<_> = asked
        .into_iter()
        .map(|key| String::from_utf8(key).unwrap())
        .collect();
    asked.sort();
    asked
}

fn cases(gateway: &str) -> Vec<(Vec<String>, Vec<&'static str>)> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    vec![
        (
            vec!["purge".into(), format!("{gateway}/a.mp4")],
            vec!["a.mp4"],
        ),
        (
            vec!["purge".into(), format!("{gateway}/z%20z.mp4?query")],
            vec!["z z.mp4"],
        ),
        (words(&["purge", "/b.mp4"]), vec!["b.mp4"]),
        (
            words(&["purge", "x/1.mp4", "z z.mp4"]),
            vec!["x/1.mp4", "z z.mp4"],
        ),
        (
            words(&["purge", "--prefix", "x/"]),
            vec!["x/1.mp4", "x/2.mp4"],
        ),
        (
            words(&["purge", "--prefix", "/x"]),
            vec!["x/1.mp4", "x/2.mp4", "xy.mp4"],
        ),
        (words(&["purge", "--all", "--yes"]), KEYS.to_vec()),
        (words(&["purge", "absent.mp4"]), vec![]),
    ]
}

fn report(output: &std::process::Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_running_gateway_drops_what_is_purged_and_nothing_else() {
    let (origin, setup) = filled().await;
    let gateway = setup.start().await;
    fill(&gateway).await;
    for (arguments, keys) in cases(&gateway.url("")) {
        let mut words: Vec<_> = arguments.iter().map(String::as_str).collect();
        words.push("--json");
        let said = report(&setup.run(&words).await);
        assert_eq!(dropped(&gateway, &origin).await, keys, "{arguments:?}");
        assert_eq!(said["objects"], keys.len(), "{arguments:?}: {said}");
        assert_eq!(
            said["bytes"].as_u64().unwrap() > 0,
            !keys.is_empty(),
            "{arguments:?}"
        );
    }
}

#[tokio::test]
async fn without_a_gateway_the_files_are_opened() {
    let (origin, setup) = filled().await;
    let gateway = setup.start().await;
    let url = gateway.url("");
    fill(&gateway).await;
    gateway.stopped().await;
    for (arguments, keys) in cases(&url) {
        let mut words: Vec<_> = arguments.iter().map(String::as_str).collect();
        words.push("--json");
        let said = report(&setup.run(&words).await);
        assert_eq!(said["objects"], keys.len(), "{arguments:?}: {said}");
        let gateway = setup.start().await;
        assert_eq!(dropped(&gateway, &origin).await, keys, "{arguments:?}");
        gateway.stopped().await;
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_drops_nothing() {
    let (origin, setup) = filled().await;
    let gateway = setup.start().await;
    fill(&gateway).await;
    for (arguments, said, exit) in [
        (&["purge", "--all"][..], "--yes", 1),
        (&["purge"], "<PATHS>", 2),
        (
            &["purge", "--all", "--yes", "a.mp4"],
            "cannot be used with",
            2,
        ),
        (&["purge", "ftp//x", "../a.mp4"], "a.mp4", 1),
    ] {
        let output = setup.run(arguments).await;
        assert_eq!(
            output.status.code(),
            Some(exit),
            "{arguments:?}: {output:?}"
        );
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    assert!(dropped(&gateway, &origin).await.is_empty());
    drop(gateway);
    let output = setup.run(&["purge", "--all"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[tokio::test]
async fn a_url_of_another_host_is_no_route_of_this_gateway() {
    let origin = holding(&[("a.mp4", b"a")]).await;
    let text = super::harness::bucket("current", &origin)
        + &route(&["current"]).replace("url = \"/\"", "url = \"https://media.example/\"");
    let setup = super::harness::keeping(text);
    let gateway = setup.start().await;
    for (url, exit) in [
        ("https://other.example/a.mp4", 1),
        ("https://media.example/a.mp4", 0),
    ] {
        let output = setup.run(&["purge", url]).await;
        assert_eq!(output.status.code(), Some(exit), "{url}: {output:?}");
    }
    drop(gateway);
}

#[tokio::test]
async fn cache_stat_says_the_same_with_and_without_a_gateway() {
    let (_origin, setup) = filled().await;
    let output = setup.run(&["cache", "stat"]).await;
    assert_eq!(
        output.status.code(),
        Some(1),
        "there is none yet: {output:?}"
    );
    let gateway = setup.start().await;
    get_once_up(&gateway, "/a.mp4").await;
    fill(&gateway).await;
    super::harness::metric_is(&gateway, "cache_entries", |count| count == 6).await;
    let running = setup.json(&["cache", "stat", "--json"]).await;
    let human = setup.run(&["cache", "stat"]).await;
    let human = String::from_utf8(human.stdout).unwrap();
    assert!(human.contains("objects    6"), "{human}");
    gateway.stopped().await;
    let stopped = setup.json(&["cache", "stat", "--json"]).await;
    for said in [&running, &stopped] {
        assert_eq!(said["objects"], 6, "{said}");
        assert_eq!(said["up"], true, "{said}");
        assert_eq!(said["orphans"], 0, "{said}");
        assert!(said["disk_bytes"].as_u64().unwrap() > 0, "{said}");
    }
    assert_eq!(running["files"], stopped["files"]);
}
