//! `tombstone add`, `remove` and `list`, and what is said where nobody can be asked.

use std::fs;

use serde_json::Value;

use super::client::get;
use super::harness::{Setup, before, holding};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn listed(setup: &Setup) -> Vec<(String, String)> {
    let list = setup.json(&["tombstone", "list", "--json"]).await;
    let row = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        assert_eq!(row["space"], "media");
        assert!(row["time"].as_u64().unwrap() > 1_700_000_000);
        (text("key"), text("reason"))
    };
    let mut rows: Vec<_> = list.as_array().unwrap().iter().map(row).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn keys_are_added_removed_and_listed_with_and_without_a_gateway() {
    let keys = ["a.mp4", "b b.mp4", "c.mp4", "d.mp4"];
    let origin = holding(&keys.map(|key| (key, &b"x"[..]))).await;
    for running in [true, false] {
        let setup = before(&origin);
        let gateway = setup.start().await;
        for path in ["/a.mp4", "/b%20b.mp4", "/c.mp4", "/d.mp4"] {
            assert_eq!(get(&gateway, path).await.status, 200);
        }
        let url = gateway.url("/b%20b.mp4");
        let mut gateway = Some(gateway);
        if !running {
            gateway.take().unwrap().stopped().await;
        }
        let said = setup.run(&["tombstone", "add", "a.mp4", "--reason", "court order"]);
        let said = said.await;
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        assert_eq!(text(&said.stdout), "media: a.mp4: gone\n");
        let said = setup.json(&["tombstone", "add", &url, "--json"]).await;
        assert_eq!(said["places"][0]["key"], "b b.mp4", "{said}");
        assert_eq!(said["places"][0]["state"], "gone", "{said}");
        let file = setup.path("keys.txt");
        fs::write(&file, "c.mp4\n\nd.mp4\nnever-there.mp4\n").unwrap();
        let file = file.display().to_string();
        let said = setup.run(&["tombstone", "add", "--from", &file]).await;
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        assert_eq!(text(&said.stdout).lines().count(), 3, "{said:?}");
        let said = setup.run(&["tombstone", "remove", "d.mp4"]).await;
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        assert_eq!(text(&said.stdout), "media: d.mp4: open\n");
        let row = |key: &str, reason: &str| (key.to_owned(), reason.to_owned());
        let rows = [
            row("a.mp4", "court order"),
            row("b b.mp4", ""),
            row("c.mp4", ""),
            row("never-there.mp4", ""),
        ];
        assert_eq!(listed(&setup).await, rows);
        let human = text(&setup.run(&["tombstone", "list"]).await.stdout);
        assert!(
            human.contains("court order") && human.contains("b b.mp4"),
            "{human}"
        );
        let gateway = match gateway {
            Some(gateway) => gateway,
            None => setup.start().await,
        };
        for (path, status) in [
            ("/a.mp4", 410),
            ("/b%20b.mp4", 410),
            ("/c.mp4", 410),
            ("/d.mp4", 200),
        ] {
            assert_eq!(get(&gateway, path).await.status, status, "{path}");
        }
        gateway.stopped().await;
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_nothing_is_done() {
    let origin = holding(&[]).await;
    let setup = before(&origin);
    let gateway = setup.start().await;
    let empty = setup.path("empty.txt");
    fs::write(&empty, "\n").unwrap();
    let empty = empty.display().to_string();
    let absent = setup.path("absent.txt").display().to_string();
    for (arguments, said, exit) in [
        (&["tombstone", "add"][..], "<KEYS>", 2),
        (&["tombstone", "add", "--from", &empty], "say which", 1),
        (&["tombstone", "add", "--from", &absent], "absent.txt", 1),
        (&["tombstone", "add", "fine.mp4", "a/../b"], "a/../b", 1),
        (&["tombstone", "remove", "a/../b"], "a/../b", 1),
    ] {
        let output = setup.run(arguments).await;
        assert_eq!(
            output.status.code(),
            Some(exit),
            "{arguments:?}: {output:?}"
        );
        let text = text(&output.stderr);
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    assert!(listed(&setup).await.is_empty());
    let output = setup.run(&["tombstone", "list"]).await;
    assert_eq!(text(&output.stdout), "no key is tombstoned\n");
    gateway.stopped().await;
}

#[tokio::test]
async fn where_another_process_holds_the_files_it_says_how_to_reach_it() {
    let origin = holding(&[("a.mp4", b"a")]).await;
    let setup = before(&origin);
    let gateway = setup.start().await;
    assert_eq!(get(&gateway, "/a.mp4").await.status, 200);
    // As in another container: the same volumes, and no way to the socket.
    let socket = setup.state_directory().join("control.sock");
    fs::remove_file(&socket).unwrap();
    for arguments in [
        &["purge", "a.mp4"][..],
        &["purge", "--all", "--yes"],
        &["tombstone", "add", "a.mp4"],
        &["tombstone", "remove", "a.mp4"],
        &["cache", "stat"],
        &["cache", "verify"],
        &["state", "export", "/dev/null"],
    ] {
        let output = setup.run(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        let text = text(&output.stderr);
        let advice = format!(
            "no running gateway at {}; use \"docker compose exec\", not \"run\"",
            socket.display()
        );
        assert!(text.contains(&advice), "{arguments:?}: {text}");
    }
    // Reading the list needs nobody's leave.
    assert!(listed(&setup).await.is_empty());
    assert_eq!(get(&gateway, "/a.mp4").await.label(), "HIT");
    gateway.stopped().await;
}
