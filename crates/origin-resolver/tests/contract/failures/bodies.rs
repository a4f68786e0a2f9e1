//! Bodies that do not keep their head's promise.

use object::RangeRequest;
use origin_resolver::{Outcome, Part, Reason};
use test_servers::faulty::{Fault, Faulty, Object, On};

use super::{KEY, assert_unknown, each_kind, failure, found, key, read, route};
use crate::fixture::noise;

const LENGTH: usize = 200_000;

#[tokio::test]
async fn a_body_cut_anywhere_never_ends_cleanly() {
    let bytes = noise(LENGTH);
    for framing in [
        &[][..],
        &[Fault::Chunked],
        &[Fault::Chunked, Fault::IgnoreRange],
    ] {
        for cut in [0, 1, LENGTH / 2, LENGTH - 1] {
            for end in [Fault::CutAfter(cut), Fault::ResetAfter(cut)] {
                let server = Faulty::start().await;
                // Without a tag the rest cannot be asked for.
                server.put(KEY, Object::new(bytes.clone()).without_etag());
                for fault in framing {
                    server.fault(On::any(), fault.clone());
                }
                server.fault(On::any(), end.clone());
                for origin in each_kind(&server) {
                    let what = format!("{} {framing:?} {end:?}", origin.name);
                    let resolution = super::resolve(&route([origin]), KEY).await;
                    match resolution.outcome {
                        Outcome::Unknown { .. } => {
                            let reset = matches!(end, Fault::ResetAfter(_));
                            assert!(cut == 0 || reset, "{what}");
                        }
                        Outcome::Found(resolved) => {
                            let (came, broken) = read(resolved.body).await;
                            assert!(broken.is_some(), "{what}: ended after {}", came.len());
                            assert!(came.len() <= cut && bytes.starts_with(&came), "{what}");
                        }
                        other => panic!("{what}: {other:?}"),
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_length_that_is_not_the_bodys_never_ends_cleanly() {
    let bytes = noise(LENGTH);
    for error in [-1, 1, 1000] {
        for ignore_range in [false, true] {
            let server = Faulty::start().await;
            server.put(KEY, Object::new(bytes.clone()).without_etag());
            server.fault(On::any(), Fault::WrongLength(error));
            if ignore_range {
                server.fault(On::any(), Fault::IgnoreRange);
            }
            for origin in each_kind(&server) {
                let what = format!("{} {error} {ignore_range}", origin.name);
                let resolution = super::resolve(&route([origin]), KEY).await;
                let Outcome::Found(resolved) = resolution.outcome else {
                    assert_unknown(&resolution, &what);
                    continue;
                };
                let promised = resolved.head.length.unwrap();
                let (came, broken) = read(resolved.body).await;
                // A length that is too short, of a whole, cannot be told from the truth.
                let short = ignore_range && error < 0 && came.len() as u64 == promised;
                assert!(broken.is_some() || short, "{what}");
                assert!(bytes.starts_with(&came), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_whose_end_nobody_marks_is_not_believed() {
    let server = Faulty::start().await;
    server.put(KEY, noise(1000));
    server.fault(On::any(), Fault::UntilClose);
    for origin in each_kind(&server) {
        assert_eq!(
            failure(&route([origin]), KEY).await.reason,
            Reason::Protocol
        );
    }
}

#[tokio::test]
async fn a_wrong_or_missing_content_range_is_not_believed_and_the_next_origin_is_asked() {
    let (liar, honest) = (Faulty::start().await, Faulty::start().await);
    let bytes = noise(1000);
    liar.put(KEY, bytes.clone());
    honest.put(KEY, bytes.clone());
    for said in [
        None,
        Some("bytes 101-200/1000"),
        Some("bytes 100-199/*"),
        Some("bytes 100-198/1000"),
        Some("bytes 0-99/1000"),
        Some("bytes */1000"),
        Some("bytes 199-100/1000"),
        Some("bytes 100-199/150"),
        Some("bytes 100-18446744073709551616/1000"),
        Some("nonsense"),
    ] {
        liar.heal();
        liar.fault(On::any(), Fault::ContentRange(said.map(Into::into)));
        for origin in each_kind(&liar) {
            let what = format!("{} {said:?}", origin.name);
            let part = Part::Range(RangeRequest::FromTo {
                first: 100,
                last: 199,
            });
            let alone = route([origin.clone()]).resolve(&key(KEY), part).await;
            assert_unknown(&alone, &what);
            let failure = alone.trail[0].failure.as_ref().unwrap();
            assert_eq!(failure.reason, Reason::Protocol, "{what}");

            let both = route([origin, super::bucket("honest", &honest)]);
            let Outcome::Found(resolved) = both.resolve(&key(KEY), part).await.outcome else {
                panic!("{what}: the honest origin was not believed");
            };
            assert_eq!(&*resolved.origin, "honest", "{what}");
            assert_eq!(
                read(resolved.body).await,
                (bytes[100..200].to_vec(), None),
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn a_compressed_object_arrives_byte_for_byte_with_its_encoding() {
    let server = Faulty::start().await;
    // A gzip header, then bytes that nobody could decode.
    let mut bytes = b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec();
    bytes.extend_from_slice(&noise(100_000));
    for encoding in ["gzip", "br", "zstd", "deflate", "aws-chunked"] {
        server.put(
            KEY,
            Object::new(bytes.clone())
                .content_type("text/css")
                .header("Content-Encoding", encoding),
        );
        for origin in each_kind(&server) {
            let resolved = found(&route([origin]), KEY).await;
            assert_eq!(resolved.head.content_encoding.as_deref(), Some(encoding));
            assert!(read(resolved.body).await == (bytes.clone(), None));
        }
    }
}
