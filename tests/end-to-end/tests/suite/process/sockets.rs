//! A unix socket for a proxy on the same machine: who may connect, what a broken body looks like
//! there, and whose file it is.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use futures_util::future::join_all;
use rustix::process::Signal;
use test_servers::faulty::{Fault, Faulty, Gate, On};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::harness::{Gateway, PATIENCE, Setup, route, web};
use super::raw::Reader;

/// Any user that is not this one.
const NOBODY: u32 = 65_534;

fn picture() -> Vec<u8> {
    (0..100_000u32).flat_map(u32::to_le_bytes).collect()
}

struct Scene {
    origin: Faulty,
    setup: Setup,
    socket: PathBuf,
}

impl Scene {
    async fn set(more: &str) -> Self {
        let origin = Faulty::start().await;
        origin.put("a.bin", picture());
        let setup = Setup::new(web("only", &origin.base_url()) + &route(&["only"]));
        let socket = setup.path("media.sock");
        let setup = setup.server(&listening(&socket, more));
        Self {
            origin,
            setup,
            socket,
        }
    }

    /// The whole of what is answered to a request of this version, which is the connection's last.
    async fn asked(&self, version: &str, method: &str, path: &str) -> (String, Vec<u8>) {
        whole(&self.socket, version, method, path).await
    }
}

fn listening(socket: &Path, more: &str) -> String {
    let socket = socket.display();
    format!("listen = [\"127.0.0.1:0\", \"unix:{socket}\"]\n{more}")
}

fn request(version: &str, method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/{version}\r\nHost: media.example\r\n{more}\r\n")
}

async fn whole(socket: &Path, version: &str, method: &str, path: &str) -> (String, Vec<u8>) {
    let mut reader = Reader::connect_to(socket).await;
    let request = request(version, method, path, "Connection: close\r\n");
    reader.send(&request).await;
    reader.read_to_end().await;
    let read = reader.read();
    let end = read.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = read.split_at(end.expect("a head comes") + 4);
    let head = String::from_utf8(head.to_vec()).unwrap();
    (head.to_ascii_lowercase(), body.to_vec())
}

#[tokio::test]
async fn a_socket_serves_whom_its_mode_lets_in_and_goes_with_its_gateway() {
    let scene = Scene::set("").await;
    // So that the socket's own mode decides.
    let directory = scene.socket.parent().unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let is_root = fs::metadata(directory).unwrap().uid() == 0;
    for (mode, may_connect) in [("0660", false), ("0666", true)] {
        let more = format!("socket_mode = \"{mode}\"");
        let setup = Setup::new(web("only", &scene.origin.base_url()) + &route(&["only"]));
        let gateway = setup.server(&listening(&scene.socket, &more)).start().await;
        let (head, body) = scene.asked("1.1", "GET", "/a.bin").await;
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert_eq!(body, picture());
        let set = fs::metadata(&scene.socket).unwrap().permissions().mode();
        assert_eq!(format!("{:04o}", set & 0o7777), mode);
        if is_root {
            let mut curl = Command::new("curl");
            curl.args(["-sS", "-o", "/dev/null", "http://media.example/a.bin"])
                .arg("--unix-socket")
                .arg(&scene.socket)
                .uid(NOBODY)
                .gid(NOBODY);
            let asked = tokio::task::spawn_blocking(move || curl.output().unwrap());
            let asked = asked.await.unwrap();
            assert_eq!(asked.status.success(), may_connect, "{mode}: {asked:?}");
        } else {
            println!("not root: nobody else can be tried with");
        }
        gateway.stopped().await;
        assert!(!scene.socket.exists());
    }
}

#[tokio::test]
async fn a_body_whose_origin_dies_is_seen_to_be_broken_without_a_reset() {
    let scene = Scene::set("").await;
    let _gateway = scene.setup.start().await;
    for version in ["1.0", "1.1"] {
        for chunked in [false, true] {
            let key = format!("{version}-{chunked}.bin");
            scene.origin.put(&key, picture());
            let on = || On::key(&key);
            if chunked {
                scene.origin.fault(on(), Fault::Chunked);
                scene.origin.fault(on(), Fault::IgnoreRange);
            }
            scene.origin.fault(on(), Fault::ResetAfter(150_000));
            // Nobody brings the rest.
            scene.origin.fault(on().after(1), Fault::Drop);
            let (head, body) = scene.asked(version, "GET", &format!("/{key}")).await;
            if (version, chunked) == ("1.0", true) {
                assert!(head.contains(" 503 "), "{head}");
                continue;
            }
            assert!(head.contains(" 200 "), "{head}");
            if chunked {
                assert!(head.contains("transfer-encoding: chunked"), "{head}");
                assert!(!body.ends_with(b"0\r\n\r\n"), "it looks whole");
            } else {
                let length = format!("content-length: {}\r\n", picture().len());
                assert!(head.contains(&length), "{head}");
                assert!(body.len() < picture().len(), "it looks whole");
            }
        }
    }
}

#[tokio::test]
async fn by_http_1_0_only_what_has_a_length_is_sent() {
    let scene = Scene::set("").await;
    let gateway = scene.setup.start().await;
    scene.origin.put("chunked.bin", picture());
    for fault in [Fault::Chunked, Fault::IgnoreRange] {
        scene.origin.fault(On::key("chunked.bin"), fault);
    }
    for method in ["GET", "HEAD"] {
        let (head, body) = scene.asked("1.0", method, "/chunked.bin").await;
        assert!(head.contains(" 503 "), "{method}: {head}");
        assert!(head.contains("retry-after: 120\r\n"), "{method}: {head}");
        assert!(head.contains("no-store"), "{method}: {head}");
        let said = String::from_utf8(body).unwrap();
        assert_eq!(said.contains("proxy_http_version 1.1;"), method == "GET");
    }
    let (head, body) = scene.asked("1.0", "GET", "/a.bin").await;
    assert!(head.contains(" 200 ") && body == picture(), "{head}");
    let (head, _) = scene.asked("1.1", "GET", "/chunked.bin").await;
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    // By TCP a break is a reset, so there the end may be an end.
    let mut reader = Reader::connect(gateway.media()).await;
    reader
        .send(&request("1.0", "GET", "/chunked.bin", ""))
        .await;
    reader.read_to_end().await;
    assert!(reader.said().contains(" 200 OK\r\n"));
    assert!(reader.read().ends_with(&picture()));
}

#[tokio::test]
async fn a_socket_that_a_killed_gateway_left_is_replaced_and_one_that_answers_is_not() {
    let scene = Scene::set("").await;
    let mut gateway = scene.setup.start().await;
    gateway.signal(Signal::KILL);
    gateway.ended().await;
    assert!(scene.socket.exists());
    let findings = scene.setup.run(&["check"]).await;
    let said = String::from_utf8(findings.stdout).unwrap();
    assert!(said.contains("what a dead gateway has left"), "{said}");

    let again = scene.setup.start().await;
    assert!(
        scene
            .asked("1.1", "GET", "/a.bin")
            .await
            .0
            .contains(" 200 ")
    );
    let second = Setup::new(web("only", "http://127.0.0.1:1/") + &route(&["only"]))
        .server(&listening(&scene.socket, ""));
    let said = second.refused().await;
    let path = format!("unix:{}", scene.socket.display());
    for word in ["server.listen", &path, "stop the other gateway"] {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert!(
        scene
            .asked("1.1", "GET", "/a.bin")
            .await
            .0
            .contains(" 200 ")
    );
    again.stopped().await;

    fs::write(&scene.socket, "precious").unwrap();
    let said = scene.setup.refused().await;
    assert!(said.contains("no socket") && said.contains(&path), "{said}");
    assert_eq!(fs::read(&scene.socket).unwrap(), b"precious");
    let checked = scene.setup.run(&["check"]).await;
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.contains("a file that is no socket is at"), "{said}");
}

#[tokio::test]
async fn a_path_that_no_socket_can_have_is_refused_before_anything_starts() {
    let long = format!("/run/{}/media.sock", "directory".repeat(12));
    for (path, reason) in [
        (&*long, "at most 107 bytes"),
        ("media.sock", "not the whole path"),
        ("@media", "not the whole path"),
        ("/run/media/", "a directory is no socket"),
    ] {
        let setup = Setup::new(web("only", "http://127.0.0.1:1/") + &route(&["only"]));
        let setup = setup.server(&format!("listen = \"unix:{path}\""));
        let output = setup.run(&["check", "--offline"]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        for word in ["server.listen", path, reason, "remedy: "] {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
    }
}

async fn statuses(scene: &Scene, gateway: &Gateway, client: &str) -> Vec<u16> {
    let mut readers = Vec::new();
    for _ in 0..3 {
        let mut reader = Reader::connect_to(&scene.socket).await;
        let forwarded = format!("X-Forwarded-For: 198.51.100.7, {client}\r\n");
        reader
            .send(&request("1.1", "GET", "/held.bin", &forwarded))
            .await;
        let said = reader.read_until(b"\r\n\r\n").await;
        assert!(said.starts_with("HTTP/1.1 "), "{}", gateway.log());
        readers.push((said[9..12].parse().unwrap(), reader));
    }
    readers.into_iter().map(|(status, _)| status).collect()
}

#[tokio::test]
async fn who_is_behind_a_socket_is_believed_only_where_it_is_trusted() {
    for (trusted, expected) in [
        ("trusted_proxies = [\"unix:\"]", [200, 200, 503]),
        ("trusted_proxies = [\"127.0.0.0/8\"]", [200, 200, 200]),
    ] {
        let mut scene = Scene::set(trusted).await;
        scene.setup = scene.setup.limits("connections_per_client = 2");
        scene.origin.put("held.bin", picture());
        let held = Fault::HoldAfter(100_000, Gate::new());
        scene.origin.fault(On::key("held.bin"), held);
        let gateway = scene.setup.start().await;
        assert_eq!(statuses(&scene, &gateway, "203.0.113.1").await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_by_a_socket_survive_a_sigterm_and_the_next_gateway_need_not_wait() {
    const DOWNLOADS: usize = 50;
    let scene = Scene::set("").await;
    let gate = Gate::new();
    let held = Fault::HoldAfter(100_000, gate.clone());
    scene.origin.fault(On::key("a.bin"), held);
    let mut gateway = scene.setup.start().await;
    let downloads = (0..DOWNLOADS).map(async |_| {
        let mut reader = Reader::connect_to(&scene.socket).await;
        reader.send(&request("1.1", "GET", "/a.bin", "")).await;
        reader.read_until(b"\r\n\r\n").await;
        reader
    });
    let downloads = join_all(downloads).await;
    gateway.signal(Signal::TERM);
    gateway.logged("accepting nothing new").await;
    let refused = async { while UnixStream::connect(&scene.socket).await.is_ok() {} };
    timeout(PATIENCE, refused).await.expect("it is closed");

    let next = Setup::new(web("only", &scene.origin.base_url()) + &route(&["only"]));
    let next = next.server(&listening(&scene.socket, "")).start().await;
    gate.open();
    for mut reader in downloads {
        reader.read_to_end().await;
        let all = reader.read();
        assert!(all.ends_with(&picture()), "{} bytes", all.len());
    }
    assert_eq!(gateway.ended().await.code(), Some(0));
    // Its end has not taken the other's socket away.
    assert!(
        scene
            .asked("1.1", "GET", "/a.bin")
            .await
            .0
            .contains(" 200 ")
    );
    next.stopped().await;
}
