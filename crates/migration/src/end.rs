//! One end of a migration: an origin as background work sees it, in the route's spelling of keys.
//!
//! Adds nothing to [`GuardedOrigin`] but names for what a migration wants of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use object::{ByteRange, ObjectHead, ObjectKey, Part, Validator};
use origin_resolver::{
    Bandwidth, Budget, Capacity, Cursor, Failure, GuardedOrigin, Kind, Means, Page, Put, PutError,
    Reason, Reply, Stored, Verdict, VerdictLabel,
};

use crate::difference::Seen;
use crate::fingerprint::Mark;
use crate::reading;

/// How long what was read waits for a target that is left alone: as long as that lasts at most
/// until it is tried again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where objects are copied from, or to.
#[derive(Clone)]
pub struct End {
    origin: Arc<GuardedOrigin>,
    /// What reading here may use.
    means: Means,
}

/// What an end said of one object.
pub(crate) enum Asked<T> {
    Found(T),
    /// It does not have it, or not for the public.
    Missing,
    Unknown(Failure),
}

impl End {
    /// This origin, as background work.
    pub fn new(origin: Arc<GuardedOrigin>) -> Self {
        Self {
            origin,
            means: Means::default(),
        }
    }

    /// The same, where reading is no faster than this.
    pub(crate) fn at(mut self, bandwidth: Option<Arc<Bandwidth>>) -> Self {
        self.means.bandwidth = bandwidth;
        self
    }

    /// The same, where reading may take bytes from this.
    #[must_use]
    pub fn within(mut self, budget: Option<Arc<dyn Budget>>) -> Self {
        self.means.budget = budget;
        self
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        self.origin.name()
    }

    /// Whether it is asked by requests that somebody counts.
    pub(crate) fn is_bucket(&self) -> bool {
        !matches!(self.origin.settings().kind, Kind::Filesystem(_))
    }

    /// Whether its kind can be listed; where one cannot, each key has to be asked for.
    pub fn is_listable(&self) -> bool {
        !matches!(self.origin.settings().kind, Kind::Http(_))
    }

    /// Whether objects may be stored there.
    pub(crate) fn writable(&self) -> Result<(), Failure> {
        match self.origin.inner().store() {
            Some(store) => store.writable(),
            None => Err(Failure::new(
                Reason::Denied,
                "this kind of origin cannot be written",
            )),
        }
    }

    /// What can still be stored there.
    pub(crate) async fn capacity(&self) -> Option<Capacity> {
        self.origin.inner().store()?.capacity().await
    }

    /// Some objects whose keys begin so.
    pub(crate) async fn list(&self, prefix: &str, after: Option<Cursor>) -> Result<Page, Failure> {
        self.origin.list(prefix, after).await
    }

    /// What it says of an object.
    pub(crate) async fn head(&self, key: &ObjectKey) -> Asked<ObjectHead> {
        let means = Means::default();
        match self.origin.fetch(key, Part::Head, None, &means).await {
            Verdict::Found(reply) => Asked::Found(reply.head),
            Verdict::Missing | Verdict::Withheld => Asked::Missing,
            Verdict::Unknown(failure) => Asked::Unknown(failure),
        }
    }

    /// The same, a *missing* only where the origin's canaries vouch for it.
    pub(crate) async fn vouched(&self, key: &ObjectKey) -> Asked<ObjectHead> {
        match self.head(key).await {
            Asked::Missing => self.vouch(key).await,
            other => other,
        }
    }

    /// The whole object as it is now, of about `expected_bytes`: it is not asked for what the
    /// budget does not have. A *missing* only where canaries vouch for it. The body of a bucket's
    /// object goes on where it breaks off.
    pub(crate) async fn fetch(&self, key: &ObjectKey, expected_bytes: u64) -> Asked<Reply> {
        let part = Part::Whole;
        let means = Means {
            expected_bytes,
            ..self.means.clone()
        };
        match self.origin.fetch(key, part, None, &means).await {
            Verdict::Found(reply) if self.is_bucket() => {
                Asked::Found(reading::continuing(self, key, reply))
            }
            Verdict::Found(reply) => Asked::Found(reply),
            Verdict::Unknown(failure) => Asked::Unknown(failure),
            Verdict::Missing | Verdict::Withheld => match self.vouch(key).await {
                Asked::Missing => Asked::Missing,
                Asked::Unknown(failure) => Asked::Unknown(failure),
                Asked::Found(_) => {
                    let what = format!("{}: it came while it was asked for", self.name());
                    Asked::Unknown(Failure::new(Reason::Protocol, what))
                }
            },
        }
    }

    /// The rest of this version of an object.
    pub(crate) async fn rest(
        &self,
        key: &ObjectKey,
        rest: ByteRange,
        only: Validator,
    ) -> Asked<Reply> {
        let part = Part::Range(reading::part(rest));
        let means = Means {
            expected_bytes: rest.length(),
            ..self.means.clone()
        };
        match self.origin.fetch(key, part, Some(only), &means).await {
            Verdict::Found(reply) => Asked::Found(reply),
            Verdict::Missing | Verdict::Withheld => Asked::Missing,
            Verdict::Unknown(failure) => Asked::Unknown(failure),
        }
    }

    async fn vouch(&self, key: &ObjectKey) -> Asked<ObjectHead> {
        let said = self.origin.examine(key).await;
        match (said.verdict, said.head, said.failure) {
            (VerdictLabel::Found, Some(head), _) => Asked::Found(head),
            (VerdictLabel::Missing | VerdictLabel::Withheld, ..) => Asked::Missing,
            (_, _, Some(failure)) => Asked::Unknown(failure),
            _ => Asked::Unknown(Failure::new(Reason::Protocol, "it said nothing")),
        }
    }

    /// Stores an object.
    pub(crate) async fn put(&self, put: Put) -> Result<Stored, PutError> {
        // What is read is slowed down, and that is the same bytes.
        let means = Means {
            patience: PATIENCE,
            ..Means::default()
        };
        self.origin.put(put, &means).await
    }

    /// Deletes a copy that was just made, and nothing that took its place.
    pub(crate) async fn take_back(&self, key: &ObjectKey, etag: &str) -> Result<(), Failure> {
        self.origin.delete(key, Some(etag)).await?;
        Ok(())
    }
}

/// What a head says, as a listing would.
pub(crate) fn seen(head: &ObjectHead) -> Option<Seen> {
    Some(Seen {
        size_bytes: head.length?,
        mark: Mark::of(etag(head)),
        modified: head.last_modified.map(to_seconds),
    })
}

/// The entity tag of a head, if it is a strong one.
pub(crate) fn etag(head: &ObjectHead) -> Option<&str> {
    head.validator.as_ref()?.if_match()
}

pub(crate) fn to_seconds(time: SystemTime) -> SystemTime {
    crate::coding::number_to_time(crate::coding::time_to_number(Some(time))).unwrap_or(time)
}
