//! `deletions`: what is held and what Misskey's rows name, compared and tombstoned.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;
use test_servers::faulty::{Fault, Faulty, On};
use test_servers::postgres::{OWNER, PASSWORD, Postgres};

use super::client::get;
use super::harness::{Setup, bucket, holding, keeping, route, web};
use crate::process::harness::directory;

const KEYS: &str = "access_key_id = \"reader\"\nsecret_access_key = \"of-a-test\"\n";

const TABLES: &str = r#"
CREATE TABLE drive_file (id varchar(32) PRIMARY KEY, size integer NOT NULL, md5 varchar(32),
    "storedInternal" boolean NOT NULL DEFAULT false, "accessKey" varchar(256),
    "thumbnailAccessKey" varchar(256), "webpublicAccessKey" varchar(256));
CREATE TABLE emoji (id varchar(32) PRIMARY KEY, "publicUrl" varchar(512));
CREATE TABLE "user" (id varchar(32) PRIMARY KEY, "avatarUrl" varchar(512));
"#;

/// A bucket with ten files, and their keys one on each line.
async fn named() -> (Faulty, String) {
    let current = Faulty::start().await;
    let keys: Vec<_> = (0..10).map(|n| format!("m/{n}.webp")).collect();
    for key in &keys {
        current.put(key, "picture");
    }
    (current, keys.join("\n"))
}

fn setup(origins: String, names: &[&str]) -> Setup {
    let routes = route(names).replace("[\"\"]", "[\"m/\", \"null/\"]");
    keeping(origins + &routes)
}

fn written(setup: &Setup, name: &str, text: &str) -> PathBuf {
    let file = setup.path(name);
    fs::write(&file, text).unwrap();
    file
}

/// The exit status, what is printed, and what is complained of.
async fn deletions(setup: &Setup, how: &[&str], file: &Path) -> (i32, String, String) {
    let file = file.display().to_string();
    let arguments = [&["deletions"], how, &[&file]].concat();
    let output = setup.run(&arguments).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (said, complained) = (text(output.stdout), text(output.stderr));
    (output.status.code().unwrap(), said, complained)
}

async fn report(setup: &Setup, how: &[&str], file: &Path) -> (i32, Value) {
    let (code, said, complained) = deletions(setup, &[&["--json"], how].concat(), file).await;
    let report = said
        .parse()
        .unwrap_or_else(|_| panic!("{code}: {said}: {complained}"));
    (code, report)
}

fn keys(report: &Value) -> Vec<&str> {
    let rows = report["keys"].as_array().unwrap();
    rows.iter()
        .map(|row| row["key"].as_str().unwrap())
        .collect()
}

fn aged(file: &Path, age: Duration) {
    let file = File::options().write(true).open(file).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

const DAY: Duration = Duration::from_hours(24);

/// Two keys without a row, and a young one, among thirteen.
struct Instance {
    postgres: Postgres,
    current: Faulty,
    setup: Setup,
    /// Its `default.yml`.
    misskey: PathBuf,
    _disk: TempDir,
    _rest: Faulty,
}

impl Instance {
    async fn start() -> Self {
        let postgres = Postgres::start().await.unwrap();
        let (current, _) = named().await;
        current.put("m/deleted.webp", "picture");
        current.put("backups/dump.sql", "of no route");
        let disk = tempfile::tempdir().unwrap();
        fs::create_dir(disk.path().join("m")).unwrap();
        for (name, age) in [
            ("deleted.webp", 9 * DAY),
            ("new.webp", DAY),
            ("old.webp", 8 * DAY),
        ] {
            let file = disk.path().join("m").join(name);
            fs::write(&file, "picture").unwrap();
            aged(&file, age);
        }
        let rest = holding(&[("m/rest.webp", b"picture")]).await;
        let origins = bucket("current", &current)
            + KEYS
            + &directory("disk", disk.path())
            + &web("rest", &rest);
        let setup = setup(origins, &["current", "disk", "rest"]);
        let file = format!(
            "url: https://example.com/\ndb:\n  host: 127.0.0.1\n  port: {}\n  db: {}\n  \
             user: {OWNER}\n  pass: '{PASSWORD}'\n",
            postgres.port(),
            postgres.database()
        );
        Self {
            misskey: written(&setup, "default.yml", &file),
            postgres,
            current,
            setup,
            _disk: disk,
            _rest: rest,
        }
    }

    /// By whatever a row can name it.
    fn fill(&self) {
        for n in 0..8 {
            let row = format!(
                "INSERT INTO drive_file (id, size, \"thumbnailAccessKey\") \
                 VALUES ('{n}', 1, 'm/{n}.webp')"
            );
            self.postgres.run(&row).unwrap();
        }
        let urls = "INSERT INTO emoji VALUES ('e', 'https://before.example/bucket/m/8.webp');\
                    INSERT INTO \"user\" VALUES ('u', 'https://p.example/?url=https%3A%2F%2Fa%2Fm%2F9.webp')";
        self.postgres.run(urls).unwrap();
    }

    /// With the default brake, and in earnest: what is complained of.
    async fn refused(&self) -> String {
        let how = ["--apply", "--misskey-config"];
        let (code, _, why) = deletions(&self.setup, &how, &self.misskey).await;
        assert_eq!(code, 2, "{why}");
        why
    }
}

const RAISED: [&str; 3] = ["--max", "50%", "--misskey-config"];

/// One database for everything, because each start takes seconds.
#[tokio::test]
async fn keys_without_a_row_are_reported_and_with_apply_tombstoned() {
    let instance = Instance::start().await;
    let why = instance.refused().await;
    assert!(why.contains("no table \"drive_file\""), "{why}");
    instance.postgres.run(TABLES).unwrap();
    let why = instance.refused().await;
    assert!(why.contains("no uploads at all"), "{why}");
    instance.fill();
    let why = instance.refused().await;
    let brake = "2 of 13 keys have no row (15.4 %): restored or wrong database?";
    assert!(why.contains(brake), "{why}");
    for running in [true, false] {
        the_report_counts_everything_and_changes_nothing(&instance, running).await;
    }
    applied_they_are_gone_and_the_objects_are_left(&instance).await;
    what_is_tombstoned_is_not_counted_again(&instance).await;
}

async fn the_report_counts_everything_and_changes_nothing(instance: &Instance, running: bool) {
    let setup = &instance.setup;
    let gateway = setup.start().await;
    // So that the ledger knows it.
    let told = get(&gateway, "/m/deleted.webp").await;
    assert!(told.is(200, b"picture"), "{}", told.summary());
    let mut gateway = Some(gateway);
    if !running {
        gateway.take().unwrap().stopped().await;
    }
    let (code, told) = report(setup, &RAISED, &instance.misskey).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(keys(&told), ["m/deleted.webp", "m/old.webp"], "{told}");
    for (what, count) in [
        ("held", 13),
        ("named", 10),
        ("too_young", 1),
        ("without_row", 2),
        ("tombstoned", 0),
        ("rows", 8),
        ("applied", 0),
    ] {
        assert_eq!(told[what], count, "{what}: {told}");
    }
    assert_eq!(told["origins"][0]["keys"], 11, "{told}");
    assert_eq!(told["origins"][1]["too_young"], 1, "{told}");
    let why = told["origins"][2]["left_out"].as_str().unwrap();
    assert!(why.contains("neither listed nor written"), "{told}");
    assert_eq!(told["ledger"]["keys"], 1, "{told}");
}

async fn applied_they_are_gone_and_the_objects_are_left(instance: &Instance) {
    let setup = &instance.setup;
    let gateway = setup.start().await;
    assert!(get(&gateway, "/m/old.webp").await.is(200, b"picture"));
    let apply = [&["--apply"], &RAISED[..]].concat();
    let (code, said, why) = deletions(setup, &apply, &instance.misskey).await;
    assert_eq!(code, 0, "{said}{why}");
    let lines = "  media: m/deleted.webp\n  media: m/old.webp\n2 keys were tombstoned";
    assert!(said.contains(lines), "{said}");
    for (path, status) in [
        ("/m/deleted.webp", 410),
        ("/m/old.webp", 410),
        ("/m/new.webp", 200),
        ("/m/0.webp", 200),
        ("/m/8.webp", 200),
    ] {
        assert_eq!(get(&gateway, path).await.status, status, "{path}");
    }
    let list = setup.json(&["tombstone", "list", "--json"]).await;
    assert_eq!(list[0]["reason"], "no row names it", "{list}");
    assert!(instance.current.object("m/deleted.webp").is_some());
    gateway.stopped().await;
}

async fn what_is_tombstoned_is_not_counted_again(instance: &Instance) {
    let how = ["--min-age", "0s", "--max", "10%", "--misskey-config"];
    let (code, told) = report(&instance.setup, &how, &instance.misskey).await;
    assert_eq!((code, &told["tombstoned"]), (0, &2.into()), "{told}");
    assert_eq!(keys(&told), ["m/new.webp"], "{told}");
}

#[tokio::test]
async fn without_a_gateway_it_is_applied_too_and_only_to_the_routes_that_are_named() {
    let (current, keys) = named().await;
    // A key like a URL is a key.
    current.put("m/x://y.webp", "picture");
    let other = "[[routes]]\nname = \"other\"\nurl = \"https://o.example/\"\nkeys = [\"m/\"]\n\
                 origins = [\"current\"]\n";
    let routes = route(&["current"]).replace("[[routes]]", "[[routes]]\nname = \"mine\"");
    let setup = keeping(bucket("current", &current) + KEYS + &routes + other);
    let file = written(&setup, "keys.txt", &keys);
    let how = ["--apply", "--max", "10%", "--route", "mine", "--keys"];
    let (code, said, why) = deletions(&setup, &how, &file).await;
    assert_eq!(code, 0, "{said}{why}");
    let list = setup.json(&["tombstone", "list", "--json"]).await;
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 1, "{list:?}");
    assert_eq!(
        (&list[0]["space"], &list[0]["key"]),
        (&"mine".into(), &"m/x://y.webp".into())
    );
    let how = ["--route", "none", "--keys"];
    let (code, _, why) = deletions(&setup, &how, &file).await;
    assert_eq!(code, 2);
    assert!(why.contains("no route is named \"none\""), "{why}");
}

#[tokio::test]
async fn half_a_listing_or_an_empty_list_of_keys_decides_nothing() {
    let (current, keys) = named().await;
    for n in 0..2000 {
        current.put(&format!("m/more/{n}"), "picture");
    }
    let setup = setup(bucket("current", &current) + KEYS, &["current"]);
    let file = written(&setup, "keys.txt", &keys);
    let how = ["--apply", "--max", "100%", "--keys"];
    current.fault(On::listing().after(1), Fault::access_denied());
    let (code, _, why) = deletions(&setup, &how, &file).await;
    assert_eq!(code, 2, "{why}");
    let broke = "the listing of current broke off after 1000 keys";
    assert!(why.contains(broke), "{why}");
    current.heal();
    let (code, _, why) = deletions(&setup, &how, &written(&setup, "empty.txt", "\n")).await;
    assert_eq!(code, 2, "{why}");
    assert!(why.contains("there is no key in it"), "{why}");
    let (code, _, why) = deletions(&setup, &how, &setup.path("absent.txt")).await;
    assert_eq!(code, 2, "{why}");
    assert!(
        setup
            .json(&["tombstone", "list", "--json"])
            .await
            .as_array()
            .unwrap()
            .is_empty()
    );

    // More than people want to read, and more than are tombstoned together.
    let (code, said, why) = deletions(&setup, &how, &file).await;
    assert_eq!(code, 0, "{said}{why}");
    assert!(
        said.contains("  and 1,900 more; --json lists all\n2,000 keys were tombstoned"),
        "{said}"
    );
    let list = setup.json(&["tombstone", "list", "--json"]).await;
    assert_eq!(list.as_array().unwrap().len(), 2000);
}

#[tokio::test]
async fn what_only_the_ledger_knows_is_as_old_as_it_was_last_seen() {
    let rest = holding(&[("m/rest.webp", b"picture")]).await;
    let setup = setup(web("rest", &rest), &["rest"]);
    let other = written(&setup, "keys.txt", "m/other.webp\n");
    let (code, _, why) = deletions(&setup, &["--keys"], &other).await;
    assert_eq!(code, 2, "{why}");
    assert!(why.contains("no origin can be listed"), "{why}");
    let gateway = setup.start().await;
    assert!(get(&gateway, "/m/rest.webp").await.is(200, b"picture"));
    let (code, told) = report(&setup, &["--keys"], &other).await;
    assert_eq!((code, &told["too_young"]), (0, &1.into()), "{told}");
    let how = ["--min-age", "0s", "--max", "100%", "--keys"];
    let (code, told) = report(&setup, &how, &other).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(keys(&told), ["m/rest.webp"], "{told}");
    gateway.stopped().await;
    let (code, told) = report(&setup, &how, &other).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(keys(&told), ["m/rest.webp"], "{told}");
    let named = written(&setup, "keys.txt", "https://before.example/m/rest.webp\n");
    let (code, told) = report(&setup, &how, &named).await;
    assert_eq!((code, &told["named"]), (0, &1.into()), "{told}");
    assert!(keys(&told).is_empty(), "{told}");
}
