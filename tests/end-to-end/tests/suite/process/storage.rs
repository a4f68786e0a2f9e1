//! Real storage, filled by the tools that people use: a private and a public bucket of SeaweedFS
//! and a directory, behind one URL.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use test_servers::REGION;
use test_servers::seaweed::{PRIVATE, PUBLIC, Seaweed};

use super::harness::{Gateway, PATIENCE, Setup, directory, route};

/// What a browser leaves as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-');

/// A file's bytes and the type it shall be served with.
type Files = BTreeMap<String, (Vec<u8>, &'static str)>;

/// A PNG by its first bytes; others by nothing but their name.
fn bytes(length: usize, seed: u32) -> Vec<u8> {
    let noise = (0..u32::try_from(length).unwrap()).map(|n| {
        let mixed = (n ^ seed).wrapping_mul(2_654_435_761);
        (mixed >> 24) as u8
    });
    b"\x89PNG\r\n\x1a\n".iter().copied().chain(noise).collect()
}

fn write(root: &Path, files: &Files) {
    for (key, (bytes, _)) in files {
        let path = root.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// An uploader, with nobody's own configuration and none of their keys. Both are Debian packages
/// that `tests/run` installs.
fn tool(name: &str, room: &Path) -> Command {
    let mut command = Command::new(name);
    command
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", room);
    command
}

async fn finished(mut command: Command) {
    let name = command.get_program().to_string_lossy().into_owned();
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = tokio::time::timeout(PATIENCE, run).await;
    let output = output.unwrap_or_else(|_| panic!("{name} does not end"));
    let output = output.unwrap().unwrap_or_else(|error| {
        panic!("{name} does not run ({error}); install it: sudo apt-get install {name}")
    });
    assert!(output.status.success(), "{name}: {output:?}");
}

/// `s3cmd` puts each file, in parts of 5 MiB.
async fn s3cmd(weed: &Seaweed, root: &Path, files: &Files) {
    let host = weed.endpoint().replace("http://", "");
    for (key, (_, content_type)) in files {
        let mut command = tool("s3cmd", root);
        command
            .arg("--config=/dev/null")
            .arg(format!("--access_key={}", weed.keys().access_key_id))
            .arg(format!("--secret_key={}", weed.keys().secret_access_key))
            .arg(format!("--host={host}"))
            .arg(format!("--host-bucket={host}/%(bucket)"))
            .arg(format!("--region={REGION}"))
            .arg(format!("--mime-type={content_type}"))
            .args(["--no-ssl", "--no-progress", "--multipart-chunk-size-mb=5"])
            .arg("put")
            .arg(root.join(key))
            .arg(format!("s3://{PRIVATE}/{key}"));
        finished(command).await;
    }
}

/// `rclone` copies the whole directory, and takes the types from the names.
async fn rclone(weed: &Seaweed, root: &Path) {
    let mut command = tool("rclone", root);
    command
        .args(["copy", "--retries=1", "--s3-no-check-bucket"])
        .arg(root)
        .arg(format!(":s3:{PUBLIC}"))
        .env("RCLONE_CONFIG", "/dev/null")
        .env("RCLONE_S3_PROVIDER", "SeaweedFS")
        .env("RCLONE_S3_REGION", REGION)
        .env("RCLONE_S3_ENDPOINT", weed.endpoint())
        .env("RCLONE_S3_ACCESS_KEY_ID", &weed.keys().access_key_id)
        .env(
            "RCLONE_S3_SECRET_ACCESS_KEY",
            &weed.keys().secret_access_key,
        );
    finished(command).await;
}

fn origins(weed: &Seaweed, disk: &Path) -> String {
    let bucket = |name: &str, bucket: &str| {
        format!(
            "[origins.{name}]\nkind = \"s3\"\nprovider = \"seaweedfs\"\nendpoint = \"{}\"\n\
             bucket = \"{bucket}\"\n",
            weed.endpoint()
        )
    };
    let keys = format!(
        "access_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
        weed.keys().access_key_id,
        weed.keys().secret_access_key
    );
    bucket("current", PRIVATE)
        + &keys
        + "cache = \"none\"\n"
        + &bucket("old", PUBLIC)
        + &directory("disk", disk)
        + &route(&["current", "old", "disk"])
}

async fn are_served(gateway: &Gateway, files: &Files, origin: &str) {
    for (key, (bytes, content_type)) in files {
        let path = format!("/{}", utf8_percent_encode(key, PATH));
        let answer = gateway.get(&path).await;
        assert_eq!(answer.status, 200, "{key}: {}", gateway.log());
        assert!(answer.body == *bytes, "{key} has other bytes");
        assert_eq!(answer.headers["content-type"], *content_type, "{key}");
        assert_eq!(answer.headers["x-origin"], origin, "{key}");
        assert_eq!(answer.headers["content-length"], bytes.len().to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_s3cmd_and_rclone_uploaded_is_served_byte_by_byte_and_never_404_in_an_outage() {
    let files = |keys: &[(&str, usize, &'static str)]| -> Files {
        (1..)
            .zip(keys)
            .map(|(seed, (key, length, kind))| ((*key).to_owned(), (bytes(*length, seed), *kind)))
            .collect()
    };
    let current = files(&[
        ("misskey/0b3c.png", 20_000, "image/png"),
        ("misskey/夕焼け 写真 1.webp", 30_000, "image/webp"),
        ("misskey/with a space.mp4", 12 << 20, "video/mp4"),
        ("null/a+b.png", 100, "image/png"),
    ]);
    let old = files(&[
        ("misskey/old.png", 10_000, "image/png"),
        ("misskey/古い 写真.jpg", 10_000, "image/jpeg"),
        ("misskey/big.mp4", 9 << 20, "video/mp4"),
    ]);
    let disk = files(&[
        ("misskey/disk.png", 10_000, "image/png"),
        ("misskey/保存 済み.png", 10_000, "image/png"),
    ]);
    let room = tempfile::tempdir().unwrap();
    let roots = ["current", "old", "disk"].map(|name| room.path().join(name));
    for (root, files) in roots.iter().zip([&current, &old, &disk]) {
        write(root, files);
    }
    let weed = Seaweed::start().await.unwrap();
    s3cmd(&weed, &roots[0], &current).await;
    rclone(&weed, &roots[1]).await;
    let setup = Setup::new(origins(&weed, &roots[2]));
    let gateway = setup.start().await;
    are_served(&gateway, &current, "current").await;
    are_served(&gateway, &old, "old").await;
    are_served(&gateway, &disk, "disk").await;
    let absent = gateway.get("/misskey/absent.webp").await;
    assert_eq!(absent.status, 404, "{}", gateway.log());

    drop(weed);
    are_served(&gateway, &disk, "disk").await;
    // What is kept stays available.
    are_served(&gateway, &old, "old").await;
    let keys = current.keys().map(String::as_str);
    for key in keys.chain(["misskey/absent-too.webp"]) {
        let path = format!("/{}", utf8_percent_encode(key, PATH));
        let answer = gateway.get(&path).await;
        assert_eq!(answer.status, 503, "{key}: {}", gateway.log());
        assert_eq!(answer.headers["cache-control"], "no-store", "{key}");
    }
    gateway.stopped().await;
}
