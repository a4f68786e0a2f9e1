//! An object that can be answered with: what is known of it, and its bytes when they are wanted.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use object::{BodyError, ByteRange, Extent, Interruption, ObjectBody, ObjectHead, Part};
use tokio::time::timeout;

use crate::life::Life;
use crate::parts::Parts;
use crate::reader::{Reader, begin_region};
use crate::reading;
use crate::region::{Attached, End};
use crate::segment::{Plan, slice_start};
use crate::slice::{SLICE_BYTES, Slice};
use crate::source::{Found, Source};
use crate::version::{Keepsake, Version};
use crate::whole;

/// A small object's head waits so long for its bytes: most answers then have their whole body at
/// hand, and an origin that dies is an attempt that nobody sees.
const HOLD_BACK: Duration = Duration::from_millis(150);

/// How the cache came to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// All of it is held.
    Hit,
    /// It is held, and older than it should be; origins are asked meanwhile.
    Stale,
    /// An origin brings it, or a part of it.
    Miss,
}

/// A version that is held, or on its way.
pub struct Held {
    pub(crate) parts: Arc<Parts>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) version: Arc<Version>,
    /// All of it, where it was in memory and is no more than [`whole::MOST_BYTES`].
    pub(crate) bytes: Option<Slice>,
    pub(crate) served: Served,
    pub(crate) collapsed: bool,
    pub(crate) lease: Option<Attached>,
    pub(crate) trail: Option<Arc<str>>,
}

/// Why bytes cannot be answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// This version is no more: open the object anew.
    Changed,
    /// No origin can say.
    Unknown {
        /// When it makes sense to ask again, if an origin said so.
        retry_after: Option<Duration>,
    },
}

impl Held {
    /// What is known of the object.
    pub fn head(&self) -> &ObjectHead {
        &self.version.head
    }

    /// The object's length in bytes.
    pub fn total(&self) -> u64 {
        self.version.total
    }

    /// The entity tag that clients see, quotes included. May become known with the bytes.
    pub fn etag(&self) -> Option<&str> {
        self.version.etag()
    }

    /// Who gave it, or confirmed it last.
    pub fn origin(&self) -> Arc<str> {
        self.version.origin()
    }

    /// Tells this version from every other one of this process and cache.
    pub fn number(&self) -> u64 {
        self.version.number
    }

    /// How it came about, as far as is known by now.
    pub fn served(&self) -> Served {
        self.served
    }

    /// Whether another request had begun to open it.
    pub fn is_collapsed(&self) -> bool {
        self.collapsed
    }

    /// Since an origin last confirmed it.
    pub fn age(&self) -> Duration {
        Duration::from_secs(self.parts.now().saturating_sub(self.version.checked()))
    }

    /// What each origin said, where they were asked.
    pub fn trail(&self) -> Option<&str> {
        self.trail.as_deref()
    }

    /// Learns whether a GET of the whole, at this moment, would find all of it here.
    pub async fn foresee(&mut self) {
        if self.served != Served::Miss
            && self.bytes.is_none()
            && self
                .parts
                .first_absent(&self.version, 0, self.version.total)
                .await
                .is_some()
        {
            self.served = Served::Miss;
        }
    }

    /// How many of its bytes would have to be brought for a GET of the whole.
    pub async fn absent_bytes(&self) -> u64 {
        if self.bytes.is_some() {
            return 0;
        }
        let (parts, version) = (&self.parts, &self.version);
        let (mut at, mut absent) = (0, 0);
        while let Some(from) = parts.first_absent(version, at, version.total).await {
            let held = slice_start(from) + SLICE_BYTES;
            let until = parts.until_held(version, held, version.total).await;
            at = until.max(held).min(version.total);
            absent += at - from;
        }
        absent
    }

    /// All of its bytes, where they are in memory and no more than any reader may hold.
    pub fn at_hand(&self) -> Option<ObjectBody> {
        let slice = self.bytes.clone()?;
        let range = ByteRange::whole(self.version.total);
        Some(whole::body(slice, Arc::clone(&self.version), range))
    }

    /// Leaves something with this version for those who answer with it after this, in the place of
    /// what was left before.
    pub fn leave(&self, keepsake: Keepsake) {
        self.version.leave(keepsake);
        self.parts.memory.know(&self.version);
    }

    /// What was left with this version.
    pub fn keepsake(&self) -> Option<Keepsake> {
        self.version.keepsake()
    }

    /// An origin was seen to have the same bytes, and is the one to be asked from now on.
    pub fn is_also_at(&self, origin: &str, head: &ObjectHead) {
        self.parts.confirm(&self.version, &origin.into(), head);
    }

    /// Begins to answer with these bytes, which `part` asked for. A body begins only when each
    /// slice of it is held or an origin has answered with this very version.
    ///
    /// # Errors
    /// The bytes cannot be had; nothing needs to be taken back.
    pub async fn begin(&mut self, range: ByteRange, part: Part) -> Result<ObjectBody, Refused> {
        if range.is_empty() {
            return Ok(ObjectBody::empty());
        }
        let version = &self.version;
        if let Some(slice) = &self.bytes {
            return Ok(whole::body(slice.clone(), Arc::clone(version), range));
        }
        // Before a look at what is held: from here on it stays, unless it must not be sent.
        let pin = match &self.lease {
            Some(_) => self.parts.disk.pin(version.number),
            None => reading::begin(self.parts.disk.pins(), version.number, &version.life)
                .ok_or(Refused::Changed)?,
        };
        let mut plan = Plan::of(part, version.total);
        let mut attached = self.lease.clone();
        // Where an origin has just begun to bring it, that origin has answered.
        let begun = attached
            .as_ref()
            .is_some_and(|attached| attached.region().is_at(range.start));
        let absent = if begun {
            None
        } else {
            let absent = self.parts.first_absent(version, range.start, range.end);
            absent.await
        };
        if let Some(at) = absent {
            self.served = Served::Miss;
            if !version.is_piecewise() {
                // It came in one piece, and a part of that is lost.
                self.parts.drop_version(version);
                return Err(Refused::Changed);
            }
            attached = loop {
                let begun = begin_region(&self.parts, &self.source, version, &mut plan, at);
                match begun.await {
                    Some(attached) => break Some(attached),
                    None if version.life.is_cut() => return Err(Refused::Changed),
                    None => {}
                }
            };
        }
        if let Some(attached) = &attached {
            let region = attached.region();
            region.first_answer().await.map_err(refused)?;
            if version.total <= SLICE_BYTES
                && let Ok(end @ (End::Changed | End::Failed { .. })) =
                    timeout(HOLD_BACK, region.completion()).await
            {
                return Err(refused(end));
            }
        }
        let mut reader = Reader::new(&self.parts, &self.source, version, pin, plan, range);
        reader.attach(attached);
        Ok(reader.into_body())
    }
}

fn refused(end: End) -> Refused {
    match end {
        End::Changed => Refused::Changed,
        End::Done => Refused::Unknown { retry_after: None },
        End::Failed { retry_after } => Refused::Unknown { retry_after },
    }
}

/// An object that is passed through and not kept.
pub struct Passing {
    pub(crate) found: Box<Found>,
    pub(crate) life: Arc<Life>,
    pub(crate) trail: Arc<str>,
}

impl Passing {
    /// What is known of it.
    pub fn head(&self) -> &ObjectHead {
        &self.found.head
    }

    /// Who has it.
    pub fn origin(&self) -> &Arc<str> {
        &self.found.origin
    }

    /// The entity tag that clients see, quotes included.
    pub fn etag(&self) -> Option<&str> {
        self.found.etag.as_deref()
    }

    /// Which bytes the body brings.
    pub fn extent(&self) -> Extent {
        self.found.extent
    }

    /// What each origin said.
    pub fn trail(&self) -> &str {
        &self.trail
    }

    /// The bytes, to be looked at before they are sent.
    pub fn body_mut(&mut self) -> &mut ObjectBody {
        &mut self.found.body
    }

    /// The bytes. The body ends in an error if the object must not be sent any more.
    pub fn into_body(self) -> ObjectBody {
        let state = (self.found.body, self.life);
        ObjectBody::new(stream::unfold(state, |(mut body, life)| async move {
            let item = tokio::select! {
                biased;
                () = life.ended() => Some(Err(BodyError::new(
                    Interruption::Changed,
                    "the object must not be sent any more",
                ))),
                item = body.next() => item,
            };
            Some((item?, (body, life)))
        }))
    }
}
