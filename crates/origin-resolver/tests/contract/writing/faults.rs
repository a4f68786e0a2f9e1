//! What buckets do wrong while they are written, listed and deleted from.

use bytes::Bytes;
use origin_resolver::{Kind, Put, PutError, Reason, S3Settings, Unpaced};
use test_servers::Keys;
use test_servers::faulty::{BUCKET, Fault, Faulty, Object, On, Reply};

use super::bucket::scriptable;
use super::{body, broken, key, put};
use crate::fixture::{noise, read};
use crate::kinds::{open, private_bucket};

const WRONG: &str = "\"00000000000000000000000000000000\"";

fn puts() -> On {
    On::when(|request| request.method == "PUT")
}

fn stored_wrongly() -> Fault {
    Fault::Answer(Reply::new(200).header("ETag", WRONG))
}

#[tokio::test]
async fn a_copy_that_became_another_object_is_taken_away_again() {
    let (place, server) = scriptable(None).await;
    // As if it had stored other bytes: what lies there has the tag that it answers.
    server.put("a", Object::new("damaged").etag(WRONG));
    server.fault(puts(), stored_wrongly());
    let error = place.put("a", &noise(100)).await.unwrap_err();
    assert!(
        matches!(error, PutError::Unverified { removed: true, .. }),
        "{error:?}"
    );
    assert!(!error.may_have_left_something());
    assert!(server.object("a").is_none());
}

#[tokio::test]
async fn a_newer_upload_in_the_place_of_a_bad_copy_stays() {
    let (place, server) = scriptable(None).await;
    server.put("a", "uploaded meanwhile");
    server.fault(puts(), stored_wrongly());
    let error = place.put("a", &noise(100)).await.unwrap_err();
    assert!(
        matches!(error, PutError::Unverified { removed: true, .. }),
        "{error:?}"
    );
    assert_eq!(read(&*place.origin, "a").await, b"uploaded meanwhile");
}

#[tokio::test]
async fn an_answer_that_never_came_says_so() {
    let (place, server) = scriptable(None).await;
    server.fault(puts(), Fault::Garbage(Bytes::new()));
    let error = place.put("a", &noise(100)).await.unwrap_err();
    assert!(matches!(error, PutError::Unanswered(_)), "{error:?}");
    assert!(error.may_have_left_something());
    assert!(server.object("a").is_some(), "that is why");
}

#[tokio::test]
async fn a_refusal_leaves_nothing_and_tells_its_reason() {
    let (place, server) = scriptable(None).await;
    for (fault, reason) in [
        (Fault::slow_down(1), Reason::Throttled),
        (Fault::access_denied(), Reason::Denied),
        (Fault::invalid_access_key(), Reason::Credentials),
        (Fault::no_such_bucket(), Reason::Bucket),
    ] {
        server.heal();
        server.fault(puts(), fault);
        match place.put("a", &noise(100)).await.unwrap_err() {
            PutError::Refused(failure) => assert_eq!(failure.reason, reason),
            other => panic!("{other:?}"),
        }
    }
    assert!(server.object("a").is_none());
}

#[tokio::test]
async fn a_condition_that_is_not_known_is_asked_for_once_and_replaced_by_looking() {
    let (place, server) = scriptable(None).await;
    let refused = On::when(|request| request.header("if-none-match").is_some());
    server.fault(refused, Fault::s3(501, "NotImplemented"));
    for name in ["a", "b"] {
        let object = Put {
            if_absent: true,
            ..put(name, &noise(100))
        };
        place.store().put(object, &Unpaced).await.unwrap();
    }
    let conditional = |key: &str| {
        let requests = server.requests_for(key);
        let sent = requests
            .iter()
            .filter(|one| one.header("if-none-match").is_some());
        sent.count()
    };
    assert_eq!((conditional("a"), conditional("b")), (1, 0));
    let again = Put {
        if_absent: true,
        ..put("b", &noise(200))
    };
    let error = place.store().put(again, &Unpaced).await.unwrap_err();
    assert!(matches!(error, PutError::Exists), "{error:?}");
}

#[tokio::test]
async fn an_upload_in_parts_is_aborted_when_it_breaks_and_when_it_is_dropped() {
    let (place, server) = scriptable(None).await;
    let large = |body| Put {
        length: 65 * 1024 * 1024,
        body,
        ..put("large", &noise(0))
    };
    let error = place
        .store()
        .put(large(broken(&noise(20 << 20))), &Unpaced)
        .await;
    assert!(matches!(error, Err(PutError::Broken(_))), "{error:?}");
    let aborted = || {
        let requests = server.requests_for("large");
        requests.iter().filter(|one| one.method == "DELETE").count()
    };
    server.wait_until("the abort", |_| aborted() == 1).await;
    all_aborted(&server).await;

    let first = futures_util::stream::iter([Ok(noise(20 << 20))]);
    let never = futures_util::stream::pending();
    let body = object::ObjectBody::new(futures_util::StreamExt::chain(first, never));
    let parts = || {
        let requests = server.requests_for("large");
        requests
            .iter()
            .filter(|one| one.parameter("partNumber").is_some())
            .count()
    };
    let before = parts();
    tokio::select! {
        _ = place.store().put(large(body), &Unpaced) => panic!("the body never ends"),
        _ = server.wait_until("a part", |_| parts() > before) => {}
    }
    server
        .wait_until("the second abort", |_| aborted() == 2)
        .await;
    assert!(server.object("large").is_none());
}

/// A request is written down before it is answered.
async fn all_aborted(server: &Faulty) {
    while server.unfinished_uploads() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_part_that_became_another_is_never_put_together() {
    let (place, server) = scriptable(None).await;
    let second = On::when(|request| request.parameter("partNumber").as_deref() == Some("2"));
    server.fault(second, stored_wrongly());
    let bytes = noise(65 << 20);
    let error = place.put("large", &bytes).await.unwrap_err();
    assert!(
        matches!(error, PutError::Unverified { removed: true, .. }),
        "{error:?}"
    );
    let completed = |request: &test_servers::faulty::Request| {
        request.method == "POST" && request.parameter("uploadId").is_some()
    };
    assert!(!server.requests().iter().any(completed));
}

#[tokio::test]
async fn a_failure_that_comes_as_a_success_is_seen() {
    let (place, server) = scriptable(None).await;
    let complete =
        On::when(|request| request.method == "POST" && request.parameter("uploadId").is_some());
    let xml = "<Error><Code>InternalError</Code></Error>";
    let reply = Reply::new(200).body("application/xml", xml);
    server.fault(complete, Fault::Answer(reply));
    let error = place.put("large", &noise(65 << 20)).await.unwrap_err();
    assert!(matches!(error, PutError::Unanswered(_)), "{error:?}");
}

#[tokio::test]
async fn a_provider_that_knows_only_old_listings_is_listed_so() {
    let (place, server) = scriptable(None).await;
    server.put("a b", "x");
    server.put("c+d", "x");
    let second = On::when(|request| request.parameter("list-type").is_some());
    server.fault(second, Fault::s3(400, "InvalidArgument"));
    assert_eq!(place.keys("").await, ["a b", "c+d"]);
    let asked = server.requests().len();
    place.keys("").await;
    assert_eq!(server.requests().len(), asked + 1, "and it is remembered");
}

#[tokio::test]
async fn a_listing_of_many_pages_brings_each_object_once() {
    let (place, server) = scriptable(None).await;
    let mut keys: Vec<_> = (0..2500).map(|n| format!("many/{n:04}")).collect();
    for key in &keys {
        server.put(key, "x");
    }
    keys.sort();
    assert_eq!(place.keys("many/").await, keys);
}

#[tokio::test]
async fn a_provider_that_gives_the_same_page_for_ever_is_an_error() {
    let (place, server) = scriptable(None).await;
    let xml = "<ListBucketResult><IsTruncated>true</IsTruncated>\
               <Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>";
    let reply = Reply::new(200).body("application/xml", xml);
    server.fault(On::listing(), Fault::Answer(reply));
    let first = place.store().list("", None, &Unpaced).await.unwrap();
    let second = place.store().list("", first.next, &Unpaced).await;
    assert_eq!(second.unwrap_err().reason, Reason::Protocol);
}

#[tokio::test]
async fn every_version_is_deleted_and_a_bucket_that_only_hides_is_a_failure() {
    let (place, server) = scriptable(None).await;
    server.versioned();
    for length in [1, 2, 3] {
        place.put("a", &noise(length)).await.unwrap();
        place.put("a/b", &noise(length)).await.unwrap();
    }
    let erased = place.store().delete(&key("a"), None, &Unpaced).await;
    assert_eq!(erased.unwrap().versions, 3);
    assert_eq!((server.versions("a"), server.versions("a/b")), (0, 3));

    let versions = On::when(|request| request.parameter("versions").is_some());
    server.fault(versions, Fault::access_denied());
    let hidden = place.store().delete(&key("a/b"), None, &Unpaced).await;
    assert_eq!(hidden.unwrap_err().reason, Reason::Denied);
}

#[tokio::test]
async fn what_is_written_for_everybody_says_so_under_the_signature() {
    let (_, server) = scriptable(None).await;
    let origin = open(Kind::S3(S3Settings {
        public_writes: true,
        ..private_bucket(&server.endpoint(), BUCKET, &Keys::default())
    }));
    let object = Put {
        body: body(&noise(10)),
        ..put("a", &noise(10))
    };
    origin.store().unwrap().put(object, &Unpaced).await.unwrap();
    let request = server.requests_for("a").pop().unwrap();
    assert_eq!(request.header("x-amz-acl"), Some("public-read"));
    let signed = request.parameter("X-Amz-SignedHeaders").unwrap();
    for name in [
        "x-amz-acl",
        "x-amz-meta-sha256",
        "x-amz-meta-media-gateway-length",
    ] {
        assert!(signed.split(';').any(|one| one == name), "{signed}");
    }
}

#[tokio::test]
async fn a_bucket_without_keys_is_listed_and_not_written() {
    let (_, server) = scriptable(None).await;
    server.private(false);
    server.listable(true);
    server.put("a b+c", "x");
    let origin = open(Kind::S3(crate::kinds::public_bucket(
        &server.endpoint(),
        BUCKET,
    )));
    let store = origin.store().unwrap();
    let page = store.list("a b", None, &Unpaced).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    assert_eq!(store.writable().unwrap_err().reason, Reason::Credentials);
    let error = store.put(put("b", &noise(1)), &Unpaced).await.unwrap_err();
    assert!(matches!(error, PutError::Refused(_)), "{error:?}");
    assert!(server.requests().iter().all(|one| one.method == "GET"));
}

#[tokio::test]
async fn a_provider_without_versions_is_asked_for_them_once() {
    let (place, server) = scriptable(None).await;
    for name in ["a", "b"] {
        server.put(name, "x");
        let erased = place.store().delete(&key(name), None, &Unpaced).await;
        assert_eq!(erased.unwrap().versions, 1);
        assert!(server.object(name).is_none());
    }
    let requests = server.requests();
    let asked = requests
        .iter()
        .filter(|one| one.parameter("versions").is_some());
    assert_eq!(asked.count(), 1);
}
