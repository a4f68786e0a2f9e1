//! What is counted of the cache, under exactly the contract's names.

use test_servers::faulty::{Fault, On};

use super::client::{get, range};
use super::harness::{MIB, before, holding, metric, metric_is, noise};

#[tokio::test]
async fn every_name_of_the_cache_is_there_and_moves() {
    let film = noise(1, 2 * MIB);
    let origin = holding(&[("a.mp4", &film), ("b.mp4", b"b"), ("c.mp4", &film)]).await;
    let setup = before(&origin).cache("found = \"1s\"");
    let gateway = setup.start().await;
    let text = gateway.operators("/metrics").await.text();
    for sample in [
        "cache_up",
        "cache_bytes{tier=\"memory\"}",
        "cache_bytes{tier=\"disk\"}",
        "cache_entries",
        "cache_hits_total{tier=\"memory\"}",
        "cache_hits_total{tier=\"disk\"}",
        "cache_evicted_total{reason=\"size\"}",
        "cache_evicted_total{reason=\"free\"}",
        "cache_evicted_total{reason=\"inactive\"}",
        "cache_evicted_total{reason=\"replaced\"}",
        "cache_errors_total{kind=\"read\"}",
        "cache_errors_total{kind=\"corrupt\"}",
        "fills_in_progress",
        "fill_followers_total",
        "resumed_bodies_total",
        "orphans",
        "stale_served_total{route=\"media\"}",
    ] {
        let line = format!("media_gateway_{sample} ");
        assert!(
            text.lines().any(|had| had.starts_with(&line)),
            "{sample}: {text}"
        );
    }
    assert_eq!(metric(&gateway, "cache_up").await, 1);
    for path in ["/a.mp4", "/b.mp4", "/a.mp4"] {
        assert_eq!(get(&gateway, path).await.status, 200);
    }
    metric_is(&gateway, "cache_entries", |entries| entries == 2).await;
    for tier in ["disk", "memory"] {
        let held = format!("cache_bytes{{tier=\"{tier}\"}}");
        metric_is(&gateway, &held, |bytes| bytes >= film.len() as u64).await;
    }
    assert_eq!(
        metric(&gateway, "cache_hits_total{tier=\"memory\"}").await,
        1
    );
    let answered = |cache: &str, status: u16| {
        format!(
            "requests_total{{cache=\"{cache}\",method=\"GET\",route=\"media\",status=\"{status}\"}}"
        )
    };
    metric_is(&gateway, &answered("miss", 200), |count| count == 2).await;
    metric_is(&gateway, &answered("hit", 200), |count| count == 1).await;
    let bytes = "response_bytes_total{cache=\"hit\",route=\"media\"}";
    assert_eq!(metric(&gateway, bytes).await, film.len() as u64);
    // A body that breaks is continued, and nobody notices but this counter.
    origin.fault(On::key("c.mp4").nth(1), Fault::CutAfter(MIB));
    assert!(get(&gateway, "/c.mp4").await.is(200, &film));
    assert_eq!(metric(&gateway, "resumed_bodies_total").await, 1);
    let said = setup.run(&["purge", "b.mp4"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let replaced = "cache_evicted_total{reason=\"replaced\"}";
    metric_is(&gateway, replaced, |count| count >= 1).await;
    metric_is(&gateway, "cache_entries", |entries| entries == 2).await;
    gateway.stopped().await;
    let gateway = setup.start().await;
    let asked = range(&gateway, "/a.mp4", "bytes=0-9").await;
    assert_eq!(asked.status, 206);
    assert_eq!(metric(&gateway, "cache_hits_total{tier=\"disk\"}").await, 1);
}
