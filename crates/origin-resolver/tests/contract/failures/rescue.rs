//! Origins that die in the middle of a body, and who may go on.

use bytes::Bytes;
use object::Interruption;
use test_servers::faulty::{Fault, Faulty, Object, On};

use super::{KEY, bucket, each_kind, found, read, route, web_server};
use crate::fixture::noise;

const LENGTH: usize = 300_000;
const HALF: usize = LENGTH / 2;

#[tokio::test]
async fn a_cut_body_continues_at_its_own_origin_where_it_broke() {
    let bytes = noise(LENGTH);
    for framing in [None, Some(Fault::Chunked)] {
        for cut in [1, HALF, LENGTH - 1] {
            let server = Faulty::start().await;
            server.put(KEY, bytes.clone());
            for origin in each_kind(&server) {
                server.heal();
                if let Some(framing) = &framing {
                    server.fault(On::any(), framing.clone());
                }
                server.fault(On::any().nth(1), Fault::CutAfter(cut));
                let asked = server.requests().len();
                let resolved = found(&route([origin]), KEY).await;
                assert!(read(resolved.body).await == (bytes.to_vec(), None), "{cut}");
                let [_, rest] = &server.requests()[asked..] else {
                    panic!("not two requests");
                };
                let range = format!("bytes={cut}-{}", LENGTH - 1);
                assert_eq!(rest.header("range"), Some(&*range));
                assert!(rest.header("if-match").is_some());
            }
        }
    }
}

#[tokio::test]
async fn an_object_replaced_in_the_middle_is_never_spliced() {
    let (old, new) = (noise(LENGTH), noise(LENGTH + 1).slice(1..));
    for deaf in [false, true] {
        let server = Faulty::start().await;
        for origin in each_kind(&server) {
            server.heal();
            server.put(KEY, old.clone());
            if deaf {
                server.fault(On::any(), Fault::IgnoreIfMatch);
            }
            let replace = Fault::ReplaceAfter(HALF, Object::new(new.clone()));
            server.fault(On::any().nth(1), replace);
            server.fault(On::any().nth(1), Fault::CutAfter(HALF));
            let route = route([origin]);
            let (came, broken) = read(found(&route, KEY).await.body).await;
            assert!(broken.is_some(), "deaf: {deaf}");
            assert!(came.len() <= HALF && old.starts_with(&came));
            assert!(read(found(&route, KEY).await.body).await == (new.to_vec(), None));
        }
    }
}

/// An origin that dies for good in the middle of the first body, and another.
async fn dying(object: Object, other: Object) -> (Faulty, Faulty) {
    let (dying, other_server) = (Faulty::start().await, Faulty::start().await);
    dying.put(KEY, object);
    dying.fault(On::any().nth(1), Fault::CutAfter(HALF));
    dying.fault(On::any().after(1), Fault::Drop);
    other_server.put(KEY, other);
    (dying, other_server)
}

async fn across(object: Object, other: Object) -> (Vec<u8>, Option<Interruption>, Vec<String>) {
    let (dying, other) = dying(object, other).await;
    let route = route([bucket("dying", &dying), bucket("other", &other)]);
    let (came, broken) = read(found(&route, KEY).await.body).await;
    let ranges = other.requests().into_iter().map(|request| {
        let range = request.header("range").unwrap_or_default();
        range.to_owned()
    });
    (came, broken, ranges.collect())
}

#[tokio::test]
async fn a_body_continues_at_another_origin_with_the_same_content_tag() {
    let bytes = noise(LENGTH);
    let (came, broken, ranges) =
        across(Object::new(bytes.clone()), Object::new(bytes.clone())).await;
    assert!((came, broken) == (bytes.to_vec(), None));
    assert_eq!(ranges, [format!("bytes={HALF}-{}", LENGTH - 1)]);
}

#[tokio::test]
async fn a_body_continues_at_another_origin_whose_bytes_so_far_are_the_same() {
    let bytes = noise(LENGTH);
    for other in [
        Object::new(bytes.clone()).etag("\"opaque\""),
        Object::new(bytes.clone()).etag("W/\"weak\""),
        Object::new(bytes.clone()).without_etag(),
    ] {
        let (came, broken, _) = across(Object::new(bytes.clone()), other).await;
        assert!((came, broken) == (bytes.to_vec(), None));
    }
}

#[tokio::test]
async fn a_body_continues_between_a_bucket_and_a_web_server() {
    let bytes = noise(LENGTH);
    for web_first in [false, true] {
        let opaque = || Object::new(bytes.clone()).etag("\"opaque\"");
        let (dying, other) = dying(opaque(), opaque()).await;
        let route = if web_first {
            route([web_server("dying", &dying), bucket("other", &other)])
        } else {
            route([bucket("dying", &dying), web_server("other", &other)])
        };
        let resolved = found(&route, KEY).await;
        assert_eq!(&*resolved.origin, "dying");
        assert!(read(resolved.body).await == (bytes.to_vec(), None));
    }
}

#[tokio::test]
async fn another_version_at_another_origin_never_continues_a_body() {
    let bytes = noise(LENGTH);
    let other: Bytes = noise(LENGTH + 1).slice(1..);
    let mut late = bytes.to_vec();
    late[LENGTH - 1] ^= 1;
    for (what, other) in [
        ("other bytes, other tag", Object::new(other.clone())),
        (
            "other bytes, opaque tag",
            Object::new(other).etag("\"opaque\""),
        ),
        ("another end, other tag", Object::new(late)),
        ("shorter", Object::new(bytes.slice(..LENGTH - 1))),
        (
            "longer, opaque tag",
            Object::new([&bytes[..], b"x"].concat()).etag("\"opaque\""),
        ),
    ] {
        let (came, broken, _) = across(Object::new(bytes.clone()), other).await;
        assert!(broken.is_some(), "{what}");
        assert!(came.len() <= HALF && bytes.starts_with(&came), "{what}");
    }
}
