//! An origin when the configuration changes while it is in use: who takes its place, and how it
//! leaves.
//!
//! What is known of a place outlives a change of its settings. An origin that has left gets no
//! request any more, whoever still holds it; bodies that it is sending may end within a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::canaries::Canaries;
use crate::pace::Pace;
use crate::rounds::Rounds;
use crate::{Failure, GuardedOrigin, Kind, Origin, OriginObserver, OriginSettings, Reason};

/// Questions that may wait, for each that may be under way.
const QUEUE_FACTOR: usize = 8;

/// Whether an origin has left, and whether its bodies are over.
#[derive(Debug, Default)]
pub(crate) struct Leave {
    left: AtomicBool,
    over: CancellationToken,
}

impl Leave {
    /// When bodies are cut.
    pub(crate) fn cut(&self) -> WaitForCancellationFutureOwned {
        self.over.clone().cancelled_owned()
    }
}

impl GuardedOrigin {
    /// This origin with other settings. What is known of the place goes on to be known: its
    /// breaker, its canaries, its connections where they are made in the same way, and its pace.
    /// `made` is the unguarded origin of these settings. `None` if they mean another place.
    pub fn heir(
        self: &Arc<Self>,
        settings: &OriginSettings,
        made: &Arc<dyn Origin>,
        observer: Arc<dyn OriginObserver>,
    ) -> Option<Arc<Self>> {
        if settings.name != self.settings.name || !is_same_place(&self.settings, settings) {
            return None;
        }
        let is_alike = is_made_alike(&self.settings, settings);
        let origin = Arc::clone(if is_alike { &self.origin } else { made });
        self.health(|health| {
            if settings.max_requests_per_second != self.settings.max_requests_per_second {
                (health.pace, health.background_pace) = paces(settings);
            }
            if settings.canary != self.settings.canary {
                let learned = health.canaries.learned();
                health.canaries = Canaries::new(&settings.canary);
                health.canaries.restore(learned);
                observer.suspect(false);
            }
        });
        let is_as_wide = settings.max_concurrency == self.settings.max_concurrency;
        let wide = |old: &Arc<Semaphore>, new: fn(&OriginSettings) -> Semaphore| {
            if is_as_wide {
                Arc::clone(old)
            } else {
                Arc::new(new(settings))
            }
        };
        Some(Arc::new(Self {
            slots: wide(&self.slots, slots),
            queue: wide(&self.queue, queue),
            insistent: Arc::clone(&self.insistent),
            health: Arc::clone(&self.health),
            leave: Leave::default(),
            brackets: Rounds::new(),
            canary_turn: Semaphore::new(1),
            elsewhere: self.elsewhere.clone(),
            settings: settings.clone(),
            origin,
            observer,
            tasks: self.tasks.clone(),
        }))
    }

    /// Whether both are the same place, of two configurations.
    pub fn succeeds(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.health, &other.health)
    }

    /// From now on it gets no request; what it is sending may end within this time.
    pub fn leave(self: &Arc<Self>, within: Duration) {
        self.leave.left.store(true, Ordering::SeqCst);
        let over = self.leave.over.clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(within).await;
            over.cancel();
        });
    }

    /// Whether it has left.
    pub fn has_left(&self) -> bool {
        self.leave.left.load(Ordering::SeqCst)
    }

    /// # Errors
    /// It has left.
    pub(crate) fn still_asked(&self) -> Result<(), Failure> {
        if self.has_left() {
            let what = format!("{}: it has left the configuration", self.name());
            return Err(Failure::new(Reason::Budget, what));
        }
        Ok(())
    }
}

/// Whether the same objects are meant, however they are read.
fn is_same_place(old: &OriginSettings, new: &OriginSettings) -> bool {
    match (&old.kind, &new.kind) {
        (Kind::S3(old), Kind::S3(new)) => old.endpoint == new.endpoint && old.bucket == new.bucket,
        (Kind::Http(old), Kind::Http(new)) => old.url == new.url,
        (Kind::Filesystem(old), Kind::Filesystem(new)) => old.root == new.root,
        _ => false,
    }
}

/// Whether its connections, and what a directory was when it was seen first, can be kept.
fn is_made_alike(old: &OriginSettings, new: &OriginSettings) -> bool {
    let made_from = |settings: &OriginSettings| {
        (
            settings.kind.clone(),
            settings.connect_timeout,
            settings.first_byte_timeout,
            settings.idle_timeout,
            settings.max_concurrency,
        )
    };
    made_from(old) == made_from(new)
}

/// Requests per second for all, and the half for what nobody waits for.
pub(crate) fn paces(settings: &OriginSettings) -> (Option<Pace>, Option<Pace>) {
    let rate = settings.max_requests_per_second;
    let half = rate.map(|all| all / 2.0);
    (rate.map(Pace::new), half.map(Pace::new))
}

/// Questions under way at one time.
pub(crate) fn slots(settings: &OriginSettings) -> Semaphore {
    Semaphore::new(settings.max_concurrency.max(1))
}

/// Questions under way or waiting.
pub(crate) fn queue(settings: &OriginSettings) -> Semaphore {
    Semaphore::new(settings.max_concurrency.max(1).saturating_mul(QUEUE_FACTOR))
}
