//! An origin rehearses its retirement: what only it could give is counted, kept and listed.

use serde_json::Value;
use test_servers::faulty::{Fault, Faulty, On};
use tokio::time::{Instant, sleep};

use super::client::{get, get_once_up};
use super::harness::{Gateway, PATIENCE, Setup, bucket, film, holding, keeping, metric, route};

const MISSING: &str = "rehearsal_saves_total{origin=\"old\",reason=\"missing\"}";
const TOKEN: &str = "a-token-of-a-test";

fn rehearsing(current: &Faulty, old: &Faulty, state: &str) -> String {
    let state = format!("state = \"{state}\"\n");
    bucket("current", current) + &bucket("old", old) + &state + &route(&["current", "old"])
}

fn setup(current: &Faulty, old: &Faulty) -> Setup {
    keeping(rehearsing(current, old, "rehearsal")).admin(&format!("token = \"{TOKEN}\""))
}

async fn listed(gateway: &Gateway) -> Value {
    let answer = gateway.operators("/api/rehearsal").await;
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

/// Returns once so many keys are written down.
async fn listed_once(gateway: &Gateway, keys: u64) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = listed(gateway).await;
        if list[0]["keys"] == keys {
            return list;
        }
        assert!(Instant::now() < deadline, "{list}");
        sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_only_a_rehearsing_origin_could_give_is_listed_by_reason_over_restarts() {
    let current = holding(&[("both.mp4", b"both"), ("down.mp4", b"down")]).await;
    let old = holding(&[
        ("both.mp4", b"both"),
        ("down.mp4", b"down"),
        ("a.mp4", b"a"),
    ])
    .await;
    current.fault(On::key("down.mp4"), Fault::s3(500, "InternalError"));
    let setup = setup(&current, &old);
    let gateway = setup.start().await;
    for path in ["/both.mp4", "/down.mp4", "/a.mp4"] {
        assert_eq!(get(&gateway, path).await.status, 200, "{path}");
    }
    let list = listed_once(&gateway, 2).await;
    let saves = list[0]["saves"].as_array().unwrap();
    let told: Vec<_> = saves
        .iter()
        .map(|save| {
            (
                save["key"].as_str().unwrap(),
                save["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [("a.mp4", "missing"), ("down.mp4", "unknown")],
        "{list}"
    );
    assert_eq!(metric(&gateway, MISSING).await, 1);
    gateway.stopped().await;

    let gateway = setup.start().await;
    assert_eq!(listed(&gateway).await, list);
    let url = format!("http://{}/api/rehearsal?origin=old", gateway.admin());
    let refused = gateway.client().delete(&url).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let begun = gateway.client().delete(&url).bearer_auth(TOKEN);
    assert_eq!(begun.send().await.unwrap().status(), 200);
    assert_eq!(listed(&gateway).await, Value::Array(Vec::new()));
}

#[tokio::test]
async fn what_the_application_has_deleted_is_no_loss_and_what_it_deletes_later_is_said() {
    let films: [(&str, &[u8]); 3] = [
        ("kept.mp4", b"k"),
        ("deleted.mp4", b"d"),
        ("late.mp4", b"l"),
    ];
    let (current, old) = (holding(&films).await, holding(&films).await);
    let setup = setup(&current, &old);
    let gateway = setup.start().await;
    for path in ["/kept.mp4", "/deleted.mp4"] {
        assert!(get(&gateway, path).await.status == 200);
    }
    current.remove("deleted.mp4");
    current.remove("late.mp4");
    let purged = setup.run(&["purge", "--all", "--yes"]).await;
    assert!(purged.status.success(), "{purged:?}");
    for path in ["/deleted.mp4", "/late.mp4"] {
        assert_eq!(get(&gateway, path).await.status, 200, "{path}");
    }
    let list = listed_once(&gateway, 1).await;
    assert_eq!(list[0]["saves"][0]["key"], "late.mp4", "{list}");
    assert_eq!(list[0]["saves"][0]["gone"], Value::Null, "{list}");
    assert_eq!(metric(&gateway, MISSING).await, 1);
    let withdrawn = MISSING.replace("missing", "withdrawn");
    assert_eq!(metric(&gateway, &withdrawn).await, 1);
    let gone = setup.run(&["tombstone", "add", "late.mp4"]).await;
    assert!(gone.status.success(), "{gone:?}");
    let list = listed(&gateway).await;
    assert_eq!(list[0]["saves"][0]["gone"], true, "{list}");
}

#[tokio::test]
async fn a_copy_does_not_hide_the_hole_behind_it() {
    let (current, old) = (holding(&[]).await, holding(&[]).await);
    current.put("there.mp4", film(b"there"));
    old.put("a.mp4", film(b"only here"));
    // It was kept while the old bucket was still asked in its turn.
    let before = keeping(rehearsing(&current, &old, "active"));
    let gateway = before.start().await;
    assert!(get(&gateway, "/a.mp4").await.is(200, b"only here"));
    gateway.stopped().await;
    assert_eq!(old.requests_for("a.mp4").len(), 1);

    let after = before.with_others(rehearsing(&current, &old, "rehearsal"));
    let gateway = after.start().await;
    let told = get_once_up(&gateway, "/a.mp4").await;
    assert!(
        told.is(200, b"only here") && told.label() == "HIT",
        "{}",
        told.summary()
    );
    let list = listed_once(&gateway, 1).await;
    assert_eq!(list[0]["saves"][0]["reason"], "missing", "{list}");
    assert_eq!(get(&gateway, "/a.mp4").await.label(), "HIT");
    assert_eq!(metric(&gateway, MISSING).await, 1, "counted once");
}
