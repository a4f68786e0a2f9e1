//! Redis is killed, comes back empty, or hangs: nothing is forgotten, and no viewer waits.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::harness::{Three, said, status, until};

#[tokio::test]
async fn an_emptied_redis_takes_nothing_away_and_everyone_catches_up() {
    let mut three = Three::new().await;
    let gateways = three.start().await;
    let output = three.setups[0].run(&["tombstone", "add", "a.mp4"]).await;
    said(&output, 0);
    for gateway in &gateways {
        assert_eq!(status(gateway, "y.mp4").await, 200);
    }
    let fleet = async || {
        let status = gateways[1].operators("/api/status").await.text();
        serde_json::from_str::<serde_json::Value>(&status).unwrap()["fleet"].take()
    };
    let well = fleet().await;
    assert_eq!((&well["up"], &well["members"]), (&true.into(), &2.into()));
    three.redis.kill();
    let output = three.setups[1].run(&["tombstone", "add", "b.mp4"]).await;
    let told = said(&output, 1);
    assert!(told.contains("b.mp4: gone"), "{told}");
    assert!(told.contains("fleet: redis: left: "), "{told}");
    assert_eq!(status(&gateways[1], "b.mp4").await, 410, "here at once");
    until("the status says so", async || {
        let lost = fleet().await;
        lost["up"] == false
            && lost["trouble"]
                .as_str()
                .is_some_and(|why| why.contains("Redis"))
    })
    .await;
    let output = three.setups[2].run(&["purge", "/y.mp4"]).await;
    said(&output, 1);
    three.redis.start_again().await;
    for gateway in &gateways {
        until("b is gone", async || status(gateway, "b.mp4").await == 410).await;
        assert_eq!(status(gateway, "a.mp4").await, 410);
    }
    let asked = || three.origin.requests_for("y.mp4").len();
    until("the purge arrives", async || {
        let before = asked();
        let answered = status(&gateways[0], "y.mp4").await;
        answered == 200 && asked() > before
    })
    .await;
    until("the set is whole again", async || {
        three.redis.cli(&["HLEN", "media-gateway:tombstones"]) == "2"
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_was_away_ends_with_what_was_added_removed_and_purged_meanwhile() {
    let mut three = Three::new().await;
    let mut gateways = three.start().await;
    let output = three.setups[0].run(&["tombstone", "add", "a.mp4"]).await;
    said(&output, 0);
    let third = gateways.pop().unwrap();
    assert_eq!(status(&third, "y.mp4").await, 200);
    assert_eq!(status(&third, "a.mp4").await, 410);
    third.stopped().await;
    for arguments in [
        ["tombstone", "remove", "a.mp4"],
        ["tombstone", "add", "b.mp4"],
    ] {
        said(&three.setups[0].run(&arguments).await, 0);
    }
    said(&three.setups[0].run(&["purge", "/y.mp4"]).await, 0);
    // What only the gateways remember now.
    three.redis.start_again().await;
    let mut third = three.setups[2].start().await;
    third.logged("its fleet know the same").await;
    until("both are known", async || {
        (status(&third, "a.mp4").await, status(&third, "b.mp4").await) == (200, 410)
    })
    .await;
    until("the purge is known", async || {
        third.log().contains("purged with the fleet")
    })
    .await;
    for gateway in &gateways {
        until("it has stayed so", async || {
            (
                status(gateway, "a.mp4").await,
                status(gateway, "b.mp4").await,
            ) == (200, 410)
        })
        .await;
    }
}

#[tokio::test]
async fn a_redis_that_hangs_holds_up_neither_viewers_nor_the_start() {
    let three = Three::new().await;
    let mut gateways = three.start().await;
    gateways.pop().unwrap().stopped().await;
    three.redis.signal(Signal::STOP);
    let mut late = three.setups[2].start().await;
    late.logged("the fleet was not heard of").await;
    for gateway in gateways.iter().chain([&late]) {
        let began = Instant::now();
        for _ in 0..50 {
            assert_eq!(status(gateway, "c.mp4").await, 200);
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    let output = three.setups[0].run(&["tombstone", "add", "c.mp4"]).await;
    let told = said(&output, 1);
    assert!(told.contains("fleet: redis: left: "), "{told}");
    assert_eq!(status(&gateways[0], "c.mp4").await, 410);
    assert_eq!(status(&gateways[1], "c.mp4").await, 200);
    three.redis.signal(Signal::CONT);
    for gateway in [&gateways[1], &late] {
        until("c is gone", async || status(gateway, "c.mp4").await == 410).await;
    }
}

#[tokio::test]
async fn the_first_answer_of_a_gateway_that_was_away_knows_what_the_others_did() {
    let three = Three::new().await;
    let mut gateways = three.start().await;
    gateways.pop().unwrap().stopped().await;
    said(
        &three.setups[0].run(&["tombstone", "add", "a.mp4"]).await,
        0,
    );
    let third = three.setups[2].start().await;
    assert_eq!(status(&third, "a.mp4").await, 410);
}
