//! Blocking work on the disk, kept from spreading when the disk hangs.
//!
//! A thread that waits for a dead NFS server cannot be stopped. So the permit is held by the work
//! itself and not by whoever waits for it: a hanging disk takes these threads and no more, each
//! asker is told in time, and after a few in a row nobody is sent there until a probe came back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::{CacheError, CacheObserver};

/// How many late answers in a row trip the disk.
const TRIP_AFTER: u32 = 4;

/// How many hands there are, and how long they are waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) permits: usize,
    pub(super) permit: Duration,
    pub(super) answer: Duration,
}

/// A viewer waits.
pub(super) const READING: Patience = Patience {
    permits: 32,
    permit: Duration::from_millis(250),
    answer: Duration::from_secs(2),
};

/// Nobody but a download waits, and a disk that is behind with writing is not broken.
pub(super) const WRITING: Patience = Patience {
    permits: 8,
    permit: Duration::from_secs(2),
    answer: Duration::from_secs(10),
};

/// Whether the disk hangs; shared by reading and writing.
#[derive(Debug, Default)]
pub(super) struct Trip {
    late: AtomicU32,
    tripped: AtomicBool,
    /// Notified when it trips.
    pub(super) noticed: Notify,
}

impl Trip {
    pub(super) fn is_tripped(&self) -> bool {
        self.tripped.load(Ordering::Acquire)
    }

    fn was_late(&self) {
        let late = self.late.fetch_add(1, Ordering::AcqRel) + 1;
        if late >= TRIP_AFTER && !self.tripped.swap(true, Ordering::AcqRel) {
            self.noticed.notify_one();
        }
    }

    fn was_in_time(&self) {
        self.late.store(0, Ordering::Release);
    }

    /// A probe came back.
    pub(super) fn recover(&self) {
        self.was_in_time();
        self.tripped.store(false, Ordering::Release);
    }
}

/// A share of the process's blocking threads.
pub(super) struct Hands {
    permits: Arc<Semaphore>,
    patience: Patience,
    trip: Arc<Trip>,
    observer: Arc<dyn CacheObserver>,
}

impl Hands {
    pub(super) fn new(
        patience: Patience,
        trip: Arc<Trip>,
        observer: Arc<dyn CacheObserver>,
    ) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(patience.permits)),
            patience,
            trip,
            observer,
        }
    }

    /// Does work that somebody waits for; gives up in time, though the work may go on. `None` if
    /// it was late, or panicked.
    pub(super) async fn in_time<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let Ok(Ok(permit)) = timeout(self.patience.permit, permit).await else {
            return self.late();
        };
        let work = move || {
            let done = work();
            drop(permit);
            done
        };
        match timeout(self.patience.answer, spawn_blocking(work)).await {
            Err(_) => self.late(),
            Ok(done) => {
                self.trip.was_in_time();
                // A panic costs its own question only, and a runtime that ends asks no more.
                done.map_err(|_| self.observer.error(CacheError::Read)).ok()
            }
        }
    }

    fn late<T>(&self) -> Option<T> {
        self.observer.error(CacheError::Timeout);
        self.trip.was_late();
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unobserved;
    use std::sync::mpsc;

    fn hands() -> Hands {
        Hands::new(READING, Arc::default(), Arc::new(Unobserved))
    }

    /// Work that hangs until the sender is dropped.
    fn hanging() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (release, hang) = mpsc::channel::<()>();
        (release, move || {
            let _ = hang.recv();
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_given_up_in_time_and_keeps_its_permit() {
        let hands = hands();
        let (release, work) = hanging();
        let asked = hands.in_time(work);
        tokio::pin!(asked);
        assert!(futures_util::poll!(&mut asked).is_pending());
        tokio::time::advance(READING.answer).await;
        assert_eq!(asked.await, None);
        assert_eq!(hands.permits.available_permits(), READING.permits - 1);
        drop(release);
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_trips_and_its_threads_come_back_with_it() {
        let hands = hands();
        let mut releases = Vec::new();
        for _ in 0..READING.permits {
            let (release, work) = hanging();
            releases.push(release);
            let mut asked = Box::pin(hands.in_time(work));
            assert!(futures_util::poll!(&mut asked).is_pending());
            // Whoever asked is gone; the thread is not.
            drop(asked);
        }
        for _ in 0..TRIP_AFTER {
            assert!(!hands.trip.is_tripped());
            let mut refused = Box::pin(hands.in_time(|| ()));
            assert!(futures_util::poll!(&mut refused).is_pending());
            tokio::time::advance(READING.permit).await;
            assert_eq!(refused.await, None);
        }
        assert!(hands.trip.is_tripped());
        hands.trip.noticed.notified().await;

        releases.clear();
        assert_eq!(hands.in_time(|| 6).await, Some(6));
        hands.trip.recover();
        assert!(!hands.trip.is_tripped());
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_question_only() {
        let hands = hands();
        assert_eq!(hands.in_time(|| -> () { panic!("injected") }).await, None);
        assert_eq!(hands.permits.available_permits(), READING.permits);
        assert_eq!(hands.in_time(|| 5).await, Some(5));
        assert!(!hands.trip.is_tripped());
    }
}
