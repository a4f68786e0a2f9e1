//! Lines about requests: who asks, whom a trusted proxy names, no more of the address than is
//! wanted, and in the form that is wanted.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use test_servers::ReservedPort;
use test_servers::faulty::Faulty;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::harness::{PATIENCE, Setup, program, route, web};
use super::raw::Reader;

/// What the log calls the clients of two requests, the second by a proxy's word of another.
async fn clients(setup: Setup) -> Vec<Value> {
    let gateway = setup.start().await;
    for forwarded in ["", "X-Forwarded-For: 198.51.100.7, 203.0.113.77\r\n"] {
        let mut reader = Reader::connect(gateway.media()).await;
        let request =
            format!("GET /a.webp HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{forwarded}\r\n");
        reader.send(&request).await;
        reader.read_to_end().await;
    }
    let log = gateway.stopped().await;
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let requests = lines.filter(|line| line["target"] == "access");
    requests.map(|line| line["client"].clone()).collect()
}

#[tokio::test]
async fn the_log_has_networks_unless_it_is_told_otherwise() {
    let origin = Faulty::start().await;
    origin.put("a.webp", "picture");
    let rest = web("only", &origin.base_url()) + &route(&["only"]);
    // What a setup is given stands behind `[log]`.
    let setup = |log: &str| Setup::new(format!("{log}\n{rest}"));
    assert_eq!(clients(setup("")).await, ["127.0.0.0", "127.0.0.0"]);
    let trusting = |log: &str| setup(log).server("trusted_proxies = [\"127.0.0.0/8\"]");
    let seen = clients(trusting("")).await;
    assert_eq!(seen, ["127.0.0.0", "203.0.113.0"]);
    let seen = clients(trusting("client_addresses = \"full\"")).await;
    assert_eq!(seen, ["127.0.0.1", "203.0.113.77"]);
    let seen = clients(trusting("client_addresses = \"none\"")).await;
    assert_eq!(seen, [Value::Null, Value::Null]);
}

#[tokio::test]
async fn a_client_is_known_by_a_balancers_announcement() {
    let origin = Faulty::start().await;
    origin.put("a.webp", "picture");
    let rest = web("only", &origin.base_url()) + &route(&["only"]);
    let setup = Setup::new(format!("client_addresses = \"full\"\n{rest}"))
        .server("trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true");
    let gateway = setup.start().await;
    let mut reader = Reader::connect(gateway.media()).await;
    // Version 2, TCP over IPv4, from 10.1.2.3.
    let announcement = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\n\x01\x02\x03\x7f\0\0\x01\x12\x67\0\x50";
    let request = "GET /a.webp HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    reader.send(&format!("{announcement}{request}")).await;
    reader.read_to_end().await;
    assert!(reader.said().ends_with("picture"), "{}", reader.said());
    let log = gateway.stopped().await;
    assert!(log.contains("\"client\":\"10.1.2.3\""), "{log}");
}

/// What it writes on its standard output while these paths are asked for.
async fn written(setup: &Setup, to: SocketAddr, paths: &[&str]) -> String {
    let out = setup.path("out");
    let mut child = Command::new(program())
        .args(["serve", "--config"])
        .arg(setup.written())
        .env_clear()
        .stdout(File::create(&out).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let listens = async {
        while TcpStream::connect(to).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, listens).await.expect("it starts");
    for path in paths {
        let mut reader = Reader::connect(to).await;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nUser-Agent: b \"c\"\r\nConnection: close\r\n\r\n"
        );
        reader.send(&request).await;
        reader.read_to_end().await;
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    tokio::task::spawn_blocking(move || child.wait().unwrap())
        .await
        .unwrap();
    fs::read_to_string(out).unwrap()
}

#[tokio::test]
async fn requests_are_written_to_standard_output_in_the_form_that_is_wanted() {
    let origin = Faulty::start().await;
    origin.put("a.webp", "picture");
    let rest = web("only", &origin.base_url()) + &route(&["only"]);
    let port = ReservedPort::any().unwrap();
    let setup = |log: &str| {
        let listen = format!("listen = \"{}\"", port.addr());
        Setup::new(format!("{log}\n{rest}")).server(&listen)
    };
    let paths = ["/a.webp?secret=x", "/absent"];
    let lines = written(&setup("access = \"combined\""), port.addr(), &paths).await;
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let end = "\"GET /a.webp HTTP/1.1\" 200 7 \"-\" \"b \\x22c\\x22\"";
    assert!(lines[0].starts_with("127.0.0.0 - - ["), "{lines:?}");
    assert!(lines[0].ends_with(end), "{lines:?}");
    assert!(lines[1].contains("/absent HTTP/1.1\" 404 "), "{lines:?}");

    let lines = written(&setup("access = \"json\""), port.addr(), &paths).await;
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["path"], "/a.webp");
    assert_eq!(
        (&first["status"], &first["bytes"]),
        (&200.into(), &7.into())
    );
    assert_eq!(
        (&first["origin"], &first["complete"]),
        (&"only".into(), &true.into())
    );

    let few = setup("access = \"json\"\naccess_one_in = 4");
    let lines = written(&few, port.addr(), &["/a.webp"; 9]).await;
    assert_eq!(lines.lines().count(), 3, "{lines}");
    let none = written(&setup("access = \"none\""), port.addr(), &paths).await;
    assert_eq!(none, "");
    assert_eq!(written(&setup(""), port.addr(), &paths).await, "");
}
