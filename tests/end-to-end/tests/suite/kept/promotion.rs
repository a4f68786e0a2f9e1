//! Objects that are served from elsewhere are copied to `promote_to`, and nothing is that should
//! not be.

use std::time::Duration;

use test_servers::faulty::{Fault, Faulty, Gate, On};

use super::client::{Told, get, get_until, head};
use super::harness::{Gateway, MIB, Setup, bucket, film, keeping, metric, metric_is, noise, route};

const KEYS: &str = "access_key_id = \"writer\"\nsecret_access_key = \"of-a-test\"\n";

/// A new bucket in front of the one that has everything.
struct Buckets {
    new: Faulty,
    old: Faulty,
}

impl Buckets {
    async fn start() -> Self {
        let (new, old) = (Faulty::start().await, Faulty::start().await);
        new.writable(true);
        // Somebody is known to be there, so that its missing counts.
        new.put("there.mp4", film(b"there"));
        Self { new, old }
    }

    fn promoting(&self, of_new: &str, of_old: &str, of_route: &str) -> Setup {
        let new = bucket("new", &self.new) + KEYS + of_new;
        let old = bucket("old", &self.old) + of_old;
        let lines = "promote_to = \"new\"\n".to_owned() + of_route;
        keeping(new + &old + &route(&["new", "old"]) + &lines)
    }

    fn plain(&self) -> Setup {
        self.promoting("read = \"anonymous\"\n", "", "uploads_to = \"old\"\n")
    }
}

async fn promoted(gateway: &Gateway, result: &str, count: u64) {
    let sample = format!("promotions_total{{origin=\"new\",result=\"{result}\"}}");
    metric_is(gateway, &sample, |now| now == count).await;
}

/// A look at an object costs one byte, and there are two for each copy.
fn assert_read_once(origin: &Faulty, bytes: usize) {
    let read = origin.body_bytes_sent();
    let looks = origin.counts().requests as u64;
    assert!(read <= bytes as u64 + looks, "{read} of {bytes} bytes");
}

fn same_headers(before: &Told, after: &Told) {
    for name in [
        "etag",
        "last-modified",
        "content-type",
        "content-length",
        "content-disposition",
    ] {
        assert_eq!(before.header(name), after.header(name), "{name}");
    }
}

#[tokio::test]
async fn what_is_served_from_the_old_bucket_is_copied_once_and_outlives_it() {
    let buckets = Buckets::start().await;
    let films = [
        ("small.mp4", 3000),
        ("写真 1+2.mp4", 1),
        ("large.mp4", 5 * MIB + 7),
    ];
    for (seed, (key, length)) in films.iter().enumerate() {
        let object = film(&noise(seed as u64, *length))
            .header("content-disposition", "inline; filename=\"a.mp4\"")
            .header("cache-control", "max-age=31536000, immutable")
            .header("x-amz-meta-note", "kept");
        buckets.old.put(key, object);
    }
    let setup = buckets.plain();
    let gateway = setup.start().await;
    let paths = [
        "/small.mp4",
        "/%E5%86%99%E7%9C%9F%201%2B2.mp4",
        "/large.mp4",
    ];
    let mut before = Vec::new();
    for path in paths {
        before.push(get(&gateway, path).await);
    }
    promoted(&gateway, "copied", 3).await;
    let read: usize = films.iter().map(|(_, length)| length).sum();
    assert_read_once(&buckets.old, read);
    for (key, _) in films {
        let (old, new) = (buckets.old.object(key), buckets.new.object(key));
        let (old, new) = (old.unwrap(), new.unwrap());
        assert_eq!(old.bytes(), new.bytes(), "{key}");
        for name in [
            "content-type",
            "content-disposition",
            "cache-control",
            "x-amz-meta-note",
        ] {
            assert_eq!(old.stored(name), new.stored(name), "{key}: {name}");
        }
    }
    // A copy that was made is found at once, and no copy of it is made again.
    assert_eq!(get(&gateway, paths[0]).await.header("x-origin"), "new");
    gateway.stopped().await;

    buckets.old.stop().await;
    let said = setup.run(&["purge", "--all", "--yes"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let gateway = setup.start().await;
    for (path, before) in paths.iter().zip(&before) {
        let after = get(&gateway, path).await;
        assert_eq!((after.status, &after.body), (200, &before.body), "{path}");
        assert_eq!(after.header("x-origin"), "new");
        same_headers(before, &after);
    }
}

#[tokio::test]
async fn a_part_that_was_watched_is_not_read_again_for_the_copy() {
    let buckets = Buckets::start().await;
    let bytes = noise(9, 6 * MIB);
    buckets.old.put("a.mp4", film(&bytes));
    let gateway = buckets.plain().start().await;
    let part = super::client::range(&gateway, "/a.mp4", "bytes=0-1999999").await;
    assert!(part.is(206, &bytes[..2_000_000]), "{}", part.summary());
    promoted(&gateway, "copied", 1).await;
    assert_eq!(buckets.new.object("a.mp4").unwrap().bytes(), &bytes[..]);
    assert_read_once(&buckets.old, bytes.len());
}

#[tokio::test]
async fn heads_and_what_is_there_already_copy_nothing() {
    let buckets = Buckets::start().await;
    buckets.old.put("a.mp4", film(b"from the old one"));
    buckets.old.put("b.mp4", film(b"longer in the old one"));
    buckets
        .new
        .fault(On::key("b.mp4").first(1), Fault::s3(503, "SlowDown"));
    buckets.new.put("b.mp4", film(b"newer"));
    let gateway = buckets.plain().start().await;
    assert_eq!(head(&gateway, "/a.mp4").await.status, 200);
    // The new one did not answer, so the old one did.
    assert!(
        get(&gateway, "/b.mp4")
            .await
            .is(200, b"longer in the old one")
    );
    promoted(&gateway, "differs", 1).await;
    assert_eq!(&buckets.new.object("b.mp4").unwrap().bytes()[..], b"newer");
    assert!(buckets.new.object("a.mp4").is_none());
}

#[tokio::test]
async fn deleted_keys_are_never_copied() {
    let buckets = Buckets::start().await;
    for key in ["buried.mp4", "late.mp4", "withdrawn.mp4"] {
        buckets.old.put(key, film(b"deleted"));
    }
    // The application writes to the new bucket, and has deleted one there.
    buckets.new.put("withdrawn.mp4", film(b"deleted"));
    let setup = buckets.promoting("read = \"anonymous\"\n", "", "uploads_to = \"new\"\n");
    let gateway = setup.start().await;
    assert_eq!(
        get(&gateway, "/withdrawn.mp4").await.header("x-origin"),
        "new"
    );
    buckets.new.remove("withdrawn.mp4");
    let said = setup.run(&["purge", "--all", "--yes"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let told = get_until(&gateway, "/withdrawn.mp4", |told| {
        told.header("x-origin") == "old"
    })
    .await;
    assert!(told.is(200, b"deleted"), "held: {}", told.summary());
    promoted(&gateway, "deleted", 1).await;

    // A tombstone that comes while the copy is being written takes the copy back.
    let gate = Gate::new();
    let writes = On::key("late.mp4").and(|request| request.method == "PUT");
    buckets.new.fault(writes, Fault::Hold(gate.clone()));
    assert!(get(&gateway, "/late.mp4").await.is(200, b"deleted"));
    buckets
        .new
        .wait_until("it is being written", |counts| counts.requests > 0)
        .await;
    let seen = |requests: Vec<test_servers::faulty::Request>| {
        requests.iter().any(|request| request.method == "PUT")
    };
    while !seen(buckets.new.requests_for("late.mp4")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for key in ["late.mp4", "buried.mp4"] {
        let said = setup.run(&["tombstone", "add", key]).await;
        assert_eq!(said.status.code(), Some(0), "{said:?}");
    }
    gate.open();
    promoted(&gateway, "deleted", 2).await;
    assert_eq!(get(&gateway, "/buried.mp4").await.status, 410);
    for key in ["buried.mp4", "late.mp4", "withdrawn.mp4"] {
        assert!(buckets.new.object(key).is_none(), "{key}");
    }
}

#[tokio::test]
async fn a_copy_that_viewers_could_not_read_is_removed_and_said() {
    let buckets = Buckets::start().await;
    buckets.old.put("a.mp4", film(b"of the old one"));
    // Strangers get nothing of what is written without an ACL.
    let reads = |request: &test_servers::faulty::Request| {
        matches!(&*request.method, "GET" | "HEAD") && !request.is_signed()
    };
    buckets
        .new
        .fault(On::key("a.mp4").and(reads).after(2), Fault::access_denied());
    let gateway = buckets.plain().start().await;
    assert!(get(&gateway, "/a.mp4").await.is(200, b"of the old one"));
    let sample = "promotions_total{origin=\"new\",result=\"copied\"}";
    promoted(&gateway, "unreadable", 1).await;
    assert_eq!(metric(&gateway, sample).await, 0);
    assert!(buckets.new.object("a.mp4").is_none(), "the copy was left");
    assert!(gateway.log().contains("set write_acl"), "{}", gateway.log());
}

#[tokio::test]
async fn what_a_copy_reads_is_taken_from_the_budget_once() {
    let buckets = Buckets::start().await;
    let bytes = noise(3, 3 * MIB);
    buckets.old.put("a.mp4", film(&bytes));
    let setup = buckets.promoting(
        "read = \"anonymous\"\n",
        "max_egress = \"100 MiB/month\"\n",
        "uploads_to = \"old\"\n",
    );
    let gateway = setup.start().await;
    // One slice for the viewer, the two others for the copy.
    let part = super::client::range(&gateway, "/a.mp4", "bytes=0-99").await;
    assert!(part.is(206, &bytes[..100]), "{}", part.summary());
    promoted(&gateway, "copied", 1).await;
    assert_eq!(
        metric(&gateway, "egress_budget_bytes{origin=\"old\"}").await,
        97 * MIB as u64
    );
}

#[tokio::test]
async fn a_budget_that_is_used_up_stops_copies_and_no_viewer_also_after_a_restart() {
    let buckets = Buckets::start().await;
    let bytes = noise(3, 3 * MIB);
    for key in ["a.mp4", "b.mp4"] {
        buckets.old.put(key, film(&bytes));
    }
    let setup = buckets.promoting(
        "read = \"anonymous\"\n",
        "max_egress = \"1 MB/month\"\n",
        "uploads_to = \"old\"\n",
    );
    let gateway = setup.start().await;
    // One slice for the viewer, which is more than there is; the rest would be for the copy.
    let part = super::client::range(&gateway, "/a.mp4", "bytes=0-99").await;
    assert!(part.is(206, &bytes[..100]), "{}", part.summary());
    promoted(&gateway, "budget", 1).await;
    assert_eq!(
        metric(&gateway, "egress_budget_bytes{origin=\"old\"}").await,
        0
    );
    gateway.stopped().await;
    let gateway = setup.start().await;
    assert_eq!(
        metric(&gateway, "egress_budget_bytes{origin=\"old\"}").await,
        0
    );
    assert!(
        get(&gateway, "/b.mp4").await.is(200, &bytes),
        "viewers go on"
    );
    // All of it is held, so the copy costs nothing.
    promoted(&gateway, "copied", 1).await;
    assert_eq!(buckets.new.object("b.mp4").unwrap().bytes(), &bytes[..]);
}
