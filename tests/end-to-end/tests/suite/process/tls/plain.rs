//! Plain HTTP where TLS ends here: who is sent on to https, and what an authority finds.

use std::fs;
use std::os::unix::fs::symlink;

use http::{HeaderMap, Version};

use super::super::harness::web;
use super::super::raw::Reader;
use super::{HOST, Scene, client, url};

fn location(headers: &HeaderMap) -> Option<&str> {
    headers.get("location").map(|value| value.to_str().unwrap())
}

async fn said(to: std::net::SocketAddr, request: &str) -> String {
    let mut reader = Reader::connect(to).await;
    reader.send(request).await;
    reader.read_to_end().await;
    reader.said()
}

#[tokio::test]
async fn plain_http_is_sent_to_https_and_challenges_are_answered() {
    let webroot = tempfile::tempdir().unwrap();
    let challenges = webroot.path().join(".well-known/acme-challenge");
    fs::create_dir_all(&challenges).unwrap();
    fs::write(challenges.join("to_Ken-1"), "to_Ken-1.thumb").unwrap();
    fs::write(webroot.path().join("secret"), "a secret").unwrap();
    symlink("../../secret", challenges.join("link")).unwrap();
    let scene = Scene::set("hsts = \"180d\"").await;
    let named = format!(
        "{}{}[[routes]]\nurl = \"https://{HOST}/\"\nkeys = [\"\"]\norigins = [\"only\"]\n",
        scene.certbot.table("hsts = \"180d\""),
        web("only", &scene.origin.base_url())
    );
    let setup = scene
        .setup
        .with_others(named)
        .server(&format!("acme_webroot = \"{}\"", webroot.path().display()));
    let gateway = setup.start().await;
    let port = gateway.tls().port();
    let ask = async |method: &str, path: &str, host: &str| {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        said(gateway.media(), &request).await
    };

    let answer = ask("GET", "/small.bin?name=a%20b", "MEDIA.test:80").await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    let to = format!("location: https://{HOST}:{port}/small.bin?name=a%20b\r\n");
    assert!(answer.contains(&to), "{answer}");
    assert!(!answer.contains("strict-transport-security"), "{answer}");
    assert!(
        ask("HEAD", "/small.bin", HOST)
            .await
            .starts_with("HTTP/1.1 308 ")
    );
    assert!(
        ask("GET", "/small.bin", "other.test")
            .await
            .starts_with("HTTP/1.1 421 ")
    );
    // A browser does not follow a redirection of its own question.
    assert!(
        ask("OPTIONS", "/small.bin", HOST)
            .await
            .starts_with("HTTP/1.1 204 ")
    );

    let client = client(&gateway, &[&scene.identity], Version::HTTP_2);
    let secure = client
        .get(url(&gateway, "/small.bin"))
        .send()
        .await
        .unwrap();
    assert_eq!(secure.status(), 200);
    assert_eq!(
        secure.headers()["strict-transport-security"],
        "max-age=15552000"
    );
    assert_eq!(location(secure.headers()), None);
    let refused = client.get(url(&gateway, "/%zz")).send().await.unwrap();
    assert!(refused.headers().contains_key("strict-transport-security"));

    let token = "/.well-known/acme-challenge/to_Ken-1";
    let answer = ask("GET", token, "any.test").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nto_Ken-1.thumb"), "{answer}");
    assert!(ask("HEAD", token, HOST).await.ends_with("\r\n\r\n"));
    for path in [
        "absent",
        "link",
        "",
        "..",
        ".%2e/secret",
        "../../secret",
        "%2e%2e%2f%2e%2e%2fsecret",
        "..%2f..%2fsecret",
        "to_Ken-1/",
        "to_Ken-1%00",
        "./to_Ken-1",
        "/to_Ken-1",
        "to_Ken-1?x=../../secret&",
    ] {
        let answer = ask("GET", &format!("/.well-known/acme-challenge/{path}"), HOST).await;
        let fine = path.contains('?');
        let expected = if fine {
            "HTTP/1.1 200 "
        } else {
            "HTTP/1.1 404 "
        };
        assert!(answer.starts_with(expected), "{path}: {answer}");
        assert!(!answer.contains("a secret"), "{path}: {answer}");
    }
    // Over TLS it is a path like any other.
    let secure = client.get(url(&gateway, token)).send().await.unwrap();
    assert_eq!(secure.status(), 404);
    assert_eq!(secure.text().await.unwrap(), "not found\n");
}

#[tokio::test]
async fn whom_a_trusted_proxy_has_met_by_https_is_not_sent_away() {
    let scene = Scene::set("").await;
    let asked = |proto: &str| {
        format!(
            "GET /small.bin HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-Proto: {proto}\r\n\
             Connection: close\r\n\r\n"
        )
    };
    let setup = scene.setup;
    let gateway = setup.start().await;
    // Anybody may say so.
    let answer = said(gateway.media(), &asked("https")).await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    gateway.stopped().await;

    let setup = setup.server("trusted_proxies = [\"127.0.0.0/8\"]");
    let gateway = setup.start().await;
    let answer = said(gateway.media(), &asked("https")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = said(gateway.media(), &asked("http")).await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
    gateway.stopped().await;

    let gateway = setup.server("redirect = \"never\"").start().await;
    let answer = said(gateway.media(), &asked("http")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
