//! An origin that answers from a script, and what a test wants to know of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use object::{BodyError, ByteRange, Interruption, ObjectBody, ObjectHead, ObjectKey, Validator};
use tokio_util::task::TaskTracker;

use crate::{
    Access, Addressing, Answer, Aside, Canary, Extent, Failure, ForbiddenMeans, GuardedOrigin,
    IpVersions, Kept, Kind, Origin, OriginSettings, OriginState, Part, Question, ReadAs, Reason,
    Reply, Resolver, S3Settings, Store, Unobserved,
};

use super::shelf::Shelf;

type Script = Box<dyn Fn(&Question, usize) -> Said + Send + Sync>;

/// What a scripted origin does with one question.
pub(crate) enum Said {
    Now(Answer),
    After(Duration, Answer),
    Never,
}

/// A scripted origin.
pub(crate) struct Fake {
    script: Mutex<Script>,
    settles: bool,
    shelf: Option<Shelf>,
    asked: AtomicUsize,
    questions: Mutex<Vec<Question>>,
}

impl Fake {
    pub(crate) fn new(
        script: impl Fn(&Question, usize) -> Said + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(Box::new(script)),
            settles: false,
            shelf: None,
            asked: AtomicUsize::new(0),
            questions: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn settling(
        script: impl Fn(&Question, usize) -> Said + Send + Sync + 'static,
    ) -> Arc<Self> {
        let mut fake = Self::new(script);
        Arc::get_mut(&mut fake).unwrap().settles = true;
        fake
    }

    /// An empty place that can be listed and written, and answers questions from what lies there.
    pub(crate) fn with_shelf() -> Arc<Self> {
        let mut fake = missing();
        Arc::get_mut(&mut fake).unwrap().shelf = Some(Shelf::default());
        fake
    }

    /// What lies there.
    pub(crate) fn shelf(&self) -> &Shelf {
        self.shelf.as_ref().expect("a fake with a shelf")
    }

    pub(crate) fn now_says(
        &self,
        script: impl Fn(&Question, usize) -> Said + Send + Sync + 'static,
    ) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn questions(&self) -> Vec<Question> {
        self.questions.lock().unwrap().clone()
    }
}

impl Origin for Fake {
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        let nth = self.asked.fetch_add(1, Ordering::SeqCst);
        self.questions.lock().unwrap().push(question.clone());
        let shelved = self
            .shelf
            .as_ref()
            .and_then(|shelf| shelf.get(&question.key));
        let said = match shelved {
            Some((bytes, kept)) => Version::shelved(&bytes, &kept).answer(question),
            None => (self.script.lock().unwrap())(question, nth),
        };
        Box::pin(async move {
            match said {
                Said::Now(answer) => answer,
                Said::After(delay, answer) => {
                    tokio::time::sleep(delay).await;
                    answer
                }
                Said::Never => std::future::pending().await,
            }
        })
    }

    fn can_settle(&self) -> bool {
        self.settles
    }

    fn store(&self) -> Option<&dyn Store> {
        self.shelf.as_ref().map(|shelf| shelf as &dyn Store)
    }
}

/// A version of an object, for scripts.
#[derive(Clone)]
pub(crate) struct Version {
    pub(crate) bytes: Bytes,
    pub(crate) head: ObjectHead,
}

impl Version {
    pub(crate) fn new(bytes: &'static str) -> Self {
        let head = ObjectHead {
            length: Some(bytes.len() as u64),
            validator: Validator::from_etag(&format!("\"{}-{}\"", bytes.len(), &bytes[..1])),
            ..ObjectHead::default()
        };
        Self {
            bytes: Bytes::from_static(bytes.as_bytes()),
            head,
        }
    }

    /// What was put on a shelf.
    fn shelved(bytes: &[u8], kept: &Kept) -> Self {
        let head = ObjectHead {
            length: Some(bytes.len() as u64),
            content_type: kept.content_type.clone(),
            validator: Validator::from_etag(&super::shelf::tag(bytes)),
            ..ObjectHead::default()
        };
        Self {
            bytes: Bytes::copy_from_slice(bytes),
            head,
        }
    }

    /// Answers as a good origin does.
    pub(crate) fn answer(&self, question: &Question) -> Said {
        self.answer_until(question, u64::MAX)
    }

    /// The body breaks before the byte with this offset.
    pub(crate) fn answer_until(&self, question: &Question, cut: u64) -> Said {
        let total = self.bytes.len() as u64;
        if question.only.is_some() && question.only != self.head.validator {
            return Said::Now(Answer::Changed);
        }
        let range = match question.part {
            Part::Head => {
                return Said::Now(Answer::Found(Reply {
                    head: self.head.clone(),
                    aside: Aside::default(),
                    extent: Extent::None,
                    body: ObjectBody::empty(),
                }));
            }
            Part::Whole => ByteRange::whole(total),
            Part::Range(wanted) => wanted
                .resolve(total)
                .expect("tests ask for bytes that exist"),
        };
        let bytes = self.bytes.clone();
        let slice = move |at: u64| {
            let at = usize::try_from(at).unwrap();
            bytes.slice(at..=at)
        };
        let broken =
            (cut < range.end).then(|| Err(BodyError::new(Interruption::Cut, "cut by the script")));
        let body = stream::iter((range.start..range.end.min(cut)).map(move |at| Ok(slice(at))))
            .chain(stream::iter(broken));
        Said::Now(Answer::Found(Reply {
            head: self.head.clone(),
            aside: Aside::default(),
            extent: Extent::Bytes(range),
            body: ObjectBody::new(body),
        }))
    }
}

pub(crate) fn found(bytes: &'static str) -> Arc<Fake> {
    let version = Version::new(bytes);
    Fake::new(move |question, _| version.answer(question))
}

pub(crate) fn missing() -> Arc<Fake> {
    Fake::new(|_, _| Said::Now(Answer::Missing))
}

pub(crate) fn failing(reason: Reason) -> Arc<Fake> {
    Fake::new(move |_, _| unknown(reason))
}

pub(crate) fn hanging() -> Arc<Fake> {
    Fake::new(|_, _| Said::Never)
}

/// Has the object, but not for the public.
pub(crate) fn withholding() -> Arc<Fake> {
    Fake::settling(|question, _| match question.access {
        Access::AsConfigured => Said::Now(Answer::Forbidden),
        Access::Signed => Version::new("secret").answer(question),
    })
}

pub(crate) fn unknown(reason: Reason) -> Said {
    Said::Now(Answer::Unknown(Failure::new(reason, "as the script says")))
}

pub(crate) fn settings(name: &str) -> OriginSettings {
    OriginSettings {
        name: name.into(),
        kind: Kind::S3(S3Settings {
            endpoint: "http://127.0.0.1:1".parse().unwrap(),
            region: "us-east-1".into(),
            bucket: "bucket".into(),
            addressing: Addressing::Path,
            credentials: None,
            read: ReadAs::Anonymous,
            provider: None,
            public_writes: false,
            ip: IpVersions::Any,
        }),
        state: OriginState::Active,
        rewrite: Vec::new(),
        canary: Canary::Auto,
        forbidden_means: ForbiddenMeans::Unknown,
        connect_timeout: Duration::from_secs(2),
        first_byte_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(15),
        hedge_after: Duration::from_millis(400),
        max_requests_per_second: None,
        max_concurrency: 128,
    }
}

pub(crate) fn guard(settings: OriginSettings, fake: &Arc<Fake>) -> Arc<GuardedOrigin> {
    let origin = Arc::clone(fake) as Arc<dyn Origin>;
    GuardedOrigin::new(settings, origin, Arc::new(Unobserved), TaskTracker::new())
}

/// A route with these origins, named `first`, `second` and so on.
pub(crate) fn route(fakes: &[&Arc<Fake>]) -> Resolver {
    let names = ["first", "second", "third", "fourth"];
    let origins: Vec<_> = fakes
        .iter()
        .zip(names)
        .map(|(fake, name)| guard(settings(name), fake))
        .collect();
    Resolver::new(&origins, 100)
}

pub(crate) fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

/// The bytes of an answer that found something.
pub(crate) async fn read(answer: Answer) -> Vec<u8> {
    let Answer::Found(reply) = answer else {
        panic!("not found: {answer:?}");
    };
    let chunks: Vec<_> = reply.body.collect().await;
    chunks
        .into_iter()
        .flat_map(|chunk| chunk.unwrap())
        .collect()
}
