//! Headers that must not reach a client, or not even be stored.

use origin_resolver::{Outcome, Reason};
use test_servers::faulty::{Fault, Faulty, Object, On};

use super::{KEY, each_kind, found, read, reason, resolve, route};
use crate::fixture::noise;

fn headers(pairs: &[(&str, &str)]) -> Fault {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Fault::Headers(pairs.iter().map(owned).collect())
}

#[tokio::test]
async fn hostile_and_huge_headers_change_nothing_of_what_is_known() {
    let server = Faulty::start().await;
    let bytes = noise(1000);
    server.put(KEY, Object::new(bytes.clone()).content_type("image/webp"));
    let many: Vec<_> = (0..60)
        .map(|n| (format!("x-amz-meta-{n}"), "x".repeat(500)))
        .collect();
    for origin in each_kind(&server) {
        server.heal();
        let clean = found(&route([origin.clone()]), KEY).await.head;
        for fault in [
            Fault::hostile_headers(),
            Fault::huge_headers(70_000),
            Fault::Headers(many.clone()),
            headers(&[("Content-Disposition", &"x".repeat(70_000))]),
            headers(&[("Content-Language", "\u{1}\u{7f}")]),
            headers(&[("Content-Language", "a\tb")]),
        ] {
            server.heal();
            server.fault(On::any(), fault.clone());
            match resolve(&route([origin.clone()]), KEY).await.outcome {
                Outcome::Found(resolved) => {
                    assert_eq!(resolved.head, clean, "{}", origin.name);
                    assert_eq!(read(resolved.body).await, (bytes.to_vec(), None));
                }
                Outcome::Unknown { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn more_headers_than_any_storage_sends_are_no_answer() {
    let server = Faulty::start().await;
    server.put(KEY, noise(10));
    server.fault(On::any(), Fault::huge_headers(2_000_000));
    for origin in each_kind(&server) {
        let failed = reason(&route([origin]), KEY).await;
        assert!(
            matches!(failed, Reason::Protocol | Reason::Connect),
            "{failed}"
        );
    }
}

#[tokio::test]
async fn a_line_break_or_a_nul_inside_a_header_is_no_answer_or_no_header() {
    let server = Faulty::start().await;
    server.put(KEY, noise(10));
    for value in ["a\rb", "a\0b", "a\r b", "a\n b"] {
        for name in ["Content-Disposition", "Content-Language", "x-amz-meta-x"] {
            server.heal();
            server.fault(On::any(), headers(&[(name, value)]));
            for origin in each_kind(&server) {
                match resolve(&route([origin]), KEY).await.outcome {
                    Outcome::Found(resolved) => {
                        assert_eq!(resolved.head.content_disposition, None, "{value:?}");
                        assert_eq!(resolved.head.content_language, None, "{value:?}");
                    }
                    Outcome::Unknown { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn two_lengths_that_contradict_each_other_are_no_answer() {
    let server = Faulty::start().await;
    server.put(KEY, noise(10));
    server.fault(On::any(), headers(&[("Content-Length", "5")]));
    for origin in each_kind(&server) {
        assert_eq!(reason(&route([origin]), KEY).await, Reason::Protocol);
    }
}
