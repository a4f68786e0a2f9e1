//! One walk for all who want an object; what is held is not asked for again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use object::{ByteRange, Part, RangeRequest};

use super::fake::{Object, PIECE, Says};
use super::fixture::{Fixture, eventually, name, noise, range, read};
use crate::slice::Slice;
use crate::{Answer, CHUNK_BYTES, Keep, Refused, Served};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn what_was_brought_once_is_not_asked_for_again() {
    let fixture = Fixture::new().await;
    for (key, length) in [("small", 20_000), ("slice", MIB), ("large", 5 * MIB + 7)] {
        let bytes = noise(length, 1);
        fixture.source.has(key, Object::of(bytes.clone(), "a"));
        let (served, read) = fixture.get(key, Part::Whole).await;
        assert_eq!(served, Served::Miss, "{key}");
        assert!(read.unwrap() == bytes, "{key}");
        fixture.source.forget_asked();
        eventually("it is kept", async || {
            fixture.get(key, Part::Whole).await.0 == Served::Hit
        })
        .await;
        let (_, read) = fixture.get(key, Part::Whole).await;
        assert!(read.unwrap() == bytes, "{key}");
        assert_eq!(fixture.source.asked(), [""; 0], "{key}");
    }
}

#[tokio::test]
async fn a_thousand_who_want_a_cold_object_make_one_request() {
    let fixture = Fixture::new().await;
    let bytes = noise(3 * MIB + 5, 2);
    fixture.source.has("a", Object::of(bytes.clone(), "a"));
    let all = join_all((0..1000).map(|_| fixture.get("a", Part::Whole))).await;
    assert!(all.into_iter().all(|(_, read)| read.unwrap() == bytes));
    assert_eq!(
        fixture.source.asked().len(),
        1,
        "{:?}",
        fixture.source.asked()
    );
}

#[tokio::test]
async fn who_joins_in_the_middle_of_a_download_makes_no_second_one() {
    let fixture = Fixture::new().await;
    let bytes = noise(3 * MIB, 3);
    fixture.source.has("a", Object::of(bytes.clone(), "a"));
    fixture.source.hold();
    fixture.source.release_answers(1);
    fixture.source.release_pieces(30);
    let mut held = fixture.held("a", Part::Whole).await;
    let whole = ByteRange::whole(held.total());
    let mut first = held.begin(whole, Part::Whole).await.unwrap();
    let mut seen = 0;
    while seen < 20 * PIECE {
        seen += first.next().await.unwrap().unwrap().len();
    }
    let late = fixture.get("a", Part::Whole);
    let tail = fixture.get("a", range(2 * MIB as u64 + 1, 2 * MIB as u64 + 9));
    let goes_on = async {
        fixture.source.release_pieces(1000);
        read(first).await
    };
    let (late, tail, rest) = tokio::join!(late, tail, goes_on);
    assert!(late.1.unwrap() == bytes);
    assert_eq!(tail.1.unwrap(), &bytes[2 * MIB + 1..2 * MIB + 10]);
    assert!(rest.unwrap() == bytes[seen..]);
    assert_eq!(
        fixture.source.asked().len(),
        1,
        "{:?}",
        fixture.source.asked()
    );
}

#[tokio::test]
async fn a_leader_that_goes_away_holds_up_nobody() {
    let fixture = Arc::new(Fixture::new().await);
    let bytes = noise(2 * MIB, 4);
    fixture.source.has("a", Object::of(bytes.clone(), "a"));
    fixture.source.hold();
    let mut leader = Box::pin(fixture.open("a", Part::Whole));
    assert!(futures_util::poll!(&mut leader).is_pending());
    let mut follower = Box::pin(fixture.get("a", Part::Whole));
    assert!(futures_util::poll!(&mut follower).is_pending());
    drop(leader);
    fixture.source.release_answers(1);
    fixture.source.release_pieces(1000);
    assert!(follower.await.1.unwrap() == bytes);
    assert_eq!(fixture.source.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_for_a_second_and_no_longer() {
    let fixture = Fixture::new().await;
    fixture.source.set("a", Says::Unknown);
    for _ in 0..1000 {
        assert_eq!(name(&fixture.open("a", Part::Whole).await), "unknown");
    }
    assert_eq!(fixture.source.asked().len(), 1);
    tokio::time::sleep(Duration::from_millis(1001)).await;
    fixture.source.has("a", Object::of("now", "a"));
    assert_eq!(fixture.get("a", Part::Whole).await.1.unwrap(), b"now");
}

#[tokio::test(start_paused = true)]
async fn missing_is_remembered_for_seconds_and_not_beyond_a_purge() {
    let fixture = Fixture::new().await;
    for _ in 0..3 {
        assert_eq!(name(&fixture.open("a", Part::Whole).await), "missing");
    }
    assert_eq!(fixture.source.asked().len(), 1);
    fixture.source.has("a", Object::of("now", "a"));
    assert_eq!(name(&fixture.open("a", Part::Whole).await), "missing");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(fixture.get("a", Part::Whole).await.1.unwrap(), b"now");
}

#[tokio::test]
async fn ranges_are_read_in_slices_and_no_byte_twice() {
    let fixture = Fixture::new().await;
    let bytes = noise(10 * MIB, 5);
    fixture.source.has("a", Object::of(bytes.clone(), "a"));
    let at = 4 * MIB + 100;
    let (_, part) = fixture.get("a", range(at as u64, at as u64 + 9)).await;
    assert_eq!(part.unwrap(), &bytes[at..at + 10]);
    let slice = format!("open a bytes={}-{}", 4 * MIB, 5 * MIB - 1);
    assert_eq!(fixture.source.asked(), [slice]);
    fixture.source.forget_asked();
    eventually("the slice is kept", async || {
        fixture.get("a", range(at as u64, at as u64)).await.0 == Served::Hit
    })
    .await;
    let (_, whole) = fixture.get("a", Part::Whole).await;
    assert!(whole.unwrap() == bytes);
    let rest = [
        format!("rest a 0..{}", 4 * MIB),
        format!("rest a {}..{}", 5 * MIB, 10 * MIB),
    ];
    assert_eq!(fixture.source.asked(), rest);
}

#[tokio::test]
async fn a_suffix_of_a_cold_object_begins_with_a_slice() {
    let fixture = Fixture::new().await;
    let bytes = noise(10 * MIB + 9, 6);
    fixture.source.has("a", Object::of(bytes.clone(), "a"));
    let suffix = Part::Range(RangeRequest::Suffix { length: 20 });
    let (_, tail) = fixture.get("a", suffix).await;
    assert_eq!(tail.unwrap(), &bytes[bytes.len() - 20..]);
    assert_eq!(
        fixture.source.asked(),
        [format!("open a bytes=-{}", 20 + MIB - 1)]
    );
    fixture.source.forget_asked();
    let last = 10 * MIB as u64;
    eventually("the last slice is kept", async || {
        fixture.get("a", range(last, last)).await.0 == Served::Hit
    })
    .await;
}

#[tokio::test]
async fn a_player_that_goes_on_asks_for_twice_as_much_each_time() {
    let fixture = Fixture::new().await;
    let bytes = noise(10 * MIB, 15);
    fixture.source.has("a", Object::of(bytes.clone(), "a"));
    let open = Part::Range(RangeRequest::From { first: 0 });
    let (_, read) = fixture.get("a", open).await;
    assert!(read.unwrap() == bytes);
    let mib = |n: usize| n * MIB;
    let asked = [
        format!("open a bytes=0-{}", MIB - 1),
        format!("rest a {}..{}", mib(1), mib(3)),
        format!("rest a {}..{}", mib(3), mib(7)),
        format!("rest a {}..{}", mib(7), mib(10)),
    ];
    assert_eq!(fixture.source.asked(), asked);
}

#[tokio::test]
async fn a_range_beyond_the_object_is_told_its_length() {
    let fixture = Fixture::new().await;
    fixture.source.has("a", Object::of("abc", "a"));
    let far = range(5 * MIB as u64, 6 * MIB as u64);
    match fixture.open("a", far).await {
        Answer::Unsatisfiable { total, .. } => assert_eq!(total, 3),
        other => panic!("{}", name(&other)),
    }
}

#[tokio::test]
async fn an_object_without_a_byte_is_held() {
    let fixture = Fixture::new().await;
    fixture.source.has("a", Object::of("", "a"));
    for _ in 0..2 {
        let (_, read) = fixture.get("a", Part::Whole).await;
        assert_eq!(read.unwrap(), b"");
    }
    let head = fixture.held("a", Part::Head).await;
    assert_eq!(head.head().content_type.as_deref(), Some("image/webp"));
}

#[tokio::test]
async fn head_brings_no_body_and_get_after_it_needs_no_second_walk() {
    let fixture = Fixture::new().await;
    let bytes = noise(30_000, 7);
    fixture.source.has("a", Object::of(bytes.clone(), "a"));
    assert_eq!(fixture.held("a", Part::Head).await.served(), Served::Miss);
    assert_eq!(fixture.held("a", Part::Head).await.served(), Served::Hit);
    assert_eq!(fixture.source.asked(), ["open a head"]);
    let (served, read) = fixture.get("a", Part::Whole).await;
    assert_eq!(served, Served::Miss);
    assert!(read.unwrap() == bytes);
    assert_eq!(fixture.source.asked(), ["open a head", "rest a 0..30000"]);
}

#[tokio::test]
async fn what_cannot_be_told_from_another_version_is_kept_whole_or_not_at_all() {
    let fixture = Fixture::new().await;
    let nameless = |bytes: &bytes::Bytes| Object {
        validator: None,
        ..Object::of(bytes.clone(), "")
    };
    let small = noise(2 * MIB + 3, 8);
    fixture.source.has("small", nameless(&small));
    let (_, first) = fixture.get("small", Part::Whole).await;
    assert!(first.unwrap() == small);
    eventually("it is kept whole", async || {
        fixture.get("small", Part::Whole).await.0 == Served::Hit
    })
    .await;
    eventually("its content names it", async || {
        let held = fixture.held("small", Part::Head).await;
        held.etag().is_some_and(|etag| etag.len() == 34)
    })
    .await;

    let large = noise(65 * MIB, 9);
    fixture.source.has("large", nameless(&large));
    for part in [Part::Whole, range(10, 19)] {
        let Answer::Passing(passing) = fixture.open("large", part).await else {
            panic!("it was kept");
        };
        let read = read(passing.into_body()).await.unwrap();
        match part {
            Part::Whole => assert!(read == large),
            _ => assert_eq!(read, &large[10..20]),
        }
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_passed_through() {
    let fixture = Fixture::new().await;
    let bytes = noise(3 * PIECE, 10);
    let endless = Object {
        endless: true,
        ..Object::of(bytes.clone(), "a")
    };
    fixture.source.has("a", endless);
    for _ in 0..2 {
        let Answer::Passing(passing) = fixture.open("a", Part::Whole).await else {
            panic!("it was kept");
        };
        assert!(read(passing.into_body()).await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn a_reader_of_what_is_in_memory_holds_two_chunks_at_most() {
    let fixture = Fixture::new().await;
    for (name, length, is_held) in [
        ("small", 2 * CHUNK_BYTES, true),
        ("larger", 2 * CHUNK_BYTES + 1, false),
    ] {
        fixture.source.has(name, Object::of(noise(length, 1), name));
        eventually("it is kept", async || {
            fixture.get(name, Part::Whole).await.0 == Served::Hit
        })
        .await;
        let held = fixture.held(name, Part::Whole).await;
        let holds = held.bytes.as_ref().map(Slice::length);
        assert_eq!(holds, is_held.then_some(length), "{name}");
        let read = fixture.get(name, Part::Whole).await.1;
        assert!(read.unwrap() == noise(length, 1), "{name}");
    }
}

#[tokio::test]
async fn what_may_not_be_kept_is_asked_for_each_time() {
    let fixture = Fixture::new().await;
    let mut object = Object::of("abc", "a");
    object.keep = Keep::Nowhere;
    fixture.source.has("a", object);
    for _ in 0..3 {
        let answer = fixture.open("a", Part::Whole).await;
        assert_eq!(name(&answer), "passing");
    }
    assert_eq!(fixture.source.asked().len(), 3);
}

#[tokio::test]
async fn what_one_origin_gave_to_nobody_is_kept_as_soon_as_another_one_gives_it() {
    let fixture = Fixture::new().await;
    let (small, large) = (noise(3 * PIECE, 12), noise(65 * MIB, 13));
    let growing = |bytes: &bytes::Bytes| Object {
        keep: Keep::Nowhere,
        validator: None,
        ..Object::of(bytes.clone(), "")
    };
    fixture.source.has("small", growing(&small));
    fixture.source.has("large", growing(&large));
    for key in ["small", "large"] {
        let answer = fixture.open(key, Part::Whole).await;
        assert_eq!(name(&answer), "passing");
    }

    fixture.source.has("small", Object::of(small.clone(), "a"));
    let asked = fixture.source.asked().len();
    let part = Part::Whole;
    let (one, other) = tokio::join!(fixture.get("small", part), fixture.get("small", part));
    assert!(one.1.unwrap() == small && other.1.unwrap() == small);
    assert_eq!(fixture.get("small", part).await.0, Served::Hit);
    assert_eq!(fixture.source.asked().len(), asked + 1);

    // More than may be read for nobody came at once, so the next one is the first that is kept.
    fixture.source.has("large", Object::of(large.clone(), "b"));
    let answer = fixture.open("large", part).await;
    assert_eq!(name(&answer), "passing");
    drop(answer);
    assert!(fixture.get("large", part).await.1.unwrap() == large);
}

#[tokio::test]
async fn a_body_that_breaks_goes_on_where_it_broke() {
    let fixture = Fixture::new().await;
    let bytes = noise(3 * MIB, 11);
    let object = Object {
        breaks_at: Some(2 * MIB as u64 + 17),
        ..Object::of(bytes.clone(), "a")
    };
    fixture.source.has("a", object);
    let (_, read) = fixture.get("a", Part::Whole).await;
    assert!(read.unwrap() == bytes);
    let rest = format!("rest a {}..{}", 2 * MIB + 17, 3 * MIB);
    assert_eq!(fixture.source.asked()[1..], [rest]);
}

#[tokio::test]
async fn a_version_that_changes_in_the_middle_cuts_its_readers_and_is_opened_anew() {
    let fixture = Fixture::new().await;
    let old = noise(3 * MIB, 12);
    let object = Object {
        breaks_at: Some(MIB as u64 + 1),
        ..Object::of(old, "a")
    };
    fixture.source.has("a", object);
    fixture.source.hold();
    fixture.source.release_answers(1);
    let mut held = fixture.held("a", Part::Whole).await;
    let whole = ByteRange::whole(held.total());
    let body = held.begin(whole, Part::Whole).await.unwrap();
    let new = noise(3 * MIB, 13);
    fixture.source.has("a", Object::of(new.clone(), "b"));
    fixture.source.release_answers(100);
    fixture.source.release_pieces(1000);
    assert!(read(body).await.is_err());
    let (_, read) = fixture.get("a", Part::Whole).await;
    assert!(read.unwrap() == new);
}

#[tokio::test]
async fn a_body_does_not_begin_before_an_origin_has_answered_for_what_is_absent() {
    let fixture = Fixture::new().await;
    let bytes = noise(4 * MIB, 14);
    fixture.source.has("a", Object::of(bytes.clone(), "a"));
    let (_, part) = fixture.get("a", range(0, 9)).await;
    part.unwrap();
    eventually("the slice is kept", async || {
        fixture.get("a", range(0, 9)).await.0 == Served::Hit
    })
    .await;
    fixture.source.set("a", Says::Unknown);
    let refused = fixture.refused("a", Part::Whole).await;
    assert_eq!(refused, Refused::Unknown { retry_after: None });
    assert_eq!(fixture.get("a", range(0, 9)).await.0, Served::Hit);
    fixture.source.has("a", Object::of(bytes, "b"));
    assert_eq!(fixture.refused("a", Part::Whole).await, Refused::Changed);
}

#[tokio::test]
async fn hits_from_memory_share_the_bytes_and_copy_none() {
    let fixture = Fixture::new().await;
    for (key, length) in [("small", 150_000), ("large", 3 * MIB + 1)] {
        fixture.source.has(key, Object::of(noise(length, 16), "a"));
        fixture.get(key, Part::Whole).await.1.unwrap();
        assert!(share_memory(&fixture, key).await, "{key}");
    }
}

#[tokio::test]
async fn a_slice_that_is_read_whole_from_the_disk_is_in_memory_from_then_on() {
    let bytes = noise(2 * MIB + 500_000, 17);
    let fixture = Fixture::new().await;
    fixture.source.has("a", Object::of(bytes.clone(), "a"));
    fixture.get("a", Part::Whole).await.1.unwrap();
    eventually("it is on the disk", async || {
        fixture.cache.usage().files == 3
    })
    .await;
    fixture.cache.close().await;
    let fixture = fixture.restarted().await;
    let weighed = || usize::try_from(fixture.cache.memory_bytes()).unwrap();

    // From somewhere in the second slice to the end: the third is wanted whole.
    let from = MIB + 7;
    let (served, read) = fixture
        .get("a", range(from as u64, bytes.len() as u64 - 1))
        .await;
    assert_eq!(served, Served::Hit);
    assert!(read.unwrap() == bytes[from..]);
    let third = weighed();
    assert!((500_000..600_000).contains(&third), "{third}");

    let reads = (0..20).map(|_| fixture.get("a", Part::Whole));
    for (served, read) in join_all(reads).await {
        assert_eq!(served, Served::Hit);
        assert!(read.unwrap() == bytes);
    }
    assert!(weighed() > bytes.len());
    assert!(weighed() < bytes.len() + 100_000);
    assert!(share_memory(&fixture, "a").await);
    assert_eq!(fixture.source.asked().len(), 1);
}

/// Whether two readers, both still holding what they were sent, were sent the same memory.
async fn share_memory(fixture: &Fixture, key: &str) -> bool {
    let (first, second) = (chunks(fixture, key).await, chunks(fixture, key).await);
    let pairs = first.iter().zip(&second);
    first.len() == second.len() && pairs.into_iter().all(|(a, b)| a.as_ptr() == b.as_ptr())
}

/// A hit, as it is sent.
async fn chunks(fixture: &Fixture, key: &str) -> Vec<Bytes> {
    let mut held = fixture.held(key, Part::Whole).await;
    let whole = ByteRange::whole(held.total());
    let body = held.begin(whole, Part::Whole).await.unwrap();
    assert_eq!(held.served(), Served::Hit, "{key}");
    let chunks: Vec<_> = body.map(|chunk| chunk.unwrap()).collect().await;
    assert!(chunks.iter().all(|chunk| chunk.len() <= CHUNK_BYTES));
    chunks
}
