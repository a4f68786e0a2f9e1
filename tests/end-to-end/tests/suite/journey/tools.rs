//! The judgement of tools that know nothing of the gateway: `rclone` and `s3cmd`.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use test_servers::REGION;
use test_servers::seaweed::PRIVATE;

use super::place::{Place, Reached, is_ours};
use crate::process::harness::PATIENCE;

/// With nobody's own configuration and none of their keys. Both are Debian packages that
/// `tests/run` installs.
fn tool(name: &str, home: &Path) -> Command {
    let mut command = Command::new(name);
    command
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", home);
    command
}

async fn finished(mut command: Command) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = tokio::time::timeout(PATIENCE, run).await;
    let output = output.unwrap_or_else(|_| panic!("{name} does not end"));
    output.unwrap().unwrap_or_else(|error| {
        panic!("{name} does not run ({error}); install it: sudo apt-get install {name}")
    })
}

/// `rclone`, for which one end is `old:` and the other one `new:`.
fn rclone(home: &Path, places: [&Place; 2]) -> (Command, [String; 2]) {
    let mut command = tool("rclone", home);
    command.env("RCLONE_CONFIG", "/dev/null");
    let paths =
        [("OLD", places[0]), ("NEW", places[1])].map(|(name, place)| match place.reached() {
            Reached::Directory(root) => root.display().to_string(),
            Reached::Bucket(endpoint, keys) => {
                for (variable, value) in [
                    ("TYPE", "s3"),
                    ("PROVIDER", "SeaweedFS"),
                    ("REGION", REGION),
                    ("ENDPOINT", endpoint.as_str()),
                    ("ACCESS_KEY_ID", keys.access_key_id.as_str()),
                    ("SECRET_ACCESS_KEY", keys.secret_access_key.as_str()),
                ] {
                    command.env(format!("RCLONE_CONFIG_{name}_{variable}"), value);
                }
                format!("{name}:{PRIVATE}")
            }
        });
    (command, paths)
}

/// What `rclone` lists at an end.
pub(super) async fn listed(home: &Path, place: &Place) -> BTreeSet<String> {
    let (mut command, paths) = rclone(home, [place, place]);
    command.args(["lsf", "--recursive", "--files-only", &paths[0]]);
    let output = finished(command).await;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter(|line| !is_ours(Path::new(line)));
    names.map(str::to_owned).collect()
}

/// `rclone` finds these files equal at both ends, by length and sum.
pub(super) async fn rclone_agrees(home: &Path, places: [&Place; 2], keys: &[String]) {
    let list = home.join("live.txt");
    fs::write(&list, keys.join("\n")).unwrap();
    let (mut command, paths) = rclone(home, places);
    command
        .args(["check", "--one-way", "--files-from-raw"])
        .arg(list)
        .args(&paths);
    let output = finished(command).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let matching = format!("{} matching files", keys.len());
    assert!(said.contains(&matching), "not {matching}: {said}");
}

/// `s3cmd` finds these files equal at both ends: two buckets by the sums that they list; for a
/// directory, by what it would have to upload.
pub(super) async fn s3cmd_agrees(home: &Path, places: [&Place; 2], keys: &[String]) {
    let sums = |lines: String| -> BTreeSet<(String, String, String)> {
        let rows = lines.lines().map(|line| {
            // Date, time, length, sum and, with its own spaces, the name.
            let mut words = line.split_whitespace().skip(2);
            let (length, sum) = (words.next().unwrap(), words.next().unwrap());
            let name = line.split_once(&format!("s3://{PRIVATE}/")).unwrap().1;
            (name.to_owned(), length.to_owned(), sum.to_owned())
        });
        rows.filter(|(name, ..)| keys.contains(name)).collect()
    };
    match places.map(Place::reached) {
        [Reached::Bucket(..), Reached::Bucket(..)] => {
            let mut both = Vec::new();
            for place in places {
                let mut command = s3cmd(home, place);
                command.args(["ls", "--recursive", "--list-md5"]);
                command.arg(format!("s3://{PRIVATE}"));
                let output = finished(command).await;
                assert!(output.status.success(), "{output:?}");
                both.push(sums(String::from_utf8(output.stdout).unwrap()));
            }
            assert_eq!(both[0], both[1]);
            assert_eq!(both[0].len(), keys.len());
        }
        [Reached::Directory(root), _] => nothing_to_upload(home, &root, places[1], keys).await,
        [_, Reached::Directory(root)] => nothing_to_upload(home, &root, places[0], keys).await,
    }
}

async fn nothing_to_upload(home: &Path, root: &Path, bucket: &Place, keys: &[String]) {
    let mut command = s3cmd(home, bucket);
    command
        .args(["sync", "--dry-run", "--no-progress"])
        .arg(format!("{}/", root.display()))
        .arg(format!("s3://{PRIVATE}/"));
    let output = finished(command).await;
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let uploads = said.lines().filter(|line| line.starts_with("upload:"));
    let wanted: Vec<_> = uploads
        .filter(|line| keys.iter().any(|key| line.contains(&format!("/{key}'"))))
        .collect();
    assert!(wanted.is_empty(), "{wanted:?}");
    for key in keys {
        assert!(root.join(key).is_file(), "{key}");
    }
}

fn s3cmd(home: &Path, place: &Place) -> Command {
    let Reached::Bucket(endpoint, keys) = place.reached() else {
        panic!("s3cmd knows buckets only");
    };
    let host = endpoint.replace("http://", "");
    let mut command = tool("s3cmd", home);
    command
        .arg("--config=/dev/null")
        .arg(format!("--access_key={}", keys.access_key_id))
        .arg(format!("--secret_key={}", keys.secret_access_key))
        .arg(format!("--host={host}"))
        .arg(format!("--host-bucket={host}/%(bucket)"))
        .arg(format!("--region={REGION}"))
        .arg("--no-ssl");
    command
}
