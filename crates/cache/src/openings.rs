//! One walk for all who want an object that nobody knows yet.
//!
//! The first to come leads, the others follow; what it brings is shared for a moment, failures
//! too. A leader that is gone without a word hands the lead to one of those that wait. Knows
//! nothing of what is opened.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::sync::Mutex;

const SHARDS: usize = 16;

/// Openings that are under way, by key.
pub(crate) struct Openings<K, T> {
    shards: Box<[Mutex<Slots<K, T>>]>,
    seed: RandomState,
}

type Slots<K, T> = HashMap<K, Arc<Slot<T>>>;

struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Notify,
}

enum State<T> {
    Led,
    Settled(T),
    Abandoned,
}

/// Who does the work.
pub(crate) enum Turn<K: Eq + Hash, T> {
    /// This one; the claim tells the others.
    Lead(Claim<K, T>),
    /// Another one.
    Follow(Follow<T>),
}

impl<K: Eq + Hash + Clone, T: Clone> Openings<K, T> {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
            seed: RandomState::new(),
        }
    }

    /// Leads the opening of this key, or follows whoever leads it.
    pub(crate) fn join(self: &Arc<Self>, key: &K) -> Turn<K, T> {
        let mut shard = self.shard(key).lock();
        if let Some(slot) = shard.get(key) {
            let slot = Arc::clone(slot);
            if !matches!(*slot.state.lock(), State::Abandoned) {
                return Turn::Follow(Follow(slot));
            }
        }
        let slot = Arc::new(Slot {
            state: Mutex::new(State::Led),
            changed: Notify::new(),
        });
        shard.insert(key.clone(), Arc::clone(&slot));
        Turn::Lead(Claim {
            openings: Arc::clone(self),
            key: key.clone(),
            slot,
        })
    }

    fn shard(&self, key: &K) -> &Mutex<Slots<K, T>> {
        let hash = usize::try_from(self.seed.hash_one(key) % SHARDS as u64).unwrap_or(0);
        &self.shards[hash]
    }

    /// Forgets all; who waits goes on waiting for whom it waits.
    #[cfg(test)]
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            shard.lock().clear();
        }
    }

    /// How many are remembered.
    #[cfg(all(test, feature = "model"))]
    pub(crate) fn count(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

/// The right and duty to open; dropped unsettled, it passes to a follower.
pub(crate) struct Claim<K: Eq + Hash, T> {
    openings: Arc<Openings<K, T>>,
    key: K,
    slot: Arc<Slot<T>>,
}

impl<K: Eq + Hash, T> Claim<K, T> {
    /// A place among those who wait for this one.
    pub(crate) fn follow(&self) -> Follow<T> {
        Follow(Arc::clone(&self.slot))
    }

    /// Tells those who wait. What was settled is told to whoever comes until the guard is
    /// dropped.
    pub(crate) fn settle(self, outcome: T) -> Shared<K, T> {
        *self.slot.state.lock() = State::Settled(outcome);
        self.slot.changed.notify_waiters();
        Shared { _claim: self }
    }
}

impl<K: Eq + Hash, T> Drop for Claim<K, T> {
    fn drop(&mut self) {
        {
            let mut state = self.slot.state.lock();
            if matches!(*state, State::Led) {
                *state = State::Abandoned;
            }
        }
        let hash = self.openings.seed.hash_one(&self.key) % SHARDS as u64;
        let mut shard = self.openings.shards[usize::try_from(hash).unwrap_or(0)].lock();
        // Where it was abandoned, a follower may have taken the place already.
        if shard
            .get(&self.key)
            .is_some_and(|slot| Arc::ptr_eq(slot, &self.slot))
        {
            shard.remove(&self.key);
        }
        drop(shard);
        self.slot.changed.notify_waiters();
    }
}

/// Keeps an outcome shared until it is dropped.
pub(crate) struct Shared<K: Eq + Hash, T> {
    _claim: Claim<K, T>,
}

/// A place among those who wait.
pub(crate) struct Follow<T>(Arc<Slot<T>>);

impl<T: Clone> Follow<T> {
    /// What the leader brought; `None` where it is gone without a word: join again.
    pub(crate) async fn outcome(self) -> Option<T> {
        loop {
            // Before the look: what changes in between wakes it.
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            match &*self.0.state.lock() {
                State::Settled(outcome) => return Some(outcome.clone()),
                State::Abandoned => return None,
                State::Led => {}
            }
            changed.await;
        }
    }
}
