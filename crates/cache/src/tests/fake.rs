//! Origins that do what a test says, and write down what they are asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use object::{
    BodyError, ByteRange, Extent, Interruption, ObjectBody, ObjectHead, ObjectKey, Part, Validator,
};
use tokio::sync::Semaphore;

use crate::{Found, Keep, Known, Opened, Opening, Rest, Source, Standing};

/// What the origins say of a key.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    Has(Object),
    Missing,
    /// Missing everywhere, and deleted on purpose.
    Deleted,
    Withdrawn,
    Withheld,
    Unknown,
}

/// One version of an object.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    pub(crate) validator: Option<Validator>,
    pub(crate) origin: &'static str,
    pub(crate) keep: Keep,
    /// Ignores ranges, and does not tell the length.
    pub(crate) endless: bool,
    /// The body breaks here, once.
    pub(crate) breaks_at: Option<u64>,
}

impl Object {
    pub(crate) fn of(bytes: impl Into<Bytes>, tag: &str) -> Self {
        Self {
            bytes: bytes.into(),
            validator: Some(Validator::Strong(format!("\"{tag}\"").into())),
            origin: "current",
            keep: Keep::Disk,
            endless: false,
            breaks_at: None,
        }
    }
}

#[derive(Clone)]
pub(crate) struct FakeSource(Arc<Inner>);

struct Inner {
    says: Mutex<HashMap<String, Says>>,
    asked: Mutex<Vec<String>>,
    standing: Mutex<HashMap<String, Standing>>,
    /// Pieces of bodies that may be sent; closed: as many as there are.
    pieces: Semaphore,
    /// Answers that may be given; closed: as many as are asked for.
    answers: Semaphore,
    slow: AtomicBool,
}

/// Bytes that are handed out at one time.
pub(crate) const PIECE: usize = 50_000;

impl FakeSource {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            says: Mutex::default(),
            asked: Mutex::default(),
            standing: Mutex::default(),
            pieces: Semaphore::new(0),
            answers: Semaphore::new(0),
            slow: AtomicBool::new(false),
        }))
    }

    pub(crate) fn source(&self) -> Arc<dyn Source> {
        Arc::new(self.clone())
    }

    pub(crate) fn set(&self, key: &str, says: Says) {
        self.0.says.lock().unwrap().insert(key.to_owned(), says);
    }

    pub(crate) fn has(&self, key: &str, object: Object) {
        self.set(key, Says::Has(object));
    }

    pub(crate) fn stands(&self, origin: &str, standing: Standing) {
        let mut standings = self.0.standing.lock().unwrap();
        standings.insert(origin.to_owned(), standing);
    }

    /// From now on nothing is answered, and no piece of a body sent, without leave.
    pub(crate) fn hold(&self) {
        self.0.slow.store(true, Ordering::SeqCst);
    }

    pub(crate) fn release_answers(&self, count: usize) {
        self.0.answers.add_permits(count);
    }

    pub(crate) fn release_pieces(&self, count: usize) {
        self.0.pieces.add_permits(count);
    }

    /// What was asked, as `open key part` or `rest key start..end`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.asked.lock().unwrap().clone()
    }

    pub(crate) fn forget_asked(&self) {
        self.0.asked.lock().unwrap().clear();
    }

    fn note(&self, what: String) {
        self.0.asked.lock().unwrap().push(what);
    }

    fn says(&self, key: &ObjectKey) -> Says {
        let says = self.0.says.lock().unwrap();
        says.get(key.as_str()).cloned().unwrap_or(Says::Missing)
    }

    async fn leave(&self) {
        if self.0.slow.load(Ordering::SeqCst) {
            self.0.answers.acquire().await.unwrap().forget();
        }
    }

    fn body(&self, key: &ObjectKey, object: &Object, range: ByteRange) -> ObjectBody {
        let me = self.clone();
        let (key, bytes) = (key.as_str().to_owned(), object.bytes.clone());
        let breaks_at = object.breaks_at;
        if breaks_at.is_some_and(|at| range.start <= at && at < range.end) {
            let mut says = self.0.says.lock().unwrap();
            if let Some(Says::Has(object)) = says.get_mut(&key) {
                object.breaks_at = None;
            }
        }
        ObjectBody::new(stream::unfold(Some(range.start), move |at| {
            let (me, bytes) = (me.clone(), bytes.clone());
            async move {
                let at = at?;
                if at >= range.end {
                    return None;
                }
                if me.0.slow.load(Ordering::SeqCst) {
                    me.0.pieces.acquire().await.unwrap().forget();
                }
                let mut end = range.end.min(at + PIECE as u64);
                if let Some(breaks_at) = breaks_at.filter(|breaks_at| *breaks_at >= at) {
                    if at == breaks_at {
                        let error = BodyError::new(Interruption::Cut, "current: cut");
                        return Some((Err(error), None));
                    }
                    end = end.min(breaks_at);
                }
                let index = |at: u64| usize::try_from(at).unwrap();
                let piece = bytes.slice(index(at)..index(end));
                Some((Ok(piece), Some(end)))
            }
        }))
    }
}

fn head(object: &Object) -> ObjectHead {
    ObjectHead {
        length: (!object.endless).then_some(object.bytes.len() as u64),
        content_type: Some("image/webp".into()),
        validator: object.validator.clone(),
        ..ObjectHead::default()
    }
}

impl Source for FakeSource {
    fn list(&self) -> u64 {
        1
    }

    fn keeps(&self) -> bool {
        true
    }

    fn open(&self, key: &ObjectKey, part: Part) -> BoxFuture<'static, Opened> {
        let (me, key) = (self.clone(), key.clone());
        Box::pin(async move {
            me.note(match part {
                Part::Range(range) => format!("open {key} {range}"),
                Part::Head => format!("open {key} head"),
                Part::Whole => format!("open {key} whole"),
            });
            me.leave().await;
            let outcome = match me.says(&key) {
                Says::Missing => Opening::Missing { for_good: false },
                Says::Deleted => Opening::Missing { for_good: true },
                Says::Withdrawn => Opening::Withdrawn,
                Says::Withheld => Opening::Withheld,
                Says::Unknown => Opening::Unknown { retry_after: None },
                Says::Has(object) => {
                    let total = object.bytes.len() as u64;
                    let extent = match part {
                        Part::Head => Extent::None,
                        _ if object.endless => Extent::Unbounded,
                        Part::Whole => Extent::Bytes(ByteRange::whole(total)),
                        Part::Range(range) => range
                            .resolve(total)
                            .map_or(Extent::Unsatisfiable, Extent::Bytes),
                    };
                    let body = match extent {
                        Extent::Bytes(range) => me.body(&key, &object, range),
                        Extent::Unbounded => me.body(&key, &object, ByteRange::whole(total)),
                        Extent::None | Extent::Unsatisfiable => ObjectBody::empty(),
                    };
                    let etag = match &object.validator {
                        Some(Validator::Strong(tag)) => Some(tag.clone()),
                        _ => None,
                    };
                    Opening::Found(Box::new(Found {
                        origin: object.origin.into(),
                        head: head(&object),
                        etag,
                        extent,
                        body,
                        keep: object.keep,
                    }))
                }
            };
            Opened {
                outcome,
                trail: "".into(),
            }
        })
    }

    fn rest(&self, key: &ObjectKey, known: Known, range: ByteRange) -> BoxFuture<'static, Rest> {
        let (me, key) = (self.clone(), key.clone());
        Box::pin(async move {
            me.note(format!("rest {key} {}..{}", range.start, range.end));
            me.leave().await;
            match me.says(&key) {
                Says::Has(object) if object.validator == known.head.validator => Rest::Bytes {
                    origin: object.origin.into(),
                    body: me.body(&key, &object, range),
                },
                Says::Unknown => Rest::Unknown { retry_after: None },
                Says::Has(_) | Says::Missing | Says::Deleted | Says::Withdrawn | Says::Withheld => {
                    Rest::Changed
                }
            }
        })
    }

    fn standing(&self, origin: &str) -> Standing {
        let standing = self.0.standing.lock().unwrap();
        standing.get(origin).copied().unwrap_or(Standing::Active)
    }
}
