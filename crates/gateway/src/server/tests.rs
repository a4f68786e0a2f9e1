//! Real sockets on port 0. What a client sends is written out byte by byte.

mod bodies;
mod clients;
mod conformance;
mod descriptors;
mod drain;
mod fixture;
mod frames;
mod hostile;
mod keys;
mod malformed;
mod multiplexed;
mod sockets;
mod timeouts;
mod tls;

pub(super) use fixture::limits;
use fixture::{Running, get};

#[tokio::test]
async fn a_request_is_answered_and_knows_its_peer() {
    let server = Running::start(&limits());
    let mut client = server.connect().await;
    let own = client.own_address();
    client.send(&get("/peer")).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, own.to_string().as_bytes());
    client.send(&get("/hello")).await;
    assert_eq!(client.answer().await.body, b"hello");
    drop(client);
    let drained = server.stop().await;
    assert_eq!(drained.aborted, 0);
}
