//! How many requests a failing origin is sent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use origin_resolver::Outcome;
use test_servers::faulty::{Fault, Faulty, On};

use super::{bucket, found, read, resolve, route};
use crate::fixture::noise;

const MISSES: usize = 300;
const LENGTH: usize = 20_000;
/// An origin that is left alone is tried after one second, two, four: beside the misses, and never
/// this often in a test.
const TRIALS: usize = 5;

#[tokio::test]
async fn a_flapping_origin_sees_at_most_a_fifth_more_requests_than_misses() {
    let (flapping, good) = (Faulty::start().await, Faulty::start().await);
    for number in 0..MISSES {
        flapping.put(&format!("k{number}"), noise(LENGTH));
        good.put(&format!("k{number}"), noise(LENGTH));
    }
    // Every eighth request each; the rest is answered.
    for (turn, fault) in [
        Fault::Drop,
        Fault::status(503),
        Fault::CutAfter(LENGTH / 2),
        Fault::Delay(Duration::from_millis(200)),
    ]
    .into_iter()
    .enumerate()
    {
        let asked = AtomicUsize::new(0);
        let now = move |_: &_| asked.fetch_add(1, Ordering::Relaxed) % 8 == 2 * turn;
        flapping.fault(On::when(now), fault);
    }
    let route = route([bucket("flapping", &flapping), bucket("good", &good)]);
    let bytes = noise(LENGTH);
    stream::iter(0..MISSES)
        .for_each_concurrent(4, |number| {
            let (route, bytes) = (&route, &bytes);
            async move {
                let resolved = found(route, &format!("k{number}")).await;
                assert!(read(resolved.body).await == (bytes.to_vec(), None));
            }
        })
        .await;
    for (name, server) in [("flapping", &flapping), ("good", &good)] {
        let requests = server.requests().len();
        assert!(
            requests <= MISSES + MISSES / 5 + TRIALS,
            "{name}: {requests}"
        );
    }
}

#[tokio::test]
async fn an_origin_that_is_down_alone_sees_at_most_a_fifth_more_requests_than_misses() {
    for fault in [
        Fault::Drop,
        Fault::status(503),
        Fault::access_denied(),
        Fault::CutAfter(1),
    ] {
        let server = Faulty::start().await;
        server.put("k", noise(LENGTH));
        server.fault(On::any(), fault.clone());
        let route = route([bucket("down", &server)]);
        for _ in 0..MISSES {
            if let Outcome::Found(resolved) = resolve(&route, "k").await.outcome {
                read(resolved.body).await;
            }
        }
        let requests = server.requests().len();
        assert!(
            requests <= MISSES + MISSES / 5 + TRIALS,
            "{fault:?}: {requests}"
        );
    }
}
