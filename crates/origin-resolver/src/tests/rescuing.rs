//! Law 3: one version per response, whatever dies in the middle.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use object::{ByteRange, Digest, Interruption, Md5Etag, ObjectBody, RangeRequest};

use super::fake::{Fake, Said, Version, key, missing, route};
use crate::{Answer, Outcome, Part, Resolver, Rest};

const BYTES: &str = "the quick brown fox jumps over the lazy dog";
const OTHER: &str = "the quick brown fox jumps over the lazy cat";

/// Everything that a reader of the whole gets, and whether it ended well.
async fn read(route: &Resolver, part: Part) -> (String, Result<(), Interruption>) {
    let Outcome::Found(resolved) = route.resolve(&key("k"), part).await.outcome else {
        panic!("an origin has it");
    };
    let mut body = resolved.body;
    let mut text = String::new();
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
            Err(error) => return (text, Err(error.kind)),
        }
    }
    (text, Ok(()))
}

/// Dies at byte 10, and then for good.
fn dying(version: Version) -> Arc<Fake> {
    Fake::new(move |question, nth| {
        if nth == 0 {
            version.answer_until(question, 10)
        } else {
            super::fake::unknown(crate::Reason::Connect)
        }
    })
}

fn whole(version: Version) -> Arc<Fake> {
    Fake::new(move |question, _| version.answer(question))
}

#[tokio::test(start_paused = true)]
async fn the_same_origin_and_validator_continue_unnoticed() {
    let version = Version::new(BYTES);
    let first = Fake::new(move |question, nth| match nth {
        0 => version.answer_until(question, 10),
        1 => version.answer_until(question, 20),
        _ => version.answer(question),
    });
    let (text, end) = read(&route(&[&first]), Part::Whole).await;
    assert_eq!((text.as_str(), end), (BYTES, Ok(())));
    assert_eq!(
        first.questions()[1].part,
        Part::Range(RangeRequest::FromTo {
            first: 10,
            last: BYTES.len() as u64 - 1
        })
    );
    assert!(first.questions()[1].only.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_stalls_is_left_for_the_next_one() {
    let version = Version::new(BYTES);
    let stalling = version.clone();
    let first = Fake::new(move |question, _| {
        let Said::Now(Answer::Found(mut reply)) = stalling.answer(question) else {
            panic!("it has it");
        };
        reply.body = ObjectBody::new(reply.body.take(4).chain(stream::pending()));
        Said::Now(Answer::Found(reply))
    });
    let second = whole(version);
    let (text, end) = read(&route(&[&first, &second]), Part::Whole).await;
    assert_eq!((text.as_str(), end), (BYTES, Ok(())));
    assert_eq!(first.asked(), 1, "another stall costs another idle timeout");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_now_has_another_version_cuts_the_reader() {
    let (old, new) = (
        Version::new(BYTES),
        Version::new("The quick brown fox jumps over the lazy dog"),
    );
    let first = Fake::new(move |question, nth| match nth {
        0 => old.answer_until(question, 10),
        _ => new.answer(question),
    });
    let (text, end) = read(&route(&[&first]), Part::Whole).await;
    assert_eq!((text.as_str(), end), (&BYTES[..10], Err(Interruption::Cut)));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_ignores_if_match_is_caught_by_its_validator() {
    let (old, new) = (
        Version::new(BYTES),
        Version::new("The quick brown fox jumps over the lazy dog"),
    );
    let first = Fake::new(move |question, nth| {
        if nth == 0 {
            old.answer_until(question, 10)
        } else {
            let mut question = question.clone();
            question.only = None;
            new.answer(&question)
        }
    });
    let (_, end) = read(&route(&[&first]), Part::Whole).await;
    assert_eq!(end, Err(Interruption::Cut));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_refuses_every_if_match_is_asked_without_it_and_compared_here() {
    let (old, new) = (
        Version::new(BYTES),
        Version::new("The quick brown fox jumps over the lazy dog"),
    );
    for (has, expected) in [(&old, Some(&BYTES[10..20])), (&new, None)] {
        let has = has.clone();
        let first = Fake::new(move |question, _| match question.only {
            Some(_) => Said::Now(Answer::Changed),
            None => has.answer(question),
        });
        let range = ByteRange { start: 10, end: 20 };
        let route = route(&[&first]);
        let rest = route.rest(&key("k"), "first", &old.head, range).await;
        let came = match rest {
            Rest::Bytes { body, .. } => Some(body.map(Result::unwrap).collect::<Vec<_>>().await),
            Rest::Changed => None,
            Rest::Unknown { .. } => panic!("it has said what it has"),
        };
        assert_eq!(
            came.map(|came| came.concat()).as_deref(),
            expected.map(str::as_bytes)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn equal_content_tags_or_digests_continue_elsewhere_without_reading_again() {
    let tags: [fn(&mut Version); 3] = [
        |version| version.head.proofs.md5 = Md5Etag::parse("0123456789abcdef0123456789abcdef-3"),
        |version| version.head.proofs.checksum = Some(Digest([7; 32])),
        |version| version.head.proofs.own = Some(Digest([7; 32])),
    ];
    for tag in tags {
        let mut version = Version::new(BYTES);
        tag(&mut version);
        let second = whole(version.clone());
        let route = route(&[&dying(version), &second]);
        let (text, end) = read(&route, Part::Whole).await;
        assert_eq!((text.as_str(), end), (BYTES, Ok(())));
        assert_eq!(second.asked(), 1, "only the rest was read");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_tag_an_equal_prefix_read_again_continues_elsewhere() {
    let second = whole(Version::new(BYTES));
    let route = route(&[&dying(Version::new(BYTES)), &second]);
    let part = Part::Range(RangeRequest::From { first: 4 });
    let (text, end) = read(&route, part).await;
    assert_eq!((text.as_str(), end), (&BYTES[4..], Ok(())));
}

#[tokio::test(start_paused = true)]
async fn another_prefix_or_another_length_cuts_the_reader() {
    for other in [OTHER, "the quick brown fox"] {
        // The last bytes differ, so read far enough to meet the difference.
        let version = Version::new(BYTES);
        let cut = BYTES.len() as u64 - 1;
        let first = Fake::new(move |question, nth| match nth {
            0 => version.answer_until(question, cut),
            _ => Said::Now(Answer::Missing),
        });
        let second = whole(Version::new(other));
        let (text, end) = read(&route(&[&first, &second]), Part::Whole).await;
        assert_eq!(
            (text.as_str(), end),
            (&BYTES[..BYTES.len() - 1], Err(Interruption::Cut))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn contradicting_digests_cut_the_reader_whatever_the_prefix_says() {
    let with = |byte| {
        let mut version = Version::new(BYTES);
        version.head.proofs.own = Some(Digest([byte; 32]));
        version
    };
    let route = route(&[&dying(with(1)), &whole(with(2))]);
    let (_, end) = read(&route, Part::Whole).await;
    assert_eq!(end, Err(Interruption::Cut));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_said_missing_is_not_asked_again_for_the_rest() {
    let first = missing();
    let route = route(&[&first, &dying(Version::new(BYTES))]);
    let (_, end) = read(&route, Part::Whole).await;
    assert_eq!(end, Err(Interruption::Cut));
    assert_eq!(first.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_breaks_again_and_again_without_progress_is_given_up() {
    let version = Version::new(BYTES);
    let first = Fake::new(move |question, nth| match nth {
        0 => version.answer_until(question, 10),
        _ => version.answer_until(question, 0),
    });
    let (_, end) = read(&route(&[&first]), Part::Whole).await;
    assert_eq!(end, Err(Interruption::Cut));
    assert!(first.asked() <= 4, "{}", first.asked());
}
