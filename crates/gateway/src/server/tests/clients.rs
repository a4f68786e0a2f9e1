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

/// As a balancer announces `203.0.113.N`, from port 4711.
pub(super) fn announcement(n: u8) -> Vec<u8> {
    let addresses = [203, 0, 113, n, 192, 0, 2, 1, 0x12, 0x67, 1, 187];
    [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &addresses].concat()
}

#[tokio::test]
async fn a_client_that_a_trusted_balancer_announces_is_the_client() {
    let server = Running::announced(SELF, &two_each());
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect().await;
        // Its own word of who it is counts for nothing.
        let request = for_client("/peer", "198.51.100.7");
        client.send(&[announcement(1), request].concat()).await;
        assert_eq!(client.answer().await.body, b"203.0.113.1:4711");
        held.push(client);
    }
    let mut third = server.connect().await;
    third.send(&[announcement(1), get("/")].concat()).await;
    assert!(third.rest().await.0.is_empty());
    let mut other = server.connect().await;
    other.send(&[announcement(2), get("/")].concat()).await;
    assert_eq!(other.answer().await.status, 200);
    // A health check of the balancer's own.
    let mut own = server.connect().await;
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    own.send(&[&local[..], &get("/peer")].concat()).await;
    let answer = own.answer().await;
    assert_eq!(answer.body, own.own_address().to_string().as_bytes());
}

#[tokio::test]
async fn a_balancer_that_announces_nobody_is_not_listened_to() {
    let mut limits = limits();
    limits.header_timeout = std::time::Duration::from_millis(200);
    let server = Running::announced(SELF, &limits);
    for said in [
        get("/"),
        b"PROXY TCP4 203.0.113.1 192.0.2.1 4711 80\r\n".to_vec(),
        Vec::new(),
    ] {
        let mut client = server.connect().await;
        client.send(&said).await;
        assert!(client.rest().await.0.is_empty());
    }
    assert_eq!(
        server
            .stage
            .started
            .load(std::sync::atomic::Ordering::SeqCst),
        0
    );
}

#[tokio::test]
async fn nobody_else_may_announce_a_client() {
    let server = Running::announced(SOMEBODY_ELSE, &limits());
    let mut client = server.connect().await;
    client.send(&[announcement(1), get("/peer")].concat()).await;
    let said = client.rest_as_text().await;
    assert!(
        said.starts_with("HTTP/1.1 400 ") || said.is_empty(),
        "{said}"
    );
    let mut client = server.connect().await;
    client.send(&get("/peer")).await;
    let own = client.own_address().to_string();
    assert_eq!(client.answer().await.body, own.as_bytes());
}
