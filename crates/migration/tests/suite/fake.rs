//! An origin in memory that counts what it is asked and fails when it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use md5::{Digest as _, Md5};
use object::{
    BodyError, ByteRange, Digest, Extent, Interruption, Md5Etag, ObjectBody, ObjectHead, ObjectKey,
    Part, Proofs, Validator,
};
use origin_resolver::{
    Answer, Aside, Capacity, Cursor, Erased, Failure, Kept, Listed, Misfit, Origin, Page, Put,
    PutError, Question, Reason, Reply, Store, Stored, Turns, Unfit,
};
use sha2::{Digest as _, Sha256};

/// One object.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    pub(crate) kept: Kept,
    pub(crate) modified: u64,
}

/// What goes wrong with the next request of its kind.
#[derive(Clone)]
pub(crate) enum Fault {
    Fails(Reason),
    /// The body ends in an error after so many bytes.
    Cut(usize, Interruption),
    /// Other bytes than those that were sent are kept.
    Mangles,
    /// This is stored by somebody else before the answer.
    Interferes(&'static [u8]),
    /// It has no answer, and is stored all the same.
    Unanswered,
}

#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) objects: Mutex<BTreeMap<ObjectKey, Object>>,
    pub(crate) gets: Mutex<VecDeque<Fault>>,
    pub(crate) puts: Mutex<VecDeque<Fault>>,
    /// Each request of any sort fails so.
    pub(crate) down: Mutex<Option<Reason>>,
    /// Entity tags that look like MD5s and are none, as those of encrypted objects.
    pub(crate) opaque: bool,
    pub(crate) capacity: Option<Capacity>,
    pub(crate) unfit: Option<&'static str>,
    pub(crate) listings: AtomicU64,
    pub(crate) reads: AtomicU64,
    /// Of bodies.
    pub(crate) bytes: AtomicU64,
    pub(crate) heads: AtomicU64,
    pub(crate) writes: AtomicU64,
    pub(crate) page: usize,
}

impl Shelf {
    pub(crate) fn new() -> Self {
        Self {
            page: 3,
            ..Self::default()
        }
    }

    pub(crate) fn set(&self, key: &str, bytes: impl Into<Bytes>, modified: u64) {
        let object = Object {
            bytes: bytes.into(),
            kept: Kept::default(),
            modified,
        };
        let key = ObjectKey::parse(key).unwrap();
        self.objects.lock().unwrap().insert(key, object);
    }

    pub(crate) fn remove(&self, key: &str) {
        let key = ObjectKey::parse(key).unwrap();
        self.objects.lock().unwrap().remove(&key);
    }

    pub(crate) fn get(&self, key: &str) -> Option<Bytes> {
        let key = ObjectKey::parse(key).unwrap();
        let objects = self.objects.lock().unwrap();
        objects.get(&key).map(|object| object.bytes.clone())
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        objects.keys().map(|key| key.as_str().to_owned()).collect()
    }

    fn tag(&self, object: &Object) -> Box<str> {
        let sum: [u8; 16] = Md5::digest(&object.bytes).into();
        let salt = if self.opaque { object.modified } else { 0 };
        let sum = u128::from_be_bytes(sum) ^ u128::from(salt);
        format!("\"{sum:032x}\"").into()
    }

    fn is_down(&self, what: &str) -> Result<(), Failure> {
        match *self.down.lock().unwrap() {
            Some(reason) => Err(Failure::new(reason, format!("{what}: as the test says"))),
            None => Ok(()),
        }
    }

    fn reply(&self, object: &Object, part: Part, fault: Option<&Fault>) -> Reply {
        let tag = self.tag(object);
        let proofs = Proofs {
            md5: Md5Etag::parse(&tag).filter(|_| !self.opaque),
            ..Proofs::default()
        };
        let head = ObjectHead {
            length: Some(object.bytes.len() as u64),
            content_type: object.kept.content_type.clone(),
            last_modified: Some(at(object.modified)),
            validator: Some(Validator::Strong(tag)),
            proofs,
            ..ObjectHead::default()
        };
        let mut bytes = object.bytes.clone();
        let (extent, body) = match part {
            Part::Head => (Extent::None, ObjectBody::empty()),
            Part::Whole | Part::Range(_) => {
                let mut chunks = Vec::new();
                let mut range = ByteRange::whole(bytes.len() as u64);
                if let Part::Range(asked) = part {
                    range = asked.resolve(range.end).expect("within the object");
                    bytes.truncate(usize::try_from(range.end).unwrap());
                    let _ = bytes.split_to(usize::try_from(range.start).unwrap());
                }
                self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                if let Some(Fault::Cut(after, kind)) = fault {
                    let sent = bytes.len().min(*after);
                    let unsent = (bytes.len() - sent) as u64;
                    self.bytes.fetch_sub(unsent, Ordering::Relaxed);
                    bytes.truncate(sent);
                    chunks.push(Ok(bytes));
                    chunks.push(Err(BodyError::new(
                        *kind,
                        "the body broke, as the test says",
                    )));
                } else {
                    chunks.push(Ok(bytes));
                }
                (Extent::Bytes(range), ObjectBody::new(stream::iter(chunks)))
            }
        };
        Reply {
            head,
            aside: Aside::default(),
            extent,
            body,
        }
    }
}

pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The origin around a shelf, which the test keeps a hand on.
pub(crate) struct Shop(pub(crate) std::sync::Arc<Shelf>);

impl Origin for Shop {
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let shop = &self.0;
            if let Err(failure) = shop.is_down("get") {
                return Answer::Unknown(failure);
            }
            let mut fault = None;
            if question.part == Part::Head {
                shop.heads.fetch_add(1, Ordering::Relaxed);
            } else {
                shop.reads.fetch_add(1, Ordering::Relaxed);
                fault = shop.gets.lock().unwrap().pop_front();
            }
            if let Some(Fault::Fails(reason)) = fault {
                return Answer::Unknown(Failure::new(reason, "as the test says"));
            }
            if let Some(Fault::Interferes(bytes)) = fault {
                shop.set(question.key.as_str(), bytes, 900);
            }
            let found = shop.objects.lock().unwrap().get(&question.key).cloned();
            let Some(object) = found else {
                return Answer::Missing;
            };
            let is = Validator::Strong(shop.tag(&object));
            match &question.only {
                Some(only) if !only.proves_same(&is) => Answer::Changed,
                _ => Answer::Found(shop.reply(&object, question.part, fault.as_ref())),
            }
        })
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(&*self.0)
    }
}

impl Store for Shelf {
    fn writable(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<Cursor>,
        _turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Page, Failure>> {
        Box::pin(async move {
            self.is_down("list")?;
            self.listings.fetch_add(1, Ordering::Relaxed);
            let objects = self.objects.lock().unwrap();
            let from = match &after {
                Some(cursor) => Bound::Excluded(ObjectKey::parse(cursor.as_str()).unwrap()),
                None => Bound::Unbounded,
            };
            let mut behind = objects
                .range((from, Bound::Unbounded))
                .filter(|(key, _)| key.as_str().starts_with(prefix))
                .map(|(key, object)| Listed {
                    key: key.clone(),
                    size_bytes: object.bytes.len() as u64,
                    etag: Some(self.tag(object)),
                    modified: Some(at(object.modified)),
                });
            let entries: Vec<_> = behind.by_ref().take(self.page).collect();
            let next = entries.last().filter(|_| behind.next().is_some());
            let next = next.map(|last| Cursor::new(last.key.as_str()));
            let unfit = self.unfit.filter(|_| after.is_none()).map(|name| Unfit {
                name: name.into(),
                size_bytes: Some(1),
                why: Misfit::Reserved,
            });
            Ok(Page {
                entries,
                unfit: unfit.into_iter().collect(),
                next,
            })
        })
    }

    fn put<'a>(
        &'a self,
        put: Put,
        _turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Stored, PutError>> {
        Box::pin(async move {
            self.is_down("put").map_err(PutError::Refused)?;
            self.writes.fetch_add(1, Ordering::Relaxed);
            let fault = self.puts.lock().unwrap().pop_front();
            if let Some(Fault::Fails(reason)) = fault {
                return Err(PutError::Refused(Failure::new(reason, "as the test says")));
            }
            let (mut bytes, mut body) = (Vec::new(), put.body);
            while let Some(chunk) = body.next().await {
                bytes.extend_from_slice(&chunk.map_err(PutError::Broken)?);
            }
            if bytes.len() as u64 != put.length {
                let error = BodyError::new(Interruption::Protocol, "not as long as was said");
                return Err(PutError::Broken(error));
            }
            if let Some(Fault::Interferes(bytes)) = fault {
                self.set(put.key.as_str(), bytes, 900);
            }
            let mut object = Object {
                bytes: bytes.clone().into(),
                kept: put.kept,
                modified: 500,
            };
            if matches!(fault, Some(Fault::Mangles)) {
                bytes[0] ^= 1;
                object.bytes = bytes.clone().into();
            }
            let stored = Stored {
                etag: Some(self.tag(&object)),
                md5: Md5::digest(&bytes).into(),
                sha256: Digest(Sha256::digest(&bytes).into()),
            };
            let mut objects = self.objects.lock().unwrap();
            if put.if_absent && objects.contains_key(&put.key) {
                return Err(PutError::Exists);
            }
            objects.insert(put.key, object);
            if matches!(fault, Some(Fault::Unanswered)) {
                let failure = Failure::new(Reason::Timeout, "as the test says");
                return Err(PutError::Unanswered(failure));
            }
            Ok(stored)
        })
    }

    fn delete<'a>(
        &'a self,
        key: &'a ObjectKey,
        only: Option<&'a str>,
        _turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Erased, Failure>> {
        Box::pin(async move {
            self.is_down("delete")?;
            let mut objects = self.objects.lock().unwrap();
            let there = objects.get(key).map(|object| self.tag(object));
            let spared = only.is_some_and(|only| there.as_deref().is_some_and(|tag| tag != only));
            let gone = !spared && objects.remove(key).is_some();
            Ok(Erased {
                versions: u32::from(gone),
                spared,
            })
        })
    }

    fn capacity(&self) -> BoxFuture<'_, Option<Capacity>> {
        Box::pin(async { self.capacity })
    }
}
