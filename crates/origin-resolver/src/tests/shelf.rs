//! A store in memory, for what is built on stores: it keeps every promise, and fails when told to.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use md5::{Digest as _, Md5};
use object::{BodyError, Digest, Interruption, ObjectKey};
use sha2::{Digest as _, Sha256};

use crate::{Cursor, Erased, Failure, Kept, Listed, Page, Put, PutError, Store, Stored, Turns};

/// Objects by key; a page has two.
#[derive(Default)]
pub(crate) struct Shelf {
    objects: Mutex<BTreeMap<ObjectKey, (Vec<u8>, Kept)>>,
    /// Each request takes one as long as there are any, and fails with it.
    failures: Mutex<Vec<Failure>>,
}

const PAGE: usize = 2;

impl Shelf {
    /// What lies under a key.
    pub(crate) fn get(&self, key: &ObjectKey) -> Option<(Vec<u8>, Kept)> {
        self.objects.lock().unwrap().get(key).cloned()
    }

    /// Puts bytes there without asking.
    pub(crate) fn set(&self, key: ObjectKey, bytes: &[u8]) {
        let object = (bytes.to_vec(), Kept::default());
        self.objects.lock().unwrap().insert(key, object);
    }

    /// The next requests fail so, the last of these first.
    pub(crate) fn fail(&self, failures: impl IntoIterator<Item = Failure>) {
        self.failures.lock().unwrap().extend(failures);
    }

    /// One request: a turn, and what the script says of it, until it works or is given up.
    async fn request(&self, turns: &dyn Turns) -> Result<(), Failure> {
        let mut tries = 1;
        loop {
            turns.take().await?;
            let failure = self.failures.lock().unwrap().pop();
            let wait = turns.over(failure.as_ref().map_or(Ok(()), Err), tries);
            let Some(failure) = failure else {
                return Ok(());
            };
            tokio::time::sleep(wait.ok_or(failure)?).await;
            tries += 1;
        }
    }
}

pub(super) fn tag(bytes: &[u8]) -> Box<str> {
    format!("\"{}\"", hex::encode(Md5::digest(bytes))).into()
}

impl Store for Shelf {
    fn writable(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<Cursor>,
        turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Page, Failure>> {
        Box::pin(async move {
            self.request(turns).await?;
            let objects = self.objects.lock().unwrap();
            let from = match &after {
                Some(cursor) => Bound::Excluded(ObjectKey::parse(cursor.as_str()).unwrap()),
                None => Bound::Unbounded,
            };
            let mut behind = objects
                .range((from, Bound::Unbounded))
                .filter(|(key, _)| key.as_str().starts_with(prefix))
                .map(|(key, (bytes, kept))| Listed {
                    key: key.clone(),
                    size_bytes: bytes.len() as u64,
                    etag: Some(tag(bytes)),
                    modified: kept.modified,
                });
            let entries: Vec<_> = behind.by_ref().take(PAGE).collect();
            let next = entries.last().filter(|_| behind.next().is_some());
            let next = next.map(|last| Cursor::new(last.key.as_str()));
            Ok(Page {
                entries,
                unfit: Vec::new(),
                next,
            })
        })
    }

    fn put<'a>(
        &'a self,
        put: Put,
        turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Stored, PutError>> {
        Box::pin(async move {
            self.request(turns).await.map_err(PutError::Refused)?;
            let mut bytes = Vec::new();
            let mut body = put.body;
            while let Some(chunk) = body.next().await {
                bytes.extend_from_slice(&chunk.map_err(PutError::Broken)?);
            }
            if bytes.len() as u64 != put.length {
                let error = BodyError::new(Interruption::Protocol, "not as long as was said");
                return Err(PutError::Broken(error));
            }
            let mut objects = self.objects.lock().unwrap();
            if put.if_absent && objects.contains_key(&put.key) {
                return Err(PutError::Exists);
            }
            let stored = Stored {
                etag: Some(tag(&bytes)),
                md5: Md5::digest(&bytes).into(),
                sha256: Digest(Sha256::digest(&bytes).into()),
            };
            objects.insert(put.key, (bytes, put.kept));
            Ok(stored)
        })
    }

    fn delete<'a>(
        &'a self,
        key: &'a ObjectKey,
        only: Option<&'a str>,
        turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Erased, Failure>> {
        Box::pin(async move {
            self.request(turns).await?;
            let mut objects = self.objects.lock().unwrap();
            let there = objects.get(key).map(|(bytes, _)| tag(bytes));
            let spared = only.is_some_and(|only| there.as_deref().is_some_and(|tag| tag != only));
            let gone = !spared && objects.remove(key).is_some();
            Ok(Erased {
                versions: u32::from(gone),
                spared,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use object::ObjectBody;

    use super::*;
    use crate::tests::fake::{Fake, key, read};
    use crate::{Origin, Part, Question, Reason, Unpaced};

    #[tokio::test]
    async fn what_is_put_on_a_shelf_is_listed_read_and_gone_when_deleted() {
        let fake = Fake::with_shelf();
        let store = fake.store().unwrap();
        for name in ["a/1", "a/2", "a/3", "b"] {
            let body = ObjectBody::new(futures_util::stream::iter([Ok("hello".into())]));
            let put = Put {
                key: key(name),
                length: 5,
                md5: None,
                kept: Kept::default(),
                body,
                if_absent: true,
            };
            store.put(put, &Unpaced).await.unwrap();
        }
        let first = store.list("a/", None, &Unpaced).await.unwrap();
        assert_eq!(first.entries.len(), 2);
        let second = store.list("a/", first.next, &Unpaced).await.unwrap();
        assert_eq!((second.entries.len(), second.next), (1, None));
        let question = Question::new(key("a/3"), Part::Whole);
        assert_eq!(read(fake.ask(&question).await).await, b"hello");
        let erased = store.delete(&key("a/3"), None, &Unpaced).await.unwrap();
        assert_eq!(erased.versions, 1);
        assert!(fake.shelf().get(&key("a/3")).is_none());
        fake.shelf().set(key("a/3"), b"newer");
        let old = format!("\"{}\"", hex::encode(Md5::digest(b"hello")));
        let spared = store
            .delete(&key("a/3"), Some(&old), &Unpaced)
            .await
            .unwrap();
        assert!(spared.spared && spared.versions == 0);
    }

    #[tokio::test]
    async fn a_shelf_fails_as_often_as_it_is_told_to() {
        let shelf = Shelf::default();
        shelf.fail([Failure::new(Reason::Throttled, "as the script says")]);
        shelf.list("", None, &Unpaced).await.unwrap_err();
        shelf.list("", None, &Unpaced).await.unwrap();
    }
}
