//! `migrate` between real storage: buckets of an S3 server and a directory, killed and repeated.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tempfile::TempDir;
use test_servers::s3::S3;

use super::harness::{Setup, route};

/// What a browser leaves as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-');

/// A file's bytes and the type it shall be served with.
type Files = BTreeMap<&'static str, (Vec<u8>, &'static str)>;

fn files() -> Files {
    let bytes = |length: u32| (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
    let file = |length, kind| (bytes(length).collect(), kind);
    [
        ("misskey/0b3c.webp", file(20_000, "image/webp")),
        ("misskey/夕焼け 写真 1.png", file(30_000, "image/png")),
        ("misskey/a+b;c.mp4", file(9 << 20, "video/mp4")),
        ("null/empty", file(0, "image/gif")),
        ("null/without-extension", file(10, "audio/mpeg")),
    ]
    .into()
}

async fn fill(s3: &S3, bucket: &str, files: &Files) {
    s3.create_bucket(bucket).unwrap();
    for (key, (bytes, kind)) in files {
        s3.put(bucket, key, kind, bytes.clone()).await.unwrap();
    }
}

fn bucket(name: &str, s3: &S3) -> String {
    format!(
        "[origins.{name}]\nkind = \"s3\"\nendpoint = \"{}\"\nbucket = \"{name}\"\ncache = \"none\"\n\
         access_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
        s3.endpoint(),
        s3.keys().access_key_id,
        s3.keys().secret_access_key,
    )
}

fn disk(root: &Path) -> String {
    format!(
        "[origins.disk]\nkind = \"filesystem\"\nroot = \"{}\"\nwritable = true\n\
         min_free = \"1 MB\"\ncache = \"none\"\n",
        root.display()
    )
}

/// An empty directory that is the one that is meant.
fn marked() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(".media-gateway"), b"").unwrap();
    directory
}

/// Two buckets and a directory, of which one is asked.
fn origins(s3: &S3, root: &Path, asked: &[&str]) -> String {
    bucket("old", s3) + &bucket("new", s3) + &disk(root) + &route(asked)
}

async fn migrate(setup: &Setup, code: i32, arguments: &[&str]) -> Value {
    let output = setup
        .run(&[&["migrate", "--json"], arguments].concat())
        .await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// What is at an origin is served from there, byte by byte.
async fn are_at(setup: Setup, origins: String, name: &str, files: &Files) -> Setup {
    let setup = setup.with_others(origins);
    let gateway = setup.start().await;
    for (key, (bytes, kind)) in files {
        let answer = gateway
            .get(&format!("/{}", utf8_percent_encode(key, PATH)))
            .await;
        assert_eq!(answer.status, 200, "{key}: {}", gateway.log());
        assert_eq!(answer.headers["x-origin"], name, "{key}");
        assert!(answer.body == *bytes, "{key} has other bytes");
        assert_eq!(answer.headers["content-type"], *kind, "{key}");
    }
    gateway.stopped().await;
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_bucket_to_a_directory_to_another_bucket_nothing_is_lost_but_time() {
    let files = files();
    let s3 = S3::start().unwrap();
    fill(&s3, "old", &files).await;
    s3.create_bucket("new").unwrap();
    let room = marked();
    let setup = Setup::new(origins(&s3, room.path(), &["old"]));

    let dry = migrate(
        &setup,
        0,
        &["--from", "old", "--to", "disk", "--all-keys", "--dry-run"],
    )
    .await;
    assert_eq!(dry["tally"]["new"]["objects"], files.len());
    assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1);

    for (from, to, verify) in [("old", "disk", "checksum"), ("disk", "new", "read")] {
        let arguments = ["--from", from, "--to", to, "--all-keys", "--verify", verify];
        let report = migrate(&setup, 0, &arguments).await;
        assert_eq!(
            report["results"]["copied"]["objects"],
            files.len(),
            "{report}"
        );
        let again = migrate(&setup, 0, &arguments).await;
        assert_eq!(again["tally"]["new"]["objects"], 0, "{again}");
        assert_eq!(again["tally"]["same"]["objects"], files.len());
    }
    let setup = are_at(setup, origins(&s3, room.path(), &["disk"]), "disk", &files).await;
    are_at(setup, origins(&s3, room.path(), &["new"]), "new", &files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_gateway_what_is_gone_is_not_copied_and_what_is_copied_is_remembered() {
    let files = files();
    let s3 = S3::start().unwrap();
    fill(&s3, "old", &files).await;
    s3.create_bucket("new").unwrap();
    let room = marked();
    // The application writes to the first one, and deletes there.
    let setup = Setup::new(origins(&s3, room.path(), &["new", "old"]));
    let gateway = setup.start().await;
    let gone = setup.run(&["tombstone", "add", "null/empty"]).await;
    assert!(gone.status.success(), "{gone:?}");
    let arguments = ["--from", "old", "--to", "new"];
    let report = migrate(&setup, 0, &arguments).await;
    assert_eq!(report["tally"]["tombstoned"]["objects"], 1, "{report}");
    assert_eq!(report["results"]["copied"]["objects"], files.len() - 1);

    let exported = setup.run(&["state", "export", "-"]).await;
    let lines = String::from_utf8(exported.stdout).unwrap();
    let migrated = lines
        .lines()
        .filter(|line| line.contains("\"by\":\"migration\""));
    assert_eq!(migrated.count(), files.len() - 1);

    // Deleted by the application: the next run does not bring it back.
    let client = s3.client("new").unwrap();
    client.delete("misskey/0b3c.webp").await.unwrap();
    let report = migrate(&setup, 0, &arguments).await;
    assert_eq!(report["tally"]["new"]["objects"], 0, "{report}");
    assert_eq!(report["tally"]["withdrawn"]["objects"], 1);
    gateway.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_tool_had_copied_and_the_application_deletes_does_not_come_back() {
    let files = files();
    let s3 = S3::start().unwrap();
    fill(&s3, "old", &files).await;
    fill(&s3, "new", &files).await;
    let room = marked();
    let setup = Setup::new(origins(&s3, room.path(), &["new", "old"]));
    let gateway = setup.start().await;
    let arguments = ["--from", "old", "--to", "new"];
    let report = migrate(&setup, 0, &arguments).await;
    assert_eq!(report["tally"]["same"]["objects"], files.len(), "{report}");
    let client = s3.client("new").unwrap();
    client.delete("misskey/0b3c.webp").await.unwrap();
    let report = migrate(&setup, 0, &arguments).await;
    assert_eq!(report["tally"]["new"]["objects"], 0, "{report}");
    assert_eq!(report["tally"]["withdrawn"]["objects"], 1, "{report}");
    gateway.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_is_killed_goes_on_and_copies_nothing_twice() {
    let s3 = S3::start().unwrap();
    s3.create_bucket("old").unwrap();
    for n in 0..60 {
        let bytes = vec![b'x'; 10_000 + n];
        s3.put("old", &format!("m/{n:03}.bin"), "image/png", bytes)
            .await
            .unwrap();
    }
    let room = marked();
    let setup = Setup::new(origins(&s3, room.path(), &["old"]));
    let slow = [
        "migrate", "--json", "--from", "old", "--to", "disk", "--jobs", "2",
    ];
    let slow = [&slow[..], &["--max-bandwidth", "100 kB/s"]].concat();
    // What a kill has left half written has other names.
    let copied = || {
        let Ok(entries) = fs::read_dir(room.path().join("m")) else {
            return 0;
        };
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "bin"))
            .count()
    };
    let mut before = 0;
    for _ in 0..3 {
        let child = setup.begin(&slow);
        let more = before + 4;
        child.kill_when(|| copied() >= more).await;
        assert!(copied() < 60, "it was not killed before its end");
        before = copied();
    }
    let report = migrate(&setup, 0, &["--from", "old", "--to", "disk"]).await;
    assert_eq!(report["resumed"], true, "{report}");
    let results = &report["results"];
    let sum = |name: &str| results[name].as_u64().unwrap();
    let all = results["copied"]["objects"].as_u64().unwrap();
    assert_eq!(all + sum("appeared"), 60, "{report}");
    // At each kill, those that were under way and not acknowledged.
    assert!(sum("appeared") <= 3 * 4, "{report}");
    assert_eq!(copied(), 60);
    let again = migrate(&setup, 0, &["--from", "old", "--to", "disk"]).await;
    assert_eq!(again["tally"]["new"]["objects"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_ends_with_2_and_says_why() {
    let s3 = S3::start().unwrap();
    s3.create_bucket("new").unwrap();
    let room = marked();
    let setup = Setup::new(origins(&s3, room.path(), &["new"]));
    for (arguments, why) in [
        (["--from", "old", "--to", "old"], "the same origin"),
        (["--from", "nobody", "--to", "new"], "there is no origin"),
        (["--from", "old", "--to", "disk"], "no route asks"),
        (["--from", "old", "--to", "new"], "old cannot be listed"),
    ] {
        let output = setup.run(&[&["migrate"], &arguments[..]].concat()).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
    let differs = Setup::new(origins(&s3, room.path(), &["new", "disk"]));
    fs::write(room.path().join("a"), "one").unwrap();
    s3.put("new", "a", "image/png", "another").await.unwrap();
    let report = migrate(&differs, 1, &["--from", "disk", "--to", "new"]).await;
    assert_eq!(report["remarks"]["differs"][0]["key"], "a");
    let named = room.path().join("keys.txt");
    fs::write(&named, "a\nabsent\n").unwrap();
    let file = named.to_str().unwrap();
    let report = migrate(
        &differs,
        1,
        &["--from", "new", "--to", "disk", "--keys", file],
    )
    .await;
    assert_eq!(report["tally"]["absent"]["objects"], 1, "{report}");
}
