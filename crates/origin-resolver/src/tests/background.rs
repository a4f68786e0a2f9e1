//! Work that nobody waits for: its pace, its patience, its means and its keys.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use object::ObjectBody;
use tokio::time::Instant;

use super::fake::{Fake, Said, Version, guard, key, read, settings, unknown};
use crate::{
    Answer, Bandwidth, Budget, Failure, GuardedOrigin, Kept, Means, Misfit, OriginSettings, Part,
    Put, PutError, Reason, RewriteRule, SharedTurns, Unaffordable, Verdict,
};

fn place(settings: OriginSettings) -> (Arc<Fake>, Arc<GuardedOrigin>) {
    let fake = Fake::with_shelf();
    let origin = guard(settings, &fake);
    (fake, origin)
}

fn put(name: &str) -> Put {
    Put {
        key: key(name),
        length: 5,
        md5: None,
        kept: Kept::default(),
        body: ObjectBody::new(stream::iter([Ok("hello".into())])),
        if_absent: false,
    }
}

fn throttled() -> Failure {
    Failure::new(Reason::Throttled, "as the script says")
}

/// So many bytes and no more.
struct Purse(Mutex<u64>);

impl Budget for Purse {
    fn take(&self, bytes: u64) -> BoxFuture<'_, Result<(), Unaffordable>> {
        let mut left = self.0.lock().unwrap();
        let taken = if *left == 0 || *left < bytes {
            Err(Unaffordable("it is used up".into()))
        } else {
            *left -= bytes;
            Ok(())
        };
        Box::pin(async { taken })
    }

    fn give_back(&self, bytes: u64) {
        *self.0.lock().unwrap() += bytes;
    }
}

fn purse(bytes: u64) -> Means {
    Means {
        budget: Some(Arc::new(Purse(Mutex::new(bytes)))),
        ..Means::default()
    }
}

#[tokio::test(start_paused = true)]
async fn half_of_the_requests_are_left_to_viewers() {
    let (_fake, origin) = place(OriginSettings {
        max_requests_per_second: Some(10.0),
        ..settings("paced")
    });
    let began = Instant::now();
    for _ in 0..100 {
        origin.list("", None).await.unwrap();
    }
    let took = began.elapsed().as_secs_f64();
    // Five a second, and one second's worth at once.
    assert!((18.0..21.0).contains(&took), "{took}");
}

/// A place that has failed so often that it is left alone.
async fn tripped() -> (Arc<Fake>, Arc<GuardedOrigin>) {
    let (fake, origin) = place(settings("tripped"));
    fake.now_says(|_, _| unknown(Reason::ServerError));
    for _ in 0..5 {
        let _ = origin
            .fetch(&key("a"), Part::Head, None, &Means::default())
            .await;
    }
    assert!(!origin.standing().up);
    (fake, origin)
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_left_alone_gets_no_work() {
    let (fake, origin) = tripped().await;
    let asked = fake.asked();
    let Verdict::Unknown(failure) = origin
        .fetch(&key("a"), Part::Head, None, &Means::default())
        .await
    else {
        panic!("asked while it is left alone");
    };
    assert_eq!(failure.reason, Reason::Breaker);
    assert_eq!(
        origin.list("", None).await.unwrap_err().reason,
        Reason::Breaker
    );
    let error = origin.put(put("a"), &Means::default()).await.unwrap_err();
    assert!(matches!(error, PutError::Refused(_)), "{error:?}");
    assert_eq!(fake.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_to_be_stored_waits_for_an_origin_that_is_left_alone() {
    let (_fake, origin) = tripped().await;
    let means = Means {
        patience: Duration::from_secs(30),
        ..Means::default()
    };
    let stored = origin.put(put("a"), &means).await;
    assert!(stored.is_ok(), "{stored:?}");
    assert!(origin.standing().up);
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_is_busy_is_asked_again_and_stays_trusted() {
    let (fake, origin) = place(settings("busy"));
    fake.shelf().fail((0..5).map(|_| throttled()));
    let began = Instant::now();
    origin.put(put("a"), &Means::default()).await.unwrap();
    assert!(
        began.elapsed() > Duration::from_secs(5),
        "with rests between"
    );
    fake.shelf().fail((0..6).map(|_| throttled()));
    let failure = origin.list("", None).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Throttled);
    for _ in 0..6 {
        fake.shelf()
            .fail([Failure::new(Reason::Disk, "it is full")]);
        origin.put(put("b"), &Means::default()).await.unwrap_err();
    }
    assert!(origin.standing().up, "viewers may still ask");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_is_tried_again_and_a_missing_key_is_not() {
    let (fake, origin) = place(settings("flaky"));
    let version = Version::new("hello");
    fake.now_says(move |question, nth| match nth {
        0 | 1 => unknown(Reason::Throttled),
        _ => version.answer(question),
    });
    let verdict = origin
        .fetch(&key("a"), Part::Whole, None, &Means::default())
        .await;
    let Verdict::Found(reply) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(read(Answer::Found(reply)).await, b"hello");
    assert_eq!(fake.asked(), 3);
    fake.now_says(|_, _| Said::Now(Answer::Missing));
    origin
        .fetch(&key("b"), Part::Whole, None, &Means::default())
        .await;
    assert_eq!(fake.asked(), 4);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_beyond_the_budget() {
    let (fake, origin) = place(settings("metered"));
    fake.shelf().set(key("a"), b"hello");
    let means = purse(7);
    let a = key("a");
    let fetch = || origin.fetch(&a, Part::Whole, None, &means);
    let Verdict::Found(reply) = fetch().await else {
        panic!("there is enough");
    };
    drop(reply);
    let Verdict::Found(reply) = fetch().await else {
        panic!("what was not read was given back");
    };
    assert_eq!(read(Answer::Found(reply)).await, b"hello");
    for asked in [3, 4] {
        let verdict = fetch().await;
        let Verdict::Unknown(failure) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(failure.reason, Reason::Budget);
        assert_eq!(fake.asked(), asked);
    }
    let too_much = Means {
        expected_bytes: 5,
        ..means.clone()
    };
    for purse in [purse(0), too_much] {
        let verdict = origin.fetch(&key("a"), Part::Whole, None, &purse).await;
        assert!(matches!(verdict, Verdict::Unknown(_)));
        assert_eq!(fake.asked(), 4, "what cannot be paid is not even asked for");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_expected_and_did_not_come_is_given_back() {
    let (fake, origin) = place(settings("metered"));
    fake.shelf().set(key("a"), b"hello");
    let purse = Arc::new(Purse(Mutex::new(20)));
    let means = Means {
        budget: Some(Arc::clone(&purse) as Arc<dyn Budget>),
        expected_bytes: 20,
        ..Means::default()
    };
    let verdict = origin.fetch(&key("a"), Part::Whole, None, &means).await;
    let Verdict::Found(reply) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(*purse.0.lock().unwrap(), 15);
    assert_eq!(read(Answer::Found(reply)).await, b"hello");
    assert_eq!(*purse.0.lock().unwrap(), 15);
    fake.now_says(|_, _| Said::Now(Answer::Missing));
    let means = Means {
        expected_bytes: 15,
        ..means
    };
    origin.fetch(&key("a"), Part::Whole, None, &means).await;
    assert_eq!(*purse.0.lock().unwrap(), 15);
}

#[tokio::test(start_paused = true)]
async fn what_is_lent_to_another_process_is_missing_here() {
    let (fake, origin) = place(OriginSettings {
        max_requests_per_second: Some(10.0),
        ..settings("shared")
    });
    fake.shelf().set(key("a"), b"hello");
    let began = Instant::now();
    let mut lent = 0;
    while began.elapsed() < Duration::from_secs(20) {
        lent += origin.lend_turns(1000).await;
    }
    // Half of them, and half of one second's worth at once.
    assert!((100..=106).contains(&lent), "{lent}");
    let mut own = 0;
    while began.elapsed() < Duration::from_secs(40) {
        let (more, listed) = tokio::join!(origin.lend_turns(3), origin.list("", None));
        lent += more;
        own += u32::from(listed.is_ok());
    }
    assert!(own > 20, "{own}");
    assert!((200..=210).contains(&(lent + own)), "{lent} and {own}");
}

/// Counts how often it is asked, and grants one turn a second.
#[derive(Default)]
struct OneASecond(AtomicU64);

impl SharedTurns for OneASecond {
    fn turn(&self) -> BoxFuture<'_, ()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(tokio::time::sleep(Duration::from_secs(1)))
    }
}

#[tokio::test(start_paused = true)]
async fn who_works_beside_a_gateway_waits_for_its_turns_with_every_request() {
    let (fake, origin) = place(settings("beside"));
    fake.shelf().set(key("a"), b"hello");
    let turns = Arc::new(OneASecond::default());
    origin.shares_turns(Arc::clone(&turns) as Arc<dyn SharedTurns>);
    let began = Instant::now();
    origin.list("", None).await.unwrap();
    origin.put(put("b"), &Means::default()).await.unwrap();
    origin
        .fetch(&key("a"), Part::Head, None, &Means::default())
        .await;
    origin.examine(&key("a")).await;
    assert_eq!(turns.0.load(Ordering::Relaxed), 4);
    assert_eq!(began.elapsed(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn bytes_move_no_faster_than_they_may() {
    let (fake, origin) = place(settings("capped"));
    let means = Means {
        bandwidth: Some(Bandwidth::new(1)),
        ..Means::default()
    };
    let began = Instant::now();
    origin.put(put("a"), &means).await.unwrap();
    let verdict = origin.fetch(&key("a"), Part::Whole, None, &means).await;
    let Verdict::Found(reply) = verdict else {
        panic!("{verdict:?}");
    };
    let moved = AtomicU64::new(0);
    let count = |chunk: Result<bytes::Bytes, _>| {
        moved.fetch_add(chunk.unwrap().len() as u64, Ordering::Relaxed);
        std::future::ready(())
    };
    reply.body.for_each(count).await;
    assert_eq!(moved.into_inner(), 5);
    assert!(
        began.elapsed() >= Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
    assert!(fake.shelf().get(&key("a")).is_some());
}

fn rewriting() -> (Arc<Fake>, Arc<GuardedOrigin>) {
    let rule = |from: &str, to: &str| RewriteRule {
        from: from.into(),
        to: to.into(),
    };
    place(OriginSettings {
        rewrite: vec![rule("misskey/", "m/"), rule("null/", "n/")],
        ..settings("other layout")
    })
}

#[tokio::test]
async fn keys_are_the_routes_in_both_directions() {
    let (fake, origin) = rewriting();
    for name in ["misskey/a", "null/b"] {
        origin.put(put(name), &Means::default()).await.unwrap();
    }
    assert!(fake.shelf().get(&key("m/a")).is_some());
    assert!(fake.shelf().get(&key("n/b")).is_some());
    for (own, route) in [("m/a", "misskey/a"), ("n/b", "null/b"), ("x", "x")] {
        assert_eq!(origin.route_key(&key(own)), Some(key(route)), "{own}");
    }
    let erased = origin.delete(&key("misskey/a"), None).await.unwrap();
    assert_eq!(erased.versions, 1);
    assert!(fake.shelf().get(&key("m/a")).is_none());
}

async fn listed(origin: &GuardedOrigin, prefix: &str) -> (Vec<String>, Vec<(String, Misfit)>) {
    let (mut keys, mut unfit, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = origin.list(prefix, after).await.unwrap();
        keys.extend(page.entries.iter().map(|one| one.key.as_str().to_owned()));
        unfit.extend(page.unfit.iter().map(|one| (one.name.to_string(), one.why)));
        after = page.next;
        if after.is_none() {
            keys.sort();
            return (keys, unfit);
        }
    }
}

#[tokio::test]
async fn what_the_route_cannot_name_is_listed_apart() {
    let fake = Fake::with_shelf();
    let rule = RewriteRule {
        from: "misskey/".into(),
        to: "m/".into(),
    };
    let origin = guard(
        OriginSettings {
            rewrite: vec![rule],
            ..settings("other layout")
        },
        &fake,
    );
    for own in ["m/a", "m/b", "misskey/hidden", "minor", "x"] {
        fake.shelf().set(key(own), b"x");
    }
    let (keys, unfit) = listed(&origin, "").await;
    assert_eq!(keys, ["minor", "misskey/a", "misskey/b", "x"]);
    assert_eq!(unfit, [("misskey/hidden".to_owned(), Misfit::Unrouted)]);
    assert_eq!(
        listed(&origin, "mi").await.0,
        ["minor", "misskey/a", "misskey/b"]
    );
    let (keys, unfit) = listed(&origin, "misskey/").await;
    assert_eq!(keys, ["misskey/a", "misskey/b"]);
    assert!(unfit.is_empty(), "only what may be meant is looked at");
}

#[tokio::test]
async fn a_kind_that_cannot_be_written_says_so() {
    let fake = Fake::new(|_, _| Said::Now(Answer::Missing));
    let origin = guard(settings("web"), &fake);
    assert_eq!(
        origin.list("", None).await.unwrap_err().reason,
        Reason::Denied
    );
}
