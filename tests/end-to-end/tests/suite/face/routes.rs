//! Which URLs mean which objects, and which origins are asked for them.

use test_servers::faulty::{Fault, Faulty, On, Request};

use super::harness::{Gateway, empty, holding, marked_root, picture, png};

const PATH: &str = "/misskey/a.png";

#[tokio::test]
async fn what_no_route_has_is_misdirected_and_says_why() {
    let bucket = holding("misskey/a.png").await;
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &bucket);
        let more = "url = \"https://media.test/storage/\"\nkeys = [\"\"]";
        toml.route_with(&["s3"], more);
    })
    .await;
    for (host, path) in [
        ("other.test", "/storage/misskey/a.png"),
        ("media.test.evil.test", "/storage/misskey/a.png"),
        ("xmedia.test", "/storage/misskey/a.png"),
        ("gateway", "/storage/misskey/a.png"),
        ("127.0.0.1:8080", "/storage/misskey/a.png"),
        ("media.test", "/misskey/a.png"),
        ("media.test", "/storage"),
        ("media.test", "/Storage/misskey/a.png"),
        ("media.test", "//storage/misskey/a.png"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = gateway.ask(method, path, &[("Host", host)]).await;
            assert_eq!(answer.status, 421, "{host} {path}");
            assert_eq!(answer.header("cache-control"), "no-store");
            if method == "GET" {
                let text = answer.text();
                let name = host.split(':').next().unwrap_or_default();
                assert!(text.contains(name) && text.contains(path), "{text}");
                assert!(text.contains("proxy_set_header Host"), "{text}");
            }
        }
        let explained = gateway.explain(host, path).await;
        assert_eq!(explained["status"], 421, "{explained}");
    }
    assert_eq!(gateway.metric("unrouted_total").await, 18);
    assert_eq!(bucket.counts().connections, 0);
}

#[tokio::test]
async fn every_spelling_of_a_host_is_explained_as_it_is_answered() {
    let bucket = holding("a.png").await;
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &bucket);
        toml.route_with(&["s3"], "url = \"https://media.test/\"\nkeys = [\"\"]");
    })
    .await;
    for host in [
        "media.test",
        "MEDIA.Test",
        "media.test.",
        "media.test:8080",
        "media.test.:80",
    ] {
        let answer = gateway.ask("GET", "/a.png", &[("Host", host)]).await;
        assert_eq!(answer.status, 200, "{host}");
        let explained = gateway.explain(host, "/a.png").await;
        assert_eq!(explained["status"], 200, "{host}: {explained}");
    }
}

#[tokio::test]
async fn explain_says_what_is_answered_to_every_kind_of_request() {
    let bucket = holding("misskey/a.png").await;
    bucket.fault(On::key("misskey/broken"), Fault::status(500));
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &bucket);
        let more = "url = \"https://media.test/\"\nkeys = [\"misskey/\"]";
        toml.route_with(&["s3"], more);
    })
    .await;
    let long = format!("/misskey/{}", "a".repeat(1024));
    for path in [
        "/misskey/a.png",
        "/misskey/a.png?name=x",
        "/misskey/none",
        "/misskey/broken",
        "/misskey/../a",
        "/misskey/%2e%2e/a",
        "/misskey/a%00",
        "/misskey/%ff",
        "/misskey/%zz",
        "/misskey/a%5cb",
        "/misskey",
        "/backup.sql",
        "/",
        "//misskey/a.png",
        "/misskey//a.png",
        &long,
    ] {
        let answered = gateway.get(path).await.status;
        let explained = gateway.explain("media.test", path).await;
        assert_eq!(explained["status"], answered, "{path}: {explained}");
        assert_ne!(answered, 421);
    }
}

#[tokio::test]
async fn a_key_outside_the_published_ones_is_never_asked_for() {
    let bucket = holding("backup/db.sql").await;
    let gateway = Gateway::with(|toml| {
        toml.signed("s3", &bucket, "");
        let more = "url = \"/\"\nkeys = [\"misskey/\", \"null/\"]";
        toml.route_with(&["s3"], more);
    })
    .await;
    for path in [
        "/backup/db.sql",
        "/misskey",
        "/Misskey/a",
        "//misskey/a",
        "/misske%79x/a",
        "/nullx",
    ] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert_eq!(bucket.counts().connections, 0);
    assert_eq!(
        gateway.metric("refused_keys_total{route=\"media\"}").await,
        6
    );
    assert_eq!(gateway.get("/misske%79/a").await.status, 404);
}

#[tokio::test]
async fn two_hosts_with_the_same_path_are_two_routes() {
    let (one, two) = (empty().await, empty().await);
    one.put("a.png", png());
    two.put(
        "a.png",
        test_servers::faulty::Object::new("two").content_type("image/png"),
    );
    let gateway = Gateway::with(|toml| {
        toml.s3("one", &one).s3("two", &two);
        for name in ["one", "two"] {
            let more = format!("name = \"{name}\"\nurl = \"https://{name}.test/\"\nkeys = [\"\"]");
            toml.route_with(&[name], &more);
        }
    })
    .await;
    for _ in 0..2 {
        let first = gateway.ask("GET", "/a.png", &[("Host", "one.test")]).await;
        let second = gateway.ask("GET", "/a.png", &[("Host", "two.test")]).await;
        assert_eq!((first.body, second.body), (picture(), b"two".to_vec()));
        assert_ne!(first.headers.get("etag"), second.headers.get("etag"));
    }
}

#[tokio::test]
async fn a_route_below_a_path_puts_its_key_prefix_in_front() {
    let bucket = holding("storage/a.png").await;
    bucket.put("a.png", "not this");
    let gateway = Gateway::with(|toml| {
        toml.s3("s3", &bucket);
        let more = "url = \"https://media.test/storage/\"\nkey_prefix = \"storage/\"\n\
                    keys = [\"storage/\"]";
        toml.route_with(&["s3"], more);
    })
    .await;
    assert_eq!(gateway.get("/storage/a.png").await.body, picture());
    let explained = gateway.explain("media.test", "/storage/a.png").await;
    assert_eq!(explained["key"], "storage/a.png");
    for (path, status) in [
        ("/storage/", 400),
        ("/storage/../a.png", 400),
        ("/storage/storage/a.png", 404),
        ("/a.png", 421),
    ] {
        assert_eq!(gateway.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn each_origin_is_asked_in_its_own_spelling() {
    let (current, old) = (empty().await, holding("files/a.png").await);
    let gateway = Gateway::with(|toml| {
        let rules = "rewrite = [{ from = \"misskey/\", to = \"m/\" }]";
        toml.s3_with("current", &current, rules);
        let rules = "rewrite = [{ from = \"misskey/thumb/\", to = \"t/\" }, \
                     { from = \"misskey/\", to = \"files/\" }]";
        toml.http("old", &old, rules).route(&["current", "old"]);
    })
    .await;
    assert_eq!(gateway.get(PATH).await.body, picture());
    assert_eq!(gateway.get("/misskey/thumb/b.png").await.status, 404);
    assert_eq!(gateway.get("/null/c.png").await.status, 404);
    for (bucket, keys) in [
        (&current, ["m/a.png", "m/thumb/b.png", "null/c.png"]),
        (&old, ["files/a.png", "t/b.png", "null/c.png"]),
    ] {
        let asked = bucket.requests();
        for key in keys {
            assert!(!bucket.requests_for(key).is_empty(), "{key}");
        }
        let known = |key: Vec<u8>| keys.iter().any(|known| known.as_bytes() == key);
        assert!(asked.iter().filter_map(Request::key).all(known));
    }
    let explained = gateway.explain("media.test", PATH).await;
    assert_eq!(explained["origins"][0]["own_key"], "m/a.png");
    assert_eq!(explained["origins"][1]["own_key"], "files/a.png");
}

#[tokio::test]
async fn a_rehearsing_origin_is_asked_last_and_its_saves_are_counted() {
    let (leaving, current) = (holding("a.png").await, empty().await);
    current.put("b.png", png());
    leaving.put("b.png", png());
    let gateway = Gateway::with(|toml| {
        toml.s3_with("leaving", &leaving, "state = \"rehearsal\"");
        toml.s3("current", &current).route(&["leaving", "current"]);
    })
    .await;
    let answer = gateway.get("/b.png").await;
    assert_eq!(answer.header("x-origin"), "current");
    assert_eq!(leaving.counts().requests, 0);
    let answer = gateway.get("/a.png").await;
    assert_eq!((answer.status, answer.header("x-origin")), (200, "leaving"));
    assert_eq!(gateway.metric(&saves("missing")).await, 1);
    current.fault(On::any(), Fault::status(500));
    assert_eq!(gateway.get("/a.png").await.status, 200);
    assert_eq!(gateway.metric(&saves("unknown")).await, 1);
    // Its word counts for a 404 as anyone's.
    current.heal();
    leaving.fault(On::any(), Fault::status(500));
    assert_eq!(gateway.get("/none").await.status, 503);
}

fn saves(reason: &str) -> String {
    format!("rehearsal_saves_total{{origin=\"leaving\",reason=\"{reason}\"}}")
}

#[tokio::test]
async fn a_retired_origin_is_never_contacted() {
    let (retired, current) = (holding("misskey/a.png").await, empty().await);
    current.put("misskey/b.png", png());
    let gateway = Gateway::with(|toml| {
        toml.s3_with(
            "retired",
            &retired,
            "state = \"retired\"\ncanary = \"misskey/a.png\"",
        );
        toml.s3("current", &current).route(&["retired", "current"]);
    })
    .await;
    for (path, status) in [(PATH, 404), ("/misskey/b.png", 200), ("/misskey/c", 404)] {
        assert_eq!(gateway.get(path).await.status, status, "{path}");
        assert_eq!(gateway.head(path).await.status, status, "{path}");
        let explained = gateway.explain("media.test", path).await;
        assert_eq!(explained["status"], status, "{explained}");
    }
    current.stop().await;
    assert_eq!(gateway.get(PATH).await.status, 503);
    assert_eq!(gateway.ask_admin("/api/status").await.status, 200);
    assert_eq!(retired.counts().connections, 0);
}

#[tokio::test]
async fn the_order_of_origins_decides_and_a_directory_can_be_one_of_them() {
    let (current, old): (Faulty, Faulty) = (empty().await, holding("misskey/a.png").await);
    let root = marked_root(&[
        ("misskey/a.png", &picture()),
        ("misskey/disk.png", &picture()),
    ]);
    let gateway = Gateway::with(|toml| {
        toml.s3("current", &current)
            .http("old", &old, "")
            .directory("disk", root.path());
        toml.route(&["current", "old", "disk"]);
    })
    .await;
    for (path, origin) in [(PATH, "old"), ("/misskey/disk.png", "disk")] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.header("x-origin"), origin);
        assert_eq!(answer.body, picture());
        assert_eq!(answer.header("content-type"), "image/png");
    }
    old.remove("misskey/a.png");
    assert_eq!(gateway.get(PATH).await.header("x-origin"), "disk");
    current.put("misskey/a.png", png());
    assert_eq!(gateway.get(PATH).await.status, 200);
}
