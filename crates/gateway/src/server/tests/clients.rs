//! One client among others, known by its own address or by a proxy's word.

use super::fixture::{Running, get, limits};
use crate::config::Limits;

const SELF: &str = "127.0.0.0/8";
const SOMEBODY_ELSE: &str = "192.0.2.0/24";

fn two_each() -> Limits {
    let mut limits = limits();
    limits.connections_per_client = 2;
    limits
}

fn for_client(path: &str, client: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn a_client_has_so_many_connections_and_gets_them_back() {
    let server = Running::behind(SOMEBODY_ELSE, &two_each());
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect().await;
        client.send(&get("/")).await;
        assert_eq!(client.answer().await.status, 200);
        held.push(client);
    }
    let mut third = server.connect().await;
    third.send(&get("/")).await;
    assert!(third.rest().await.0.is_empty());
    held.pop();
    // The server may not have noticed yet.
    let again = async {
        loop {
            let mut client = server.connect().await;
            client.send(&get("/")).await;
            if client.0.readable().await.is_ok()
                && client.0.peek(&mut [0]).await.is_ok_and(|n| n > 0)
            {
                return client.answer().await;
            }
        }
    };
    let answer = tokio::time::timeout(super::fixture::PATIENCE, again).await;
    assert_eq!(answer.expect("a place is free").status, 200);
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_of_its_clients_has_so_many_answers() {
    let server = Running::behind(SELF, &two_each());
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut proxy = server.connect().await;
        proxy.send(&for_client("/held", "203.0.113.1")).await;
        held.push(proxy);
    }
    server.stage.started(2).await;
    let mut proxy = server.connect().await;
    for (client, status) in [("203.0.113.1", 503), ("198.51.100.7", 200)] {
        proxy.send(&for_client("/", client)).await;
        let answer = proxy.answer().await;
        assert_eq!(answer.status, status, "{client}");
        let refused = status == 503;
        assert_eq!(answer.head.contains("retry-after: 1\r\n"), refused);
        assert_eq!(answer.head.contains("cache-control: no-store\r\n"), refused);
    }
    server.stage.go_on.cancel();
    for proxy in &mut held {
        assert_eq!(proxy.answer().await.body.len(), 200_000);
    }
    proxy.send(&for_client("/", "203.0.113.1")).await;
    assert_eq!(proxy.answer().await.status, 200);
}

#[tokio::test]
async fn without_word_of_proxies_nobody_is_counted() {
    let server = Running::start(&two_each());
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut client = server.connect().await;
        client.send(&get("/")).await;
        assert_eq!(client.answer().await.status, 200);
        held.push(client);
    }
}
