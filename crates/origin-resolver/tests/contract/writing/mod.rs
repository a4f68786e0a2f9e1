//! What every store promises: what is written is read back, listed and gone when deleted, and
//! nothing half of it is ever seen.
//!
//! A kind joins by making a [`Place`]; what only that kind promises is tested beside it.

mod bucket;
mod checks;
mod directory;
mod faults;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use object::{BodyError, Interruption, ObjectBody, ObjectKey};
use origin_resolver::{Answer, Kept, Origin, Part, Put, PutError, Store, Stored, Unpaced};

use crate::fixture::ask;

/// An origin that can be written, and what its server is able to.
pub(crate) struct Place {
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) can_store: fn(&str) -> bool,
    pub(crate) can_store_below: bool,
    /// What goes when the test is over.
    pub(crate) _server: Box<dyn std::any::Any>,
}

impl Place {
    pub(crate) fn store(&self) -> &dyn Store {
        self.origin.store().expect("a kind that can be written")
    }

    /// Stores bytes in chunks, with nothing beside.
    pub(crate) async fn put(&self, key: &str, bytes: &Bytes) -> Result<Stored, PutError> {
        self.store().put(put(key, bytes), &Unpaced).await
    }

    /// Every key that is listed, sorted; everything listed can be asked for.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = self.store().list(prefix, after, &Unpaced).await.unwrap();
            assert!(page.unfit.is_empty(), "{:?}", page.unfit);
            keys.extend(page.entries.iter().map(|one| one.key.as_str().to_owned()));
            after = page.next;
            if after.is_none() {
                keys.sort();
                return keys;
            }
        }
    }

    pub(crate) async fn assert_missing(&self, key: &str) {
        let answer = ask(&*self.origin, key, Part::Head).await;
        assert!(matches!(answer, Answer::Missing), "{key:?}: {answer:?}");
    }
}

pub(crate) fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

/// An object without anything beside.
pub(crate) fn put(key_text: &str, bytes: &Bytes) -> Put {
    Put {
        key: key(key_text),
        length: bytes.len() as u64,
        md5: None,
        kept: Kept::default(),
        body: body(bytes),
        if_absent: false,
    }
}

/// A body in chunks of an odd size.
pub(crate) fn body(bytes: &Bytes) -> ObjectBody {
    let bytes = bytes.clone();
    let chunks = (0..bytes.len()).step_by(60_001).map(move |at| {
        let end = (at + 60_001).min(bytes.len());
        Ok(bytes.slice(at..end))
    });
    ObjectBody::new(stream::iter(chunks))
}

/// A body that breaks behind these bytes.
pub(crate) fn broken(bytes: &Bytes) -> ObjectBody {
    let cut = Err(BodyError::new(Interruption::Cut, "cut by the test"));
    ObjectBody::new(stream::iter([Ok(bytes.clone()), cut]))
}

/// Makes one test of each promise; `$place` is evaluated anew in each, inside async code.
macro_rules! stores {
    ($place:expr) => {
        crate::writing::stores! { @ $place;
            what_is_written_is_read_back_byte_for_byte_under_every_key
            what_is_kept_with_an_object_comes_back_with_it
            every_object_is_listed_with_its_length
            what_is_deleted_is_gone_and_nothing_else
            an_object_that_is_there_is_not_replaced_unless_that_is_wanted
            a_body_that_breaks_its_promise_leaves_nothing
            only_the_version_that_is_meant_is_deleted
            an_object_with_a_known_md5_is_checked_against_it
            a_large_object_arrives_whole
        }
    };
    (@ $place:expr; $($check:ident)*) => {
        $(
            #[tokio::test]
            async fn $check() {
                let place = $place;
                crate::writing::checks::$check(&place).await;
            }
        )*
    };
}
pub(crate) use stores;
