//! How it starts: with everything down, and not at all with what cannot be right.

use std::fs;

use super::harness::{Setup, directory, route, web, with_own_etc};
use rustix::process::Signal;
use test_servers::ReservedPort;
use test_servers::faulty::{Faulty, Object};

#[tokio::test]
async fn it_starts_and_serves_with_every_origin_down_and_no_names() {
    let late = Faulty::start().await;
    late.put("a.webp", Object::new("late").content_type("image/webp"));
    late.stop().await;
    let setup = Setup::new(
        web("late", &late.base_url())
            + &web("nowhere", "https://media.nowhere.invalid/")
            + &directory("gone", "/nonexistent/media".as_ref())
            + &route(&["late", "nowhere", "gone"]),
    );
    let mut gateway = setup.start_under(&with_own_etc("true")).await;
    let down = gateway.get("/a.webp").await;
    assert_eq!(down.status, 503, "{}", gateway.log());
    assert_eq!(down.headers["cache-control"], "no-store");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(gateway.operators(path).await.status, 200, "{path}");
    }
    late.restart();
    let up = gateway.get("/a.webp").await;
    assert_eq!((up.status.as_u16(), &*up.body), (200, &b"late"[..]));
    assert_eq!(gateway.get("/b.webp").await.status, 503);
    gateway.signal(Signal::INT);
    assert_eq!(gateway.ended().await.code(), Some(0));
    let again = setup.start().await;
    assert_eq!(again.get("/a.webp").await.status, 200);
    again.stopped().await;
}

/// A configuration that is right, for one thing to be wrong with it.
const FINE: &str = r#"[origins.current]
kind = "s3"
endpoint = "https://s3.example.com"
bucket = "media"

[[routes]]
url = "https://media.example.com/"
origins = ["current"]
"#;

/// The file, and each of these, are named.
async fn refused(text: &str, words: &[&str]) {
    let said = Setup::new(text).refused().await;
    for word in ["gateway.toml", "reason:", "remedy:"].iter().chain(words) {
        assert!(said.contains(word), "nothing of {word:?} in: {said}");
    }
}

#[tokio::test]
async fn bad_input_is_refused_with_file_value_reason_and_remedy() {
    let replaced = |from: &str, to: &str| FINE.replace(from, to);
    refused(
        &replaced("bucket =", "bukket ="),
        &["origins.current.bukket", "did you mean \"bucket\"?"],
    )
    .await;
    refused(
        &format!("{FINE}[origins.current]\nkind = \"s3\"\n"),
        &["current", "a second time"],
    )
    .await;
    refused(
        &replaced("origins = [\"current\"]", "origins = [\"curent\"]"),
        &["routes[0].origins", "curent", "current"],
    )
    .await;
    let routes = &FINE[FINE.find("[[routes]]").unwrap()..];
    let two = FINE.replace("[[routes]]", "[[routes]]\nname = \"a\"")
        + &routes.replace("[[routes]]", "[[routes]]\nname = \"b\"");
    refused(&two, &["routes[1].url", "https://media.example.com/"]).await;
    refused(
        &replaced("https://s3.example.com", "s3.example.com"),
        &["origins.current.endpoint", "s3.example.com"],
    )
    .await;
    refused(
        &replaced("bucket =", "access_key_id = \"half\"\nbucket ="),
        &["origins.current", "secret_access_key"],
    )
    .await;
    let pair = "access_key_id = \"a\"\nsecret_access_key = \"b\"\nbucket =";
    refused(&replaced("bucket =", pair), &["routes[0].keys"]).await;
    refused(
        &replaced("media.example.com/", "media.example.com/files/"),
        &["routes[0].url", "/files/", "i_know_this_breaks_misskey"],
    )
    .await;
    let overlapping =
        "rewrite = [{ from = \"a/\", to = \"m/\" }, { from = \"b/\", to = \"m/x/\" }]\nbucket =";
    refused(
        &replaced("bucket =", overlapping),
        &["origins.current.rewrite"],
    )
    .await;
    refused(
        &replaced("kind = \"s3\"", "state = \"retired\"\nkind = \"s3\""),
        &["routes[0].origins"],
    )
    .await;
}

#[tokio::test]
async fn all_problems_are_told_at_once() {
    let text = FINE
        .replace("bucket =", "bukket =")
        .replace("https://s3.example.com", "s3.example.com");
    refused(
        &text,
        &["origins.current.bukket", "origins.current.endpoint"],
    )
    .await;
}

#[tokio::test]
async fn an_unusable_state_directory_is_refused_with_the_command_that_mends_it() {
    let setup = Setup::new(FINE);
    fs::write(setup.path("state"), "a file").unwrap();
    let said = setup.refused().await;
    let path = setup.state_directory().display().to_string();
    assert!(said.contains(&path), "{said}");
    assert!(said.contains("sudo install -d -o "), "{said}");
}

#[tokio::test]
async fn a_second_process_on_the_same_state_is_refused() {
    let first = Setup::new(FINE);
    let gateway = first.start().await;
    let second = Setup::new(FINE).state(first.state_directory());
    let said = second.refused().await;
    assert!(said.contains("in use by another process"), "{said}");
    // The lock goes with the process, however that ends.
    drop(gateway);
    second.start().await.stopped().await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let port = ReservedPort::any().unwrap();
    let _listener = port.listen().unwrap();
    let listen = format!("listen = \"{}\"", port.addr());
    let said = Setup::new(FINE).server(&listen).refused().await;
    for word in ["server.listen", &port.addr().to_string()] {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert_eq!(said.matches("cannot listen").count(), 1, "{said}");
    let setup = Setup::new(FINE);
    let _operators = setup.admin_port().listen().unwrap();
    let said = setup.refused().await;
    for word in ["admin.listen", &setup.admin_port().addr().to_string()] {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}
