//! The thin interface that each kind of origin implements.
//!
//! One question, one answer. Timeouts around the answer, the breaker, limits, canaries, rewriting
//! of keys and counting live in [`crate::GuardedOrigin`], once for all kinds.

use futures_util::future::BoxFuture;
use object::{Extent, ObjectBody, ObjectHead, ObjectKey, Part, Validator};

use crate::{Aside, Failure, Reason, Store};

/// One place where objects live.
pub trait Origin: Send + Sync + 'static {
    /// Asks for one object. Resolves when the answer's head is known; the body follows.
    ///
    /// Dropping the future or the body must release the connection or file. The body need not
    /// check idle time; it must report a cut, and may yield more or fewer bytes than promised
    /// only if the caller can tell from [`Reply::extent`].
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer>;

    /// Whether [`Access::Signed`] differs from [`Access::AsConfigured`]: there are credentials
    /// and objects are read anonymously.
    fn can_settle(&self) -> bool {
        false
    }

    /// The first path segments (`misskey/`) that a listing shows, at most 100, for the doctor.
    /// [`Access::AsConfigured`] lists as a stranger would.
    fn top_prefixes(&self, _access: Access) -> BoxFuture<'_, Result<Vec<String>, Failure>> {
        Box::pin(async {
            Err(Failure::new(
                Reason::Protocol,
                "this kind of origin cannot be listed",
            ))
        })
    }

    /// Where it can be listed and written, if its kind can.
    fn store(&self) -> Option<&dyn Store> {
        None
    }

    /// How far the origin's clock is ahead of ours in seconds, as its latest answer told.
    fn clock_ahead_seconds(&self) -> Option<i64> {
        None
    }
}

/// What an origin is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The origin's own key, already rewritten.
    pub key: ObjectKey,
    /// Which bytes.
    pub part: Part,
    /// Only this version: any other is [`Answer::Changed`]. Origins that ignore `If-Match` are
    /// caught by comparing what they answer.
    pub only: Option<Validator>,
    /// With which rights.
    pub access: Access,
    /// Not over a connection that was used before.
    pub fresh_connection: bool,
}

impl Question {
    /// A question as a viewer's request asks it.
    pub fn new(key: ObjectKey, part: Part) -> Self {
        Self {
            key,
            part,
            only: None,
            access: Access::AsConfigured,
            fresh_connection: false,
        }
    }
}

/// With which rights an origin is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// As the configuration says (`read`).
    AsConfigured,
    /// With the credentials, to settle what an anonymous 403 means.
    Signed,
}

/// What an origin answered, before the canaries have their say.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved a few times per request; a box would cost an allocation for each"
)]
pub enum Answer {
    /// It has the object.
    Found(Reply),
    /// It says that it does not have it.
    Missing,
    /// 403 `AccessDenied` to an anonymous question: missing, withheld or a misconfiguration.
    Forbidden,
    /// It has another version than [`Question::only`].
    Changed,
    /// The connection broke before a byte of the answer; it may have been an old one.
    Dropped(Failure),
    /// Anything else.
    Unknown(Failure),
}

/// An object that was found.
#[derive(Debug)]
pub struct Reply {
    /// What is known of it. With [`Extent::Unsatisfiable`], perhaps only its length.
    pub head: ObjectHead,
    /// What is stored with it for copies to keep.
    pub aside: Aside,
    /// Which bytes the body brings.
    pub extent: Extent,
    /// The bytes.
    pub body: ObjectBody,
}
