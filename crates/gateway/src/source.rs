//! A route's origins as the cache asks them.
//!
//! The one place where the two crates meet. Notes what was found where; decides nothing.

use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use cache::{Found, Keep, Known, Opened, Opening, Rest, Source, Standing};
use futures_util::future::BoxFuture;
use object::{ByteRange, ObjectKey, Part, Validator};
use origin_resolver::{
    Kind, OriginState, Outcome, Resolution, Resolved, Resolver, SaveCause, TrailStep,
};
use state::{Ledger, SaveReason};

use crate::clock::unix_now;
use crate::config::CacheTier;
use crate::http::etag;
use crate::metrics::RouteMetrics;
use crate::withdrawals::{Ruling, Withdrawals};

/// The origins of one route.
pub(crate) struct RouteSource {
    pub(crate) resolver: Resolver,
    /// The origins that the route has now: a download that goes on asks these.
    pub(crate) newest: Arc<ArcSwap<Resolver>>,
    pub(crate) list: u64,
    /// Where copies may lie, by origin.
    pub(crate) keep: Vec<(Box<str>, CacheTier)>,
    pub(crate) metrics: Arc<RouteMetrics>,
    /// `None` for commands that only look.
    pub(crate) ledger: Option<Arc<Ledger>>,
    /// The same.
    pub(crate) withdrawals: Option<Arc<Withdrawals>>,
}

impl Source for RouteSource {
    fn list(&self) -> u64 {
        self.list
    }

    fn keeps(&self) -> bool {
        self.keep.iter().any(|(_, tier)| *tier != CacheTier::None)
    }

    fn open(&self, key: &ObjectKey, part: Part) -> BoxFuture<'static, Opened> {
        let (resolver, key) = (self.resolver.clone(), key.clone());
        let notes = self.notes();
        Box::pin(async move {
            if let Some(withdrawals) = &notes.withdrawals
                && let Some(trail) = withdrawals.stays_gone(&key).await
            {
                return withdrawn(trail);
            }
            let Resolution { outcome, trail } = resolver.resolve(&key, part).await;
            let ruling = match &notes.withdrawals {
                Some(withdrawals) => {
                    let found = matches!(outcome, Outcome::Found(_));
                    withdrawals.walked(&key, &trail, found).await
                }
                None => Ruling::AsWalked,
            };
            let trail = spell(&trail);
            if ruling == Ruling::Followed {
                return withdrawn(trail + " withdrawn");
            }
            let trail = trail.into();
            let outcome = match outcome {
                Outcome::Found(found) => {
                    let is_deleted = ruling == Ruling::Held;
                    Opening::Found(Box::new(notes.take(&key, *found, is_deleted)))
                }
                Outcome::Missing => Opening::Missing {
                    for_good: ruling == Ruling::Held,
                },
                Outcome::Withheld => Opening::Withheld,
                Outcome::Unknown { retry_after } => Opening::Unknown { retry_after },
            };
            Opened { outcome, trail }
        })
    }

    fn rest(&self, key: &ObjectKey, known: Known, range: ByteRange) -> BoxFuture<'static, Rest> {
        let (resolver, key) = (self.newest.load_full(), key.clone());
        Box::pin(async move {
            match resolver.rest(&key, &known.origin, &known.head, range).await {
                origin_resolver::Rest::Bytes { origin, body } => Rest::Bytes {
                    origin: origin.into(),
                    body,
                },
                origin_resolver::Rest::Changed => Rest::Changed,
                origin_resolver::Rest::Unknown { retry_after } => Rest::Unknown { retry_after },
            }
        })
    }

    fn standing(&self, origin: &str) -> Standing {
        match self.newest.load().state_of(origin) {
            Some(OriginState::Active) => Standing::Active,
            Some(OriginState::Rehearsal) => Standing::Rehearsal,
            None => Standing::Gone,
        }
    }
}

impl RouteSource {
    fn notes(&self) -> Notes {
        Notes {
            resolver: self.resolver.clone(),
            keep: self.keep.clone(),
            metrics: Arc::clone(&self.metrics),
            ledger: self.ledger.clone(),
            withdrawals: self.withdrawals.clone(),
        }
    }
}

/// What is noted of an object that was found.
struct Notes {
    resolver: Resolver,
    keep: Vec<(Box<str>, CacheTier)>,
    metrics: Arc<RouteMetrics>,
    ledger: Option<Arc<Ledger>>,
    withdrawals: Option<Arc<Withdrawals>>,
}

impl Notes {
    fn take(&self, key: &ObjectKey, found: Resolved, is_deleted: bool) -> Found {
        let Resolved {
            origin,
            head,
            etag,
            extent,
            body,
            saved,
        } = found;
        self.metrics.served_by(&origin);
        if let Some(cause) = saved {
            self.note_save(&origin, key, cause, is_deleted);
        }
        // A name may mean another place by now, which does not have it.
        let has_left = |name: &str| {
            let mut origins = self.resolver.origins().iter();
            origins.any(|one| one.name() == name && one.has_left())
        };
        if let Some(withdrawals) = self.withdrawals.as_ref().filter(|_| !has_left(&origin)) {
            withdrawals.found_at(&origin, key, &head);
        }
        let keep = self.keep_of(&origin, head.validator.as_ref());
        Found {
            etag: etag.or_else(|| etag::etag(&head, &origin).map(Into::into)),
            origin: origin.into(),
            head,
            extent,
            body,
            keep,
        }
    }

    /// Only a rehearsing origin could give it; what the application has deleted is no loss, and is
    /// not listed.
    fn note_save(&self, origin: &str, key: &ObjectKey, cause: SaveCause, is_deleted: bool) {
        let (cause, reason) = match cause {
            SaveCause::Missing if is_deleted => (SaveCause::Withdrawn, None),
            SaveCause::Missing => (cause, Some(SaveReason::Missing)),
            SaveCause::Unknown => (cause, Some(SaveReason::Unknown)),
            SaveCause::Withdrawn => (cause, None),
        };
        self.resolver.note_save(origin, cause);
        if let (Some(ledger), Some(reason)) = (&self.ledger, reason) {
            ledger.record_save(origin, reason, key, unix_now());
        }
    }

    fn keep_of(&self, origin: &str, validator: Option<&Validator>) -> Keep {
        let mut tiers = self.keep.iter();
        match tiers.find(|(name, _)| **name == *origin) {
            // A file that may still grow has no validator yet.
            Some(_) if validator.is_none() && self.is_directory(origin) => Keep::Nowhere,
            Some((_, CacheTier::Disk)) => Keep::Disk,
            Some((_, CacheTier::Memory)) => Keep::Memory,
            Some((_, CacheTier::None)) | None => Keep::Nowhere,
        }
    }

    fn is_directory(&self, origin: &str) -> bool {
        let mut origins = self.resolver.origins().iter();
        origins.any(|known| {
            known.name() == origin && matches!(known.settings().kind, Kind::Filesystem(_))
        })
    }
}

fn withdrawn(trail: String) -> Opened {
    Opened {
        outcome: Opening::Withdrawn,
        trail: trail.into(),
    }
}

/// `current=missing old=unknown(timeout)`.
fn spell(trail: &[TrailStep]) -> String {
    let mut text = String::new();
    for step in trail {
        if !text.is_empty() {
            text.push(' ');
        }
        let _ = write!(text, "{}={}", step.origin, step.verdict.label());
        if let Some(failure) = &step.failure {
            let _ = write!(text, "({})", failure.reason);
        }
    }
    text
}
