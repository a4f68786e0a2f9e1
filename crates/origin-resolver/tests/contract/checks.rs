//! The promises, one a function.
//!
//! Nothing here knows a kind: what a kind's server cannot store is skipped by asking the fixture.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use object::RangeRequest;
use origin_resolver::{Answer, Extent, Part};

use crate::fixture::{Fixture, ask, collect, found, noise, question, range_of, read};

const KIB: usize = 1024;

/// Keys that occur in real buckets and that paths, URLs and servers like to bend.
pub(crate) const REAL_KEYS: &[&str] = &[
    "misskey/0b3c.webp",
    "//x",
    "/x",
    "null/x",
    "a//b",
    "dir/",
    "deep/er/est/file.png",
    "two words.png",
    " leading and trailing ",
    "写真 1.png",
    "絵文字🐈.webp",
    "a%2Fb",
    "a%20b",
    "%",
    "100%",
    "a+b",
    "a#b",
    "a;b",
    "a?b",
    "a?acl",
    "a&b=c",
    "a=b",
    "a:b",
    "a@b",
    "a\"b'c",
    "a<b>c",
    "a{b}|c^d`e~f",
    "a,b!$(c)*",
    "...",
    "..a/b..",
    ".hidden",
    "thumbnail-0b3c.webp",
    "UPPER.JPG",
];

pub(crate) async fn keys_of_real_buckets_are_kept_byte_for_byte(fixture: &dyn Fixture) {
    let origin = fixture.origin();
    let keys = || REAL_KEYS.iter().filter(|key| fixture.can_store(key));
    for key in keys() {
        fixture
            .put(key, Bytes::copy_from_slice(key.as_bytes()), None)
            .await;
    }
    for key in keys() {
        assert_eq!(read(&*origin, key).await, key.as_bytes(), "{key:?}");
    }
}

pub(crate) async fn keys_that_look_alike_name_different_objects(fixture: &dyn Fixture) {
    let origin = fixture.origin();
    for (stored, others) in [
        ("one+b", &["one b", "one%2Bb"][..]),
        ("two%2Fb", &["two/b", "two%252Fb"]),
        ("three", &["/three", "//three", "three/", "Three"]),
        ("four//x", &["four/x", "four///x"]),
        ("five/", &["five", "five//"]),
        ("caf\u{e9}", &["cafe\u{301}", "caf%C3%A9"]),
        ("six?a", &["six", "six%3Fa"]),
    ] {
        if !fixture.can_store(stored) {
            continue;
        }
        fixture.put(stored, Bytes::from_static(b"x"), None).await;
        for other in others.iter().filter(|key| fixture.can_store(key)) {
            let answer = ask(&*origin, other, Part::Whole).await;
            assert!(
                matches!(answer, Answer::Missing),
                "{other:?} beside {stored:?}: {answer:?}"
            );
        }
    }
}

pub(crate) async fn an_object_may_have_others_below_its_name(fixture: &dyn Fixture) {
    let origin = fixture.origin();
    for pair in [["a", "a/b"], ["c/d", "c"], ["e/", "e//f"], ["g/h/i", "g/h"]] {
        if !fixture.can_store_below() || !pair.iter().all(|key| fixture.can_store(key)) {
            continue;
        }
        for key in pair {
            fixture
                .put(key, Bytes::copy_from_slice(key.as_bytes()), None)
                .await;
        }
        for key in pair {
            assert_eq!(read(&*origin, key).await, key.as_bytes(), "{key:?}");
        }
    }
}

pub(crate) async fn a_key_as_long_as_a_key_may_be_is_kept(fixture: &dyn Fixture) {
    let origin = fixture.origin();
    let one_segment = "x".repeat(1024);
    let many_segments = "0123456789abcde/".repeat(63) + "0123456789abcdef";
    let japanese = "写".repeat(100) + ".png";
    for key in [one_segment, many_segments, japanese] {
        if fixture.can_store(&key) {
            fixture.put(&key, Bytes::from_static(b"long"), None).await;
            assert_eq!(read(&*origin, &key).await, b"long");
            let shorter = &key[..key.len() - 4];
            assert!(matches!(
                ask(&*origin, shorter, Part::Head).await,
                Answer::Missing
            ));
        }
    }
}

pub(crate) async fn an_empty_object_is_found_and_has_no_range(fixture: &dyn Fixture) {
    let origin = fixture.origin();
    fixture.put("empty", Bytes::new(), None).await;

    let whole = found(&*origin, "empty", Part::Whole).await;
    assert_eq!(range_of(&whole), 0..0);
    assert_eq!(whole.head.length, Some(0));
    assert!(collect(whole.body).await.is_empty());

    let head = found(&*origin, "empty", Part::Head).await;
    assert_eq!((head.extent, head.head.length), (Extent::None, Some(0)));

    for range in [
        RangeRequest::FromTo { first: 0, last: 0 },
        RangeRequest::From { first: 0 },
    ] {
        let reply = found(&*origin, "empty", Part::Range(range)).await;
        assert_eq!(reply.extent, Extent::Unsatisfiable, "{range}");
        assert_eq!(reply.head.length, Some(0), "{range}");
    }
}

pub(crate) async fn a_whole_object_arrives_exactly(fixture: &dyn Fixture) {
    let origin = fixture.origin();
    let sizes = [
        1,
        64 * KIB - 1,
        64 * KIB,
        64 * KIB + 1,
        128 * KIB,
        128 * KIB + 1,
        KIB * KIB + 7,
    ];
    for size in sizes {
        let key = format!("sizes/{size}");
        let bytes = noise(size);
        fixture.put(&key, bytes.clone(), None).await;
        let reply = found(&*origin, &key, Part::Whole).await;
        assert_eq!(range_of(&reply), 0..size as u64);
        assert_eq!(reply.head.length, Some(size as u64));
        assert!(collect(reply.body).await == bytes, "{size} bytes differ");
    }
}

pub(crate) async fn each_form_of_range_brings_exactly_its_bytes(fixture: &dyn Fixture) {
    use RangeRequest::{From, FromTo, Suffix};
    let origin = fixture.origin();
    let bytes = noise(300_000);
    let total = bytes.len() as u64;
    fixture.put("media", bytes.clone(), None).await;
    for (range, expected) in [
        (FromTo { first: 0, last: 0 }, 0..1),
        (FromTo { first: 0, last: 1 }, 0..2),
        (
            FromTo {
                first: 65_530,
                last: 65_540,
            },
            65_530..65_541,
        ),
        (
            FromTo {
                first: 1,
                last: 200_000,
            },
            1..200_001,
        ),
        (
            FromTo {
                first: 299_999,
                last: 299_999,
            },
            299_999..total,
        ),
        (
            FromTo {
                first: 299_000,
                last: 400_000,
            },
            299_000..total,
        ),
        (
            FromTo {
                first: 5,
                last: u64::MAX - 1,
            },
            5..total,
        ),
        (From { first: 0 }, 0..total),
        (From { first: 131_072 }, 131_072..total),
        (Suffix { length: 1 }, 299_999..total),
        (Suffix { length: 70_000 }, 230_000..total),
        (Suffix { length: total }, 0..total),
        (Suffix { length: total + 1 }, 0..total),
        (Suffix { length: u64::MAX }, 0..total),
    ] {
        let long_suffix = matches!(range, Suffix { length } if length > total);
        if long_suffix && !fixture.can_shorten_suffixes() {
            continue;
        }
        let reply = found(&*origin, "media", Part::Range(range)).await;
        assert_eq!(range_of(&reply), expected, "{range}");
        assert_eq!(reply.head.length, Some(total), "{range}");
        let from = usize::try_from(expected.start).unwrap();
        let to = usize::try_from(expected.end).unwrap();
        assert!(collect(reply.body).await == bytes[from..to], "{range}");
    }
}

pub(crate) async fn a_range_beyond_the_end_is_unsatisfiable_and_tells_the_length(
    fixture: &dyn Fixture,
) {
    let origin = fixture.origin();
    fixture.put("short", noise(10), None).await;
    for range in [
        RangeRequest::FromTo {
            first: 10,
            last: 10,
        },
        RangeRequest::From { first: 10 },
        RangeRequest::From { first: 1 << 40 },
        RangeRequest::From { first: u64::MAX },
    ] {
        let reply = found(&*origin, "short", Part::Range(range)).await;
        assert_eq!(reply.extent, Extent::Unsatisfiable, "{range}");
        assert_eq!(reply.head.length, Some(10), "{range}");
        assert!(collect(reply.body).await.is_empty());
    }
}

pub(crate) async fn a_head_brings_no_byte_and_tells_what_the_whole_tells(fixture: &dyn Fixture) {
    let origin = fixture.origin();
    fixture
        .put("media", noise(100_000), Some("image/webp"))
        .await;

    let head = found(&*origin, "media", Part::Head).await;
    assert_eq!(head.extent, Extent::None);
    assert!(collect(head.body).await.is_empty());
    assert_eq!(head.head.length, Some(100_000));
    assert!(head.head.validator.is_some());
    let modified = head.head.last_modified.unwrap();
    let age = SystemTime::now()
        .duration_since(modified)
        .unwrap_or_default();
    assert!(age < Duration::from_hours(24), "{age:?}");

    let whole = found(&*origin, "media", Part::Whole).await;
    assert_eq!(whole.head, head.head);
    let range = Part::Range(RangeRequest::FromTo { first: 3, last: 5 });
    assert_eq!(found(&*origin, "media", range).await.head, head.head);
}

pub(crate) async fn the_content_type_is_given_as_it_was_stored(fixture: &dyn Fixture) {
    let origin = fixture.origin();
    let png = Bytes::from_static(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    for content_type in [
        "image/webp",
        "text/html; charset=utf-8",
        "application/octet-stream",
        "video/mp4;codecs=\"avc1.42E01E, mp4a.40.2\"",
    ] {
        fixture.put("typed", png.clone(), Some(content_type)).await;
        for part in [Part::Head, Part::Whole] {
            let reply = found(&*origin, "typed", part).await;
            assert_eq!(reply.head.content_type.as_deref(), Some(content_type));
        }
    }
}

pub(crate) async fn what_was_never_put_is_missing(fixture: &dyn Fixture) {
    let origin = fixture.origin();
    fixture.put("there/is", noise(10), None).await;
    let keys = [
        "absent",
        "there",
        "there/is/not",
        "there/",
        "no/such/directory",
    ];
    let can_tell = |key: &&&str| {
        fixture.can_store(key)
            && (fixture.can_store_below() || !matches!(**key, "there" | "there/is/not"))
    };
    for key in keys.iter().filter(can_tell) {
        for part in [
            Part::Head,
            Part::Whole,
            Part::Range(RangeRequest::From { first: 5 }),
        ] {
            let answer = ask(&*origin, key, part).await;
            assert!(
                matches!(answer, Answer::Missing),
                "{key:?} {part:?}: {answer:?}"
            );
        }
    }
}

pub(crate) async fn a_version_that_was_replaced_is_not_given(fixture: &dyn Fixture) {
    let origin = fixture.origin();
    fixture.put("changing", noise(1000), None).await;
    let first = found(&*origin, "changing", Part::Head).await.head.validator;
    assert!(first.is_some());

    let replacement: Bytes = noise(1001).slice(1..);
    fixture.put("changing", replacement.clone(), None).await;
    for part in [
        Part::Head,
        Part::Whole,
        Part::Range(RangeRequest::From { first: 500 }),
    ] {
        let mut asked = question("changing", part);
        asked.only.clone_from(&first);
        let answer = origin.ask(&asked).await;
        assert!(matches!(answer, Answer::Changed), "{part:?}: {answer:?}");
    }
    assert_eq!(read(&*origin, "changing").await, replacement);
}

pub(crate) async fn the_version_that_was_asked_for_is_given(fixture: &dyn Fixture) {
    let origin = fixture.origin();
    let bytes = noise(1000);
    fixture.put("steady", bytes.clone(), None).await;
    let mut asked = question(
        "steady",
        Part::Range(RangeRequest::FromTo {
            first: 500,
            last: 599,
        }),
    );
    asked.only = found(&*origin, "steady", Part::Head).await.head.validator;
    let Answer::Found(reply) = origin.ask(&asked).await else {
        panic!("the same version was not found again");
    };
    assert_eq!(collect(reply.body).await, bytes[500..600]);
}

pub(crate) async fn a_dropped_body_releases_what_it_held(fixture: &dyn Fixture) {
    let origin = fixture.origin();
    fixture.put("big", noise(4 * KIB * KIB), None).await;

    drop(found(&*origin, "big", Part::Whole).await);
    fixture.released().await;

    let mut body = found(&*origin, "big", Part::Whole).await.body;
    body.next().await.unwrap().unwrap();
    drop(body);
    fixture.released().await;

    collect(found(&*origin, "big", Part::Whole).await.body).await;
    fixture.released().await;
}

pub(crate) async fn questions_asked_at_once_get_their_own_answers(fixture: &dyn Fixture) {
    let origin = fixture.origin();
    let bytes = noise(200_000);
    for object in 0..8 {
        let key = format!("many/{object}");
        fixture.put(&key, bytes.slice(object..), None).await;
    }
    let answers = (0..100_usize).map(|turn| {
        let (origin, bytes) = (&origin, &bytes);
        async move {
            let object = turn % 10;
            let key = format!("many/{object}");
            if object >= 8 {
                assert!(matches!(
                    ask(&**origin, &key, Part::Whole).await,
                    Answer::Missing
                ));
                return;
            }
            let first = turn * 1000;
            let part = Part::Range(RangeRequest::From {
                first: first as u64,
            });
            let reply = found(&**origin, &key, part).await;
            let expected = &bytes[object + first..];
            assert!(collect(reply.body).await == expected, "{key} from {first}");
        }
    });
    join_all(answers).await;
}
