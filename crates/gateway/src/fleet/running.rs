//! The task that keeps this gateway in its fleet: finds Redis, again and again, and says so.
//!
//! Nobody waits for it but who has just changed something, and that for a bounded time.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use cache::Cache;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::link::Unlinked;
use super::session::Session;
use super::{Fleet, Order};
use crate::live::Live;

/// How long Redis is left alone after it failed; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often the same trouble is logged.
const SAID_EVERY: Duration = Duration::from_mins(1);

/// Why a session is over.
#[derive(Debug)]
pub(super) enum Ended {
    /// The gateway stops.
    Stopped,
    /// Redis is of no use.
    Lost(Unlinked),
    /// What Redis held is another set now, as after it was emptied.
    Emptied,
}

impl From<Unlinked> for Ended {
    fn from(why: Unlinked) -> Self {
        Self::Lost(why)
    }
}

/// Keeps the gateway in its fleet until `stop`; returns at once where there is none.
pub(crate) async fn run(live: &Arc<Live>, stop: CancellationToken) {
    let app = live.app();
    let (Some(fleet), Some(keeping)) = (&app.lasting.fleet, &app.keeping) else {
        return;
    };
    let waiting = &fleet.waiting;
    let taken = waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(orders) = taken {
        keep_in_touch(fleet, &keeping.cache, orders, &stop).await;
    }
}

async fn keep_in_touch(
    fleet: &Arc<Fleet>,
    cache: &Cache,
    mut orders: mpsc::Receiver<Order>,
    stop: &CancellationToken,
) {
    let mut pause = FIRST_PAUSE;
    let mut trouble = SaidNowAndThen::default();
    let mut refusals = SaidNowAndThen::default();
    loop {
        let (ended, was_up) = Session::run(fleet, cache, &mut orders, &mut refusals, stop).await;
        fleet.is_reached(false);
        if was_up {
            pause = FIRST_PAUSE;
        }
        match ended {
            Ended::Stopped => return,
            Ended::Emptied => {
                if trouble.may_say() {
                    tracing::warn!(
                        "what the fleet had in Redis is gone or was changed from outside; it is made anew from what each gateway has"
                    );
                }
            }
            Ended::Lost(why) => {
                let why = format!("Redis: {why}");
                if trouble.may_say() {
                    tracing::warn!(
                        why,
                        "the fleet cannot be reached; everything done here holds here, and is told once it can"
                    );
                }
                fleet.trouble.store(Arc::new(Some(why)));
            }
        }
        if rest(fleet, &mut orders, pause, stop).await {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Leaves Redis alone for a while, and says so to whoever wants to tell something; whether the
/// gateway stops.
async fn rest(
    fleet: &Fleet,
    orders: &mut mpsc::Receiver<Order>,
    pause: Duration,
    stop: &CancellationToken,
) -> bool {
    let over = tokio::time::sleep(pause);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = stop.cancelled() => return true,
            () = &mut over => return false,
            Some(order) = orders.recv() => {
                fleet.compare();
                order.answer(vec![fleet.untold()]);
            }
        }
    }
}

/// Something that may happen all the time, and is logged now and then.
#[derive(Default)]
pub(super) struct SaidNowAndThen(Option<Instant>);

impl SaidNowAndThen {
    pub(super) fn may_say(&mut self) -> bool {
        let due = self.0.is_none_or(|said| said.elapsed() >= SAID_EVERY);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}
