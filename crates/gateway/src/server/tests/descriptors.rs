//! A process without a descriptor to spare.

use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;

use super::fixture::{Running, get, limits};

const CHILD: &str = "server::tests::descriptors::in_a_process_of_its_own";

#[test]
fn accepting_recovers_when_descriptors_are_free_again() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--ignored", "--test-threads=1"])
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}");
    assert!(output.contains("1 passed"), "{output}");
}

#[tokio::test]
#[ignore = "run by the test above: it takes away the descriptors of its process"]
async fn in_a_process_of_its_own() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let low = Rlimit {
        current: Some(64),
        maximum,
    };
    setrlimit(Resource::Nofile, low).unwrap();
    let server = Running::start(&limits());
    let mut clients = Vec::new();
    // Until not even a client gets a descriptor; those not accepted wait in the kernel's queue.
    while let Ok(client) = TcpStream::connect(server.address).await {
        clients.push(client);
    }
    // Several of the acceptor's pauses.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(TcpStream::connect(server.address).await.is_err());
    clients.truncate(clients.len() / 2);
    drop(clients);
    let mut client = server.connect().await;
    client.send(&get("/")).await;
    assert_eq!(client.answer().await.status, 200);
}
