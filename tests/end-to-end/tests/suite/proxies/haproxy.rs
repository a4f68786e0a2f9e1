//! HAProxy, which looks into HTTP; one that does not is tried with the PROXY protocol.

use std::process::Command;

use super::checks::all_is_well;
use super::harness::{Proxy, Scene, snippets};

fn block() -> String {
    let [block] = &snippets("haproxy")[..] else {
        panic!("one block of HAProxy is expected");
    };
    block.clone()
}

/// Without TLS: who has issued a certificate is not what is tried here.
async fn haproxy(block: &str) -> Proxy {
    let configuration = |address, _: &std::path::Path| {
        let bind = block.lines().find(|line| line.contains("bind :443"));
        let block = block.replace(bind.unwrap(), &format!("    bind {address}"));
        format!(
            "defaults\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n{block}\n"
        )
    };
    let command = |file: &std::path::Path, _: &std::path::Path| {
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(file);
        command
    };
    Proxy::start(configuration, command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_behind_haproxy_by_tcp() {
    let scene = Scene::set().await;
    let proxy = haproxy(&scene.by_tcp(&block())).await;
    all_is_well(&scene, &proxy, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_behind_haproxy_by_a_unix_socket() {
    let scene = Scene::set().await;
    let block = scene.by_socket(&block(), "127.0.0.1:8080", "/run/media-gateway/media.sock");
    let proxy = haproxy(&block).await;
    all_is_well(&scene, &proxy, true).await;
}
