//! One promotion: from what the cache holds and the origin that served it, to the target.
//!
//! Deleted keys are asked for before and after the write. What is there already is never
//! overwritten, and only what this has written is ever taken back.

use std::sync::Arc;

use cache::{Answer, Held, Standing};
use object::{ByteRange, ObjectHead, ObjectKey, Part};
use origin_resolver::{
    Aside, GuardedOrigin, Kept, Means, Put, PutError, Reply, Stored, Verdict, VerdictLabel,
};
use state::{By, Entry};

use super::Outcome;
use crate::app::{App, Keeping, Route};
use crate::clock::unix_now;
use crate::withdrawals::Withdrawals;

/// One key on its way.
pub(super) struct Copying<'a> {
    app: &'a Arc<App>,
    keeping: &'a Keeping,
    withdrawals: &'a Withdrawals,
    route: &'a Route,
    key: &'a ObjectKey,
    /// Where it goes.
    pub(super) to: &'a Arc<GuardedOrigin>,
}

/// What is to be written.
struct Source {
    held: Box<Held>,
    head: ObjectHead,
    aside: Aside,
}

impl<'a> Copying<'a> {
    /// `None` where the route promotes nothing.
    pub(super) fn of(app: &'a Arc<App>, route: &'a Route, key: &'a ObjectKey) -> Option<Self> {
        let target = route.config.promote_to.as_deref()?;
        let mut origins = route.resolver.origins().iter();
        Some(Self {
            app,
            keeping: app.keeping.as_ref()?,
            withdrawals: route.withdrawals.as_deref()?,
            route,
            key,
            to: origins.find(|origin| origin.name() == target)?,
        })
    }

    pub(super) async fn run(&self) -> Outcome {
        match self.copy().await {
            Ok(()) => Outcome::Copied,
            Err(outcome) => outcome,
        }
    }

    async fn copy(&self) -> Result<(), Outcome> {
        self.unless_deleted().await?;
        let mut source = self.source().await?;
        self.unless_there(&source).await?;
        let stored = self.put(&mut source).await?;
        match self.read_back(&source, &stored).await {
            Ok(head) => {
                self.note(&source, &stored, &head);
                Ok(())
            }
            Err(outcome) => {
                self.take_back(&stored).await;
                Err(outcome)
            }
        }
    }

    /// What must stay gone, and what the application has deleted, goes nowhere; also where nobody
    /// can say.
    async fn unless_deleted(&self) -> Result<(), Outcome> {
        self.unless_known_deleted().await?;
        match self.withdrawals.verified(self.key).await {
            Ok(None) => return Ok(()),
            Ok(Some(_)) => {}
            Err(_) => return Err(Outcome::Failed),
        }
        // It was there once. A hint may have hidden that it is no more.
        let uploads_to = &self.route.config.uploads_to;
        let said = self.route.resolver.ask_alone(uploads_to, self.key).await;
        match said.label() {
            VerdictLabel::Found => Ok(()),
            VerdictLabel::Missing | VerdictLabel::Withheld => Err(Outcome::Deleted),
            VerdictLabel::Unknown => Err(Outcome::Failed),
        }
    }

    /// The version that the cache knows, and what its origin keeps with it.
    async fn source(&self) -> Result<Source, Outcome> {
        let cache = &self.keeping.cache;
        let (space, source) = (&self.route.space, &self.route.source);
        let held = match cache.open(space, self.key, source, Part::Head).await {
            Answer::Held(held) => held,
            Answer::Passing(_) => return Err(Outcome::Unfit),
            Answer::Withdrawn { .. } | Answer::Missing { .. } | Answer::Withheld { .. } => {
                return Err(Outcome::Deleted);
            }
            Answer::Unsatisfiable { .. } | Answer::Unknown { .. } => return Err(Outcome::Failed),
        };
        let name = held.origin();
        if *name == *self.to.name() {
            return Err(Outcome::Present);
        }
        if source.standing(&name) == Standing::Gone {
            return Err(Outcome::Orphan);
        }
        let mut origins = self.route.resolver.origins().iter();
        let from = origins.find(|origin| origin.name() == &*name);
        let from = from.ok_or(Outcome::Orphan)?;
        let Reply { head, aside, .. } = match self.look(from).await {
            Verdict::Found(reply) => reply,
            Verdict::Missing | Verdict::Withheld => return Err(Outcome::Changed),
            Verdict::Unknown(_) => return Err(Outcome::Failed),
        };
        if !is_same(held.head(), &head, held.total()) {
            return Err(Outcome::Changed);
        }
        Ok(Source { held, head, aside })
    }

    async fn unless_there(&self, source: &Source) -> Result<(), Outcome> {
        match self.look(self.to).await {
            Verdict::Missing if self.to.standing().suspect => Err(Outcome::Failed),
            Verdict::Missing => Ok(()),
            Verdict::Found(reply) if reply.head.length == Some(source.held.total()) => {
                self.route.resolver.forget_hint(self.key);
                source.held.is_also_at(self.to.name(), &reply.head);
                Err(Outcome::Present)
            }
            Verdict::Found(_) | Verdict::Withheld => Err(Outcome::Differs),
            Verdict::Unknown(_) => Err(Outcome::Failed),
        }
    }

    /// Writes it: what is held is not read from its origin again, and the rest only within that
    /// origin's budget.
    async fn put(&self, source: &mut Source) -> Result<Stored, Outcome> {
        let Source { held, head, aside } = source;
        let total = held.total();
        let absent = held.absent_bytes().await;
        // What is read is counted as it comes; until then nobody else may have it.
        let mut set_aside = None;
        if absent > 0 {
            let name = held.origin();
            if let Some(allowance) = self.app.allowances.get(&name) {
                set_aside = Some(allowance.set_aside(absent).ok_or(Outcome::Budget)?);
            }
            let mut origins = self.route.resolver.origins().iter();
            if let Some(from) = origins.find(|origin| origin.name() == &*name) {
                let turn = from.background_turn().await;
                turn.map_err(|_| Outcome::Failed)?;
            }
        }
        let body = held.begin(ByteRange::whole(total), Part::Whole).await;
        let body = body.map_err(|_| Outcome::Changed)?;
        let mut kept = Kept::of(head, aside);
        kept.aside.etag = held.etag().map(Into::into);
        let md5 = head.proofs.md5.filter(|md5| md5.parts.is_none());
        let put = Put {
            key: self.key.clone(),
            length: total,
            md5: md5.map(|md5| md5.digest),
            kept,
            body,
            if_absent: true,
        };
        let means = Means {
            bandwidth: self.route.promote_bandwidth.clone(),
            ..Means::default()
        };
        let stored = self.to.put(put, &means).await;
        drop(set_aside);
        match stored {
            Ok(stored) => Ok(stored),
            Err(PutError::Exists) => Err(Outcome::Present),
            Err(error) => {
                self.say(&error, error.may_have_left_something());
                Err(Outcome::Failed)
            }
        }
    }

    /// Whether it may stay: it was not deleted meanwhile, and viewers can read it.
    async fn read_back(&self, source: &Source, stored: &Stored) -> Result<ObjectHead, Outcome> {
        self.unless_known_deleted().await?;
        match self.look(self.to).await {
            Verdict::Found(reply) if reply.head.length == Some(source.held.total()) => {
                Ok(reply.head)
            }
            // Somebody has uploaded a newer one.
            Verdict::Found(_) => Err(Outcome::Differs),
            Verdict::Missing | Verdict::Withheld => {
                tracing::warn!(
                    route = &*self.route.config.name,
                    origin = self.to.name(),
                    key = self.key.as_str(),
                    etag = stored.etag.as_deref(),
                    "a copy cannot be read as the route reads, and is removed; set write_acl = \"public-read\" or read = \"signed\" for this origin"
                );
                Err(Outcome::Unreadable)
            }
            Verdict::Unknown(_) => Err(Outcome::Failed),
        }
    }

    /// Asks nobody but the state.
    async fn unless_known_deleted(&self) -> Result<(), Outcome> {
        if self.app.is_gone(&self.route.space, self.key) {
            return Err(Outcome::Deleted);
        }
        match self.withdrawals.find(self.key).await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(Outcome::Deleted),
            Err(_) => Err(Outcome::Failed),
        }
    }

    /// From now on it is known there: by the ledger, by the copy, and by the next walk.
    fn note(&self, source: &Source, stored: &Stored, head: &ObjectHead) {
        let entry = Entry {
            length: source.held.total(),
            digest: Some(stored.sha256),
            verified: unix_now(),
            by: By::Promotion,
            withdrawn: None,
        };
        self.withdrawals.copied_to(self.to.name(), self.key, entry);
        self.route.resolver.forget_hint(self.key);
        source.held.is_also_at(self.to.name(), head);
        tracing::debug!(
            route = &*self.route.config.name,
            origin = self.to.name(),
            key = self.key.as_str(),
            bytes = source.held.total(),
            "promoted"
        );
    }

    /// Removes what was written, and nothing that was written since.
    async fn take_back(&self, stored: &Stored) {
        let Some(etag) = &stored.etag else {
            self.say(&"the origin did not tell which version it is", true);
            return;
        };
        if let Err(failure) = self.to.delete(self.key, Some(etag)).await {
            self.say(&failure, true);
        }
    }

    fn say(&self, error: &dyn std::fmt::Display, left: bool) {
        tracing::warn!(
            route = &*self.route.config.name,
            origin = self.to.name(),
            key = self.key.as_str(),
            %error,
            may_be_left = left,
            "an object could not be promoted"
        );
    }

    async fn look(&self, origin: &Arc<GuardedOrigin>) -> Verdict<Reply> {
        origin
            .fetch(self.key, Part::Head, None, &Means::default())
            .await
    }
}

/// Whether an origin still has the version that is held.
fn is_same(held: &ObjectHead, now: &ObjectHead, total: u64) -> bool {
    let equal = held.validator.is_some() && held.validator == now.validator;
    now.length == Some(total) && (equal || held.proofs.agree(&now.proofs) == Some(true))
}
