//! Work that many wait for and one does.
//!
//! Every caller gets a result that was begun after it asked, and at most one round runs at a
//! time. A caller that goes away in the middle of its round leaves the turn to the next.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

/// The rounds of one kind of work.
#[derive(Debug)]
pub(crate) struct Rounds<T> {
    turn: Semaphore,
    events: AtomicU64,
    last: Mutex<Option<(u64, T)>>,
}

/// A moment, for asking for a round begun later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(u64);

impl<T: Clone> Rounds<T> {
    pub(crate) fn new() -> Self {
        Self {
            turn: Semaphore::new(1),
            events: AtomicU64::new(0),
            last: Mutex::new(None),
        }
    }

    /// Now, in the order of this work's events.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.events.fetch_add(1, Ordering::SeqCst))
    }

    /// The result of a round that began after `moment`: somebody else's, or `work`'s.
    pub(crate) async fn begun_after(&self, moment: Moment, work: impl Future<Output = T>) -> T {
        let _turn = self
            .turn
            .acquire()
            .await
            .expect("the semaphore is never closed");
        if let Some((begun, result)) = &*self.last.lock().expect("no panic under this lock")
            && *begun > moment.0
        {
            return result.clone();
        }
        let begun = self.now().0;
        let result = work.await;
        *self.last.lock().expect("no panic under this lock") = Some((begun, result.clone()));
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_wait_share_a_round_that_began_after_they_asked() {
        let rounds = Rounds::new();
        let runs = AtomicU64::new(0);
        let ask = || {
            let moment = rounds.now();
            rounds.begun_after(moment, async {
                tokio::task::yield_now().await;
                runs.fetch_add(1, Ordering::SeqCst)
            })
        };
        let (first, second, third) = tokio::join!(ask(), ask(), ask());
        // The first round began after all three had asked.
        assert_eq!((first, second, third), (0, 0, 0));
        assert_eq!(ask().await, 1, "a later caller is not told an older result");
    }
}
