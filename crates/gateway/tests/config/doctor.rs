//! The examination of origins, over real sockets and directories.

use std::path::Path;
use std::time::Duration;

use gateway::config::Config;
use gateway::doctor::{self, Check, Diagnosis, Finding, Level};
use test_servers::ReservedPort;
use test_servers::faulty::{BUCKET, Fault, Faulty, Missing, On};

use super::fine;

const KEYS: &str = "access_key_id = \"doctors-id\"\nsecret_access_key = \"doctors-secret\"\n";

/// One S3 origin, with more lines for it.
fn bucket(endpoint: &str, lines: &str) -> Config {
    config(&format!(
        "kind = \"s3\"\nendpoint = {endpoint:?}\nbucket = {BUCKET:?}\n{lines}"
    ))
}

fn directory(root: &Path, lines: &str) -> Config {
    let root = root.display();
    config(&format!(
        "kind = \"filesystem\"\nroot = \"{root}\"\n{lines}"
    ))
}

fn config(origin: &str) -> Config {
    let text = format!(
        "[state]\ndirectory = \"/proc/nowhere\"\n[origins.current]\n{origin}\n\
         [[routes]]\nurl = \"/\"\nkeys = [\"misskey/\"]\norigins = [\"current\"]\n"
    );
    fine(&text).config
}

async fn examine(config: &Config) -> Diagnosis {
    doctor::examine(config, doctor::PATIENCE).await
}

fn find(diagnosis: &Diagnosis, check: Check) -> Option<&Finding> {
    let mut found = diagnosis.findings().filter(|found| found.check == check);
    let first = found.next();
    assert!(found.next().is_none(), "{check:?} twice in {diagnosis:#?}");
    first
}

#[track_caller]
fn assert_level(diagnosis: &Diagnosis, check: Check, level: Level) {
    let found = find(diagnosis, check);
    let found = found.unwrap_or_else(|| panic!("no {check:?} in {diagnosis:#?}"));
    assert_eq!(found.level, level, "{found:?}");
}

#[track_caller]
fn assert_says(diagnosis: &Diagnosis, check: Check, level: Level, words: &[&str]) {
    assert_level(diagnosis, check, level);
    let found = find(diagnosis, check).unwrap();
    let text = format!("{} {}", found.what, found.remedy);
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {found:?}");
    }
}

/// No problem with the origin; the state directory is nowhere.
#[track_caller]
fn assert_healthy(diagnosis: &Diagnosis) {
    let mut sick = diagnosis
        .findings()
        .filter(|found| found.level > Level::Notice && found.subject.starts_with("origins."));
    assert_eq!(sick.next(), None);
}

#[tokio::test]
async fn a_good_bucket_is_healthy() {
    let server = Faulty::start().await;
    server.put("misskey/a.webp", "x");
    let lines = format!("{KEYS}canary = \"misskey/a.webp\"\n");
    let diagnosis = examine(&bucket(&server.endpoint(), &lines)).await;
    assert_healthy(&diagnosis);
    for check in [
        Check::Reachable,
        Check::Credentials,
        Check::Canary,
        Check::AbsentKey,
        Check::Listing,
    ] {
        assert_level(&diagnosis, check, Level::Ok);
    }
    assert!(find(&diagnosis, Check::Unpublished).is_none());
}

#[tokio::test]
async fn what_lies_in_a_bucket_and_is_not_published_is_noticed() {
    let server = Faulty::start().await;
    server.put("misskey/a.webp", "x");
    server.put("backup/dump.sql", "x");
    server.put("\u{1b}[2J", "x");
    let diagnosis = examine(&bucket(&server.endpoint(), KEYS)).await;
    assert_healthy(&diagnosis);
    let words = ["\"backup/\"", "\\u{1b}[2J"];
    assert_says(&diagnosis, Check::Unpublished, Level::Notice, &words);
    assert_level(&diagnosis, Check::Canary, Level::Notice);

    server.remove("misskey/a.webp");
    let diagnosis = examine(&bucket(&server.endpoint(), KEYS)).await;
    let words = ["\"misskey/\""];
    assert_says(&diagnosis, Check::Published, Level::Notice, &words);
}

#[tokio::test]
async fn keys_that_are_refused_are_a_problem_and_never_shown() {
    let server = Faulty::start().await;
    server.fault(On::any().signed(), Fault::invalid_access_key());
    for lines in [KEYS.to_owned(), format!("{KEYS}read = \"anonymous\"\n")] {
        let diagnosis = examine(&bucket(&server.endpoint(), &lines)).await;
        let words = ["InvalidAccessKeyId", "access_key_id"];
        assert_says(&diagnosis, Check::Credentials, Level::Problem, &words);
        assert!(diagnosis.has_problems());
        let all = format!("{diagnosis:?}");
        assert!(!all.contains("doctors-"), "{all}");
        assert!(!all.contains("X-Amz"), "{all}");
    }
}

#[tokio::test]
async fn a_bucket_that_does_not_exist_is_a_problem_although_it_answers_404() {
    let server = Faulty::start().await;
    server.fault(On::any(), Fault::no_such_bucket());
    let diagnosis = examine(&bucket(&server.endpoint(), KEYS)).await;
    assert_level(&diagnosis, Check::Reachable, Level::Ok);
    let words = ["NoSuchBucket", "look at bucket"];
    assert_says(&diagnosis, Check::AbsentKey, Level::Problem, &words);
}

#[tokio::test]
async fn a_403_for_missing_keys_is_explained_until_a_canary_or_keys_settle_it() {
    let server = Faulty::start().await;
    server.put("misskey/a.webp", "x");
    server.missing(Missing::ForbiddenToStrangers);
    let absent = async |lines: &str| examine(&bucket(&server.endpoint(), lines)).await;

    let words = ["set canary", "forbidden_means"];
    let diagnosis = absent("").await;
    assert_says(&diagnosis, Check::AbsentKey, Level::Warning, &words);

    let diagnosis = absent("canary = \"misskey/a.webp\"").await;
    let words = ["canary shows"];
    assert_says(&diagnosis, Check::AbsentKey, Level::Ok, &words);

    let diagnosis = absent("forbidden_means = \"missing\"").await;
    let words = ["forbidden_means"];
    assert_says(&diagnosis, Check::AbsentKey, Level::Ok, &words);

    let diagnosis = absent(&format!("{KEYS}read = \"anonymous\"\n")).await;
    let words = ["the keys tell"];
    assert_says(&diagnosis, Check::AbsentKey, Level::Ok, &words);

    server.private(true);
    let diagnosis = absent("canary = \"misskey/a.webp\"").await;
    assert_level(&diagnosis, Check::AbsentKey, Level::Problem);
    assert_level(&diagnosis, Check::Canary, Level::Problem);
}

#[tokio::test]
async fn signed_reads_that_get_403_for_missing_keys_need_the_right_to_list() {
    let server = Faulty::start().await;
    server.missing(Missing::Forbidden);
    server.fault(On::listing(), Fault::access_denied());
    let diagnosis = examine(&bucket(&server.endpoint(), KEYS)).await;
    let words = ["s3:ListBucket"];
    assert_says(&diagnosis, Check::AbsentKey, Level::Problem, &words);
    assert_level(&diagnosis, Check::Credentials, Level::Problem);
}

#[tokio::test]
async fn a_bucket_that_anyone_can_list_is_warned_of() {
    let server = Faulty::start().await;
    server.put("misskey/a.webp", "x");
    server.listable(true);
    for lines in ["", KEYS] {
        let diagnosis = examine(&bucket(&server.endpoint(), lines)).await;
        let words = ["anyone can list", "\"misskey/\""];
        assert_says(&diagnosis, Check::Listing, Level::Warning, &words);
        assert_level(&diagnosis, Check::AbsentKey, Level::Ok);
    }
}

#[tokio::test]
async fn a_canary_that_is_gone_means_another_storage() {
    let server = Faulty::start().await;
    let lines = "canary = [\"misskey/a\", \"misskey/b\"]";
    let diagnosis = examine(&bucket(&server.endpoint(), lines)).await;
    let words = ["\"misskey/a\" is missing"];
    assert_says(&diagnosis, Check::Canary, Level::Problem, &words);
    assert_level(&diagnosis, Check::AbsentKey, Level::Problem);

    server.put("misskey/b", "x");
    let diagnosis = examine(&bucket(&server.endpoint(), lines)).await;
    assert_level(&diagnosis, Check::Canary, Level::Warning);
    assert_level(&diagnosis, Check::AbsentKey, Level::Ok);
}

#[tokio::test]
async fn learned_canaries_are_read_from_the_state_directory() {
    let state = tempfile::tempdir().unwrap();
    let learned = "{\"current\": [\"misskey/a\"]}";
    std::fs::write(state.path().join("canaries.json"), learned).unwrap();
    let server = Faulty::start().await;
    server.put("misskey/a", "x");
    server.missing(Missing::ForbiddenToStrangers);
    let mut config = bucket(&server.endpoint(), "");
    config.state.directory = state.path().to_owned();
    let diagnosis = examine(&config).await;
    assert!(!diagnosis.has_problems(), "{diagnosis:#?}");
    assert_says(&diagnosis, Check::Canary, Level::Ok, &["1 learned"]);
    assert_level(&diagnosis, Check::AbsentKey, Level::Ok);
}

/// The same bucket as the one that promotions go to.
fn target(origin: &Faulty, lines: &str) -> Config {
    let (endpoint, old) = (origin.endpoint(), origin.base_url());
    let text = format!(
        "[state]\ndirectory = \"/proc/nowhere\"\n[origins.current]\nkind = \"s3\"\n\
         endpoint = {endpoint:?}\nbucket = {BUCKET:?}\n{KEYS}{lines}\
         [origins.old]\nkind = \"http\"\nurl = {old:?}\n\
         [[routes]]\nurl = \"/\"\nkeys = [\"misskey/\"]\norigins = [\"current\", \"old\"]\n\
         promote_to = \"current\"\n"
    );
    fine(&text).config
}

#[tokio::test]
async fn where_promotions_go_an_object_is_written_read_and_deleted() {
    let origin = Faulty::start().await;
    origin.put("misskey/a.webp", "a picture");
    let diagnosis = examine(&target(&origin, "")).await;
    assert_says(
        &diagnosis,
        Check::Writing,
        Level::Problem,
        &["s3:PutObject"],
    );

    origin.writable(true);
    let diagnosis = examine(&target(&origin, "")).await;
    assert_level(&diagnosis, Check::Writing, Level::Ok);
    let written = |request: &test_servers::faulty::Request| request.method == "PUT";
    let requests = origin.requests();
    let probe = requests.iter().rfind(|request| written(request));
    let key = String::from_utf8(probe.unwrap().key().unwrap()).unwrap();
    assert!(key.starts_with("misskey/probe-"), "{key}");
    assert!(origin.object(&key).is_none(), "it was left");

    // Strangers may not read what has no ACL.
    let strangers = On::prefix("misskey/probe-").unsigned();
    origin.fault(
        strangers.and(|request| request.method == "GET"),
        Fault::access_denied(),
    );
    let diagnosis = examine(&target(&origin, "read = \"anonymous\"\n")).await;
    assert_says(&diagnosis, Check::Writing, Level::Problem, &["write_acl"]);
}

#[tokio::test]
async fn an_origin_that_hangs_ends_in_time_and_keeps_nobody_else_waiting() {
    let (hanging, good) = (Faulty::start().await, Faulty::start().await);
    hanging.blackhole(true);
    let text = format!(
        "[origins.hanging]\nkind = \"s3\"\nendpoint = {:?}\nbucket = {BUCKET:?}\n\
         [origins.good]\nkind = \"http\"\nurl = {:?}\n\
         [[routes]]\nurl = \"/\"\norigins = [\"hanging\", \"good\"]\n",
        hanging.endpoint(),
        good.base_url(),
    );
    let config = fine(&text).config;
    let began = std::time::Instant::now();
    let diagnosis = doctor::examine(&config, Duration::from_millis(1500)).await;
    assert!(began.elapsed() < Duration::from_secs(5));
    let level_of = |subject: &str, check| {
        let mut findings = diagnosis.findings();
        findings
            .find(|found| found.subject == subject && found.check == check)
            .map(|found| found.level)
    };
    let hanging = level_of("origins.hanging", Check::Reachable);
    assert_eq!(hanging, Some(Level::Problem), "{diagnosis:#?}");
    let good = level_of("origins.good", Check::AbsentKey);
    assert_eq!(good, Some(Level::Ok), "{diagnosis:#?}");
}

#[tokio::test]
async fn an_origin_that_hangs_only_when_listed_is_examined_all_the_same() {
    let server = Faulty::start().await;
    server.fault(On::listing(), Fault::Hang);
    let config = bucket(&server.endpoint(), KEYS);
    let diagnosis = doctor::examine(&config, Duration::from_millis(1500)).await;
    assert_level(&diagnosis, Check::AbsentKey, Level::Ok);
    assert_level(&diagnosis, Check::Credentials, Level::Notice);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_a_problem() {
    let port = ReservedPort::any().unwrap();
    let endpoint = format!("http://{}", port.addr());
    let diagnosis = examine(&bucket(&endpoint, KEYS)).await;
    let words = ["connect", "firewalls"];
    assert_says(&diagnosis, Check::Reachable, Level::Problem, &words);
    assert!(find(&diagnosis, Check::AbsentKey).is_none());
}

#[tokio::test]
async fn a_web_server_that_answers_everything_is_a_problem() {
    let server = Faulty::start().await;
    let web = |lines: &str| {
        let url = server.base_url();
        config(&format!("kind = \"http\"\nurl = {url:?}\n{lines}"))
    };
    assert_healthy(&examine(&web("")).await);
    let lying = examine(&web("missing_means = \"unknown\"")).await;
    assert_level(&lying, Check::AbsentKey, Level::Notice);

    server.fault(On::any(), Fault::html(200));
    let parked = examine(&web("")).await;
    assert_level(&parked, Check::AbsentKey, Level::Problem);
    let believed = examine(&web("allow_html = true")).await;
    let words = ["answers everything"];
    assert_says(&believed, Check::AbsentKey, Level::Problem, &words);
}

#[tokio::test]
async fn a_directory_without_its_marker_is_a_problem_until_it_is_marked() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("misskey")).unwrap();
    std::fs::create_dir(root.path().join("private")).unwrap();
    std::fs::write(root.path().join("misskey/a"), "x").unwrap();
    let config = directory(root.path(), "");
    let diagnosis = examine(&config).await;
    let words = ["origin init current"];
    assert_says(&diagnosis, Check::Marker, Level::Problem, &words);
    assert!(find(&diagnosis, Check::AbsentKey).is_none());

    std::fs::write(root.path().join(".media-gateway"), "").unwrap();
    let diagnosis = examine(&config).await;
    assert_healthy(&diagnosis);
    assert_level(&diagnosis, Check::Marker, Level::Ok);
    assert_level(&diagnosis, Check::AbsentKey, Level::Ok);
    assert_level(&diagnosis, Check::Permissions, Level::Ok);
    assert_says(&diagnosis, Check::Disk, Level::Ok, &["device", "free"]);
    let words = ["\"private/\""];
    assert_says(&diagnosis, Check::Unpublished, Level::Notice, &words);
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_a_problem() {
    let above = tempfile::tempdir().unwrap();
    let diagnosis = examine(&directory(&above.path().join("media"), "")).await;
    assert_level(&diagnosis, Check::Reachable, Level::Problem);
    assert!(find(&diagnosis, Check::AbsentKey).is_none());
}

#[tokio::test]
async fn a_retired_origin_is_never_contacted() {
    let (old, good) = (Faulty::start().await, Faulty::start().await);
    let text = format!(
        "[origins.old]\nkind = \"s3\"\nendpoint = {:?}\nbucket = {BUCKET:?}\n\
         state = \"retired\"\n[origins.good]\nkind = \"http\"\nurl = {:?}\n\
         [[routes]]\nurl = \"/\"\norigins = [\"good\", \"old\"]\n",
        old.endpoint(),
        good.base_url(),
    );
    let diagnosis = examine(&fine(&text).config).await;
    assert_says(
        &diagnosis,
        Check::State,
        Level::Ok,
        &["retired", "not contacted"],
    );
    assert_eq!(old.counts().connections, 0);
    assert!(good.counts().requests > 0);
}

#[tokio::test]
async fn a_clock_that_is_far_off_is_a_problem_for_signatures() {
    let server = Faulty::start().await;
    let answer = "HTTP/1.1 404 Not Found\r\nDate: Tue, 01 Jan 2019 00:00:00 GMT\r\n\
                  Content-Length: 36\r\n\r\n<Error><Code>NoSuchKey</Code></Error>";
    server.fault(On::any(), Fault::Garbage(answer.into()));
    let level = async |lines: &str| {
        let diagnosis = examine(&bucket(&server.endpoint(), lines)).await;
        find(&diagnosis, Check::Clock).unwrap().level
    };
    assert_eq!(level(KEYS).await, Level::Problem);
    assert_eq!(level("").await, Level::Warning);
}

/// Runs the command beside the servers of the test.
async fn run(text: String, arguments: &'static [&'static str]) -> (Option<i32>, String) {
    tokio::task::spawn_blocking(move || {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("gateway.toml");
        let state = place.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let text = format!("[state]\ndirectory = \"{}\"\n{text}", state.display());
        std::fs::write(&file, text).unwrap();
        let mut command = assert_cmd::Command::cargo_bin("media-gateway").unwrap();
        command.env_clear().arg("check").args(arguments);
        let output = command.arg("--config").arg(file).output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), out)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn the_command_tells_people_and_scripts_and_its_exit_says_whether_it_is_fine() {
    let server = Faulty::start().await;
    server.put("misskey/a.webp", "x");
    let text = format!(
        "[origins.current]\nkind = \"s3\"\nendpoint = {:?}\nbucket = {BUCKET:?}\n{KEYS}\
         [[routes]]\nurl = \"/\"\nkeys = [\"misskey/\"]\norigins = [\"current\"]\n",
        server.endpoint()
    );
    let (exit, out) = run(text.clone(), &[]).await;
    assert_eq!(exit, Some(0), "{out}");
    for words in [
        "origin current: bucket \"bucket\" at http://127.0.0.1:",
        "  ok      reachable    answers in ",
        "state directory\n  ok ",
        "4096 connections",
        "0 problems",
    ] {
        assert!(out.contains(words), "{words:?} is not in:\n{out}");
    }
    assert!(!out.contains("doctors-"), "{out}");

    server.stop().await;
    let (exit, out) = run(text, &["--json"]).await;
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, report["ok"].as_bool()), (Some(1), Some(false)));
    let finding = &report["findings"][0];
    assert_eq!(finding["subject"], "origins.current");
    assert_eq!(finding["check"], "reachable");
    assert_eq!(finding["level"], "problem");
    assert!(report["memory"]["total_bytes"].is_u64());
}
