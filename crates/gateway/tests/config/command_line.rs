//! The commands that need no network but the loopback, as a shell runs them.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

use super::FINE;

/// A directory with a configuration in it.
struct Place {
    directory: TempDir,
}

impl Place {
    fn with(text: &str) -> Self {
        let place = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        std::fs::write(place.file(), text).unwrap();
        place
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("gateway.toml")
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let output = Command::cargo_bin("media-gateway")
            .unwrap()
            .env_clear()
            .current_dir(self.directory.path())
            .args(arguments)
            .arg("--config")
            .arg(self.file())
            .output()
            .unwrap();
        Ran::from(&output)
    }
}

struct Ran {
    exit: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn from(output: &Output) -> Self {
        Self {
            exit: output.status.code(),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

/// Without a configuration.
fn plain(arguments: &[&str]) -> Ran {
    let mut command = Command::cargo_bin("media-gateway").unwrap();
    Ran::from(&command.env_clear().args(arguments).output().unwrap())
}

#[test]
fn a_fine_configuration_exits_with_zero() {
    let ran = Place::with(FINE).run(&["check", "--offline"]);
    assert_eq!(ran.exit, Some(0));
    assert!(ran.out.contains("the configuration is fine"), "{}", ran.out);
    assert_eq!(ran.err, "");
}

#[test]
fn every_problem_is_shown_with_place_value_reason_and_remedy() {
    let text = FINE
        .replace("endpoint", "endpont")
        .replace("https://media.example.com/", "media.example.com");
    let ran = Place::with(&text).run(&["check", "--offline"]);
    assert_eq!(ran.exit, Some(1));
    assert_eq!(ran.out, "");
    for words in [
        "error: origins.current.endpont  (",
        "gateway.toml:4)",
        "reason: unknown key",
        "remedy: did you mean \"endpoint\"?",
        "error: routes[0].url",
        "value:  media.example.com",
        "3 problems",
    ] {
        assert!(ran.err.contains(words), "{words:?} is not in:\n{}", ran.err);
    }
}

#[test]
fn scripts_get_json_either_way() {
    let good = Place::with(FINE).run(&["check", "--offline", "--json"]);
    assert_eq!(
        (good.exit, good.json()["ok"].as_bool()),
        (Some(0), Some(true))
    );

    let bad = Place::with("[server]\nlisten = \"x\"\n").run(&["--json", "check", "--offline"]);
    let report = bad.json();
    assert_eq!((bad.exit, report["ok"].as_bool()), (Some(1), Some(false)));
    let problem = &report["problems"][0];
    assert_eq!(problem["path"], "server.listen");
    assert_eq!(problem["value"], "x");
    assert_eq!(problem["line"], 2);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let ran = plain(&["check", "--offline", "--config", "/nowhere/gateway.toml"]);
    assert_eq!(ran.exit, Some(1));
    assert!(ran.err.contains("/nowhere/gateway.toml"), "{}", ran.err);
    assert!(ran.err.contains("--config"), "{}", ran.err);
}

#[test]
fn certificates_that_cannot_be_read_are_problems_of_check_and_of_serve() {
    let text = format!("{FINE}[server.tls]\ncertificate = \"a\"\nprivate_key = \"b\"\n");
    let place = Place::with(&text);
    for command in [&["check", "--offline"][..], &["serve"]] {
        let ran = place.run(command);
        assert_eq!(ran.exit, Some(1));
        for words in [
            "error: server.tls.certificate\n  value:  a\n",
            "error: server.tls.private_key\n  value:  b\n",
            "No such file",
            "2 problems",
        ] {
            assert!(ran.err.contains(words), "{words:?} is not in:\n{}", ran.err);
        }
    }
    let report = place.run(&["check", "--offline", "--json"]).json();
    assert_eq!(report["ok"], false);
    assert_eq!(report["problems"][0]["path"], "server.tls.certificate");
}

#[test]
fn the_environment_names_the_file_and_changes_it() {
    let place = Place::with(FINE);
    let output = Command::cargo_bin("media-gateway")
        .unwrap()
        .env_clear()
        .env("MEDIA_GATEWAY_CONFIG", place.file())
        .env("MEDIA_GATEWAY_SERVER__LISTEN", "nonsense")
        .args(["check", "--offline"])
        .output()
        .unwrap();
    let ran = Ran::from(&output);
    assert_eq!(ran.exit, Some(1));
    let words = "server.listen  (environment variable MEDIA_GATEWAY_SERVER__LISTEN)";
    assert!(ran.err.contains(words), "{}", ran.err);
}

#[test]
fn help_teaches() {
    let ran = plain(&["--help"]);
    assert_eq!(ran.exit, Some(0));
    for word in [
        "serve",
        "check",
        "explain",
        "origin",
        "health",
        "reload",
        "First steps",
        "--json",
    ] {
        assert!(ran.out.contains(word), "{word} is not in:\n{}", ran.out);
    }
    assert!(!ran.out.contains("config-schema"));
    for command in [
        "serve",
        "check",
        "explain",
        "health",
        "reload",
        "completions",
        "man",
    ] {
        let help = plain(&[command, "--help"]).out;
        assert!(help.contains("Examples:"), "{command}:\n{help}");
    }
    assert!(plain(&["origin", "init", "--help"]).out.contains("marker"));
}

#[test]
fn completions_and_manual_pages_are_made() {
    assert!(
        plain(&["completions", "bash"])
            .out
            .contains("media-gateway")
    );
    assert!(plain(&["man"]).out.contains(".TH media-gateway"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    assert_eq!(plain(&["man", "--directory", path]).exit, Some(0));
    assert!(directory.path().join("media-gateway-check.1").exists());
}

#[test]
fn a_reader_who_has_seen_enough_causes_no_panic() {
    for arguments in [["man", "--json"], ["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_media-gateway"))
            .args(arguments)
            .stdout(writer)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_wrong_word_is_answered_with_the_right_one() {
    let ran = plain(&["chek"]);
    assert_eq!(ran.exit, Some(2));
    assert!(ran.err.contains("check"), "{}", ran.err);
}

fn with_directory(root: &Path) -> Place {
    Place::with(&format!(
        "[origins.disk]\nkind = \"filesystem\"\nroot = \"{}\"\n[origins.web]\nkind = \"http\"\nurl = \"https://x.example\"\n[[routes]]\nurl = \"/\"\norigins = [\"disk\", \"web\"]\n",
        root.display()
    ))
}

#[test]
fn a_directory_is_marked_once() {
    let root = tempfile::tempdir().unwrap();
    let place = with_directory(root.path());
    let ran = place.run(&["origin", "init", "disk"]);
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    for word in ["device:", "size:", "free:", "made"] {
        assert!(ran.out.contains(word), "{}", ran.out);
    }
    let marker = root.path().join(".media-gateway");
    std::fs::write(&marker, "the operator's own words").unwrap();
    let again = place.run(&["origin", "init", "disk", "--json"]);
    assert_eq!(again.exit, Some(0));
    assert_eq!(again.json()["was_marked_before"], true);
    assert!(again.json()["filesystem_bytes"].as_u64().unwrap() > 0);
    assert_eq!(
        std::fs::read_to_string(&marker).unwrap(),
        "the operator's own words"
    );
}

#[test]
fn a_directory_that_is_not_there_is_never_made() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("unmounted");
    let place = with_directory(&root);
    let ran = place.run(&["origin", "init", "disk"]);
    assert_eq!(ran.exit, Some(1));
    assert!(ran.err.contains("is its disk mounted?"), "{}", ran.err);
    assert!(!root.exists());

    std::fs::write(&root, "a file").unwrap();
    assert!(
        place
            .run(&["origin", "init", "disk"])
            .err
            .contains("not a directory")
    );
    assert!(
        place
            .run(&["origin", "init", "web"])
            .err
            .contains("not a directory")
    );
    assert!(
        place
            .run(&["origin", "init", "dsk"])
            .err
            .contains("disk, web")
    );
}

/// Answers one request on the loopback, and says where.
fn admin_that_answers(status: &'static str) -> (u16, std::thread::JoinHandle<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok").unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (port, served)
}

#[test]
fn health_asks_the_admin_listener() {
    for (status, exit) in [("200 OK", 0), ("503 Service Unavailable", 1)] {
        let (port, served) = admin_that_answers(status);
        let place = Place::with(&format!(
            "{FINE}[admin]\nlisten = \"[::]:{port}\"\ntoken = \"t\"\n"
        ));
        let ran = place.run(&["health", "--json"]);
        assert_eq!(ran.exit, Some(exit), "{} {}", ran.out, ran.err);
        assert_eq!(ran.json()["ok"], exit == 0);
        assert!(
            served
                .join()
                .unwrap()
                .starts_with("GET /healthz HTTP/1.1\r\n")
        );
    }
}

#[test]
fn health_of_nobody_is_bad() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let place = Place::with(&format!("{FINE}[admin]\nlisten = \"127.0.0.1:{port}\"\n"));
    let ran = place.run(&["health"]);
    assert_eq!(ran.exit, Some(1));
    assert!(ran.out.contains("nobody listens"), "{}", ran.out);
}

const FOR_MISSKEY: &str = r#"
[origins.current]
kind = "s3"
endpoint = "https://sgp1.vultrobjects.com"
bucket = "misskey-media"

[[routes]]
url = "https://media.example.com/"
keys = ["misskey/"]
origins = ["current"]
"#;

const MISSKEY_V10: &str = "
url: https://example.com/
mongodb: { host: localhost, pass: hunter2 }
drive:
  storage: 'minio'
  bucket: misskey-media
  prefix: misskey
  baseUrl: https://media.example.com
  config:
    endPoint: sgp1.vultrobjects.com
    port: 443
    useSSL: true
    accessKey: hunter2
    secretKey: hunter2
";

fn check_misskey(yaml: &str) -> Ran {
    let place = Place::with(FOR_MISSKEY);
    let file = place.directory.path().join("default.yml");
    std::fs::write(&file, yaml).unwrap();
    place.run(&[
        "check",
        "--offline",
        "--misskey-config",
        file.to_str().unwrap(),
    ])
}

#[test]
fn misskeys_own_configuration_is_compared_and_its_form_filled_in() {
    let ran = check_misskey(MISSKEY_V10);
    assert_eq!(ran.exit, Some(0), "{} {}", ran.out, ran.err);
    for words in [
        "drive: bucket: fits",
        "drive: baseUrl: fits",
        "drive: prefix: fits",
        "SSLを使用する",
        "https://media.example.com ",
        "s3ForcePathStyle",
        "us-east-1",
    ] {
        assert!(ran.out.contains(words), "{words:?} is not in:\n{}", ran.out);
    }
    assert!(!format!("{}{}", ran.out, ran.err).contains("hunter2"));
}

#[test]
fn what_differs_from_misskey_fails_the_check() {
    let ran = check_misskey(&MISSKEY_V10.replace("prefix: misskey", "prefix: files"));
    assert_eq!(ran.exit, Some(1));
    assert!(ran.out.contains("drive: prefix: DIFFERS"), "{}", ran.out);
    assert!(ran.out.contains("add \"files/\" to keys"), "{}", ran.out);
    let ran = check_misskey(&MISSKEY_V10.replace("bucket: misskey-media", "bucket: other"));
    assert!(ran.out.contains("drive: bucket: DIFFERS"), "{}", ran.out);
}

#[test]
fn since_v11_only_the_form_is_printed() {
    let ran = check_misskey("url: https://example.com/\nport: 3000\n");
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    assert!(!ran.out.contains("drive"));
    assert!(ran.out.contains("Base URL"));
    let ran = check_misskey("pass: hunter2\n\t- [");
    assert_eq!(ran.exit, Some(1));
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
}
