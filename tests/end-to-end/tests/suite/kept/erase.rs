//! `tombstone add --erase`: the objects themselves, wherever they can be deleted, and what is said
//! of the places where they cannot.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use test_servers::faulty::{BUCKET, Fault, Faulty, On};

use super::admin::{BURY, DIG, TOKEN, bearer, call};
use super::client::get;
use super::harness::{
    Gateway, Setup, bucket, files_are, film, holding, keeping, noise, route, web,
};
use crate::process::harness::directory;

const KEYS: &str = "access_key_id = \"writer\"\nsecret_access_key = \"of-a-test\"\n";

fn written(name: &str, at: &Faulty) -> String {
    at.writable(true);
    bucket(name, at) + KEYS
}

/// As an application does.
async fn upload(to: &Faulty, key: &str, bytes: &[u8]) {
    let url = format!("{}/{BUCKET}/{key}", to.endpoint());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let signed = "AWS4-HMAC-SHA256 Credential=writer";
    let request = client.put(url).header("authorization", signed);
    let answer = request.body(bytes.to_vec()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

async fn erase(setup: &Setup, key: &str) -> (Option<i32>, String) {
    let Output { status, stdout, .. } = setup.run(&["tombstone", "add", key, "--erase"]).await;
    (status.code(), String::from_utf8(stdout).unwrap())
}

/// Files below a directory that have these bytes in them.
fn files_with(bytes: &[u8], below: &Path) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += files_with(bytes, &path);
        } else {
            let content = fs::read(&path).unwrap();
            count += usize::from(content.windows(bytes.len()).any(|part| part == bytes));
        }
    }
    count
}

async fn is_gone(gateway: &Gateway, path: &str) {
    assert_eq!(get(gateway, path).await.status, 410, "{path}");
}

#[tokio::test]
async fn it_is_deleted_everywhere_with_all_versions_with_and_without_a_gateway() {
    for running in [true, false] {
        let bytes = noise(7, 3000);
        let (current, old, retired) = (
            holding(&[("b.mp4", b"b")]).await,
            holding(&[("b.mp4", b"b")]).await,
            holding(&[("a.mp4", &bytes)]).await,
        );
        let disk = tempfile::tempdir().unwrap();
        fs::write(disk.path().join("a.mp4"), &bytes).unwrap();
        fs::write(disk.path().join("b.mp4"), "b").unwrap();
        let text = written("current", &current)
            + &directory("disk", disk.path())
            + "writable = true\nmin_free = \"0 B\"\n"
            + &web("old", &old)
            + &web("former", &retired)
            + "state = \"retired\"\n"
            + &route(&["current", "disk", "old", "former"]);
        current.versioned();
        upload(&current, "a.mp4", b"an earlier one").await;
        upload(&current, "a.mp4", &bytes).await;
        assert_eq!(current.versions("a.mp4"), 2);
        let setup = keeping(text);
        let gateway = setup.start().await;
        assert!(get(&gateway, "/a.mp4").await.is(200, &bytes));
        files_are(&setup, 1).await;
        assert_eq!(files_with(&bytes[..500], &setup.cache_directory()), 1);
        let mut gateway = Some(gateway);
        if !running {
            gateway.take().unwrap().stopped().await;
        }
        let said = erase(&setup, "a.mp4").await;
        let lines = "media: a.mp4: gone\n  current: erased, 2 versions\n  disk: erased\n  \
             old: was not there\n  former: retired, never asked\n  cache: erased\n";
        assert_eq!(said, (Some(0), lines.to_owned()), "running: {running}");
        assert_eq!(files_with(&bytes[..500], &setup.cache_directory()), 0);
        assert!(current.object("a.mp4").is_none());
        assert_eq!(current.versions("a.mp4"), 0);
        assert!(!disk.path().join("a.mp4").exists());
        assert_eq!(retired.counts().connections, 0);
        let gateway = match gateway {
            Some(gateway) => gateway,
            None => setup.start().await,
        };
        is_gone(&gateway, "/a.mp4").await;
        assert!(get(&gateway, "/b.mp4").await.is(200, b"b"));
        let said = setup.json(&["tombstone", "add", "a.mp4", "--erase", "--json"]);
        let told = said.await["places"][0]["erasures"].clone();
        let expected = json!([
            { "place": "current", "state": "absent" },
            { "place": "disk", "state": "absent" },
            { "place": "old", "state": "absent" },
            { "place": "former", "state": "retired" },
            { "place": "cache", "state": "erased" },
        ]);
        assert_eq!(told, expected);
        gateway.stopped().await;
    }
}

#[tokio::test]
async fn without_erase_every_origin_keeps_what_it_has() {
    let current = holding(&[("a.mp4", b"a")]).await;
    let setup = keeping(written("current", &current) + &route(&["current"]));
    for running in [true, false] {
        let gateway = if running {
            Some(setup.start().await)
        } else {
            None
        };
        let said = setup.run(&["tombstone", "add", "a.mp4"]).await;
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        assert_eq!(said.stdout, b"media: a.mp4: gone\n", "{said:?}");
        assert!(current.object("a.mp4").is_some());
        drop(gateway);
    }
    assert!(current.requests().is_empty());
}

#[tokio::test]
async fn an_origin_that_is_down_or_refuses_is_left_and_erased_the_next_time() {
    let films: [(&str, &[u8]); 2] = [("a.mp4", b"a"), ("b.mp4", b"b")];
    let (current, old) = (holding(&films).await, holding(&films).await);
    let text = written("current", &current) + &written("old", &old) + &route(&["current", "old"]);
    let setup = keeping(text);
    old.stop().await;
    let (code, said) = erase(&setup, "a.mp4").await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("\n  current: erased\n  old: left: connect: "),
        "{said}"
    );
    assert!(current.object("a.mp4").is_none());
    assert!(old.object("a.mp4").is_some());
    old.restart();

    // Keys that may only read.
    let deletes = |request: &test_servers::faulty::Request| request.method == "DELETE";
    old.fault(On::when(deletes), Fault::access_denied());
    let (code, said) = erase(&setup, "b.mp4").await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("\n  current: erased\n  old: left: denied: "),
        "{said}"
    );
    assert!(old.object("b.mp4").is_some());
    let (code, said) = erase(&setup, "never-there.mp4").await;
    assert_eq!(code, Some(0), "{said}");

    old.heal();
    let gateway = setup.start().await;
    for key in ["a.mp4", "b.mp4"] {
        is_gone(&gateway, &format!("/{key}")).await;
        let (code, said) = erase(&setup, key).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("\n  current: was not there\n  old: erased\n"),
            "{said}"
        );
        assert!(old.object(key).is_none());
    }
}

#[tokio::test]
async fn an_origin_that_cannot_be_written_is_left_as_long_as_it_has_the_object() {
    let films: [(&str, &[u8]); 2] = [("a.mp4", b"a"), ("there.mp4", b"there")];
    let (current, old) = (holding(&films[..1]).await, holding(&films).await);
    let text = written("current", &current)
        + &bucket("old", &old)
        + "canary = \"there.mp4\"\n"
        + &route(&["current", "old"]);
    let setup = keeping(text);
    let line = "  old: left: this origin cannot be written; delete it there yourself\n";
    let (code, said) = erase(&setup, "a.mp4").await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(line), "{said}");
    assert!(old.object("a.mp4").is_some());
    let json = setup
        .run(&["tombstone", "add", "a.mp4", "--erase", "--json"])
        .await;
    assert_eq!(json.status.code(), Some(1), "{json:?}");
    let told: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(told["places"][0]["erasures"][1]["state"], "left", "{told}");

    // Another bucket under the same name has nothing, which says nothing.
    old.empty();
    let (code, said) = erase(&setup, "a.mp4").await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is it still the same storage?"), "{said}");
    old.put("there.mp4", film(b"there"));
    let (code, said) = erase(&setup, "a.mp4").await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("\n  old: was not there\n"), "{said}");
}

#[tokio::test]
async fn over_the_api_it_takes_the_token_and_only_what_is_published() {
    let films: [(&str, &[u8]); 3] = [("m/a.mp4", b"a"), ("x/a.mp4", b"x"), ("dump.sql", b"sql")];
    let current = holding(&films).await;
    let text = written("current", &current)
        + "rewrite = [{ from = \"x/\", to = \"m/\" }]\n"
        + "[[routes]]\nurl = \"/\"\nkeys = [\"x/\"]\norigins = [\"current\"]\n";
    let setup = keeping(text).admin(&format!("token = \"{TOKEN}\""));
    let gateway = setup.start().await;
    let right = bearer(TOKEN);
    let right = [("authorization", right.as_str())];
    let body = json!({ "keys": ["x/a.mp4"], "reason": "law", "erase": true });
    let (status, said) = call(&gateway, BURY, body.clone(), &[]).await;
    assert_eq!(status, 401, "{said}");
    let (status, said) = call(&gateway, DIG, body.clone(), &right).await;
    assert_eq!(status, 400, "{said}");
    let hidden = json!({ "keys": ["x/a.mp4", gateway.url("/dump.sql")], "erase": true });
    let (status, said) = call(&gateway, BURY, hidden, &right).await;
    assert_eq!(status, 400, "{said}");
    assert!(said.contains("no route publishes it"), "{said}");
    for (key, _) in films {
        assert!(current.object(key).is_some(), "{key}");
    }
    assert_ne!(get(&gateway, "/x/a.mp4").await.status, 410);

    let (status, said) = call(&gateway, BURY, body, &right).await;
    assert_eq!(status, 200, "{said}");
    let said: Value = said.parse().unwrap();
    let erased = json!([
        { "place": "current", "state": "erased", "versions": 1 },
        { "place": "cache", "state": "erased" },
    ]);
    assert_eq!(said["places"][0]["erasures"], erased, "{said}");
    let left = films.map(|(key, _)| current.object(key).is_some());
    assert_eq!(
        left,
        [false, true, true],
        "by the origin's own key, and no other"
    );
    is_gone(&gateway, "/x/a.mp4").await;
}
