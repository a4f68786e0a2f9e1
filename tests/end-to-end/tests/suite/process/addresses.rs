//! Who asks, as the log says it: whom a trusted proxy names, and no more of the address than is wanted.

use serde_json::Value;
use test_servers::faulty::Faulty;

use super::harness::{Setup, route, web};
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
