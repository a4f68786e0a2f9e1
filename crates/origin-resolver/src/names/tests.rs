//! Names asked of a name server on the loopback address that knows one name.

use super::*;
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record};
use std::fs;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A name server on a port of its own that knows one name.
struct NameServer {
    port: u16,
    questions: Arc<AtomicUsize>,
}

impl NameServer {
    /// `answers_v6` is whether questions for IPv6 addresses are answered at all.
    fn new(knows: &'static str, answers_v6: bool) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let questions = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&questions);
        thread::spawn(move || {
            let mut packet = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                let asked = Message::from_vec(&packet[..length]).unwrap();
                let query = asked.queries[0].clone();
                count.fetch_add(1, Ordering::Relaxed);
                if query.query_type() == RecordType::AAAA && !answers_v6 {
                    continue;
                }
                let mut reply = Message::response(asked.metadata.id, asked.metadata.op_code);
                assert_eq!(reply.metadata.message_type, MessageType::Response);
                reply.metadata.recursion_available = true;
                if query.name().to_ascii() != knows {
                    reply.metadata.response_code = ResponseCode::NXDomain;
                } else if query.query_type() == RecordType::A {
                    let address = RData::from(IpAddr::from([192, 0, 2, 7]));
                    reply.add_answer(Record::from_rdata(query.name().clone(), 60, address));
                }
                reply.add_query(query);
                socket.send_to(&reply.to_vec().unwrap(), from).unwrap();
            }
        });
        Self { port, questions }
    }
}

struct Files(tempfile::TempDir);

impl Files {
    fn new(hosts: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        fs::write(files.0.path().join("hosts"), hosts).unwrap();
        files
    }

    fn resolv_conf(&self, text: &str) {
        fs::write(self.0.path().join("resolv.conf"), text).unwrap();
    }

    fn names(&self, port: u16) -> Names {
        let path = |name| self.0.path().join(name);
        Names::reading(path("resolv.conf"), path("hosts"), port)
    }
}

fn seven() -> Vec<IpAddr> {
    vec![[192, 0, 2, 7].into()]
}

#[tokio::test]
async fn a_name_is_found_in_a_search_domain_and_remembered() {
    let server = NameServer::new("minio.lan.", true);
    let files = Files::new("");
    files.resolv_conf("nameserver 127.0.0.1\nsearch lan\n");
    let names = files.names(server.port);
    assert_eq!(names.addresses("minio", IpVersions::Any).await, Ok(seven()));
    let asked = server.questions.load(Ordering::Relaxed);
    assert_eq!(names.addresses("minio", IpVersions::Any).await, Ok(seven()));
    assert_eq!(server.questions.load(Ordering::Relaxed), asked);
    // The record's TTL is a minute.
    let fresh_in = |seconds| {
        let then = Instant::now() + Duration::from_secs(seconds);
        names.remembered(|known| known.fresh("minio", IpVersions::Any, then).is_some())
    };
    assert!(fresh_in(50) && !fresh_in(61));
}

#[tokio::test]
async fn a_server_that_never_answers_for_ipv6_costs_no_time() {
    let server = NameServer::new("s3.example.com.", false);
    let files = Files::new("");
    files.resolv_conf("nameserver 127.0.0.1\n");
    let started = std::time::Instant::now();
    let found = files
        .names(server.port)
        .addresses("s3.example.com", IpVersions::Any)
        .await;
    assert_eq!(found, Ok(seven()));
    assert!(started.elapsed() < Duration::from_millis(800));
}

#[tokio::test]
async fn a_denied_name_says_so() {
    let server = NameServer::new("other.", true);
    let files = Files::new("");
    files.resolv_conf("nameserver 127.0.0.1\n");
    let names = files.names(server.port);
    let denied = names.addresses("s3.example.com", IpVersions::V4).await;
    assert!(denied.unwrap_err().denied);
}

#[tokio::test]
async fn the_hosts_file_wins_and_needs_no_name_server() {
    let files = Files::new("192.0.2.7 bucket\n");
    let names = files.names(9);
    assert_eq!(
        names.addresses("bucket", IpVersions::Any).await,
        Ok(seven())
    );
    let unknown = names.addresses("other", IpVersions::Any).await.unwrap_err();
    assert!(unknown.to_string().contains("cannot be read"), "{unknown}");
    assert!(!unknown.denied);
}

#[tokio::test(start_paused = true)]
async fn a_network_that_comes_later_is_noticed() {
    let files = Files::new("");
    let names = files.names(9);
    assert!(names.addresses("bucket", IpVersions::V4).await.is_err());
    fs::write(files.0.path().join("hosts"), "192.0.2.7 bucket\n").unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(names.addresses("bucket", IpVersions::V4).await, Ok(seven()));
}

#[tokio::test]
async fn silent_name_servers_are_not_waited_for_longer_than_two_seconds() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let files = Files::new("");
    files.resolv_conf("nameserver 127.0.0.1\n");
    let started = std::time::Instant::now();
    let names = files.names(silent.local_addr().unwrap().port());
    let failed = names.addresses("s3.example.com", IpVersions::V4).await;
    assert!(!failed.unwrap_err().denied);
    assert!(started.elapsed() < Duration::from_millis(2_500));
}
