//! What a kind of origin must provide to be checked, and short words for asking it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use object::{ObjectBody, ObjectKey};
use origin_resolver::{Answer, Extent, Origin, Part, Question, Reply};

/// An origin of some kind, and a way to put objects behind it.
pub(crate) trait Fixture: Send + Sync {
    /// Stores an object, or replaces it by another version that the origin can tell apart.
    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        content_type: Option<&'a str>,
    ) -> BoxFuture<'a, ()>;

    /// The origin, with its objects' public reads as configured.
    fn origin(&self) -> Arc<dyn Origin>;

    /// Returns once nothing is held for a body any more: no file, no busy connection.
    fn released(&self) -> BoxFuture<'_, ()>;

    /// Whether the server behind the origin can store this key, and tell it from every other.
    fn can_store(&self, _key: &str) -> bool {
        true
    }

    /// Whether it can store `a` and `a/b` at one time.
    fn can_store_below(&self) -> bool {
        true
    }

    /// Whether it answers a suffix longer than the object with the whole, as RFC 9110 says.
    fn can_shorten_suffixes(&self) -> bool {
        true
    }
}

/// Makes one test of each promise for a kind; `$fixture` is evaluated anew in each, inside async
/// code.
macro_rules! contract {
    ($fixture:expr) => {
        crate::fixture::contract! { @ $fixture;
            keys_of_real_buckets_are_kept_byte_for_byte
            keys_that_look_alike_name_different_objects
            an_object_may_have_others_below_its_name
            a_key_as_long_as_a_key_may_be_is_kept
            an_empty_object_is_found_and_has_no_range
            a_whole_object_arrives_exactly
            each_form_of_range_brings_exactly_its_bytes
            a_range_beyond_the_end_is_unsatisfiable_and_tells_the_length
            a_head_brings_no_byte_and_tells_what_the_whole_tells
            the_content_type_is_given_as_it_was_stored
            what_was_never_put_is_missing
            a_version_that_was_replaced_is_not_given
            the_version_that_was_asked_for_is_given
            a_dropped_body_releases_what_it_held
            questions_asked_at_once_get_their_own_answers
        }
    };
    (@ $fixture:expr; $($check:ident)*) => {
        $(
            #[tokio::test]
            async fn $check() {
                let fixture = $fixture;
                crate::checks::$check(&fixture).await;
            }
        )*
    };
}
pub(crate) use contract;

/// A question about this key.
pub(crate) fn question(key: &str, part: Part) -> Question {
    Question::new(ObjectKey::parse(key).unwrap(), part)
}

/// The answer to a question.
pub(crate) async fn ask(origin: &dyn Origin, key: &str, part: Part) -> Answer {
    origin.ask(&question(key, part)).await
}

/// The reply to a question about an object that is there.
pub(crate) async fn found(origin: &dyn Origin, key: &str, part: Part) -> Reply {
    match ask(origin, key, part).await {
        Answer::Found(reply) => reply,
        other => panic!("{key:?} {part:?}: {other:?}"),
    }
}

/// The whole of an object that is there.
pub(crate) async fn read(origin: &dyn Origin, key: &str) -> Vec<u8> {
    let reply = found(origin, key, Part::Whole).await;
    collect(reply.body).await
}

/// All bytes of a body that ends well, in chunks of at most 64 KiB.
pub(crate) async fn collect(mut body: ObjectBody) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.unwrap();
        assert!(
            !chunk.is_empty() && chunk.len() <= 64 * 1024,
            "{}",
            chunk.len()
        );
        bytes.extend_from_slice(&chunk);
    }
    bytes
}

/// Bytes of which no two neighbouring stretches are alike.
pub(crate) fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect()
}

/// The extent of a reply that says how long it is.
pub(crate) fn range_of(reply: &Reply) -> std::ops::Range<u64> {
    match reply.extent {
        Extent::Bytes(range) => range.start..range.end,
        other => panic!("{other:?}"),
    }
}
