//! What operators are told of deletions: the list, and `explain`.

use serde_json::Value;
use tokio::time::Instant;

use super::super::client::get;
use super::super::harness::PATIENCE;
use super::{Buckets, FOLLOW, film, json, listed, seen, without_copies};

#[tokio::test]
async fn explain_says_since_when_a_key_is_withdrawn_and_what_that_means() {
    for (lines, status, means) in [("", 200, "\"hold\""), (FOLLOW, 410, "\"follow\"")] {
        let buckets = Buckets::with(&[("a.mp4", b"a"), ("b.mp4", b"b")]).await;
        let setup = buckets.behind(lines);
        let gateway = setup.start().await;
        seen(&setup, &gateway, &["/a.mp4", "/b.mp4"]).await;
        let url = gateway.url("/a.mp4");
        let said = setup.json(&["explain", "--json", &url]).await;
        assert_eq!(said["withdrawn"], Value::Null, "{said}");
        buckets.current.remove("a.mp4");
        // As soon as the ledger knows it.
        let deadline = Instant::now() + PATIENCE;
        let said = loop {
            let said = setup.json(&["explain", "--json", &url]).await;
            if said["withdrawn"] != Value::Null {
                break said;
            }
            assert!(Instant::now() < deadline, "{said}");
        };
        assert_eq!(said["withdrawn"]["since"], Value::Null, "{said}");
        get(&gateway, "/a.mp4").await;
        without_copies(&setup).await;
        let said = setup.json(&["explain", "--json", &url]).await;
        assert_eq!(said["status"], status, "{said}");
        assert_eq!(said["withdrawn"]["origin"], "current", "{said}");
        assert!(said["withdrawn"]["since"].is_u64(), "{said}");
        let human = setup.run(&["explain", &url]).await;
        let human = String::from_utf8_lossy(&human.stdout).into_owned();
        assert!(human.contains("gone    from current since 20"), "{human}");
        assert!(human.contains(means), "{human}");
        // The files say the same without a gateway.
        gateway.stopped().await;
        let alone = setup.json(&["explain", "--json", &url]).await;
        assert_eq!(alone["withdrawn"], said["withdrawn"], "{alone}");
        assert_eq!(alone["status"], status, "{alone}");
        // A tombstone comes first.
        let said = setup.run(&["tombstone", "add", "a.mp4"]).await;
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        let said = setup.json(&["explain", "--json", &url]).await;
        assert_eq!(said["status"], 410, "{said}");
        assert!(said["because"].as_str().unwrap().contains("tombstone"));
    }
}

#[tokio::test]
async fn the_list_is_read_a_page_at_a_time() {
    let keys = ["a/1.mp4", "a/2.mp4", "//x.mp4", "写真.mp4"];
    let films = keys.map(|key| (key, &b"x"[..]));
    let buckets = Buckets::with(&films).await;
    buckets.current.put("canary.mp4", film(b"c"));
    let setup = buckets.behind("");
    let gateway = setup.start().await;
    let paths = [
        "/a/1.mp4",
        "/a/2.mp4",
        "///x.mp4",
        "/%E5%86%99%E7%9C%9F.mp4",
    ];
    seen(&setup, &gateway, &paths).await;
    for key in keys {
        buckets.current.remove(key);
    }
    for path in paths {
        assert_eq!(get(&gateway, path).await.status, 200);
    }
    let all = listed(&gateway, 4).await;
    let (mut read, mut after) = (Vec::new(), String::new());
    loop {
        let page = json(&gateway, &format!("/api/withdrawn?limit=1{after}")).await;
        read.extend(page["withdrawn"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else {
            break;
        };
        let next: String = form(next);
        after = format!("&after={next}");
    }
    assert_eq!(read, all);
    let none = json(&gateway, "/api/withdrawn?route=other").await;
    assert_eq!(none["withdrawn"], Value::Array(Vec::new()));
    for wrong in [
        "after=x",
        "after=media/current/",
        "after=other/current/a",
        "limit=x",
    ] {
        let answer = gateway.operators(&format!("/api/withdrawn?{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
    }
}

/// As it stands in a query.
fn form(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        let _ = write!(out, "%{byte:02X}");
    }
    out
}
