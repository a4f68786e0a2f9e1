//! The name of an origin is given to another place.

use serde_json::Value;

use super::client::get;
use super::harness::{bucket, holding, keeping, metric, route};

#[tokio::test]
async fn a_new_bucket_under_the_old_name_deletes_nothing_and_what_was_deleted_stays_so() {
    let films: [(&str, &[u8]); 3] = [("a.mp4", b"a"), ("b.mp4", b"b"), ("gone.mp4", b"gone")];
    let first = holding(&films).await;
    let old = holding(&films).await;
    let text = |current: &_, old: &_| {
        bucket("current", current) + &bucket("old", old) + &route(&["current", "old"])
    };
    let setup = keeping(text(&first, &old));
    let gateway = setup.start().await;
    for path in ["/a.mp4", "/b.mp4", "/gone.mp4"] {
        assert_eq!(get(&gateway, path).await.header("x-origin"), "current");
    }
    first.remove("gone.mp4");
    let said = setup.run(&["purge", "--all", "--yes"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert_eq!(get(&gateway, "/gone.mp4").await.header("x-origin"), "old");
    gateway.stopped().await;

    // The provider is changed, and the operator keeps the names: the first one is `old` now.
    let empty = holding(&[("new.mp4", b"new")]).await;
    let setup = setup.with_others(text(&empty, &first));
    let gateway = setup.start().await;
    assert!(gateway.log().contains("means another place than before"));
    let said = setup.run(&["purge", "--all", "--yes"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    for path in ["/a.mp4", "/b.mp4"] {
        let told = get(&gateway, path).await;
        assert_eq!(
            (told.status, told.header("x-origin")),
            (200, "old"),
            "{}",
            told.summary()
        );
    }
    assert_eq!(
        get(&gateway, "/new.mp4").await.header("x-origin"),
        "current"
    );
    assert_eq!(
        metric(&gateway, "withdrawn_total{route=\"media\"}").await,
        0
    );
    let answer = gateway.operators("/api/withdrawn").await;
    let list: Value = serde_json::from_slice(&answer.body).unwrap();
    let keys: Vec<_> = list["withdrawn"].as_array().unwrap().iter().collect();
    assert_eq!(keys.len(), 1, "{list}");
    assert_eq!(keys[0]["key"], "gone.mp4");
    gateway.stopped().await;
    // Said once.
    let gateway = setup.start().await;
    assert!(!gateway.log().contains("means another place than before"));
}
