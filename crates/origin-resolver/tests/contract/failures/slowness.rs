//! Origins that hang: the next one answers in time.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use origin_resolver::{OriginSettings, Outcome, Reason};
use test_servers::faulty::{Fault, Faulty, On};

use super::{KEY, bucket, each_kind, found, read, reason, resolve, route};
use crate::fixture::noise;

const LENGTH: usize = 200_000;

/// The timeouts of the documentation, not a test's.
fn as_documented(origin: OriginSettings) -> OriginSettings {
    OriginSettings {
        connect_timeout: Duration::from_secs(2),
        first_byte_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(15),
        hedge_after: Duration::from_millis(400),
        ..origin
    }
}

#[tokio::test]
async fn the_first_byte_comes_within_three_seconds_past_an_origin_that_hangs() {
    let bytes = noise(LENGTH);
    for fault in [
        Fault::Hang,
        Fault::StallAfter(0),
        Fault::Delay(Duration::from_secs(30)),
    ] {
        let (hanging, good) = (Faulty::start().await, Faulty::start().await);
        hanging.put(KEY, bytes.clone());
        good.put(KEY, bytes.clone());
        hanging.fault(On::any(), fault.clone());
        let began = Instant::now();
        let route = route([
            as_documented(bucket("hanging", &hanging)),
            as_documented(bucket("good", &good)),
        ]);
        let mut resolved = found(&route, KEY).await;
        assert_eq!(&*resolved.origin, "good", "{fault:?}");
        resolved.body.next().await.unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(3), "{fault:?}");
    }
}

#[tokio::test]
async fn a_silent_server_costs_one_timeout_and_is_named_as_one() {
    let server = Faulty::start().await;
    server.blackhole(true);
    for origin in each_kind(&server) {
        let origin = OriginSettings {
            connect_timeout: Duration::from_millis(200),
            ..origin
        };
        let began = Instant::now();
        assert_eq!(reason(&route([origin]), KEY).await, Reason::Timeout);
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn a_body_that_stalls_in_the_middle_is_finished_by_another_origin() {
    let bytes = noise(LENGTH);
    for at in [1, LENGTH / 2, LENGTH - 1] {
        let (stalling, good) = (Faulty::start().await, Faulty::start().await);
        stalling.put(KEY, bytes.clone());
        good.put(KEY, bytes.clone());
        stalling.fault(On::any(), Fault::StallAfter(at));
        let route = route([bucket("stalling", &stalling), bucket("good", &good)]);
        let resolved = found(&route, KEY).await;
        assert_eq!(&*resolved.origin, "stalling");
        assert!(read(resolved.body).await == (bytes.to_vec(), None), "{at}");
    }
}

#[tokio::test]
async fn a_drip_gives_its_first_byte_at_once_or_leaves_it_to_the_next() {
    let bytes = noise(LENGTH);
    let (dripping, good) = (Faulty::start().await, Faulty::start().await);
    dripping.put(KEY, bytes.clone());
    good.put(KEY, bytes.clone());
    dripping.fault(On::any(), Fault::drip());
    let began = Instant::now();
    let route = route([bucket("dripping", &dripping), bucket("good", &good)]);
    let mut resolved = found(&route, KEY).await;
    resolved.body.next().await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3));
    if &*resolved.origin == "dripping" {
        // Slower than the idle timeout allows, so the rest comes from the other.
        let (rest, broken) = read(resolved.body).await;
        assert!(broken.is_none() && bytes.ends_with(&rest));
        assert!(!good.requests().is_empty());
    }
}

#[tokio::test]
async fn a_slow_origin_that_has_the_object_still_wins_over_one_that_does_not() {
    let (slow, empty) = (Faulty::start().await, Faulty::start().await);
    slow.put(KEY, "object");
    slow.fault(On::any(), Fault::Delay(Duration::from_millis(300)));
    for slow_first in [true, false] {
        let mut origins = vec![bucket("slow", &slow), bucket("empty", &empty)];
        if !slow_first {
            origins.reverse();
        }
        let resolution = resolve(&route(origins), KEY).await;
        let Outcome::Found(resolved) = resolution.outcome else {
            panic!("{resolution:?}");
        };
        assert_eq!(&*resolved.origin, "slow");
    }
}
