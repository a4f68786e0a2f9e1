//! A Redis with content that no gateway wrote.

use super::harness::{Three, metric, said, status, until};

const TOMBSTONES: &str = "media-gateway:tombstones";

#[tokio::test]
async fn nonsense_in_redis_is_refused_and_counted_and_removes_no_tombstone() {
    let three = Three::new().await;
    let mut gateways = three.start().await;
    let output = three.setups[0].run(&["tombstone", "add", "a.mp4"]).await;
    said(&output, 0);
    gateways.pop().unwrap().stopped().await;
    let redis = &three.redis;
    let long = "for i=1,40 do redis.call('HSET', KEYS[1], 'x'..i, string.rep('a', 200000)) end";
    redis.cli(&["EVAL", long, "1", TOMBSTONES]);
    let far = "99999999999999999999";
    redis.cli(&["HSET", TOMBSTONES, "media", &format!("{far}2")]);
    redis.cli(&["HSET", "media-gateway:members", "x", "y"]);
    redis.cli(&[
        "XADD",
        "media-gateway:purges",
        "*",
        "m",
        "x",
        "s",
        "1",
        "p",
        "[\"all\"]",
    ]);
    redis.cli(&["XADD", "media-gateway:news", "*", "q", "w"]);
    let long = "redis.call('XADD', KEYS[1], '*', 'm', string.rep('a', 5000000))";
    redis.cli(&["EVAL", long, "1", "media-gateway:news"]);
    // It reads the whole set.
    gateways.push(three.setups[2].start().await);
    for (gateway, count) in gateways.iter().zip([3.0, 3.0, 42.0]) {
        until("it is counted", async || {
            metric(gateway, "media_gateway_fleet_refused_total").await >= Some(count)
        })
        .await;
        assert_eq!(status(gateway, "a.mp4").await, 410);
        let resident = gateway.resident_bytes();
        assert!(resident < 200_000_000, "{resident}");
    }
    let removed = "redis.call('DEL', KEYS[1]) redis.call('HSET', KEYS[1], 'b', 'c')";
    redis.cli(&["EVAL", removed, "1", TOMBSTONES]);
    until("the set is whole again", async || {
        redis.cli(&["HVALS", TOMBSTONES]).lines().count() == 2
    })
    .await;
    let output = three.setups[1].run(&["tombstone", "add", "b.mp4"]).await;
    said(&output, 0);
    for gateway in &gateways {
        assert_eq!(status(gateway, "a.mp4").await, 410);
        assert_eq!(status(gateway, "b.mp4").await, 410);
    }
}

#[tokio::test]
async fn keys_of_another_kind_are_said_and_the_fleet_goes_on_when_they_are_gone() {
    let three = Three::new().await;
    let mut gateways = three.start().await;
    let redis = &three.redis;
    redis.cli(&["SET", TOMBSTONES, "something else"]);
    gateways[0].logged("the fleet cannot be reached").await;
    assert_eq!(status(&gateways[0], "a.mp4").await, 200);
    let output = three.setups[0].run(&["tombstone", "add", "a.mp4"]).await;
    said(&output, 1);
    redis.cli(&["DEL", TOMBSTONES]);
    for gateway in &gateways {
        until("a is gone", async || status(gateway, "a.mp4").await == 410).await;
    }
}
