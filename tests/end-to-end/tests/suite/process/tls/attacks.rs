//! Clients that mean no good, and a program that looks for weaknesses.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::Version;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::super::harness::PATIENCE;
use super::super::raw::Reader;
use super::{HOST, Scene, client, shown, url};

#[tokio::test]
async fn handshakes_that_fail_leave_no_trace_in_the_log() {
    let scene = Scene::set("").await;
    let gateway = scene.setup.start().await;
    for _ in 0..100 {
        let mut reader = Reader::connect(gateway.tls()).await;
        reader.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        reader.read_to_end().await;
    }
    shown(&gateway, &scene.identity).await.unwrap();
    let log = gateway.stopped().await;
    assert!(log.lines().count() < 20, "{log}");
}

/// `check` reckons with 16 KiB and 64 KiB for each.
#[tokio::test(flavor = "multi_thread")]
async fn connections_over_tls_take_no_more_memory_than_check_says() {
    const CONNECTIONS: usize = 500;
    let scene = Scene::set("").await;
    let gateway = scene
        .setup
        .limits("connections_per_client = 1000")
        .start()
        .await;
    let client = client(&gateway, &[&scene.identity], Version::HTTP_11);
    let ask = || client.get(url(&gateway, "/small.bin")).send();
    ask().await.unwrap();
    let before = gateway.resident_bytes();
    // None is read before all have come, so each has a connection of its own.
    let answers = join_all((0..CONNECTIONS).map(|_| ask())).await;
    let each = gateway.resident_bytes().saturating_sub(before) / CONNECTIONS as u64;
    assert!(answers.iter().all(Result::is_ok));
    println!("{each} bytes for each connection that is idle");
    assert!(each < (16 + 64) * 1024, "{each} bytes each");
    drop(answers);
}

/// Runs a program of the system that attacks or examines.
async fn run(program: &'static str, arguments: Vec<String>) -> String {
    let run = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(program);
        command.args(arguments).output()
    });
    let output = timeout(PATIENCE * 4, run).await.expect("it ends").unwrap();
    let output = output.unwrap_or_else(|error| {
        panic!("{program} cannot be run: {error}; install Debian's package {program}")
    });
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn sslscan_finds_nothing_weak() {
    let scene = Scene::set("").await;
    let gateway = scene.setup.start().await;
    let sni = format!("--sni-name={HOST}");
    let found = run(
        "sslscan",
        vec!["--no-colour".into(), sni, gateway.tls().to_string()],
    )
    .await;
    println!("{found}");
    for old in ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"] {
        let line = found
            .lines()
            .find(|line| line.split_whitespace().next() == Some(old));
        let line = line.unwrap_or_else(|| panic!("nothing is said of {old}: {found}"));
        assert!(line.ends_with("disabled"), "{line}");
    }
    for new in ["TLSv1.2", "TLSv1.3"] {
        let is_on = |line: &str| {
            let mut words = line.split_whitespace();
            words.next() == Some(new) && words.next() == Some("enabled")
        };
        assert!(found.lines().any(is_on), "{new} is not spoken: {found}");
    }
    let ciphers: Vec<_> = found
        .lines()
        .filter(|line| line.starts_with("Accepted") || line.starts_with("Preferred"))
        .collect();
    assert!(ciphers.len() >= 4, "{found}");
    for cipher in ciphers {
        let is_strong = cipher.contains("GCM") || cipher.contains("CHACHA20");
        let is_ephemeral = cipher.contains("TLSv1.3") || cipher.contains("ECDHE");
        assert!(is_strong && is_ephemeral, "{cipher}");
    }
    let bad = |line: &&str| {
        line.contains("vulnerable") && !line.contains("not vulnerable")
            || line.contains("Compression enabled")
            || line.contains("Insecure")
    };
    assert_eq!(found.lines().find(bad), None, "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slowhttptest_leaves_the_service_available() {
    let scene = Scene::set("").await;
    let setup = scene.setup.limits(
        "connections_per_client = 200\nheader_timeout = \"2s\"\nminimum_rate_grace = \"2s\"",
    );
    let gateway = Arc::new(setup.start().await);
    let address = url(&gateway, "/small.bin").replace(HOST, "127.0.0.1");
    // Headers that never end, and answers that are read a byte at a time.
    let slow_read = ["-X", "-w", "1", "-y", "2", "-n", "5", "-z", "1"];
    for attack in [&["-H"][..], &slow_read] {
        let common = [
            "-c", "150", "-r", "100", "-l", "8", "-i", "1", "-p", "5", "-u", &address,
        ];
        let arguments = attack.iter().chain(&common).map(|word| (*word).to_owned());
        let attacking = TaskTracker::new().spawn(run("slowhttptest", arguments.collect()));
        let mut answered = 0;
        let mut look = tokio::time::interval(Duration::from_millis(200));
        while !attacking.is_finished() {
            look.tick().await;
            let asked = timeout(PATIENCE, shown(&gateway, &scene.identity));
            asked.await.expect("in time").expect("it is answered");
            answered += 1;
        }
        let said = attacking.await.unwrap();
        println!("{attack:?}: {answered} answers meanwhile\n{said}");
        assert!(answered > 1, "{said}");
        // It asks for itself meanwhile.
        assert!(said.contains("service available"), "{said}");
        assert!(!said.contains("NO\u{1b}"), "{said}");
    }
}
