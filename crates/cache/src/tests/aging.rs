//! Copies that are old, deleted, replaced, or came from an origin that is about to go.

use std::time::Duration;

use futures_util::StreamExt;
use object::{ByteRange, ObjectBody, Part};

use super::fake::{Object, Says};
use super::fixture::{Fixture, eventually, name, noise, read};
use crate::{Keep, Refused, Served, Standing};

const HOUR: Duration = Duration::from_hours(1);
const LONG: Duration = Duration::from_hours(24 * 91);

async fn holding(key: &str, object: Object) -> Fixture {
    let fixture = Fixture::new().await;
    fixture.source.has(key, object);
    fixture.get(key, Part::Whole).await.1.unwrap();
    eventually("it is kept", async || {
        let on_disk = fixture.cache.usage().entries == 1;
        on_disk && fixture.get(key, Part::Whole).await.0 == Served::Hit
    })
    .await;
    fixture.source.forget_asked();
    fixture
}

#[tokio::test]
async fn an_old_copy_is_used_while_one_question_is_asked_in_the_background() {
    let fixture = holding("a", Object::of(noise(5000, 1), "a")).await;
    fixture.pass(LONG);
    fixture.source.hold();
    for _ in 0..10 {
        assert_eq!(fixture.get("a", Part::Whole).await.0, Served::Stale);
    }
    fixture.source.release_answers(1);
    eventually("it is fresh again", async || {
        fixture.get("a", Part::Whole).await.0 == Served::Hit
    })
    .await;
    assert_eq!(fixture.source.asked(), ["open a head"]);
    let held = fixture.held("a", Part::Head).await;
    assert_eq!(held.age(), Duration::ZERO);
}

#[tokio::test]
async fn while_no_origin_can_say_a_copy_of_any_age_is_used() {
    let fixture = holding("a", Object::of(noise(5000, 1), "a")).await;
    fixture.source.set("a", Says::Unknown);
    for years in 1..5 {
        fixture.pass(LONG * 4);
        let (served, read) = fixture.get("a", Part::Whole).await;
        assert_eq!(served, Served::Stale, "{years}");
        assert!(read.unwrap() == noise(5000, 1));
    }
}

#[tokio::test]
async fn a_copy_whose_object_was_replaced_is_opened_anew() {
    let fixture = holding("a", Object::of("old", "a")).await;
    fixture.source.has("a", Object::of("new", "b"));
    fixture.pass(LONG);
    assert_eq!(fixture.get("a", Part::Whole).await.1.unwrap(), b"old");
    eventually("the new one is served", async || {
        fixture.get("a", Part::Whole).await.1.unwrap() == b"new"
    })
    .await;
}

#[tokio::test]
async fn another_origin_with_an_equal_length_keeps_the_copy() {
    let fixture = holding("a", Object::of("same", "a")).await;
    let elsewhere = Object {
        origin: "old",
        ..Object::of("same", "other-tag")
    };
    fixture.source.has("a", elsewhere);
    fixture.pass(LONG);
    let before = fixture.held("a", Part::Head).await;
    eventually("it is fresh again", async || {
        fixture.held("a", Part::Head).await.served() == Served::Hit
    })
    .await;
    let after = fixture.held("a", Part::Head).await;
    assert_eq!(after.number(), before.number());
    assert_eq!(after.etag(), before.etag());
    assert_eq!(&*after.origin(), "old");
}

#[tokio::test]
async fn a_copy_whose_object_was_deleted_is_not_found_and_comes_back_only_with_the_object() {
    let fixture = holding("a", Object::of("abc", "a")).await;
    fixture.source.set("a", Says::Missing);
    fixture.pass(LONG);
    eventually("it is missing", async || {
        name(&fixture.open("a", Part::Whole).await) == "missing"
    })
    .await;
    fixture.source.set("a", Says::Unknown);
    fixture.cache.forget_moments();
    assert_eq!(name(&fixture.open("a", Part::Whole).await), "unknown");
    fixture.source.has("a", Object::of("abd", "b"));
    eventually("it is uploaded again", async || {
        matches!(fixture.open("a", Part::Whole).await, crate::Answer::Held(_))
    })
    .await;
    assert_eq!(fixture.get("a", Part::Whole).await.1.unwrap(), b"abd");
}

#[tokio::test]
async fn a_copy_whose_origin_has_left_and_that_nobody_else_has_stays() {
    let fixture = holding("a", Object::of("abc", "a")).await;
    fixture.source.set("a", Says::Missing);
    fixture.source.stands("current", Standing::Gone);
    fixture.pass(HOUR);
    assert_eq!(fixture.get("a", Part::Whole).await.1.unwrap(), b"abc");
    eventually("it was looked for", async || {
        !fixture.source.asked().is_empty()
    })
    .await;
    eventually("it is counted", async || fixture.cache.usage().orphans == 1).await;
    for _ in 0..3 {
        fixture.pass(LONG);
        assert_eq!(fixture.get("a", Part::Whole).await.1.unwrap(), b"abc");
    }
}

#[tokio::test]
async fn what_only_a_rehearsing_origin_gave_is_looked_for_once() {
    let fixture = holding("a", Object::of("abc", "a")).await;
    fixture.source.stands("current", Standing::Rehearsal);
    for _ in 0..10 {
        assert_eq!(fixture.get("a", Part::Whole).await.0, Served::Hit);
    }
    eventually("it was looked for", async || {
        !fixture.source.asked().is_empty()
    })
    .await;
    assert_eq!(fixture.source.asked(), ["open a head"]);
}

#[tokio::test]
async fn what_was_made_private_leaves_the_cache() {
    let fixture = holding("a", Object::of("abc", "a")).await;
    fixture.source.set("a", Says::Withheld);
    fixture.pass(LONG);
    eventually("it is withheld", async || {
        name(&fixture.open("a", Part::Whole).await) == "withheld"
    })
    .await;
}

#[tokio::test]
async fn a_deleted_copy_whose_origin_has_left_is_no_orphan() {
    for was_orphan in [false, true] {
        let fixture = holding("a", Object::of("abc", "a")).await;
        fixture.source.stands("current", Standing::Gone);
        if was_orphan {
            fixture.source.set("a", Says::Missing);
            fixture.get("a", Part::Whole).await.1.unwrap();
            eventually("it is counted", async || fixture.cache.usage().orphans == 1).await;
        }
        fixture.source.set("a", Says::Deleted);
        fixture.pass(LONG);
        eventually("it is missing", async || {
            name(&fixture.open("a", Part::Whole).await) == "missing"
        })
        .await;
        eventually("it is no orphan", async || {
            fixture.cache.usage().orphans == 0
        })
        .await;
    }
}

#[tokio::test]
async fn a_copy_that_was_withdrawn_is_cut_and_comes_back_only_with_the_object() {
    let fixture = holding("a", Object::of(noise(5000, 1), "a")).await;
    let mut held = fixture.held("a", Part::Whole).await;
    let running = held
        .begin(ByteRange::whole(5000), Part::Whole)
        .await
        .unwrap();
    fixture.source.set("a", Says::Withdrawn);
    fixture.pass(LONG);
    eventually("it is withdrawn", async || {
        name(&fixture.open("a", Part::Whole).await) == "withdrawn"
    })
    .await;
    assert!(read(running).await.is_err());
    eventually("it has left the disk", async || {
        fixture.cache.usage().entries == 0
    })
    .await;
    fixture.source.set("a", Says::Unknown);
    fixture.cache.forget_moments();
    assert_eq!(name(&fixture.open("a", Part::Whole).await), "unknown");
    fixture.source.has("a", Object::of("abd", "b"));
    eventually("it is uploaded again", async || {
        matches!(fixture.open("a", Part::Whole).await, crate::Answer::Held(_))
    })
    .await;
}

#[tokio::test]
async fn what_is_withdrawn_is_remembered_for_moments_like_what_is_missing() {
    let fixture = Fixture::new().await;
    fixture.source.set("a", Says::Withdrawn);
    for _ in 0..10 {
        assert_eq!(name(&fixture.open("a", Part::Whole).await), "withdrawn");
    }
    assert_eq!(fixture.source.asked().len(), 1);
}

const MIB: usize = 1024 * 1024;

/// A response of which the first bytes have been read when another version takes the place of
/// its own, and its place on the disk too.
async fn replaced_meanwhile(memory_bytes: u64, keep: Keep, length: usize) -> (Fixture, ObjectBody) {
    let fixture = Fixture::with(|settings| settings.memory_bytes = memory_bytes).await;
    let object = |seed, tag| Object {
        keep,
        ..Object::of(noise(length, seed), tag)
    };
    fixture.source.has("a", object(1, "a"));
    let is_kept = async |files| {
        let usage = fixture.cache.usage();
        let on_disk = keep == Keep::Memory || (usage.entries, usage.files) == (1, files);
        on_disk && fixture.get("a", Part::Whole).await.0 == Served::Hit
    };
    let files = length.div_ceil(MIB) as u64;
    fixture.get("a", Part::Whole).await.1.unwrap();
    eventually("it is kept", async || is_kept(files).await).await;
    let mut held = fixture.held("a", Part::Whole).await;
    let whole = ByteRange::whole(held.total());
    let mut body = held.begin(whole, Part::Whole).await.unwrap();
    body.next().await.unwrap().unwrap();
    fixture.source.has("a", object(2, "b"));
    fixture.pass(LONG);
    eventually("the new one is served", async || {
        fixture.get("a", Part::Whole).await.1.unwrap() == noise(length, 2)
    })
    .await;
    // Its row has taken the place of the old one's, and the files of both are there.
    eventually("it is kept", async || is_kept(2 * files).await).await;
    fixture.source.forget_asked();
    (fixture, body)
}

#[tokio::test]
async fn a_response_whose_version_is_replaced_meanwhile_ends_with_the_bytes_it_began_with() {
    let much = 256 * MIB as u64;
    for (memory_bytes, keep, length) in [
        (0, Keep::Disk, 3 * MIB),
        (0, Keep::Disk, 500_000),
        (much, Keep::Disk, 3 * MIB),
        (much, Keep::Memory, 3 * MIB),
        (much, Keep::Memory, 500_000),
    ] {
        let (fixture, body) = replaced_meanwhile(memory_bytes, keep, length).await;
        let rest = read(body).await.unwrap();
        assert!(noise(length, 1).ends_with(&rest) && rest.len() + MIB >= length);
        assert_eq!(fixture.source.asked(), Vec::<String>::new());
        if keep == Keep::Disk {
            eventually(
                "the old one goes when nobody reads it any more",
                async || fixture.cache.usage().files == length.div_ceil(MIB) as u64,
            )
            .await;
        }
    }
}

#[tokio::test]
async fn a_response_whose_version_was_replaced_is_cut_by_an_erasure_all_the_same() {
    for length in [3 * MIB, 500_000] {
        let (fixture, mut body) = replaced_meanwhile(0, Keep::Disk, length).await;
        fixture.erase("a").await;
        assert!(body.next().await.unwrap().is_err());
    }
}

#[tokio::test]
async fn a_response_that_has_not_begun_is_of_the_new_version() {
    let (fixture, _) = replaced_meanwhile(0, Keep::Disk, 3 * MIB).await;
    let mut held = fixture.held("a", Part::Whole).await;
    fixture.source.has("a", Object::of(noise(3 * MIB, 3), "c"));
    fixture.pass(LONG);
    eventually("the new one is served", async || {
        fixture.get("a", Part::Whole).await.1.unwrap() == noise(3 * MIB, 3)
    })
    .await;
    let begun = held
        .begin(ByteRange::whole(held.total()), Part::Whole)
        .await;
    assert_eq!(begun.err(), Some(Refused::Changed));
}
