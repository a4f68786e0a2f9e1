//! What is read of an origin for what a client takes: not much more.

use std::time::Duration;

use test_servers::faulty::{Fault, On};

use super::client::range;
use super::harness::{MIB, before, holding, metric_is, noise};

const SIZE: usize = 24 * MIB;

#[tokio::test]
async fn a_small_range_reads_no_more_than_two_slices() {
    let bytes = noise(1, SIZE);
    for (asked, from, length) in [
        ("bytes=0-99", 0, 100),
        ("bytes=10485700-10485799", 10_485_700, 100),
        ("bytes=5000000-5999999", 5_000_000, 1_000_000),
        ("bytes=-100", SIZE - 100, 100),
    ] {
        let origin = holding(&[("a.mp4", &bytes)]).await;
        let gateway = before(&origin).start().await;
        let told = range(&gateway, "/a.mp4", asked).await;
        assert!(told.is(206, &bytes[from..from + length]), "{asked}");
        metric_is(&gateway, "fills_in_progress", |fills| fills == 0).await;
        let sent = origin.body_bytes_sent();
        println!("{asked}: {sent} bytes of the origin for {length}");
        assert!(sent <= (length + 2 * MIB) as u64, "{asked}: {sent}");
        let again = range(&gateway, "/a.mp4", asked).await;
        assert_eq!(again.label(), "HIT", "{asked}");
        assert_eq!(origin.body_bytes_sent(), sent, "{asked}");
    }
}

#[tokio::test]
async fn a_player_that_leaves_costs_little_more_than_it_took() {
    let bytes = noise(2, SIZE);
    for header in [Some("bytes=0-"), None] {
        let origin = holding(&[("a.mp4", &bytes)]).await;
        // About 50 MiB a second, so that there is a rest to be spared.
        let drip = Fault::Drip {
            bytes: MIB / 4,
            every: Duration::from_millis(5),
        };
        origin.fault(On::any(), drip);
        let gateway = before(&origin).start().await;
        let mut request = gateway.client().get(gateway.url("/a.mp4"));
        if let Some(range) = header {
            request = request.header("Range", range);
        }
        let mut response = request.send().await.unwrap();
        let mut took = 0;
        while took < 2 * MIB {
            took += response.chunk().await.unwrap().unwrap().len();
        }
        drop(response);
        metric_is(&gateway, "fills_in_progress", |fills| fills == 0).await;
        let sent = origin.body_bytes_sent();
        println!("{header:?}: {sent} bytes of the origin for {took}");
        assert!(sent < (2 * took + 8 * MIB) as u64, "{header:?}: {sent}");
    }
}
