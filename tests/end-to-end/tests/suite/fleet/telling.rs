//! What is done on one gateway holds on all, and is said truthfully.

use test_servers::faulty::Faulty;

use super::harness::{KEYS, PASSWORD, Three, metric, said, status, until};
use crate::process::harness::Gateway;

/// Which keys the origin is asked for when a gateway is asked for all.
async fn dropped(gateway: &Gateway, origin: &Faulty) -> Vec<String> {
    let before = origin.requests().len();
    for key in KEYS {
        assert_eq!(status(gateway, key).await, 200, "{key}");
    }
    let asked = &origin.requests()[before..];
    let key = |request: &test_servers::faulty::Request| request.key().unwrap();
    let mut keys: Vec<_> = asked.iter().map(key).collect();
    keys.sort();
    let text = |key| String::from_utf8(key).unwrap();
    keys.into_iter().map(text).collect()
}

#[tokio::test]
async fn a_purge_on_one_gateway_is_done_on_all_when_the_command_returns() {
    let three = Three::new().await;
    let gateways = three.start().await;
    for gateway in &gateways {
        dropped(gateway, &three.origin).await;
        assert_eq!(dropped(gateway, &three.origin).await.len(), 0);
    }
    for (arguments, keys) in [
        (vec!["purge", "/a.mp4"], vec!["a.mp4"]),
        (vec!["purge", "--prefix", "x/"], vec!["x/1.mp4", "x/2.mp4"]),
        (vec!["purge", "--all", "--yes"], KEYS.to_vec()),
    ] {
        let output = three.setups[0].run(&arguments).await;
        let told = said(&output, 0);
        for name in ["redis", "two", "three"] {
            assert!(told.contains(&format!("fleet: {name}: done")), "{told}");
        }
        for gateway in &gateways {
            assert_eq!(dropped(gateway, &three.origin).await, keys, "{arguments:?}");
        }
    }
    assert_eq!(
        metric(&gateways[1], "media_gateway_fleet_up").await,
        Some(1.0)
    );
}

#[tokio::test]
async fn a_tombstone_on_one_gateway_holds_on_all_when_the_command_returns_and_so_does_its_removal()
{
    let three = Three::new().await;
    let gateways = three.start().await;
    for gateway in &gateways {
        assert_eq!(status(gateway, "a.mp4").await, 200);
    }
    for (at, word, code) in [(1, "add", 410), (2, "remove", 200), (0, "add", 410)] {
        let output = three.setups[at].run(&["tombstone", word, "a.mp4"]).await;
        let told = said(&output, 0);
        assert_eq!(told.matches("done").count(), 3, "{told}");
        for gateway in &gateways {
            assert_eq!(status(gateway, "a.mp4").await, code, "{word}");
            assert_eq!(status(gateway, "b.mp4").await, 200);
        }
    }
}

#[tokio::test]
async fn more_tombstones_than_are_told_one_by_one_reach_all() {
    let three = Three::new().await;
    let gateways = three.start().await;
    let list = three.setups[0].path("list");
    let keys: Vec<_> = (0..3000).map(|n| format!("many/{n}.mp4")).collect();
    std::fs::write(&list, keys.join("\n")).unwrap();
    let arguments = ["tombstone", "add", "--from", list.to_str().unwrap()];
    // A busy machine may need more than a second for so many, which is said then.
    three.setups[0].run(&arguments).await;
    for gateway in &gateways {
        until("the last one is gone", async || {
            status(gateway, "many/2999.mp4").await == 410
        })
        .await;
    }
}

#[tokio::test]
async fn a_gateway_that_was_killed_is_named_and_one_that_stopped_is_not_waited_for() {
    let three = Three::new().await;
    let mut gateways = three.start().await;
    drop(gateways.pop());
    until("it has been away for long enough", async || {
        let output = three.setups[0].run(&["tombstone", "add", "b.mp4"]).await;
        let told = said(&output, 1);
        assert!(told.contains("fleet: two: done"), "{told}");
        told.contains("fleet: three: left: not seen for")
    })
    .await;
    let again = three.setups[2].start().await;
    until("it catches up", async || {
        status(&again, "b.mp4").await == 410
    })
    .await;
    again.stopped().await;
    let output = three.setups[0].run(&["tombstone", "add", "c.mp4"]).await;
    let told = said(&output, 0);
    assert!(!told.contains("three"), "{told}");
}

#[tokio::test]
async fn the_password_of_redis_is_never_told() {
    let three = Three::new().await;
    let gateways = three.start().await;
    three.setups[0].run(&["tombstone", "add", "a.mp4"]).await;
    let check = three.setups[0].run(&["check"]).await;
    let mut all = format!("{check:?}");
    for gateway in gateways {
        all += &gateway.operators("/api/status").await.text();
        all += &gateway.operators("/metrics").await.text();
        all += &gateway.stopped().await;
    }
    assert!(all.contains("its fleet know the same"));
    assert!(!all.contains(PASSWORD));
}
