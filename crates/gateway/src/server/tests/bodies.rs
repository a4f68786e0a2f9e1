//! Bodies that end well and bodies that break off, and panics.

use tokio::io::AsyncWriteExt;

use super::fixture::{Ending, Running, get, limits};

#[tokio::test]
async fn a_body_of_known_length_announces_it_and_reports_its_end() {
    let server = Running::start(&limits());
    let mut client = server.connect().await;
    client.send(&get("/object")).await;
    let answer = client.answer().await;
    assert_eq!(answer.body.len(), 200_000);
    assert!(
        !answer
            .head
            .to_ascii_lowercase()
            .contains("transfer-encoding")
    );
    server.stage.ended(1).await;
    let ended = server.stage.ended.lock().unwrap();
    assert_eq!(ended[0].bytes, 200_000);
    assert!(ended[0].complete && ended[0].error.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_never_ends_cleanly() {
    for path in ["/broken", "/broken-unsized", "/short", "/panicking-body"] {
        for version in ["1.1", "1.0"] {
            let server = Running::start(&limits());
            let mut client = server.connect().await;
            let request = format!("GET {path} HTTP/{version}\r\nHost: a\r\n\r\n");
            client.send(request.as_bytes()).await;
            let (bytes, ending) = client.rest().await;
            assert_eq!(ending, Ending::Reset, "{path} over {version}");
            assert!(!bytes.ends_with(b"0\r\n\r\n"), "{path} over {version}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_a_body_broke_off_is_sent_with_its_head() {
    let server = Running::start(&limits());
    for path in ["/broken", "/broken-unsized", "/short", "/panicking-body"] {
        let mut client = server.connect().await;
        client.send(&get(path)).await;
        let (bytes, ending) = client.rest().await;
        assert_eq!(ending, Ending::Reset, "{path}");
        let said = String::from_utf8_lossy(&bytes);
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {said}");
        let sent = said.matches('x').count();
        assert_eq!(
            sent,
            if path == "/panicking-body" { 0 } else { 1000 },
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_broke_a_body_off_is_reported_once() {
    let server = Running::start(&limits());
    for path in ["/broken", "/short"] {
        let mut client = server.connect().await;
        client.send(&get(path)).await;
        client.rest().await;
    }
    server.stage.ended(2).await;
    let ended = server.stage.ended.lock().unwrap();
    assert_eq!(ended.len(), 2);
    for ended in ended.iter() {
        assert_eq!(ended.bytes, 1000);
        assert!(!ended.complete && ended.error.is_some());
    }
}

#[tokio::test]
async fn a_client_that_has_no_more_to_say_is_answered() {
    let server = Running::start(&limits());
    for path in ["/", "/object", "/held"] {
        let mut client = server.connect().await;
        client.send(&get(path)).await;
        client.0.shutdown().await.unwrap();
        if path == "/held" {
            client.head().await;
            server.stage.go_on.cancel();
        }
        let (bytes, ending) = client.rest().await;
        assert_eq!(ending, Ending::Closed, "{path}");
        assert!(
            bytes.ends_with(b"hello") || bytes.len() >= 200_000,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_body() {
    let server = Running::start(&limits());
    let mut client = server.connect().await;
    client.send(&get("/endless")).await;
    server.stage.started(1).await;
    drop(client);
    server.stage.ended(1).await;
    let ended = server.stage.ended.lock().unwrap();
    assert_eq!(ended.len(), 1);
    assert!(!ended[0].complete && ended[0].error.is_none());
}

#[tokio::test]
async fn a_panic_costs_its_own_request_and_not_the_connection() {
    let server = Running::start(&limits());
    let mut client = server.connect().await;
    for path in ["/panic", "/panic-at-once"] {
        client.send(&get(path)).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 500, "{path}");
        assert!(answer.head.contains("no-store"), "{path}");
    }
    client.send(&get("/")).await;
    assert_eq!(client.answer().await.status, 200);
}
