//! `migrate` and `audit` with the rows of a real PostgreSQL, and with exports of meisskey's.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use test_servers::faulty::Faulty;
use test_servers::postgres::{OWNER, PASSWORD, Postgres};

use super::auditing::{against, audit, bucket, disk, marked, route};
use super::harness::{Setup, web};

const TABLES: &str = r#"
CREATE TABLE drive_file (id varchar(32) PRIMARY KEY, size integer NOT NULL DEFAULT 1,
    md5 varchar(32), "storedInternal" boolean NOT NULL DEFAULT false, "accessKey" varchar(256),
    "thumbnailAccessKey" varchar(256), "webpublicAccessKey" varchar(256));
CREATE TABLE emoji (id varchar(32) PRIMARY KEY, "publicUrl" varchar(512));
CREATE TABLE "user" (id varchar(32) PRIMARY KEY, "avatarUrl" varchar(512));
INSERT INTO drive_file (id, "accessKey", "thumbnailAccessKey", "webpublicAccessKey") VALUES
    ('f1', 'm/a.png', 'm/thumbnail-b.webp', 'm/webpublic-c.webp'),
    ('never', 'm/never-stored.png', NULL, NULL),
    ('since', 'm/uploaded-since.png', NULL, NULL),
    ('backup', 'backups/of-no-route', NULL, NULL);
INSERT INTO emoji VALUES ('e', 'https://media.example/m/emoji.png');
INSERT INTO "user" VALUES ('u', 'https://p.example/?url=https%3A%2F%2Fmedia.example%2Fm%2Fa.png');
"#;

/// What the old bucket has, and rows name.
const NAMED: [&str; 4] = [
    "m/a.png",
    "m/thumbnail-b.webp",
    "m/webpublic-c.webp",
    "m/emoji.png",
];
const DELETED: &str = "m/deleted.png";

/// An instance that has moved to a new bucket.
struct Instance {
    old: Faulty,
    new: Faulty,
    room: TempDir,
    setup: Setup,
    /// With the database's URL.
    url: PathBuf,
}

impl Instance {
    async fn start(postgres: Option<&Postgres>) -> Self {
        let (old, new) = (Faulty::start().await, Faulty::start().await);
        new.writable(true);
        for key in NAMED.iter().chain([&DELETED, &"backups/of-no-route"]) {
            old.put(key, format!("the object {key}"));
        }
        new.put("m/uploaded-since.png", "only there");
        let room = marked();
        let origins = bucket("old", &old, "") + &bucket("new", &new, "") + &disk(room.path());
        let setup = Setup::new(origins + &route(&["new", "old", "disk"]));
        let url = setup.path("database-url");
        if let Some(postgres) = postgres {
            let password = PASSWORD.replace('\'', "\\'");
            let (port, database) = (postgres.port(), postgres.database());
            let text = format!(
                "host=127.0.0.1 port={port} user={OWNER} password='{password}' dbname={database}\n"
            );
            fs::write(&url, text).unwrap();
        }
        Self {
            old,
            new,
            room,
            setup,
            url,
        }
    }

    fn url(&self) -> &str {
        self.url.to_str().unwrap()
    }

    /// Files that are whole.
    fn copied(&self) -> usize {
        let Ok(entries) = fs::read_dir(self.room.path().join("m")) else {
            return 0;
        };
        let names = entries.map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_str().is_some_and(|name| !name.starts_with('.')))
            .count()
    }
}

async fn migrate(setup: &Setup, code: i32, arguments: &[&str]) -> Value {
    let output = setup
        .run(&[&["migrate", "--json"], arguments].concat())
        .await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// What is complained of where nothing could be done.
async fn refused(setup: &Setup, arguments: &[&str]) -> String {
    let output = setup.run(arguments).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

/// One database for everything, because each start takes seconds.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_rows_name_is_moved_and_audited_and_what_was_deleted_is_left() {
    let postgres = Postgres::start().await.unwrap();
    the_database_is_looked_at_before_anything_else(&postgres).await;
    postgres.run(TABLES).unwrap();
    the_rows_are_the_inventory(&postgres).await;
    only_what_is_referenced_is_copied_of_what_is_listed(&postgres).await;
    an_audit_needs_no_home_for_what_no_row_names(&postgres).await;
    a_web_server_is_moved_and_audited_by_the_rows(&postgres).await;
    a_killed_migration_reads_no_row_again(&postgres).await;
}

async fn the_database_is_looked_at_before_anything_else(postgres: &Postgres) {
    let instance = Instance::start(Some(postgres)).await;
    let ends = ["migrate", "--from", "old", "--to", "new"];
    let rows = ["--misskey-url-file", instance.url()];
    for more in [&rows[..], &[rows[0], rows[1], "--referenced-only"]] {
        let said = refused(&instance.setup, &[&ends[..], more].concat()).await;
        assert!(said.contains("no table \"drive_file\""), "{said}");
    }
    let said = refused(&instance.setup, &["audit", "old", rows[0], rows[1]]).await;
    assert!(said.contains("no table \"drive_file\""), "{said}");
    assert_eq!(instance.old.counts().requests, 0);
}

async fn the_rows_are_the_inventory(postgres: &Postgres) {
    let instance = Instance::start(Some(postgres)).await;
    let ends = ["--from", "old", "--to", "new"];
    let arguments = [&ends[..], &["--misskey-url-file", instance.url()]].concat();
    let report = migrate(&instance.setup, 0, &arguments).await;
    let tally = &report["tally"];
    assert_eq!(tally["source"]["objects"], 6, "each key once: {report}");
    assert_eq!(tally["absent"]["objects"], 2, "{report}");
    assert_eq!(report["results"]["copied"]["objects"], 4, "{report}");
    for key in NAMED {
        assert!(instance.new.object(key).is_some(), "{key}");
    }
    assert!(instance.new.object(DELETED).is_none());
    let listings = instance.old.requests();
    assert!(
        listings.iter().all(|one| !one.target.contains("list-type")),
        "the source was listed"
    );
    let again = migrate(&instance.setup, 0, &arguments).await;
    assert_eq!(again["tally"]["same"]["objects"], 4, "{again}");
    // Narrowed, only what is wanted is asked for.
    let before = instance.old.counts().requests;
    let narrowed = [&arguments[..], &["--prefix", "m/web", "--dry-run"]].concat();
    let narrowed = migrate(&instance.setup, 0, &narrowed).await;
    assert_eq!(narrowed["tally"]["excluded"]["objects"], 5, "{narrowed}");
    assert_eq!(instance.old.counts().requests, before + 1);
}

async fn only_what_is_referenced_is_copied_of_what_is_listed(postgres: &Postgres) {
    let instance = Instance::start(Some(postgres)).await;
    let ends = ["--from", "old", "--to", "disk", "--referenced-only"];
    let arguments = [&ends[..], &["--misskey-url-file", instance.url()]].concat();
    let report = migrate(&instance.setup, 0, &arguments).await;
    assert_eq!(report["tally"]["unreferenced"]["objects"], 1, "{report}");
    assert_eq!(report["results"]["copied"]["objects"], 4, "{report}");
    assert!(!instance.room.path().join(DELETED).exists());
}

async fn an_audit_needs_no_home_for_what_no_row_names(postgres: &Postgres) {
    let instance = Instance::start(Some(postgres)).await;
    let rows = ["--misskey-url-file", instance.url()];
    let arguments = [&["--from", "old", "--to", "new"][..], &rows].concat();
    migrate(&instance.setup, 0, &arguments).await;
    let setup = &instance.setup;
    let report = audit(setup, 1, &["old"]).await;
    assert_eq!(against(&report), [("missing", DELETED)], "{report}");

    let with_rows = [&["old"][..], &rows].concat();
    let report = audit(setup, 0, &with_rows).await;
    let counts = &report["counts"];
    assert_eq!(counts["unreferenced"]["objects"], 1, "{report}");
    assert_eq!(counts["unreferenced_only_here"]["objects"], 1, "{report}");
    let told = &report["rows"];
    for (what, count) in [("keys", 6), ("here", 4), ("elsewhere", 1), ("nowhere", 1)] {
        assert_eq!(told[what], count, "{what}: {report}");
    }
    assert_eq!(told["nobody_has"][0]["key"], "m/never-stored.png");
    assert_eq!(
        told["nobody_has"][0]["row"],
        "drive_file.accessKey of never"
    );
    assert_eq!(told["nobody_has"][0]["existed"], false);
    let human = setup.run(&[&["audit"], &with_rows[..]].concat()).await;
    let human = String::from_utf8(human.stdout).unwrap();
    let line = "nowhere (never seen): m/never-stored.png, drive_file.accessKey of never";
    assert!(human.contains(line), "{human}");

    // What a row names and nobody else has is no deletion.
    instance.new.remove("m/emoji.png");
    let report = audit(setup, 1, &with_rows).await;
    assert_eq!(against(&report), [("missing", "m/emoji.png")], "{report}");
}

async fn a_web_server_is_moved_and_audited_by_the_rows(postgres: &Postgres) {
    let instance = Instance::start(Some(postgres)).await;
    let origins = bucket("new", &instance.new, "") + &web("old", &instance.old.base_url());
    let url = instance.url().to_owned();
    let setup = instance
        .setup
        .with_others(origins + &route(&["new", "old"]));
    let rows = ["--misskey-url-file", &*url];
    let ends = ["--from", "old", "--to", "new"];
    let listed = [&["migrate"], &ends[..], &["--referenced-only"], &rows].concat();
    let said = refused(&setup, &listed).await;
    assert!(
        said.contains("is a web server and cannot be listed"),
        "{said}"
    );
    let report = migrate(&setup, 0, &[&ends[..], &rows].concat()).await;
    assert_eq!(report["results"]["copied"]["objects"], 4, "{report}");
    let report = audit(
        &setup,
        0,
        &[&["old", "--quiet-for", "0s"][..], &rows].concat(),
    )
    .await;
    assert_eq!(report["counts"]["objects"]["objects"], 4, "{report}");
    assert_eq!(report["rows"]["nowhere"], 1, "{report}");
}

async fn a_killed_migration_reads_no_row_again(postgres: &Postgres) {
    let instance = Instance::start(Some(postgres)).await;
    postgres
        .run("DELETE FROM drive_file; DELETE FROM emoji; DELETE FROM \"user\"")
        .unwrap();
    let key = |n| format!("m/{n:03}.bin");
    for n in 0..60 {
        instance.old.put(&key(n), vec![b'x'; 10_000 + n]);
        let row = format!(
            "INSERT INTO drive_file (id, \"accessKey\") VALUES ('{n}', '{}')",
            key(n)
        );
        postgres.run(&row).unwrap();
    }
    let arguments = [
        "--from",
        "old",
        "--to",
        "disk",
        "--jobs",
        "2",
        "--misskey-url-file",
        instance.url(),
    ];
    let slow = [&["migrate", "--max-bandwidth", "100 kB/s"], &arguments[..]].concat();
    let child = instance.setup.begin(&slow);
    child.kill_when(|| instance.copied() >= 5).await;
    assert!(instance.copied() < 60, "it was not killed before its end");
    postgres.run("DROP TABLE drive_file").unwrap();
    let report = migrate(&instance.setup, 0, &arguments).await;
    assert_eq!(report["resumed"], true, "{report}");
    assert_eq!(instance.copied(), 60, "{report}");
    // Asked for once and copied once, but what was under way when it was killed.
    let often = (0..60).filter(|n| instance.old.requests_for(&key(*n)).len() > 2);
    assert!(often.count() <= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_meisskeys_says_the_same_and_what_was_deleted_is_no_reference() {
    let instance = Instance::start(None).await;
    let document = |id: &str, metadata: &str| {
        format!("{{\"_id\":{{\"$oid\":\"{id}\"}},\"length\":1,\"metadata\":{{{metadata}}}}}\n")
    };
    let lines = [
        document(
            "1",
            "\"storageProps\":{\"key\":\"m/a.png\",\"thumbnailKey\":\"m/thumbnail-b.webp\",\"webpublicKey\":\"m/webpublic-c.webp\"}",
        ),
        document(
            "2",
            "\"storageProps\":{\"key\":\"m/deleted.png\"},\"deletedAt\":{\"$date\":\"2024-01-01T00:00:00Z\"}",
        ),
        document(
            "3",
            "\"storageProps\":{\"key\":\"m/uploaded-since.png\"},\"deletedAt\":null",
        ),
    ];
    let files = instance.setup.path("drive-files.jsonl");
    fs::write(&files, lines.concat()).unwrap();
    let emojis = instance.setup.path("emojis.json");
    let emoji = "[{\"_id\":\"e\",\"url\":\"https://media.example/m/emoji.png\"}]";
    fs::write(&emojis, emoji).unwrap();
    let text = |file: &Path| file.to_str().unwrap().to_owned();
    let (files, emojis) = (text(&files), text(&emojis));
    let export = ["--meisskey-export", &files, "--meisskey-export", &emojis];
    let setup = &instance.setup;

    let ends = ["--from", "old", "--to", "new", "--referenced-only"];
    let report = migrate(setup, 0, &[&ends[..], &export].concat()).await;
    assert_eq!(report["results"]["copied"]["objects"], 4, "{report}");
    assert_eq!(report["tally"]["unreferenced"]["objects"], 1, "{report}");
    let report = audit(setup, 0, &[&["old"][..], &export].concat()).await;
    assert_eq!(
        report["counts"]["unreferenced_only_here"]["objects"], 1,
        "{report}"
    );

    let how = ["deletions", "--json", "--min-age", "0s", "--max", "50%"];
    let report = setup.json(&[&how[..], &export].concat()).await;
    assert_eq!(report["keys"][0]["key"], DELETED, "{report}");
    assert_eq!(report["without_row"], 1, "{report}");

    fs::write(&files, "{\"_id\":\"1\",\"metadata\":{\"deletedAt\":1}}").unwrap();
    let only = [
        "migrate",
        "--from",
        "old",
        "--to",
        "new",
        "--meisskey-export",
        &files,
    ];
    let said = refused(setup, &only).await;
    assert!(said.contains("no upload that is not deleted"), "{said}");
    fs::write(&files, "misskey/a.png\n").unwrap();
    let said = refused(setup, &only).await;
    assert!(said.contains("drive-files.jsonl: document 1"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_excludes_what_is_said() {
    let instance = Instance::start(None).await;
    let keys = instance.setup.path("keys.txt");
    fs::write(&keys, "m/a.png\nm/emoji.png\n").unwrap();
    let keys = keys.to_str().unwrap();
    let ends = ["migrate", "--from", "old", "--to", "new"];
    for (more, why) in [
        (&["--referenced-only"][..], "add --misskey-config FILE"),
        (
            &["--keys", keys, "--misskey-config", keys],
            "cannot be used with",
        ),
        (
            &["--misskey-config", keys, "--misskey-url-file", keys],
            "cannot be used with",
        ),
        (
            &["--misskey-config", keys],
            "not the YAML of a Misskey configuration",
        ),
        (
            &["--misskey-url-file", "/nowhere"],
            "/nowhere: cannot be read",
        ),
    ] {
        let said = refused(&instance.setup, &[&ends[..], more].concat()).await;
        assert!(said.contains(why), "{more:?}: {said}");
    }
    let said = refused(
        &instance.setup,
        &["audit", "old", "--max-unreferenced", "5%"],
    )
    .await;
    assert!(said.contains("--misskey-config"), "{said}");

    // A file of keys may say what is referenced, too.
    let arguments = [
        "--from",
        "old",
        "--to",
        "new",
        "--referenced-only",
        "--keys",
        keys,
    ];
    let report = migrate(&instance.setup, 0, &arguments).await;
    assert_eq!(report["results"]["copied"]["objects"], 2, "{report}");
    assert_eq!(report["tally"]["unreferenced"]["objects"], 3, "{report}");
    fs::write(keys, "m/of-another-instance.png\n").unwrap();
    let arguments = [&["migrate"], &arguments[..]].concat();
    let said = refused(&instance.setup, &arguments).await;
    assert!(
        said.contains("none of 5 keys that old lists is named by a row"),
        "{said}"
    );
}
