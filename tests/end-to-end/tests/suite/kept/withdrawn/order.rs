//! Where another origin comes before the upload origin, and where the application has moved on.

use super::super::client::{get, get_until};
use super::super::harness::{bucket, holding, keeping, route};
use super::{Buckets, FOLLOW, film, is_gone, listed, seen, without_copies};

#[tokio::test]
async fn an_origin_that_answers_first_does_not_hide_a_deletion() {
    let buckets = Buckets::with(&[("a.mp4", b"a"), ("b.mp4", b"b")]).await;
    let text = buckets.text(&route(&["current"]));
    let setup = keeping(text);
    let gateway = setup.start().await;
    seen(&setup, &gateway, &["/a.mp4", "/b.mp4"]).await;
    gateway.stopped().await;
    // The one that answers first is not the one where the application deletes.
    let routes = route(&["old", "current"]) + "uploads_to = \"current\"\n" + FOLLOW;
    let setup = setup.with_others(buckets.text(&routes));
    let gateway = setup.start().await;
    buckets.current.remove("a.mp4");
    let asked = buckets.current.requests_for("b.mp4").len();
    for _ in 0..3 {
        assert!(get(&gateway, "/b.mp4").await.is(200, b"b"));
        without_copies(&setup).await;
    }
    // One more question for each key, and none for what was never there.
    let once = asked + 1;
    buckets.current.wait_for_requests_for("b.mp4", once).await;
    assert_eq!(buckets.current.requests_for("b.mp4").len(), once);
    get_until(&gateway, "/a.mp4", |told| told.status == 410).await;
    is_gone(&gateway, "/a.mp4").await;
    buckets.old.put("c.mp4", film(b"c"));
    assert!(get(&gateway, "/c.mp4").await.is(200, b"c"));
    assert!(buckets.current.requests_for("c.mp4").is_empty());
}

#[tokio::test]
async fn what_was_deleted_where_the_application_wrote_before_stays_so() {
    let buckets = Buckets::with(&[("a.mp4", b"a"), ("b.mp4", b"b")]).await;
    let setup = buckets.behind(FOLLOW);
    let gateway = setup.start().await;
    seen(&setup, &gateway, &["/a.mp4"]).await;
    buckets.current.remove("a.mp4");
    is_gone(&gateway, "/a.mp4").await;
    gateway.stopped().await;
    // The application has moved on, and that bucket is about to go.
    let new = holding(&[]).await;
    let text = buckets.text(&route(&["new", "current", "old"])) + FOLLOW;
    let retired = text.replacen(
        "[origins.current]",
        "[origins.current]\nstate = \"retired\"",
        1,
    );
    let mut setup = setup;
    for text in [text, retired] {
        setup = setup.with_others(bucket("new", &new) + &text);
        let gateway = setup.start().await;
        is_gone(&gateway, "/a.mp4").await;
        assert!(get(&gateway, "/b.mp4").await.is(200, b"b"));
        assert_eq!(listed(&gateway, 1).await[0]["origin"], "current");
        gateway.stopped().await;
    }
    new.put("a.mp4", film(b"again"));
    let setup = setup.with_others(
        bucket("new", &new) + &buckets.text(&route(&["new", "current", "old"])) + FOLLOW,
    );
    let gateway = setup.start().await;
    assert!(get(&gateway, "/a.mp4").await.is(200, b"again"));
    listed(&gateway, 0).await;
}
