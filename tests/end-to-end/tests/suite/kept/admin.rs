//! The admin listener's changing calls: who may, and what they do.

use http::Method;
use serde_json::{Value, json};

use super::client::get;
use super::harness::{Gateway, before, holding};

pub(super) const TOKEN: &str = "correct-horse-battery-staple";

/// The status and the body.
pub(super) async fn call(
    gateway: &Gateway,
    (method, path): (&str, &str),
    body: Value,
    headers: &[(&str, &str)],
) -> (u16, String) {
    let url = format!("http://{}{path}", gateway.admin());
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = gateway.client().request(method, url).body(body.to_string());
    request = request.header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

const PURGE: (&str, &str) = ("POST", "/api/purge");
pub(super) const BURY: (&str, &str) = ("PUT", "/api/tombstones");
pub(super) const DIG: (&str, &str) = ("DELETE", "/api/tombstones");

pub(super) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[tokio::test]
async fn with_the_token_copies_are_dropped_and_keys_buried_and_dug_up() {
    let origin = holding(&[("a.mp4", b"a"), ("x/b.mp4", b"b")]).await;
    let setup = before(&origin).admin(&format!("token = \"{TOKEN}\""));
    let gateway = setup.start().await;
    let right = bearer(TOKEN);
    let right = [("authorization", right.as_str())];
    for path in ["/a.mp4", "/x/b.mp4"] {
        get(&gateway, path).await;
        assert_eq!(get(&gateway, path).await.label(), "HIT");
    }
    for (body, again) in [
        (json!({ "paths": ["/a.mp4"] }), ["MISS", "HIT"]),
        (json!({ "paths": ["x/b.mp4"] }), ["HIT", "MISS"]),
        (json!({ "prefix": "x/" }), ["HIT", "MISS"]),
        (
            json!({ "paths": ["a.mp4"], "prefix": "/x" }),
            ["MISS", "MISS"],
        ),
        (json!({ "all": true }), ["MISS", "MISS"]),
    ] {
        let (status, said) = call(&gateway, PURGE, body.clone(), &right).await;
        assert_eq!(status, 200, "{body}: {said}");
        let labels = ["/a.mp4", "/x/b.mp4"];
        for (path, label) in labels.into_iter().zip(again) {
            assert_eq!(get(&gateway, path).await.label(), label, "{body}: {path}");
        }
    }
    let body = json!({ "keys": ["a.mp4"], "reason": "law" });
    let (status, said) = call(&gateway, BURY, body, &right).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(get(&gateway, "/a.mp4").await.status, 410);
    let list: Value = gateway
        .operators("/api/tombstones")
        .await
        .text()
        .parse()
        .unwrap();
    assert_eq!(list[0]["key"], "a.mp4", "{list}");
    assert_eq!(list[0]["reason"], "law", "{list}");
    assert_eq!(list[0]["space"], "media", "{list}");
    let (status, said) = call(&gateway, DIG, json!({ "keys": ["a.mp4"] }), &right).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(get(&gateway, "/a.mp4").await.status, 200);
    for (what, body) in [
        (PURGE, json!({})),
        (PURGE, json!({ "path": ["a.mp4"] })),
        (BURY, json!({ "keys": [] })),
        (BURY, json!({ "keys": ["a/../b"] })),
        (
            BURY,
            json!({ "keys": ["a"], "reason": "x".repeat(100_000) }),
        ),
    ] {
        let (status, said) = call(&gateway, what, body.clone(), &right).await;
        assert!(matches!(status, 400 | 422), "{body}: {status} {said}");
    }
}

/// Whether there is a token, what is sent, and what is answered.
type Case<'a> = (bool, &'a [(&'a str, &'a str)], u16);

#[tokio::test]
async fn nobody_else_changes_anything() {
    let origin = holding(&[("a.mp4", b"a")]).await;
    let right = bearer(TOKEN);
    let right = ("authorization", right.as_str());
    let cases: [Case<'_>; 10] = [
        (true, &[], 401),
        (true, &[("authorization", "Bearer wrong")], 401),
        (true, &[("authorization", "Bearer ")], 401),
        (true, &[("authorization", "Basic Y29ycmVjdA==")], 401),
        (true, &[right, ("origin", "https://evil.example")], 403),
        (true, &[right, ("origin", "null")], 403),
        (true, &[right, ("sec-fetch-site", "cross-site")], 403),
        (true, &[right, ("sec-fetch-site", "same-site")], 403),
        (false, &[], 403),
        (false, &[right], 403),
    ];
    for with_token in [true, false] {
        let line = format!("token = \"{TOKEN}\"");
        let setup = before(&origin).admin(if with_token { &line } else { "" });
        let gateway = setup.start().await;
        get(&gateway, "/a.mp4").await;
        for (_, headers, refused) in cases.iter().filter(|(with, ..)| *with == with_token) {
            for (what, body) in [
                (PURGE, json!({ "all": true })),
                (BURY, json!({ "keys": ["a.mp4"] })),
                (DIG, json!({ "keys": ["a.mp4"] })),
            ] {
                let (status, said) = call(&gateway, what, body, headers).await;
                assert_eq!(status, *refused, "{what:?} {headers:?}: {said}");
                assert!(!said.contains(TOKEN), "{said}");
            }
        }
        assert_eq!(get(&gateway, "/a.mp4").await.label(), "HIT");
        // The commands beside it need no token.
        let said = setup.run(&["purge", "a.mp4"]).await;
        assert_eq!(said.status.code(), Some(0), "{said:?}");
        // And what only they may is not on this listener at all.
        for path in ["/api/state", "/api/cache", "/api/cache/verify"] {
            assert_eq!(gateway.operators(path).await.status, 404, "{path}");
        }
    }
}
