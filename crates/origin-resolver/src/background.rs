//! Work at an origin that no viewer waits for: listing, writing, deleting, fetching for a copy.
//!
//! It takes at most half of the requests that the origin is given, none while the breaker has
//! tripped, and tries again later where that may help. Keys are the route's, in both directions.
//! What is copied, and why, is decided elsewhere; what may be spent is asked of a [`crate::Budget`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use object::{ObjectKey, Validator};
use tokio::time::Instant;

use crate::budget::{Reserved, Unaffordable};
use crate::guarded::Purpose;
use crate::turns::NEXT_SECOND;
use crate::{
    Cursor, Erased, Extent, Failure, GuardedOrigin, Means, Misfit, Page, Part, Put, PutError,
    Question, Reason, Reply, Store, Stored, Turns, Unfit, Verdict, backoff,
};

impl GuardedOrigin {
    /// Some objects whose keys on the route begin with `prefix`; see [`Store::list`]. Keys are
    /// the route's. What the origin has and the route cannot name is in [`Page::unfit`].
    ///
    /// # Errors
    /// This kind cannot be listed, or it did not work.
    pub async fn list(&self, prefix: &str, after: Option<Cursor>) -> Result<Page, Failure> {
        let own = self.own_prefix(prefix);
        let page = self
            .store()?
            .list(&own, after, &Background::of(self))
            .await?;
        let mut routed = Page {
            next: page.next,
            unfit: page.unfit,
            entries: Vec::with_capacity(page.entries.len()),
        };
        for mut listed in page.entries {
            match self.route_key(&listed.key) {
                Some(key) if key.as_str().starts_with(prefix) => {
                    listed.key = key;
                    routed.entries.push(listed);
                }
                Some(_) => {}
                None => routed.unfit.push(Unfit {
                    name: listed.key.as_str().into(),
                    size_bytes: Some(listed.size_bytes),
                    why: Misfit::Unrouted,
                }),
            }
        }
        Ok(routed)
    }

    /// Whether objects may be written and deleted here; see [`Store::writable`].
    ///
    /// # Errors
    /// Why not.
    pub fn writable(&self) -> Result<(), Failure> {
        self.store()?.writable()
    }

    /// Stores an object under the route's key; see [`Store::put`].
    ///
    /// # Errors
    /// See [`PutError`].
    pub async fn put(&self, mut put: Put, means: &Means) -> Result<Stored, PutError> {
        put.key = self.spelled(&put.key).map_err(PutError::Refused)?;
        if let Some(bandwidth) = &means.bandwidth {
            put.body = bandwidth.slowed(put.body);
        }
        let store = self.store().map_err(PutError::Refused)?;
        let turns = Background {
            origin: self,
            patience: means.patience,
        };
        store.put(put, &turns).await
    }

    /// Deletes what the route's key names; see [`Store::delete`].
    ///
    /// # Errors
    /// This kind cannot be written, or it did not work.
    pub async fn delete(&self, key: &ObjectKey, only: Option<&str>) -> Result<Erased, Failure> {
        let own = self.spelled(key)?;
        self.store()?
            .delete(&own, only, &Background::of(self))
            .await
    }

    /// Asks for an object in order to copy it, and tries again later where that may help. Nothing
    /// is read that the budget does not allow.
    pub async fn fetch(
        self: &Arc<Self>,
        key: &ObjectKey,
        part: Part,
        only: Option<Validator>,
        means: &Means,
    ) -> Verdict<Reply> {
        let own = match self.spelled(key) {
            Ok(own) => own,
            Err(failure) => return Verdict::Unknown(failure),
        };
        let question = Question {
            only,
            ..Question::new(own, part)
        };
        let reserved = match &means.budget {
            Some(budget) => match Reserved::take(budget, means.expected_bytes).await {
                Ok(reserved) => Some(reserved),
                Err(why) => return Verdict::Unknown(self.unaffordable(&why)),
            },
            None => None,
        };
        let mut tries = 0;
        loop {
            if let Err(failure) = self.own_turn().await {
                return Verdict::Unknown(failure);
            }
            tries += 1;
            let began = Instant::now();
            let answer = self.send_for(&question, Purpose::Background).await;
            let verdict = self.judge(&question, answer).await;
            self.observe(&verdict, began.elapsed());
            let failure = match verdict {
                Verdict::Found(reply) => return self.afford(reply, reserved, means).await,
                Verdict::Unknown(failure) => failure,
                other => return other,
            };
            let wait = match failure.reason {
                // Viewers are using the requests of this second.
                Reason::Budget if tries < 60 => Some(NEXT_SECOND),
                _ => backoff::wait(&failure, tries, chance()),
            };
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Verdict::Unknown(failure),
            }
        }
    }

    /// The route's key of an own one: the only one that is spelled so here. `None` where there is
    /// none.
    pub fn route_key(&self, own: &ObjectKey) -> Option<ObjectKey> {
        let rules = self.settings.rewrite.iter();
        let rewritten = rules.filter_map(|rule| {
            let rest = own.as_str().strip_prefix(&*rule.to)?;
            ObjectKey::parse(&format!("{}{rest}", rule.from)).ok()
        });
        rewritten
            .chain([own.clone()])
            .find(|key| self.own_key(key).as_ref() == Ok(own))
    }

    /// How the own keys of those begin that begin so on the route, as far as that can be said.
    fn own_prefix(&self, prefix: &str) -> String {
        for rule in &self.settings.rewrite {
            if let Some(rest) = prefix.strip_prefix(&*rule.from) {
                return format!("{}{rest}", rule.to);
            }
            // Some of these keys are rewritten and others are not.
            if rule.from.starts_with(prefix) {
                return String::new();
            }
        }
        prefix.to_owned()
    }

    fn spelled(&self, key: &ObjectKey) -> Result<ObjectKey, Failure> {
        self.own_key(key).map_err(|error| {
            let what = format!(
                "{}: the rewritten key cannot be asked for: {error}",
                self.name()
            );
            Failure::new(Reason::Protocol, what)
        })
    }

    fn store(&self) -> Result<&dyn Store, Failure> {
        self.origin.store().ok_or_else(|| {
            let what = format!(
                "{}: this kind of origin can be neither listed nor written",
                self.name()
            );
            Failure::new(Reason::Denied, what)
        })
    }

    fn unaffordable(&self, why: &Unaffordable) -> Failure {
        Failure::new(Reason::Budget, format!("{}: {why}", self.name()))
    }

    /// Has the body's bytes paid, all at once where their number is known.
    async fn afford(
        &self,
        mut reply: Reply,
        reserved: Option<Reserved>,
        means: &Means,
    ) -> Verdict<Reply> {
        if let Some(mut reserved) = reserved {
            let bytes = match reply.extent {
                Extent::None | Extent::Unsatisfiable => Some(0),
                Extent::Bytes(range) => Some(range.length()),
                Extent::Unbounded => None,
            };
            if let Some(bytes) = bytes
                && let Err(why) = reserved.become_bytes(bytes).await
            {
                return Verdict::Unknown(self.unaffordable(&why));
            }
            reply.body = reserved.pay_for(reply.body);
        }
        if let Some(bandwidth) = &means.bandwidth {
            reply.body = bandwidth.slowed(reply.body);
        }
        Verdict::Found(reply)
    }

    /// Waits for one of the requests that background work may send, for whoever has it sent by
    /// others.
    ///
    /// # Errors
    /// The origin is being left alone.
    pub async fn background_turn(&self) -> Result<(), Failure> {
        self.own_turn().await
    }

    /// Waits for one of the requests that background work may send; the other limits are asked
    /// when it is sent.
    async fn own_turn(&self) -> Result<(), Failure> {
        let now = Instant::now();
        let may =
            self.health(|health| health.breaker.is_trusted() || health.breaker.take_trial(now));
        if !may {
            let what = format!("{}: it is being left alone after failures", self.name());
            return Err(Failure::new(Reason::Breaker, what));
        }
        self.background_pace_turn().await;
        self.still_asked()
    }
}

/// How often an origin that is left alone is looked at again.
const LOOK: Duration = Duration::from_millis(250);

/// The turns of background work at one origin.
struct Background<'a> {
    origin: &'a GuardedOrigin,
    /// How long each waits while the origin is left alone.
    patience: Duration,
}

impl<'a> Background<'a> {
    fn of(origin: &'a GuardedOrigin) -> Self {
        Self {
            origin,
            patience: Duration::ZERO,
        }
    }
}

impl Turns for Background<'_> {
    fn take(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            let until = Instant::now() + self.patience;
            while let Err(failure) = self.origin.own_turn().await {
                self.origin.still_asked()?;
                if Instant::now() >= until {
                    return Err(failure);
                }
                tokio::time::sleep(LOOK).await;
            }
            self.origin.shared_turn().await;
            self.origin.still_asked()
        })
    }

    fn over(&self, outcome: Result<(), &Failure>, tries: u32) -> Option<Duration> {
        let Err(failure) = outcome else {
            self.origin.note_answer();
            return None;
        };
        // Nor is it the origin's failure that it has left the configuration.
        if self.origin.still_asked().is_err() {
            return None;
        }
        // Who throttles what comes in the background may have nothing against viewers, and a disk
        // that is full can be read.
        if !matches!(failure.reason, Reason::Throttled | Reason::Disk) {
            self.origin.note_failure(failure);
        }
        self.origin.observer.unknown(failure);
        backoff::wait(failure, tries, chance())
    }
}

/// A number in 0..1.
fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
