//! Hostile and odd paths over a raw socket: byte-exact keys, and no way out of a directory.

use test_servers::faulty::{Faulty, Request};

use super::answer::exchange;
use super::harness::{Gateway, marked_root, png};

/// Segments and spellings by which some server somewhere climbs out of its root.
const CLIMBS: [&str; 30] = [
    "..",
    "%2e%2e",
    "%2E%2e",
    ".%2e",
    "%2e.",
    "..%2f",
    "..%5c",
    "..\\",
    "%252e%252e",
    "..%252f",
    "..%00",
    "..;",
    "..;/",
    "..%3b",
    "..%20",
    "..%09",
    "...",
    "....",
    "..../",
    ".",
    "%2e",
    "%c0%ae%c0%ae",
    "%c0%2e%c0%2e",
    "%e0%80%ae%e0%80%ae",
    "%f0%80%80%ae",
    "%uff0e%uff0e",
    "%EF%BC%8E%EF%BC%8E",
    "..%c0%af",
    "..%c1%9c",
    "%2e%2e%2f%2e%2e",
];

/// How a climb is put into a path that ends at the secret.
const SHAPES: [&str; 7] = [
    "/{}/secret.txt",
    "/{}/{}/secret.txt",
    "/misskey/{}/{}/secret.txt",
    "/misskey/{}/../secret.txt",
    "//{}/secret.txt",
    "/misskey%2f{}%2f{}%2fsecret.txt",
    "/{}",
];

const SECRET: &[u8] = b"a secret beside the root";

/// A directory origin; beside it lies a file that must never be served.
async fn beside_a_secret() -> (Gateway, tempfile::TempDir) {
    let outer = tempfile::tempdir().unwrap();
    std::fs::write(outer.path().join("secret.txt"), SECRET).unwrap();
    let root = outer.path().join("root");
    std::fs::create_dir_all(root.join("misskey")).unwrap();
    std::fs::write(root.join(".media-gateway"), "the marker").unwrap();
    std::fs::write(root.join("misskey/a.txt"), "public").unwrap();
    let gateway = Gateway::with(|toml| {
        toml.directory("disk", &root);
        toml.route_with(&["disk"], "url = \"http://media.test/\"\nkeys = [\"\"]");
    })
    .await;
    (gateway, outer)
}

async fn status_and_text(gateway: &Gateway, target: &[u8]) -> (u16, Vec<u8>) {
    let request = [
        b"GET ",
        target,
        b" HTTP/1.1\r\nHost: media.test\r\nConnection: close\r\n\r\n",
    ]
    .concat();
    let said = exchange(gateway.addr, &request).await;
    let answer = super::answer::parse(&said, false);
    (answer.map_or(0, |answer| answer.status), said)
}

#[tokio::test]
async fn no_path_leaves_a_directory() {
    let (gateway, _outer) = beside_a_secret().await;
    let mut tried = 0;
    for climb in CLIMBS {
        for shape in SHAPES {
            let target = shape.replace("{}", climb);
            let (status, said) = status_and_text(&gateway, target.as_bytes()).await;
            assert!(matches!(status, 400 | 404), "{target}: {status}");
            let leaked = said.windows(SECRET.len()).any(|window| window == SECRET);
            assert!(!leaked, "{target}");
            tried += 1;
        }
    }
    assert!(tried >= 200);
    let (status, _) = status_and_text(&gateway, b"/misskey/a.txt").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_path_that_cannot_be_a_key_is_a_400() {
    let (gateway, _outer) = beside_a_secret().await;
    let long = format!("/{}", "a".repeat(1025));
    for target in [
        "/",
        "/.",
        "/a/..",
        "/a/./b",
        "/%2e%2e/a",
        "/a%00b",
        "/%00",
        "/a%5cb",
        "/a\\b",
        "/%ff",
        "/%c0%ae",
        "/%ed%a0%80",
        "/%e5%86",
        "/%",
        "/%4",
        "/%zz",
        "/a%2",
        "a",
        "?a",
        "*",
        &long,
    ] {
        let (status, said) = status_and_text(&gateway, target.as_bytes()).await;
        assert_eq!(status, 400, "{target}: {}", String::from_utf8_lossy(&said));
    }
    for target in [
        &b"/\xff"[..],
        b"/a\xc0\xaeb",
        b"/a\x7fb",
        b"/a\x01b",
        b"/\0",
    ] {
        let (status, said) = status_and_text(&gateway, target).await;
        assert_eq!(
            status,
            400,
            "{target:?}: {}",
            String::from_utf8_lossy(&said)
        );
    }
}

#[tokio::test]
async fn a_path_longer_than_the_limit_is_refused_and_never_served() {
    let (gateway, _outer) = beside_a_secret().await;
    for length in [1024, 2000, 8000, 15_000, 70_000, 1_000_000] {
        let target = format!("/{}", "a".repeat(length));
        let (status, _) = status_and_text(&gateway, target.as_bytes()).await;
        // Past the header limit the connection may break before an answer is read.
        let expected: &[u16] = match length {
            // ENAMETOOLONG is missing.
            1024 => &[404],
            2000..=15_000 => &[400],
            _ => &[400, 414, 431, 0],
        };
        assert!(expected.contains(&status), "{length}: {status}");
    }
}

#[tokio::test]
async fn an_absolute_target_is_asked_of_its_own_host() {
    let (gateway, _outer) = beside_a_secret().await;
    for (target, expected) in [
        ("http://media.test/misskey/a.txt", 200),
        ("http://MEDIA.test:80/misskey/a.txt", 200),
        ("http://other.test/misskey/a.txt", 421),
        ("http://169.254.169.254/latest/meta-data/", 421),
        ("http://127.0.0.1:9090/metrics", 421),
        ("https://other.test/misskey/a.txt", 421),
        ("ftp://media.test/misskey/a.txt", 400),
        ("http://u:p@media.test/misskey/a.txt", 400),
        ("http://media.test/../secret.txt", 400),
        ("file:///etc/passwd", 400),
        ("//media.test/misskey/a.txt", 404),
    ] {
        let (status, said) = status_and_text(&gateway, target.as_bytes()).await;
        assert_eq!(
            status,
            expected,
            "{target}: {}",
            String::from_utf8_lossy(&said)
        );
    }
}

#[tokio::test]
async fn odd_keys_come_back_byte_for_byte() {
    for (path, key) in [
        ("//x", "/x"),
        ("///x", "//x"),
        ("/misskey//x", "misskey//x"),
        ("/x/", "x/"),
        ("/null/x", "null/x"),
        ("/a%20b", "a b"),
        ("/%E5%86%99%E7%9C%9F%201.png", "写真 1.png"),
        ("/a%252Fb", "a%2Fb"),
        ("/a%2Fb", "a/b"),
        ("/a+b", "a+b"),
        ("/a%2Bb", "a+b"),
        ("/a%23b", "a#b"),
        ("/a%3Fb", "a?b"),
        ("/a;b=c", "a;b=c"),
        ("/a:b@c!d$e&f'g(h)i*j,k=l", "a:b@c!d$e&f'g(h)i*j,k=l"),
        ("/%7Euser/~x", "~user/~x"),
        ("/...", "..."),
        ("/..a/b..", "..a/b.."),
        ("/%25", "%"),
        ("/%0A", "\n"),
        ("/e%CC%81", "e\u{301}"),
        ("/%C3%A9", "é"),
    ] {
        let bucket = Faulty::start().await;
        bucket.put(key, png());
        let gateway = Gateway::with(|toml| {
            toml.s3("anonymous", &bucket)
                .signed("signed", &bucket, "")
                .http("web", &bucket, "");
            for (host, origin) in [("a", "anonymous"), ("s", "signed"), ("w", "web")] {
                let more =
                    format!("name = \"{host}\"\nurl = \"http://{host}.test/\"\nkeys = [\"\"]");
                toml.route_with(&[origin], &more);
            }
        })
        .await;
        for host in ["a.test", "s.test", "w.test"] {
            let answer = gateway.ask("GET", path, &[("Host", host)]).await;
            assert_eq!(answer.status, 200, "{path} at {host}: {}", answer.text());
        }
        let asked = bucket.requests();
        let keys: Vec<_> = asked.iter().filter_map(Request::key).collect();
        assert!(keys.iter().all(|asked| asked == key.as_bytes()), "{keys:?}");
        let explained = gateway.explain("a.test", path).await;
        assert_eq!(explained["key"], key, "{explained}");
        assert_eq!(explained["status"], 200, "{path}");
    }
}

#[tokio::test]
async fn the_gateways_own_files_are_never_served() {
    let root = marked_root(&[
        (".media-gateway-meta/a.json", b"{}"),
        ("a/.media-gateway-meta/x", b"x"),
        ("a/.media-gateway", b"x"),
    ]);
    let gateway = Gateway::with(|toml| {
        toml.directory("disk", root.path()).route(&["disk"]);
    })
    .await;
    for path in [
        "/.media-gateway",
        "/%2emedia-gateway",
        "/.media-gateway-meta/a.json",
        "/a/.media-gateway-meta/x",
        "/a/.media-gateway",
        "/a%2f.media-gateway",
        "//.media-gateway",
    ] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(answer.header("cache-control"), "no-store");
        let explained = gateway.explain("media.test", path).await;
        assert_eq!(explained["status"], 403, "{path}: {explained}");
    }
    assert_eq!(
        gateway.metric("refused_keys_total{route=\"media\"}").await,
        7
    );
}
