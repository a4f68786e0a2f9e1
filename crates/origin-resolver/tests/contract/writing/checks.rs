//! The promises, one a function.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use md5::{Digest as _, Md5};
use object::Digest;
use origin_resolver::{Aside, Kept, Part, Put, PutError, Unpaced};
use sha2::{Digest as _, Sha256};

use super::{Place, body, broken, key, put};
use crate::checks::REAL_KEYS;
use crate::fixture::{found, noise, read};

fn keys(place: &Place) -> Vec<String> {
    let real = REAL_KEYS.iter().map(|key| (*key).to_owned());
    let long = [
        format!("long/{}", "x".repeat(300)),
        format!("{}/below", "y".repeat(300)),
    ];
    real.chain(long)
        .filter(|key| (place.can_store)(key))
        .collect()
}

pub(crate) async fn what_is_written_is_read_back_byte_for_byte_under_every_key(place: &Place) {
    for key in keys(place) {
        let bytes = Bytes::copy_from_slice(key.as_bytes());
        let stored = place.put(&key, &bytes).await.unwrap();
        assert_eq!(stored.md5, <[u8; 16]>::from(Md5::digest(&bytes)));
        assert_eq!(stored.sha256.0, <[u8; 32]>::from(Sha256::digest(&bytes)));
    }
    for key in keys(place) {
        assert_eq!(read(&*place.origin, &key).await, key.as_bytes(), "{key:?}");
    }
    place.put("empty", &Bytes::new()).await.unwrap();
    assert!(read(&*place.origin, "empty").await.is_empty());
    if !place.can_store_below {
        return;
    }
    for pair in [["a", "a/b"], ["c/d", "c"], ["g/h/i", "g/h"]] {
        for key in pair {
            let bytes = Bytes::copy_from_slice(key.as_bytes());
            place.put(key, &bytes).await.unwrap();
        }
        for key in pair {
            assert_eq!(read(&*place.origin, key).await, key.as_bytes(), "{key:?}");
        }
    }
}

pub(crate) async fn what_is_kept_with_an_object_comes_back_with_it(place: &Place) {
    let bytes = Bytes::from_static(b"not what it says it is");
    let kept = Kept {
        content_type: Some("image/webp".into()),
        content_disposition: Some("inline; filename=\"a.webp\"".into()),
        content_encoding: None,
        content_language: Some("ja".into()),
        modified: Some(SystemTime::UNIX_EPOCH + Duration::from_hours(426_600)),
        sha256: Some(Digest(Sha256::digest(&bytes).into())),
        aside: Aside {
            cache_control: Some("max-age=31536000, immutable".into()),
            etag: Some("\"as-clients-know-it\"".into()),
            metadata: vec![("uploader".into(), "alice".into())],
        },
    };
    let object = Put {
        kept: kept.clone(),
        ..put("kept/a", &bytes)
    };
    place.store().put(object, &Unpaced).await.unwrap();
    let reply = found(&*place.origin, "kept/a", Part::Head).await;
    let mut again = Kept::of(&reply.head, &reply.aside);
    // A server may keep what it was not told to keep.
    let ours = |(name, _): &(Box<str>, Box<str>)| &**name == "uploader";
    again.aside.metadata.retain(ours);
    assert_eq!(again, kept);

    let plain = Bytes::from_static(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    let kept = Kept {
        content_type: Some("image/png".into()),
        ..Kept::default()
    };
    let object = Put {
        kept,
        ..put("kept/a", &plain)
    };
    place.store().put(object, &Unpaced).await.unwrap();
    let reply = found(&*place.origin, "kept/a", Part::Head).await;
    assert_eq!(reply.head.content_type.as_deref(), Some("image/png"));
    assert_eq!(reply.head.content_disposition, None, "of what was replaced");
}

pub(crate) async fn every_object_is_listed_with_its_length(place: &Place) {
    let mut expected = keys(place);
    if place.can_store_below {
        expected.extend(["a".to_owned(), "a/b".to_owned()]);
    }
    for (length, key) in expected.iter().enumerate() {
        place.put(key, &noise(length)).await.unwrap();
    }
    let page = place.store().list("", None, &Unpaced).await.unwrap();
    assert_eq!(page.entries.len(), expected.len(), "{:?}", page.unfit);
    for listed in &page.entries {
        let length = expected.iter().position(|key| *key == listed.key.as_str());
        let length = length.unwrap_or_else(|| panic!("{} was never put", listed.key));
        assert_eq!(listed.size_bytes, length as u64, "{}", listed.key);
    }
    expected.sort();
    assert_eq!(place.keys("").await, expected);
    for prefix in ["two w", "a", "deep/", "写", "none/"] {
        let some = expected.iter().filter(|key| key.starts_with(prefix));
        assert_eq!(place.keys(prefix).await, some.cloned().collect::<Vec<_>>());
    }
}

pub(crate) async fn what_is_deleted_is_gone_and_nothing_else(place: &Place) {
    let mut all = keys(place);
    for key in &all {
        place.put(key, &noise(10)).await.unwrap();
    }
    let kept = all.split_off(all.len() / 2);
    for text in &all {
        let erased = place.store().delete(&key(text), None, &Unpaced).await;
        assert_eq!(erased.unwrap().versions, 1, "{text:?}");
        place.assert_missing(text).await;
    }
    for text in &kept {
        assert_eq!(read(&*place.origin, text).await, noise(10), "{text:?}");
    }
    let gone = place.store().delete(&key(&all[0]), None, &Unpaced).await;
    assert_eq!(gone.unwrap().versions, 0);
}

pub(crate) async fn an_object_that_is_there_is_not_replaced_unless_that_is_wanted(place: &Place) {
    let absent = |bytes: &Bytes| Put {
        if_absent: true,
        ..put("one/object", bytes)
    };
    let (first, second) = (noise(1000), noise(2000));
    let store = place.store();
    store.put(absent(&first), &Unpaced).await.unwrap();
    let refused = store.put(absent(&second), &Unpaced).await.unwrap_err();
    assert!(matches!(refused, PutError::Exists), "{refused:?}");
    assert_eq!(read(&*place.origin, "one/object").await, first);
    place.put("one/object", &second).await.unwrap();
    assert_eq!(read(&*place.origin, "one/object").await, second);
}

pub(crate) async fn a_body_that_breaks_its_promise_leaves_nothing(place: &Place) {
    let bytes = noise(200_000);
    let md5 = Some(Md5::digest(&bytes).into());
    for md5 in [None, md5] {
        for (name, length, body) in [
            ("cut", 300_000, broken(&bytes)),
            ("short", 300_000, body(&bytes)),
            ("long", 100_000, body(&bytes)),
        ] {
            let object = Put {
                key: key("half"),
                length,
                md5,
                kept: Kept::default(),
                body,
                if_absent: false,
            };
            let error = place.store().put(object, &Unpaced).await.unwrap_err();
            assert!(matches!(error, PutError::Broken(_)), "{name}: {error:?}");
            assert!(!error.may_have_left_something());
            place.assert_missing("half").await;
        }
    }
    assert!(place.keys("").await.is_empty());
}

pub(crate) async fn only_the_version_that_is_meant_is_deleted(place: &Place) {
    let stored = place.put("v", &noise(10)).await.unwrap();
    let old = stored.etag.unwrap();
    let stored = place.put("v", &noise(20)).await.unwrap();
    let erased = place.store().delete(&key("v"), Some(&old), &Unpaced).await;
    let erased = erased.unwrap();
    // Where versions are kept, the old one goes.
    assert!(erased.spared, "{erased:?}");
    assert_eq!(read(&*place.origin, "v").await, noise(20));
    let now = stored.etag.unwrap();
    let erased = place.store().delete(&key("v"), Some(&now), &Unpaced).await;
    assert_eq!(erased.unwrap().versions, 1);
    place.assert_missing("v").await;
}

pub(crate) async fn an_object_with_a_known_md5_is_checked_against_it(place: &Place) {
    let bytes = noise(200_000);
    let with = |md5: [u8; 16]| Put {
        md5: Some(md5),
        ..put("summed", &bytes)
    };
    let wrong = place.store().put(with([7; 16]), &Unpaced).await;
    let wrong = wrong.unwrap_err();
    assert!(matches!(wrong, PutError::Broken(_)), "{wrong:?}");
    place.assert_missing("summed").await;
    let right = with(Md5::digest(&bytes).into());
    place.store().put(right, &Unpaced).await.unwrap();
    assert_eq!(read(&*place.origin, "summed").await, bytes);
}

pub(crate) async fn a_large_object_arrives_whole(place: &Place) {
    // A little more than what goes in one PUT: five parts, the last of them short.
    let bytes = noise(64 * 1024 * 1024 + 12_345);
    let object = Put {
        if_absent: true,
        ..put("large/object", &bytes)
    };
    let stored = place.store().put(object, &Unpaced).await.unwrap();
    assert_eq!(stored.sha256.0, <[u8; 32]>::from(Sha256::digest(&bytes)));
    let there = read(&*place.origin, "large/object").await;
    assert!(there == bytes, "other bytes came back");
    let again = Put {
        if_absent: true,
        ..put("large/object", &bytes)
    };
    let error = place.store().put(again, &Unpaced).await.unwrap_err();
    assert!(matches!(error, PutError::Exists), "{error:?}");
}
