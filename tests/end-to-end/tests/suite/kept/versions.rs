//! One version per answer, also where its parts were kept at different times.

use test_servers::faulty::{Fault, Faulty, On};

use super::client::{get, get_once_up, get_until, range, rest};
use super::harness::{MIB, before, film, holding, noise};
use crate::process::raw::Reader;

const SIZE: usize = 4 * MIB + 1000;

#[tokio::test]
async fn an_object_replaced_while_it_is_downloaded_is_never_spliced() {
    let (old, new) = (noise(1, SIZE), noise(2, SIZE));
    for (what, more) in [
        ("in the middle of a body", Some(Fault::CutAfter(SIZE / 2))),
        ("between two segments", None),
    ] {
        for deaf in [false, true] {
            let origin = holding(&[("a.mp4", &old)]).await;
            let first = || On::key("a.mp4").nth(1);
            origin.fault(first(), Fault::ReplaceAfter(1000, film(&new)));
            if let Some(fault) = more.clone() {
                origin.fault(first(), fault);
            }
            if deaf {
                origin.fault(On::any(), Fault::IgnoreIfMatch);
            }
            let gateway = before(&origin).start().await;
            // Open-ended, as players ask: the first segment is one slice.
            let told = match more {
                Some(_) => get(&gateway, "/a.mp4").await,
                None => range(&gateway, "/a.mp4", "bytes=0-").await,
            };
            let said = format!("{what}, deaf: {deaf}: {}", told.summary());
            // A replacement that is noticed before the answer begins is answered with.
            let broken_off = !told.whole && old.starts_with(&told.body);
            assert!(broken_off || told.is(206, &new), "{said}");
            let told = get_once_up(&gateway, "/a.mp4").await;
            assert!(told.is(200, &new), "{said}, then {}", told.summary());
            assert!(get(&gateway, "/a.mp4").await.is(200, &new), "{said}");
        }
    }
}

#[tokio::test]
async fn an_origin_that_dies_at_half_leaves_half_and_no_more() {
    let bytes = noise(3, SIZE);
    let origin = holding(&[("a.mp4", &bytes)]).await;
    origin.fault(On::key("a.mp4").nth(1), Fault::CutAfter(SIZE / 2));
    origin.fault(On::key("a.mp4").after(1), Fault::Drop);
    let gateway = before(&origin).start().await;
    let told = get(&gateway, "/a.mp4").await;
    assert!(!told.whole && bytes.starts_with(&told.body));
    // What is held of it is answered with; what is not is no 404 and no short body.
    let held = range(&gateway, "/a.mp4", "bytes=100-199").await;
    assert!(held.is(206, &bytes[100..200]), "{}", held.summary());
    let absent = range(&gateway, "/a.mp4", "bytes=-100").await;
    assert_eq!(absent.status, 503, "{}", absent.summary());
    origin.heal();
    let before = origin.body_bytes_sent();
    let told = get_until(&gateway, "/a.mp4", |told| told.whole && told.status == 200).await;
    assert!(told.is(200, &bytes), "{}", told.summary());
    let again = origin.body_bytes_sent() - before;
    assert!(again < (SIZE - MIB) as u64, "{again} bytes were read again");
}

#[tokio::test]
async fn a_part_that_is_kept_is_never_taken_for_the_whole() {
    let bytes = noise(4, SIZE);
    for first in [
        "bytes=0-99",
        "bytes=1500000-1500099",
        "bytes=-100",
        "bytes=0-",
    ] {
        let origin = holding(&[("a.mp4", &bytes)]).await;
        let gateway = before(&origin).start().await;
        let part = range(&gateway, "/a.mp4", first).await;
        assert!(part.status == 206 && part.whole, "{first}");
        let told = get(&gateway, "/a.mp4").await;
        assert!(told.is(200, &bytes), "{first}: {}", told.summary());
        let told = get(&gateway, "/a.mp4").await;
        assert!(told.is(200, &bytes) && told.label() == "HIT", "{first}");
        let sent = origin.body_bytes_sent();
        let asked: Vec<_> = origin
            .requests()
            .iter()
            .map(|request| request.header("range").unwrap_or_default().to_owned())
            .collect();
        // The end of an object comes with the rest of a slice that is not kept.
        let bound = SIZE + if first == "bytes=-100" { MIB } else { 0 };
        assert!(sent <= bound as u64, "{first}: {sent} bytes: {asked:?}");
        assert!(asked.len() <= 5, "{first}: {asked:?}");
    }
}

#[tokio::test]
async fn a_content_range_that_lies_or_is_missing_poisons_nothing() {
    let bytes = noise(5, SIZE);
    for lie in [
        None,
        Some(format!("bytes 0-9/{SIZE}")),
        Some(format!("bytes 1048576-2097151/{SIZE}")),
        Some(format!("bytes 0-1048575/{}", SIZE + 1)),
        Some("bytes 100-109/50".to_owned()),
        Some("bytes 18446744073709551615-18446744073709551615/*".to_owned()),
    ] {
        let origin = holding(&[("a.mp4", &bytes)]).await;
        origin.fault(On::key("a.mp4").first(4), Fault::ContentRange(lie.clone()));
        let gateway = before(&origin).start().await;
        for asked in ["bytes=100-199", "bytes=1048576-1048599"] {
            let told = range(&gateway, "/a.mp4", asked).await;
            let from = if asked == "bytes=100-199" { 100 } else { MIB };
            let true_to = |body: &[u8]| bytes[from..].starts_with(body);
            let fine = !told.whole || told.status == 503 || true_to(&told.body);
            assert!(fine, "{lie:?}, {asked}: {}", told.summary());
        }
        origin.heal();
        let told = get_until(&gateway, "/a.mp4", |told| told.is(200, &bytes)).await;
        assert_eq!(told.body.len(), SIZE, "{lie:?}");
        let told = get(&gateway, "/a.mp4").await;
        assert!(told.is(200, &bytes) && told.label() == "HIT", "{lie:?}");
    }
}

#[tokio::test]
async fn a_head_makes_no_body_and_a_get_after_it_is_whole() {
    let bytes = noise(6, 30_000);
    let origin = holding(&[("a.mp4", &bytes)]).await;
    let gateway = before(&origin).start().await;
    let head = async || {
        let mut reader = Reader::connect(gateway.media()).await;
        let request = "HEAD /a.mp4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        reader.send(request).await;
        reader.read_to_end().await;
        reader.said()
    };
    for _ in 0..2 {
        let told = head().await;
        assert!(told.starts_with("HTTP/1.1 200"), "{told}");
        assert!(told.ends_with("\r\n\r\n"), "bytes follow a HEAD: {told}");
        let told = get(&gateway, "/a.mp4").await;
        assert!(told.is(200, &bytes), "{}", told.summary());
    }
    assert!(head().await.contains("content-length: 30000\r\n"));
}

#[tokio::test]
async fn a_new_version_at_the_origin_comes_with_the_age_of_the_old_one() {
    let (old, new) = (noise(7, 2 * MIB), noise(8, 2 * MIB));
    let origin = Faulty::start().await;
    origin.put("a.mp4", film(&old));
    let gateway = before(&origin).cache("found = \"0s\"").start().await;
    let first = gateway.ask("/a.mp4").await.unwrap();
    origin.put("a.mp4", film(&new));
    let told = rest(first).await;
    assert!(told.is(200, &old), "{}", told.summary());
    // Stale while it is looked at, and then the new one; never something of both. One that had begun
    // with the old one when the new one was found ends with it.
    let told = get_until(&gateway, "/a.mp4", |told| {
        let right = told.whole && (told.body == old || told.body == new);
        assert!(right, "{}", told.summary());
        told.body == new
    });
    assert!(told.await.is(200, &new));
}
