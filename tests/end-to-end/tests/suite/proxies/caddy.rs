//! Caddy, by the lines of the document; without TLS, whose certificates are not what is tried here.

use std::process::Command;

use super::checks::all_is_well;
use super::harness::{HOST, Proxy, Scene, snippets};

fn block() -> String {
    let [block] = &snippets("caddyfile")[..] else {
        panic!("one block of Caddy is expected");
    };
    block.clone()
}

/// The document says it of Caddy 2.6.
fn shows_breaks() -> bool {
    let version = Command::new("caddy").arg("version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    !version.trim_start_matches('v').starts_with("2.6.")
}

/// Without TLS: who has issued a certificate is not what is tried here.
async fn caddy(block: &str) -> Proxy {
    let configuration = |address: std::net::SocketAddr, _: &std::path::Path| {
        let site = format!(
            "http://{HOST}:{} {{\n\tbind {}",
            address.port(),
            address.ip()
        );
        let block = block.replace(&format!("{HOST} {{"), &site);
        format!("{{\n\tadmin off\n\tauto_https off\n}}\n{block}\n")
    };
    let command = |file: &std::path::Path, directory: &std::path::Path| {
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]);
        command.arg(file).env("HOME", directory);
        command.env("XDG_DATA_HOME", directory);
        command.env("XDG_CONFIG_HOME", directory);
        command
    };
    Proxy::start(configuration, command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_behind_caddy_by_tcp() {
    let scene = Scene::set().await;
    let proxy = caddy(&scene.by_tcp(&block())).await;
    all_is_well(&scene, &proxy, shows_breaks()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_behind_caddy_by_a_unix_socket() {
    let scene = Scene::set().await;
    let instead = "reverse_proxy unix//run/media-gateway/media.sock {";
    let block = scene.by_socket(&block(), "reverse_proxy 127.0.0.1:8080 {", instead);
    let proxy = caddy(&block).await;
    all_is_well(&scene, &proxy, shows_breaks()).await;
}
