//! Bodies: whole, or visibly broken (law 2), and of one version (law 3).

use futures_util::StreamExt;
use test_servers::faulty::{Fault, Faulty, Missing, Object, On};

use super::harness::{Gateway, noise};

const SIZE: usize = 600_000;

fn film(bytes: &[u8]) -> Object {
    Object::new(bytes.to_vec()).content_type("video/mp4")
}

async fn holding(bytes: &[u8]) -> Faulty {
    let origin = Faulty::start().await;
    origin.put("a", film(bytes));
    origin
}

async fn two(current: &Faulty, old: &Faulty) -> Gateway {
    Gateway::with(|toml| {
        toml.s3("current", current).s3("old", old);
        toml.route(&["current", "old"]);
    })
    .await
}

/// Reads over HTTP/2; an error is what a client sees of a reset stream.
async fn over_http2(gateway: &Gateway, path: &str) -> (u16, Vec<u8>, Result<(), reqwest::Error>) {
    let client = reqwest::Client::builder().http2_prior_knowledge().build();
    let url = format!("http://{}{path}", gateway.addr);
    let answer = client.unwrap().get(url).send().await.unwrap();
    let status = answer.status().as_u16();
    let (mut body, mut stream) = (Vec::new(), answer.bytes_stream());
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => body.extend_from_slice(&chunk),
            Err(error) => return (status, body, Err(error)),
        }
    }
    (status, body, Ok(()))
}

#[tokio::test]
async fn a_body_that_is_cut_never_ends_cleanly() {
    let bytes = noise(SIZE);
    for at in [1, SIZE / 2, SIZE - 1] {
        for fault in [
            Fault::CutAfter(at),
            Fault::ResetAfter(at),
            Fault::StallAfter(at),
        ] {
            let origin = holding(&bytes).await;
            // The first request is cut there, and who asks again is refused.
            origin.fault(On::key("a").nth(1), fault.clone());
            origin.fault(On::key("a").after(1), Fault::status(500));
            let gateway = Gateway::before(&origin).await;
            let answer = gateway.get("/a").await;
            assert!(!answer.whole && answer.status == 200, "{fault:?}");
            assert!(bytes.starts_with(&answer.body) && answer.body.len() < SIZE);
        }
    }
}

#[tokio::test]
async fn a_body_that_is_cut_resets_its_stream() {
    let bytes = noise(SIZE);
    let origin = holding(&bytes).await;
    origin.fault(On::key("a").nth(1), Fault::CutAfter(SIZE / 2));
    origin.fault(On::key("a").nth(2), Fault::status(500));
    let gateway = Gateway::before(&origin).await;
    let (status, body, ended) = over_http2(&gateway, "/a").await;
    assert_eq!(status, 200);
    assert!(ended.is_err() && bytes.starts_with(&body) && body.len() < SIZE);
    let (status, body, ended) = over_http2(&gateway, "/a").await;
    assert!((status, ended.is_ok()) == (200, true) && body == bytes);
}

#[tokio::test]
async fn a_length_that_lies_is_never_a_clean_end() {
    let bytes = noise(SIZE);
    for error in [1, 1000] {
        let origin = holding(&bytes).await;
        origin.fault(On::key("a"), Fault::WrongLength(error));
        let answer = Gateway::before(&origin).await.get("/a").await;
        assert!(!answer.whole || answer.status == 503, "{error}");
    }
}

#[tokio::test]
async fn the_old_bucket_ends_what_the_current_one_began() {
    let bytes = noise(SIZE);
    for at in [1, SIZE / 2, SIZE - 1] {
        let (current, old) = (holding(&bytes).await, holding(&bytes).await);
        let gateway = two(&current, &old).await;
        current.fault(On::key("a").nth(1), Fault::CutAfter(at));
        current.fault(On::key("a").after(1), Fault::status(500));
        let answer = gateway.get("/a").await;
        assert_eq!((answer.status, answer.whole), (200, true), "{at}");
        assert!(answer.body == bytes, "{at}");
        assert_eq!(gateway.metric("resumed_bodies_total").await, 1);
    }
}

#[tokio::test]
async fn a_range_is_rescued_as_well_as_a_whole() {
    let bytes = noise(SIZE);
    let (current, old) = (holding(&bytes).await, holding(&bytes).await);
    let gateway = two(&current, &old).await;
    current.fault(On::key("a").nth(1), Fault::CutAfter(100_000));
    current.fault(On::key("a").after(1), Fault::Drop);
    let answer = gateway.range("/a", "bytes=100000-499999").await;
    assert_eq!((answer.status, answer.whole), (206, true));
    assert!(answer.body == bytes[100_000..500_000]);
}

#[tokio::test]
async fn the_same_bytes_under_another_tag_are_proven_by_reading_them_again() {
    let bytes = noise(SIZE);
    let (current, old) = (holding(&bytes).await, Faulty::start().await);
    old.put("a", film(&bytes).etag("\"opaque\""));
    let gateway = two(&current, &old).await;
    current.fault(On::key("a").nth(1), Fault::CutAfter(SIZE / 2));
    current.fault(On::key("a").after(1), Fault::status(500));
    let answer = gateway.get("/a").await;
    assert!(answer.whole && answer.body == bytes);
}

#[tokio::test]
async fn another_version_never_ends_what_this_one_began() {
    let bytes = noise(SIZE);
    let mut other = bytes.clone();
    other[10] ^= 1;
    let longer = [&bytes[..], b"x"].concat();
    for (what, version) in [
        ("other bytes", film(&other)),
        ("other bytes, no tag", film(&other).without_etag()),
        ("another length", film(&longer)),
    ] {
        let (current, old) = (holding(&bytes).await, Faulty::start().await);
        old.put("a", version);
        let gateway = two(&current, &old).await;
        current.fault(On::key("a").nth(1), Fault::CutAfter(SIZE / 2));
        current.fault(On::key("a").after(1), Fault::status(500));
        let answer = gateway.get("/a").await;
        assert!(!answer.whole && bytes.starts_with(&answer.body), "{what}");
    }
}

#[tokio::test]
async fn an_object_replaced_while_it_is_read_is_not_spliced() {
    let bytes = noise(SIZE);
    let mut other = bytes.clone();
    other.reverse();
    let current = holding(&bytes).await;
    let gateway = Gateway::before(&current).await;
    current.fault(On::key("a").nth(1), Fault::ReplaceAfter(1000, film(&other)));
    current.fault(On::key("a").nth(1), Fault::CutAfter(SIZE / 2));
    let answer = gateway.get("/a").await;
    assert!(!answer.whole && bytes.starts_with(&answer.body));
    let next = gateway.get("/a").await;
    assert!(next.whole && next.body == other);
}

#[tokio::test]
async fn an_origin_that_tells_no_length_is_served_whole() {
    let bytes = noise(SIZE);
    let origin = holding(&bytes).await;
    origin.fault(On::key("a"), Fault::Chunked);
    origin.fault(On::key("a"), Fault::IgnoreRange);
    let gateway = Gateway::with(|toml| {
        toml.http("web", &origin, "").route(&["web"]);
    })
    .await;
    for range in [None, Some("bytes=5-9"), Some("bytes=-5"), Some("bytes=0-")] {
        let headers: Vec<_> = range.map(|range| ("Range", range)).into_iter().collect();
        let answer = gateway.ask("GET", "/a", &headers).await;
        assert_eq!((answer.status, answer.whole), (200, true), "{range:?}");
        assert_eq!(answer.header("content-range"), "");
        assert!(answer.body == bytes);
    }
    let (head, get) = (gateway.head("/a").await, gateway.get("/a").await);
    let framing = |name: &str| name != "transfer-encoding";
    let mut told = get.stable_headers();
    told.retain(|(name, _)| framing(name));
    let mut said = head.stable_headers();
    said.retain(|(name, _)| framing(name));
    assert_eq!(said, told);
}

#[tokio::test]
async fn a_chunked_body_that_is_cut_is_cut_for_the_client() {
    let bytes = noise(SIZE);
    let origin = holding(&bytes).await;
    origin.fault(On::key("a"), Fault::Chunked);
    origin.fault(On::key("a"), Fault::IgnoreRange);
    origin.fault(On::key("a"), Fault::CutAfter(SIZE / 2));
    let gateway = Gateway::with(|toml| {
        toml.http("web", &origin, "").route(&["web"]);
    })
    .await;
    assert!(!gateway.get("/a").await.whole);
    assert!(over_http2(&gateway, "/a").await.2.is_err());
}

#[tokio::test]
async fn an_error_document_is_never_served_as_media() {
    let origin = Faulty::start().await;
    for missing in [
        Missing::NoSuchKey,
        Missing::Plain,
        Missing::Html,
        Missing::Forbidden,
    ] {
        origin.missing(missing);
        let gateway = Gateway::before(&origin).await;
        let answer = gateway.get("/a").await;
        assert!(matches!(answer.status, 404 | 503), "{missing:?}");
        assert!(answer.header("content-type").starts_with("text/plain"));
        assert!(!answer.text().contains('<'), "{}", answer.text());
    }
}

#[tokio::test]
async fn an_origin_that_ignores_ranges_or_lies_of_them_breaks_nothing() {
    let bytes = noise(SIZE);
    for fault in [
        Fault::IgnoreRange,
        Fault::ContentRange(None),
        Fault::ContentRange(Some(format!("bytes 0-9/{SIZE}"))),
        Fault::ContentRange(Some("bytes 100-109/50".into())),
    ] {
        let origin = holding(&bytes).await;
        origin.fault(On::key("a"), fault.clone());
        let gateway = Gateway::before(&origin).await;
        let part = gateway.range("/a", "bytes=100-109").await;
        let whole = gateway.get("/a").await;
        for answer in [&part, &whole] {
            assert!(answer.whole, "{fault:?}");
            match answer.status {
                206 => assert!(answer.body == bytes[100..110], "{fault:?}"),
                200 => assert!(answer.body == bytes, "{fault:?}"),
                status => assert_eq!(status, 503, "{fault:?}"),
            }
        }
        if matches!(fault, Fault::IgnoreRange) {
            assert_eq!((part.status, whole.status), (206, 200));
        }
    }
}
