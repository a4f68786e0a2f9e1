//! `audit` of real storage: when an origin may be switched off, and each way in which it must not.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;
use test_servers::faulty::{BUCKET, Fault, Faulty, Object, On};

use super::harness::{Setup, web};

/// As multipart uploads with other part sizes have.
const OTHER_PARTS: &str = "\"0123456789abcdef0123456789abcdef-2\"";

pub(super) fn bucket(name: &str, at: &Faulty, lines: &str) -> String {
    format!(
        "[origins.{name}]\nkind = \"s3\"\nendpoint = \"{}\"\nbucket = \"{BUCKET}\"\ncache = \"none\"\n\
         access_key_id = \"reader\"\nsecret_access_key = \"of-a-test\"\n{lines}",
        at.endpoint()
    )
}

pub(super) fn disk(root: &Path) -> String {
    format!(
        "[origins.disk]\nkind = \"filesystem\"\nroot = \"{}\"\nwritable = true\n\
         min_free = \"1 MB\"\ncache = \"none\"\n",
        root.display()
    )
}

/// A route that publishes one beginning of keys; the application uploads to its first origin.
pub(super) fn route(origins: &[&str]) -> String {
    format!("[[routes]]\nname = \"media\"\nurl = \"/\"\nkeys = [\"m/\"]\norigins = {origins:?}\n")
}

/// An empty directory that is the one that is meant.
pub(super) fn marked() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(".media-gateway"), b"").unwrap();
    directory
}

/// Two buckets that have the same three objects.
struct Buckets {
    new: Faulty,
    old: Faulty,
}

impl Buckets {
    async fn start() -> Self {
        let (new, old) = (Faulty::start().await, Faulty::start().await);
        for n in 0..3 {
            for bucket in [&new, &old] {
                bucket.put(&format!("m/{n}"), format!("object {n}"));
            }
        }
        Self { new, old }
    }

    fn origins(&self) -> String {
        bucket("new", &self.new, "") + &bucket("old", &self.old, "")
    }

    fn setup(&self) -> Setup {
        Setup::new(self.origins() + &route(&["new", "old"]))
    }

    /// Nobody has written or deleted anything.
    fn are_untouched(&self) {
        for bucket in [&self.new, &self.old] {
            let all = bucket.requests();
            let changing = all
                .iter()
                .filter(|one| !matches!(&*one.method, "GET" | "HEAD"));
            assert_eq!(changing.count(), 0);
        }
    }
}

pub(super) async fn audit(setup: &Setup, code: i32, arguments: &[&str]) -> Value {
    let output = setup.run(&[&["audit", "--json"], arguments].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{said}{report}");
    serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// The sorts and keys of what stands against it.
pub(super) fn against(report: &Value) -> Vec<(&str, &str)> {
    let blockers = report["blockers"].as_array().unwrap().iter();
    blockers
        .map(|one| {
            let key = one["key"].as_str().unwrap_or_default();
            (one["blocker"].as_str().unwrap(), key)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_migration_to_a_directory_the_bucket_may_be_switched_off_and_a_certificate_says_so()
{
    let buckets = Buckets::start().await;
    let room = marked();
    let origins = bucket("old", &buckets.old, "") + &disk(room.path()) + &route(&["disk", "old"]);
    let setup = Setup::new(origins);
    let report = audit(&setup, 1, &["old"]).await;
    assert_eq!(report["counts"]["missing"]["objects"], 3, "{report}");
    let certificate = setup.path("certificate.json");
    let file = certificate.to_str().unwrap();
    audit(&setup, 1, &["old", "--certificate", file]).await;
    assert!(!certificate.exists(), "not safe, and certified");

    let copied = setup
        .run(&["migrate", "--from", "old", "--to", "disk"])
        .await;
    assert!(copied.status.success(), "{copied:?}");
    let report = audit(&setup, 0, &["old", "--certificate", file]).await;
    assert_eq!(report["verdict"], "safe");
    assert_eq!(report["proven"]["objects"], 3, "{report}");

    let written: Value = serde_json::from_slice(&fs::read(&certificate).unwrap()).unwrap();
    assert_eq!(written["report"]["origin"], "old");
    assert_eq!(written["report"]["routes"][0]["remaining"][0], "disk");
    assert_eq!(written["version"], env!("CARGO_PKG_VERSION"));
    let text = written["text"].to_string();
    assert!(
        text.contains("may be switched off: each of 3 objects"),
        "{text}"
    );
    let again = setup.run(&["audit", "old", "--certificate", file]).await;
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is such a file already"));
    buckets.are_untouched();
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_gateway_each_reason_against_it_is_named() {
    let buckets = Buckets::start().await;
    let setup = buckets.setup();
    let gateway = setup.start().await;
    let report = audit(&setup, 0, &["old"]).await;
    assert_eq!(report["counts"]["by_checksum"]["objects"], 3, "{report}");
    assert_eq!(report["serving"], true);

    buckets.old.put("m/never-uploaded", "only here");
    buckets.old.put("m/shorter", "all of it");
    buckets.new.put("m/shorter", "all of");
    buckets.old.put("m/different", "these");
    buckets.new.put("m/different", "those");
    buckets.old.put("m/unproven", Object::new("same length"));
    buckets
        .new
        .put("m/unproven", Object::new("same length").etag(OTHER_PARTS));
    buckets.old.put("m/must-stay-gone", "x");
    buckets.old.put("elsewhere/not-published", "x");
    let gone = setup.run(&["tombstone", "add", "m/must-stay-gone"]).await;
    assert!(gone.status.success(), "{gone:?}");

    let report = audit(&setup, 1, &["old"]).await;
    assert_eq!(
        against(&report),
        [
            ("missing", "m/never-uploaded"),
            ("length", "m/shorter"),
            ("content", "m/different"),
            ("unproven", "m/unproven"),
        ],
        "{report}"
    );
    assert_eq!(report["counts"]["tombstoned"]["objects"], 1);
    assert_eq!(report["reading_bytes"], 22);
    let before = buckets.old.requests_for("m/unproven").len();

    let report = audit(&setup, 1, &["old", "--max-egress", "1 MB"]).await;
    assert_eq!(report["counts"]["by_reading"]["objects"], 1, "{report}");
    assert_eq!(against(&report).len(), 3, "{report}");
    assert!(buckets.old.requests_for("m/unproven").len() > before);
    buckets.are_untouched();

    let output = setup.run(&["audit", "old"]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.starts_with("\"old\" must not be switched off: 4 reasons"),
        "{said}"
    );
    for line in [
        "another length: 9 bytes here, 6 there: m/shorter",
        "next: media-gateway migrate --from old --to new",
        "next: audit with --max-egress",
    ] {
        assert!(said.contains(line), "{said}");
    }
    gateway.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_still_written_to_must_not_be_switched_off() {
    let (new, room) = (Faulty::start().await, marked());
    fs::create_dir(room.path().join("m")).unwrap();
    let written = |name: &str, ago| {
        let file = fs::File::create(room.path().join(name)).unwrap();
        (&file).write_all(b"the same").unwrap();
        file.set_modified(SystemTime::now() - ago).unwrap();
    };
    for key in ["m/0", "m/1"] {
        new.put(key, "the same");
        written(key, Duration::from_hours(48));
    }
    let setup = Setup::new(bucket("new", &new, "") + &disk(room.path()) + &route(&["new", "disk"]));
    let report = audit(&setup, 1, &["disk"]).await;
    let unproven = [("unproven", "m/0"), ("unproven", "m/1")];
    let mut found = against(&report);
    found.sort_unstable();
    assert_eq!(found, unproven, "{report}");
    assert_eq!(
        report["reading_bytes"], 16,
        "reading the directory costs nothing"
    );
    let reading = ["disk", "--max-egress", "16 B"];
    audit(&setup, 0, &reading).await;

    written("m/1", Duration::from_hours(2));
    let report = audit(&setup, 1, &reading).await;
    assert_eq!(against(&report), [("young", "m/1")], "{report}");
    audit(&setup, 0, &[&reading[..], &["--quiet-for", "1h"]].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_rehearsing_origin_could_give_stands_against_it_for_a_time() {
    let buckets = Buckets::start().await;
    let rehearsal = bucket("new", &buckets.new, "")
        + &bucket("old", &buckets.old, "state = \"rehearsal\"\n")
        + &route(&["new", "old"]);
    let setup = Setup::new(rehearsal);
    buckets.old.put("m/saved", "only here");
    let gateway = setup.start().await;
    for path in ["/m/0", "/m/saved"] {
        assert_eq!(gateway.get(path).await.status, 200);
    }
    // It has found its way to the new bucket since.
    buckets.new.put("m/saved", "only here");
    let report = audit(&setup, 1, &["old"]).await;
    assert_eq!(against(&report), [("save", "m/saved")], "{report}");
    let gone = setup.run(&["tombstone", "add", "m/saved"]).await;
    assert!(gone.status.success(), "{gone:?}");
    audit(&setup, 0, &["old"]).await;
    gateway.stopped().await;
    // The files say the same without a gateway.
    let back = setup.run(&["tombstone", "remove", "m/saved"]).await;
    assert!(back.status.success(), "{back:?}");
    let report = audit(&setup, 1, &["old"]).await;
    assert_eq!(report["serving"], false);
    audit(&setup, 0, &["old", "--saves-within", "0s"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_has_deleted_needs_no_home_and_an_emptied_bucket_is_a_doubt() {
    let buckets = Buckets::start().await;
    let setup = buckets.setup();
    let gateway = setup.start().await;
    for path in ["/m/0", "/m/1", "/m/2"] {
        assert_eq!(gateway.get(path).await.headers["x-origin"], "new");
    }
    // So that the ledger has them on the disk.
    gateway.stopped().await;
    buckets.new.remove("m/0");
    let report = audit(&setup, 0, &["old"]).await;
    assert_eq!(report["counts"]["deleted"]["objects"], 1, "{report}");
    buckets.new.empty();
    let report = audit(&setup, 2, &["old"]).await;
    let doubt = report["doubts"][0].as_str().unwrap();
    assert!(
        doubt.contains("were they deleted, or has it lost them?"),
        "{doubt}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_cache_still_has_stands_against_the_origin_that_gave_it() {
    let buckets = Buckets::start().await;
    let kept = buckets.origins().replace("cache = \"none\"\n", "");
    let setup = Setup::new(kept + &route(&["new", "old"])).cache("min_free = \"0 B\"");
    for key in ["m/lost", "m/moved", "m/gone"] {
        buckets.old.put(key, "from the old one");
    }
    let gateway = setup.start().await;
    for key in ["m/lost", "m/moved", "m/gone", "m/0"] {
        assert_eq!(gateway.get(&format!("/{key}")).await.status, 200);
    }
    for key in ["m/lost", "m/moved", "m/gone"] {
        buckets.old.remove(key);
    }
    buckets.new.put("m/moved", "from the old one");
    let gone = setup.run(&["tombstone", "add", "m/gone"]).await;
    assert!(gone.status.success(), "{gone:?}");
    let report = audit(&setup, 1, &["old"]).await;
    assert_eq!(against(&report), [("only_cached", "m/lost")], "{report}");
    assert_eq!(report["counts"]["only_cached"], 1, "{report}");
    gateway.stopped().await;
    // The files say the same without a gateway.
    let report = audit(&setup, 1, &["old"]).await;
    assert_eq!(against(&report), [("only_cached", "m/lost")], "{report}");
    let gone = setup.run(&["purge", "m/lost"]).await;
    assert!(gone.status.success(), "{gone:?}");
    audit(&setup, 0, &["old"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_a_route_needs_must_not_be_switched_off() {
    let buckets = Buckets::start().await;
    let setup = buckets.setup();
    assert_eq!(
        against(&audit(&setup, 1, &["new"]).await),
        [("uploads_to", "")]
    );
    let alone = Setup::new(buckets.origins() + &route(&["old"]));
    let report = audit(&alone, 1, &["old"]).await;
    let sorts: Vec<_> = against(&report).into_iter().map(|(sort, _)| sort).collect();
    assert_eq!(sorts[..2], ["uploads_to", "only_origin"], "{report}");
    assert_eq!(sorts.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_told_ends_with_2_and_says_why() {
    let buckets = Buckets::start().await;
    let setup = buckets.setup();
    let report = audit(&setup, 2, &["old", "--sample", "2"]).await;
    assert_eq!(report["verdict"], "cannot_tell");
    assert_eq!(report["proven"]["objects"], 2, "{report}");

    buckets.new.fault(On::listing(), Fault::access_denied());
    let url = buckets.old.base_url();
    let server = bucket("new", &buckets.new, "") + &web("old", &url) + &route(&["new", "old"]);
    let server = Setup::new(server);
    let retired = bucket("new", &buckets.new, "")
        + &bucket("old", &buckets.old, "state = \"retired\"\n")
        + &route(&["new", "old"]);
    let retired = Setup::new(retired);
    let before = buckets.old.counts().requests;
    for (setup, name, why) in [
        (&setup, "old", "new cannot be listed"),
        (
            &setup,
            "nobody",
            "there is no such origin; there are: new, old",
        ),
        (
            &server,
            "old",
            "a web server cannot be listed; name its keys with --keys FILE",
        ),
        (&retired, "old", "set its state to \"rehearsal\""),
    ] {
        let output = setup.run(&["audit", name]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(buckets.old.counts().requests, before, "it was contacted");
    let report = audit(&retired, 2, &["old"]).await;
    assert_eq!(report["verdict"], "cannot_tell");

    // Named keys are asked for one by one, at both.
    let keys = server.path("keys.txt");
    fs::write(&keys, "m/0\nm/1\nm/nowhere\n").unwrap();
    let report = audit(&server, 0, &["old", "--keys", keys.to_str().unwrap()]).await;
    assert_eq!(report["counts"]["objects"]["objects"], 2, "{report}");
    assert_eq!(report["counts"]["absent"], 1);
}
