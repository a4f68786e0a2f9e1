//! How problems are reported: all at once, with their lines, never with a secret, whatever is
//! written.

use super::bad_input::origin;
use super::{FINE, fine, paths, problems};

#[test]
fn every_problem_comes_at_once() {
    let problems = problems(
        r#"
        lisen = 1
        [server]
        listen = 8080
        drian = "5s"
        [server.limits]
        bodies = "many"
        [log]
        level = "loud"
        [origins.current]
        kind = "s3"
        endpont = "https://s3.example.com"
        bucket = 5
        [origins.disk]
        kind = "filesytem"
        root = 7
        [[routes]]
        url = "nonsense"
        origins = ["curent"]
        kyes = ["x"]
        "#,
    );
    let mut found = paths(&problems);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "lisen",
            "log.level",
            "origins.current.bucket",
            "origins.current.endpoint",
            "origins.current.endpont",
            "origins.disk.kind",
            "origins.disk.root",
            "routes[0].kyes",
            "routes[0].origins[0]",
            "routes[0].url",
            "server.drian",
            "server.limits.bodies",
            "server.listen",
        ]
    );
    assert!(problems.iter().all(|problem| problem.place.is_some()));
}

#[test]
fn syntax_errors_name_their_line() {
    let problems = problems("[server]\nlisten = \n[admin\n");
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(
        lines[0].starts_with("gateway.toml:2: not valid TOML"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("gateway.toml:3: not valid TOML"),
        "{lines:?}"
    );
}

#[test]
fn secrets_appear_nowhere() {
    let secret = "hunter2";
    for line in [
        "access_key_id = [\"hunter2\"]\nsecret_access_key = { a = \"hunter2\" }",
        "acces_key_id = \"hunter2\"",
        "access_key_id = \"hunter2 hunter2\"\nsecret_access_key = \"hunter2\"",
        "secret_access_key = \"hunter2\"",
        "secret_access_key = \"hunter2",
        "access_key_id = \"a\"\nsecret_access_key_file = \"hunter2\"",
    ] {
        let rejected = super::parse(&origin(line)).unwrap_err();
        let said = format!("{rejected:?} {rejected} {}", rejected.problems[0]);
        assert!(!said.contains(secret), "{said}");
    }
    let pair = "access_key_id = \"hunter2\"\nsecret_access_key = \"hunter2\"\nread = \"anonymous\"";
    let loaded = fine(&format!("{}[admin]\ntoken = \"hunter2\"\n", origin(pair)));
    assert!(!format!("{loaded:?}").contains(secret));
}

proptest::proptest! {
    #[test]
    fn whatever_is_written_gets_an_answer_and_no_panic(
        at in 0..FINE.len(),
        length in 0..40_usize,
        put in "[\\[\\]{}\"=.,a-z0-9:/ \\n\u{0}é]{0,12}",
    ) {
        let end = (at + length).min(FINE.len());
        let text = format!("{}{put}{}", &FINE[..at], &FINE[end..]);
        if let Err(rejected) = super::parse(&text) {
            proptest::prop_assert!(!rejected.problems.is_empty());
        }
    }
}
