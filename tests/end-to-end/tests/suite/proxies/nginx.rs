//! nginx, and what each of its traps does.

use std::process::Command;

use test_servers::faulty::{Fault, On};
use tokio::time::{Duration, sleep};

use super::checks::all_is_well;
use super::harness::{HOST, Proxy, Scene, snippets};
use crate::fleet::harness::until;

/// More than all buffers between an origin and a viewer.
const FILM_BYTES: usize = 64_000_000;

/// More than comes at once, so that the length is not known when an answer begins.
const CHUNKED_BYTES: usize = 400_000;

/// The document's two blocks: the upstream, and the location.
fn blocks() -> (String, String) {
    let [upstream, location] = &snippets("nginx")[..] else {
        panic!("two blocks of nginx are expected");
    };
    (upstream.clone(), location.clone())
}

fn by_socket(scene: &Scene, upstream: &str) -> String {
    let instead = "server unix:/run/media-gateway/media.sock;";
    scene.by_socket(upstream, "server 127.0.0.1:8080;", instead)
}

async fn nginx(upstream: &str, location: &str) -> Proxy {
    let configuration = |address, directory: &std::path::Path| {
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|what| {
            let path = directory.join(what);
            format!("{what}_temp_path {};\n", path.display())
        });
        let cache = directory.join("cache");
        format!(
            "daemon off;\nmaster_process off;\npid {directory}/pid;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}\n\
             proxy_cache_path {cache} keys_zone=media:1m;\n{upstream}\n\
             server {{\nlisten {address};\nserver_name {HOST};\n{location}\n}}\n}}\n",
            directory = directory.display(),
            temporary = temporary.concat(),
            cache = cache.display(),
        )
    };
    let command = |file: &std::path::Path, directory: &std::path::Path| {
        let mut command = Command::new("nginx");
        command.arg("-c").arg(file).arg("-p").arg(directory);
        command.arg("-e").arg(directory.join("error.log"));
        command
    };
    Proxy::start(configuration, command).await
}

/// The document's lines, with one of them changed.
async fn with(scene: &Scene, line: &str, instead: &str) -> Proxy {
    let (upstream, location) = blocks();
    assert!(location.contains(line), "{location}");
    nginx(&scene.by_tcp(&upstream), &location.replace(line, instead)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_behind_nginx_by_tcp() {
    let scene = Scene::set().await;
    let (upstream, location) = blocks();
    let proxy = nginx(&scene.by_tcp(&upstream), &location).await;
    all_is_well(&scene, &proxy, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_behind_nginx_by_a_unix_socket() {
    let scene = Scene::set().await;
    let (upstream, location) = blocks();
    let proxy = nginx(&by_socket(&scene, &upstream), &location).await;
    all_is_well(&scene, &proxy, true).await;
}

#[tokio::test]
async fn a_slash_behind_the_name_takes_slashes_out_of_keys() {
    let scene = Scene::set().await;
    scene.origin.put("null//y.bin", "two slashes");
    let name = "proxy_pass http://media_gateway;";
    let proxy = with(&scene, name, "proxy_pass http://media_gateway/;").await;
    let answer = proxy.viewer(2).whole("/null//y.bin").await;
    assert_eq!(answer.0, 404);
    assert_eq!(scene.origin.requests_for("null/y.bin").len(), 1);
}

#[tokio::test]
async fn without_the_host_every_answer_is_421_and_says_why() {
    let scene = Scene::set().await;
    scene.origin.put("a.bin", "a");
    let proxy = with(&scene, "proxy_set_header Host $host;", "").await;
    let (status, body) = proxy.viewer(2).whole("/a.bin").await;
    let said = String::from_utf8(body.unwrap()).unwrap();
    assert_eq!(status, 421);
    assert!(said.contains("host: media_gateway"), "{said}");
    assert!(said.contains("proxy_set_header Host $host;"), "{said}");
}

#[tokio::test]
async fn by_http_1_0_no_connection_is_kept_and_a_socket_refuses_what_has_no_length() {
    let scene = Scene::set().await;
    scene.origin.put("a.bin", "a");
    scene.origin.put("chunked.bin", vec![7; CHUNKED_BYTES]);
    for fault in [Fault::Chunked, Fault::IgnoreRange] {
        scene.origin.fault(On::key("chunked.bin"), fault);
    }
    let (upstream, location) = blocks();
    let old = location.replace("proxy_http_version 1.1;", "proxy_http_version 1.0;");
    assert_ne!(old, location);
    for (upstream, is_socket) in [
        (by_socket(&scene, &upstream), true),
        (scene.by_tcp(&upstream), false),
    ] {
        let proxy = nginx(&upstream, &old).await;
        let viewer = proxy.viewer(2);
        assert_eq!(viewer.whole("/a.bin").await.0, 200);
        let (status, body) = viewer.whole("/chunked.bin").await;
        if is_socket {
            let said = String::from_utf8(body.unwrap()).unwrap();
            assert_eq!(status, 503);
            assert!(said.contains("proxy_http_version 1.1;"), "{said}");
        } else {
            assert_eq!((status, body.unwrap().len()), (200, CHUNKED_BYTES));
        }
        none_are_kept(&scene).await;
    }
}

#[tokio::test]
async fn without_the_empty_connection_header_none_is_kept() {
    let scene = Scene::set().await;
    scene.origin.put("a.bin", "a");
    let proxy = with(&scene, "proxy_set_header Connection \"\";", "").await;
    assert_eq!(proxy.viewer(2).whole("/a.bin").await.0, 200);
    none_are_kept(&scene).await;
}

async fn none_are_kept(scene: &Scene) {
    until("no connection is kept", async || {
        scene.connections().await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_buffering_is_on_a_film_is_read_to_its_end_for_who_does_not_look() {
    let scene = Scene::set().await;
    scene.origin.put("film.bin", vec![7; FILM_BYTES]);
    let (upstream, location) = blocks();
    let right = nginx(&scene.by_tcp(&upstream), &location).await;
    let unread = right.viewer(2).get("/film.bin").send().await.unwrap();
    assert_eq!(unread.status(), 200);
    // Whatever flows, flows in that time.
    sleep(Duration::from_secs(1)).await;
    let read = scene.origin.body_bytes_sent();
    assert!(read < FILM_BYTES as u64 / 2, "{read} bytes were read ahead");
    drop(unread);
    drop(right);

    let wrong = with(&scene, "proxy_buffering off;", "").await;
    let unread = wrong.viewer(2).get("/film.bin").send().await.unwrap();
    scene
        .origin
        .wait_until("the whole film is read", |counts| {
            counts.body_bytes >= FILM_BYTES as u64
        })
        .await;
    drop(unread);
}

#[tokio::test]
async fn with_a_cache_of_its_own_a_seek_brings_the_whole() {
    let scene = Scene::set().await;
    scene.origin.put("film.bin", vec![7; FILM_BYTES / 8]);
    let cached = "proxy_cache media; proxy_cache_valid 200 1h;";
    let proxy = with(&scene, "proxy_buffering off;", cached).await;
    let part = proxy
        .viewer(2)
        .get("/film.bin")
        .header("range", "bytes=0-99");
    let part = part.send().await.unwrap().bytes().await.unwrap();
    assert_eq!(part.len(), 100);
    scene
        .origin
        .wait_until("the whole film is read", |counts| {
            counts.body_bytes >= FILM_BYTES as u64 / 8
        })
        .await;
}

#[tokio::test]
async fn an_error_page_makes_a_404_of_an_outage() {
    let scene = Scene::set().await;
    scene.origin.fault(On::key("down.bin"), Fault::status(500));
    let intercepting =
        "proxy_buffering off; proxy_intercept_errors on; error_page 503 =404 /404.html;";
    let proxy = with(&scene, "proxy_buffering off;", intercepting).await;
    assert_eq!(proxy.viewer(2).whole("/down.bin").await.0, 404);
}
