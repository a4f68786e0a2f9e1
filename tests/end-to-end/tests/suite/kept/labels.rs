//! What an answer says of itself: where it came from, how old it is, which version it is.

use test_servers::faulty::{Faulty, Object};

use super::client::{Told, ask, get, get_until, head, range};
use super::harness::{MIB, before, files_are, film, holding, noise};

#[tokio::test]
async fn a_first_answer_is_a_miss_the_next_a_hit_and_so_it_is_after_a_restart() {
    let (small, large) = (noise(1, 70_000), noise(2, 2 * MIB + 9));
    let origin = holding(&[("small.mp4", &small), ("large.mp4", &large)]).await;
    let setup = before(&origin);
    let gateway = setup.start().await;
    for (path, bytes) in [("/small.mp4", &small), ("/large.mp4", &large)] {
        let first = get(&gateway, path).await;
        assert!(first.is(200, bytes), "{}", first.summary());
        assert_eq!(first.label(), "MISS");
        assert_eq!(first.header("cache-status"), "media-gateway; fwd=miss");
        assert_eq!(first.header("age"), "");
        let second = get(&gateway, path).await;
        is_hit(&second, bytes);
    }
    assert_eq!(origin.counts().requests, 2);
    files_are(&setup, 4).await;
    gateway.stopped().await;
    origin.stop().await;
    let gateway = setup.start().await;
    for (path, bytes) in [("/small.mp4", &small), ("/large.mp4", &large)] {
        is_hit(&get(&gateway, path).await, bytes);
    }
    let last = noise(2, 2 * MIB + 9).split_off(2 * MIB);
    let part = range(&gateway, "/large.mp4", "bytes=-9").await;
    assert!(part.is(206, &last), "{}", part.summary());
    assert_eq!(part.label(), "HIT");
}

fn is_hit(told: &Told, bytes: &[u8]) {
    assert!(told.is(200, bytes), "{}", told.summary());
    assert_eq!(told.label(), "HIT");
    assert_eq!(told.header("cache-status"), "media-gateway; hit");
    assert!(told.header("age").parse::<u64>().unwrap() < 60);
    assert_eq!(told.header("x-origin"), "current");
}

async fn named_and_nameless() -> Faulty {
    let origin = Faulty::start().await;
    for (name, length) in [("small", 5000), ("large", 2 * MIB + 5)] {
        let object = film(&noise(3, length));
        origin.put(&format!("{name}.mp4"), object.clone());
        origin.put(&format!("{name}-nameless.mp4"), object.without_etag());
    }
    origin
}

#[tokio::test]
async fn an_entity_tag_is_the_same_for_every_method_and_after_a_restart() {
    let origin = named_and_nameless().await;
    let setup = before(&origin);
    let gateway = setup.start().await;
    let mut tags = Vec::new();
    let paths = ["/small.mp4", "/large.mp4", "/small-nameless.mp4"];
    for path in paths {
        get(&gateway, path).await;
    }
    // What its origin does not name is named by its content, once all of that is kept.
    for path in paths {
        let told = get_until(&gateway, path, |told| !told.header("etag").is_empty()).await;
        let tag = told.header("etag").to_owned();
        let headers = told.stable_headers();
        assert!(
            tag.len() > 10 && tag.starts_with('"'),
            "{path}: {headers:?}"
        );
        let part = range(&gateway, path, "bytes=10-19").await;
        assert_eq!((part.status, part.header("etag")), (206, &*tag), "{path}");
        assert_eq!(head(&gateway, path).await.header("etag"), tag, "{path}");
        tags.push(tag);
    }
    gateway.stopped().await;
    let gateway = setup.start().await;
    let asked = origin.counts().requests;
    for (path, tag) in paths.iter().zip(&tags) {
        assert_eq!(head(&gateway, path).await.header("etag"), tag, "{path}");
        let known = ask(&gateway, "GET", path, &[("If-None-Match", tag)]).await;
        assert_eq!((known.status, known.body.len()), (304, 0), "{path}");
        assert_eq!(known.header("etag"), tag, "{path}");
        let headers = [("If-Range", tag.as_str()), ("Range", "bytes=0-9")];
        let part = ask(&gateway, "GET", path, &headers).await;
        assert_eq!((part.status, part.body.len()), (206, 10), "{path}");
    }
    assert_eq!(origin.counts().requests, asked);
}

#[tokio::test]
async fn a_condition_on_a_hit_asks_no_origin() {
    let bytes = noise(4, 5000);
    let origin = holding(&[("a.mp4", &bytes)]).await;
    let gateway = before(&origin).start().await;
    let first = get(&gateway, "/a.mp4").await;
    let (tag, date) = (first.header("etag"), first.header("last-modified"));
    for (name, value, status) in [
        ("If-None-Match", tag, 304),
        ("If-None-Match", "\"other\"", 200),
        ("If-Modified-Since", date, 304),
        ("If-Match", "\"other\"", 412),
        ("If-Match", tag, 200),
    ] {
        let told = ask(&gateway, "GET", "/a.mp4", &[(name, value)]).await;
        assert_eq!(told.status, status, "{name}: {value}");
        assert_eq!(told.label(), "HIT", "{name}: {value}");
    }
    assert_eq!(origin.counts().requests, 1);
}

#[tokio::test]
async fn a_head_has_every_header_of_a_get_of_the_same_moment() {
    let origin = Faulty::start().await;
    let bytes = noise(5, 50_000);
    for kind in ["video/mp4", "text/html", "application/octet-stream"] {
        let object = Object::new(bytes.clone()).content_type(kind);
        for key in ["one", "other", "third"] {
            origin.put(&format!("{kind}/{key}"), object.clone());
        }
    }
    let gateway = before(&origin).start().await;
    for kind in ["video/mp4", "text/html"] {
        let cold = head(&gateway, &format!("/{kind}/one")).await;
        let whole = get(&gateway, &format!("/{kind}/other")).await;
        assert_eq!(cold.stable_headers(), whole.stable_headers(), "{kind}");
        // Only its head was looked at: a GET would have to be brought, and both say so.
        let third = format!("/{kind}/third");
        head(&gateway, &third).await;
        let headed = head(&gateway, &third).await;
        let whole = get(&gateway, &third).await;
        assert_eq!(headed.stable_headers(), whole.stable_headers(), "{kind}");
    }
    for kind in ["video/mp4", "text/html", "application/octet-stream"] {
        let path = format!("/{kind}/one");
        get(&gateway, &path).await;
        // A second may begin between the two.
        let same = async || {
            let (warm, whole) = (head(&gateway, &path).await, get(&gateway, &path).await);
            (warm.stable_headers(), whole.stable_headers())
        };
        let (mut warm, mut whole) = same().await;
        if warm != whole {
            (warm, whole) = same().await;
        }
        assert_eq!(warm, whole, "{kind}");
        assert!(warm.iter().any(|(name, _)| name == "age"), "{kind}");
    }
}
