//! Answers that do not come.

use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use super::*;
use crate::origins::scripted::answer;

fn dropped(answer: &Answer) -> bool {
    matches!(answer, Answer::Dropped(failure) if failure.reason == Reason::Connect)
}

#[tokio::test]
async fn a_connection_that_breaks_before_an_answer_is_dropped_and_not_judged() {
    for bytes in [&b""[..], b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Le"] {
        let step = || Step::SendAndClose(bytes.to_vec());
        assert!(dropped(&ask_bucket(Part::Whole, [step()]).await));
        assert!(dropped(&ask_web(Part::Head, [step()]).await));
    }
}

#[tokio::test]
async fn an_old_connection_that_was_closed_is_not_used_for_a_fresh_question() {
    let server = Scripted::new([
        answer("200 OK", "x"),
        answer("200 OK", "x"),
        answer("200 OK", "x"),
    ]);
    let origin = bucket(&server);
    let fresh = Question {
        fresh_connection: true,
        ..question(Part::Whole)
    };
    for asked in [&question(Part::Whole), &fresh, &fresh] {
        let reply = found(origin.ask(asked).await);
        assert_eq!(read(reply).await.1, None);
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_refused_connection_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let origin = open(Kind::S3(bucket_at(&format!("http://{address}"))));
    let answer = origin.ask(&question(Part::Whole)).await;
    assert_eq!(reason(&answer), Reason::Connect);
    let Answer::Unknown(failure) = answer else {
        unreachable!()
    };
    assert!(failure.what.starts_with("current: "), "{}", failure.what);
    assert!(failure.what.contains("refused"), "{}", failure.what);
}

#[tokio::test]
async fn what_is_not_http_is_nonsense() {
    for bytes in [&b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..], b"HTTP/1.1 abc\r\n\r\n"] {
        let answer = ask_bucket(Part::Whole, [Step::SendAndClose(bytes.to_vec())]).await;
        assert_eq!(reason(&answer), Reason::Protocol);
    }
}

/// Listens for TLS and answers with a line of HTTP.
fn not_tls() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 16_384];
        let _ = stream.read(&mut hello);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    (address, server)
}

#[tokio::test]
async fn what_is_not_tls_is_a_tls_failure() {
    let (address, server) = not_tls();
    let origin = open(Kind::Http(web_at(&format!("https://{address}/"))));
    let answer = origin.ask(&question(Part::Whole)).await;
    assert_eq!(reason(&answer), Reason::Tls);
    server.join().unwrap();
}

/// The system's authorities are read from the environment, which a test must not change.
#[test]
fn without_certificate_authorities_the_gateway_starts_and_says_what_to_install() {
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .env("SSL_CERT_FILE", "/dev/null")
        .env("SSL_CERT_DIR", "/does-not-exist")
        .args(["--ignored", "--exact"])
        .arg("origins::tests::transport::in_a_system_without_authorities")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[tokio::test]
#[ignore = "run by the test above in a process of its own"]
async fn in_a_system_without_authorities() {
    let (address, server) = not_tls();
    let origin = open(Kind::Http(web_at(&format!("https://{address}/"))));
    let Answer::Unknown(failure) = origin.ask(&question(Part::Whole)).await else {
        panic!("nobody can be trusted")
    };
    assert_eq!(failure.reason, Reason::Tls);
    assert!(failure.what.contains("install ca-certificates"));
    server.join().unwrap();
}

#[tokio::test]
async fn a_name_that_nobody_can_resolve_is_unknown() {
    let nowhere = || "/does-not-exist".into();
    let names = Names::reading(nowhere(), nowhere(), 53);
    let settings = settings(Kind::S3(bucket_at("https://s3.example.com")));
    let origin = build(&settings, &names).unwrap();
    let answer = origin.ask(&question(Part::Whole)).await;
    assert_eq!(reason(&answer), Reason::Dns);
}

#[tokio::test]
async fn a_connection_that_never_comes_about_is_a_timeout() {
    // A listener whose backlog is full does not answer; a TLS handshake that stalls is simpler.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut impatient = settings(Kind::Http(web_at(&format!("https://{address}/"))));
    impatient.connect_timeout = Duration::from_millis(100);
    let origin = build(&impatient, &Names::new()).unwrap();
    assert_eq!(
        reason(&origin.ask(&question(Part::Whole)).await),
        Reason::Timeout
    );
}
