//! Requests per second that several processes share: who serves lends turns, and who works beside
//! it waits for them.
//!
//! A turn is for now. None are kept in store, so what one process does not send another one can.

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::GuardedOrigin;
use crate::guarded::Health;
use crate::pace::Pace;

/// While the requests of a second are used up.
pub(crate) const NEXT_SECOND: Duration = Duration::from_secs(1);

/// Who is asked before each request, where another process sends to the same origin.
pub trait SharedTurns: Send + Sync {
    /// Waits until a request may be sent.
    fn turn(&self) -> BoxFuture<'_, ()>;
}

impl GuardedOrigin {
    /// Waits for a request that background work in another process may send now, and counts it
    /// here as if it were sent here. Adds those that need no waiting, up to `most` in all; tells
    /// how many there are.
    pub async fn lend_turns(&self, most: u32) -> u32 {
        self.background_pace_turn().await;
        self.shared_turn().await;
        let mut lent = 1;
        while lent < most && self.health(|health| health.take_free_turn(Instant::now())) {
            lent += 1;
        }
        lent
    }

    /// Waits for one of the requests that are left to background work.
    pub(crate) async fn background_pace_turn(&self) {
        self.turn_of(|health| health.background_pace.as_mut()).await;
    }

    /// Waits for one of the requests that everybody shares.
    pub(crate) async fn shared_turn(&self) {
        self.turn_of(|health| health.pace.as_mut()).await;
        self.turn_elsewhere().await;
    }

    /// Waits for whoever else sends requests to this origin.
    pub(crate) async fn turn_elsewhere(&self) {
        if let Some(turns) = self.elsewhere.get() {
            turns.turn().await;
        }
    }

    async fn turn_of(&self, pace: impl Fn(&mut Health) -> Option<&mut Pace>) {
        loop {
            let now = Instant::now();
            let turn = self.health(|health| match pace(health) {
                Some(pace) => pace.reserve(now),
                None => Some(Duration::ZERO),
            });
            tokio::time::sleep(turn.unwrap_or(NEXT_SECOND)).await;
            if turn.is_some() {
                return;
            }
        }
    }
}

impl Health {
    /// Takes a turn of background work if that need not wait.
    fn take_free_turn(&mut self, now: Instant) -> bool {
        let mut paces = [&mut self.background_pace, &mut self.pace];
        let is_free = |pace: &&mut Option<Pace>| pace.as_ref().is_none_or(|pace| pace.is_free(now));
        if !paces.iter().all(is_free) {
            return false;
        }
        for pace in paces.iter_mut().filter_map(|pace| pace.as_mut()) {
            pace.reserve(now);
        }
        true
    }
}
