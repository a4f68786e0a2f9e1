//! Many clients at once while origins fail now and then: whatever happens, no lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, stream};
use test_servers::faulty::{Fault, Faulty, Object, On};

use super::answer::Answer;
use super::harness::{Gateway, noise};

const OBJECTS: usize = 20;
const REQUESTS: usize = 400;

/// Each object's bytes tell its name.
fn bytes(n: usize) -> Vec<u8> {
    let mut bytes = format!("object {n} ").into_bytes();
    bytes.extend(noise(50_000 + n));
    bytes
}

async fn full() -> Faulty {
    let bucket = Faulty::start().await;
    for n in 0..OBJECTS {
        let object = Object::new(bytes(n)).content_type("video/mp4");
        bucket.put(&format!("misskey/{n}"), object);
    }
    bucket
}

/// Every nth request.
fn every(n: usize, offset: usize) -> On {
    let seen = Arc::new(AtomicUsize::new(offset));
    On::when(move |_| seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(n))
}

fn trouble(bucket: &Faulty) {
    bucket.fault(every(7, 0), Fault::status(500));
    bucket.fault(every(7, 1), Fault::Drop);
    bucket.fault(every(7, 2), Fault::CutAfter(20_000));
    bucket.fault(every(7, 3), Fault::ResetAfter(1));
    bucket.fault(every(31, 4), Fault::Hang);
    bucket.fault(every(11, 5), Fault::no_such_bucket());
    bucket.fault(every(13, 6), Fault::access_denied());
    bucket.fault(every(17, 8), Fault::html(404));
}

/// All requests, 20 at a time; what was asked for and what was answered.
async fn storm(gateway: &Gateway) -> Vec<(usize, usize, Answer)> {
    stream::iter(0..REQUESTS)
        .map(async |request| {
            let n = request % OBJECTS;
            let path = format!("/misskey/{n}");
            let answer = match request / OBJECTS % 3 {
                0 => gateway.range(&path, "bytes=30000-39999").await,
                _ => gateway.get(&path).await,
            };
            (request, n, answer)
        })
        .buffer_unordered(20)
        .collect()
        .await
}

/// The bytes are the object's own, and an end is clean only where they are all there. The whole
/// may stand in for a range.
fn is_true(request: usize, n: usize, answer: &Answer) {
    let bytes = bytes(n);
    let wanted = match (answer.status, request / OBJECTS % 3) {
        (206, 0) => &bytes[30_000..40_000],
        (status, _) => {
            assert_eq!(status, 200, "request {request}");
            &bytes[..]
        }
    };
    assert!(wanted.starts_with(&answer.body), "request {request}");
    assert_eq!(answer.whole, wanted.len() == answer.body.len());
}

#[tokio::test]
async fn an_old_bucket_that_works_hides_a_current_one_that_does_not() {
    let (current, old) = (full().await, full().await);
    trouble(&current);
    let gateway = Gateway::with(|toml| {
        toml.s3("current", &current).s3("old", &old);
        toml.route(&["current", "old"]);
    })
    .await;
    let answers = storm(&gateway).await;
    for (request, n, answer) in &answers {
        is_true(*request, *n, answer);
    }
    let whole = answers.iter().filter(|(.., answer)| answer.whole).count();
    assert!(whole * 100 >= REQUESTS * 95, "{whole} of {REQUESTS}");
}

#[tokio::test]
async fn where_every_origin_fails_now_and_then_nothing_is_said_to_be_missing() {
    let (current, old) = (full().await, full().await);
    trouble(&current);
    trouble(&old);
    let gateway = Gateway::with(|toml| {
        toml.s3("current", &current).s3("old", &old);
        toml.route(&["current", "old"]);
    })
    .await;
    for (request, n, answer) in storm(&gateway).await {
        if answer.status == 503 {
            assert_eq!(answer.header("cache-control"), "no-store");
        } else {
            is_true(request, n, &answer);
        }
    }
}
