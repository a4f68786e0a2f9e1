//! Blocking work on one disk, kept from spreading when that disk hangs.
//!
//! A thread that waits for a dead NFS server cannot be stopped. So each origin has a fixed number
//! of permits, each held by the work itself and not by whoever waits for it: a hanging disk takes
//! its own share of the threads and no more, and after that is unknown at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::{Failure, Reason};

/// Far below the 512 threads that tokio has for such work.
const PERMITS: usize = 32;
const PERMIT_WITHIN: Duration = Duration::from_millis(250);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// One origin's share of the process's blocking threads; clones share it.
#[derive(Clone)]
pub(super) struct Hands(Arc<Semaphore>);

impl Hands {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(PERMITS)))
    }

    /// Does work that somebody waits for; gives up in time, though the work may go on.
    pub(super) async fn in_time<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let Ok(permit) = timeout(PERMIT_WITHIN, self.permit()).await else {
            let what = format!("{PERMITS} questions wait for this disk already");
            return Err(Failure::new(Reason::Timeout, what));
        };
        let Ok(done) = timeout(ANSWER_WITHIN, run(permit, work)).await else {
            let seconds = ANSWER_WITHIN.as_secs();
            let what = format!("the disk did not answer within {seconds} s");
            return Err(Failure::new(Reason::Timeout, what));
        };
        done
    }

    /// Does work for as long as it takes; the caller watches the clock.
    pub(super) async fn patiently<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        run(self.permit().await, work).await
    }

    /// Does work that nobody waits for: tidying up behind somebody who went away.
    pub(super) fn afterwards(&self, work: impl FnOnce() + Send + 'static) {
        if tokio::runtime::Handle::try_current().is_err() {
            return work();
        }
        // Whoever holds all permits may be what is tidied up behind; this much is always allowed.
        let permit = Arc::clone(&self.0).try_acquire_owned();
        spawn_blocking(move || {
            work();
            drop(permit);
        });
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.0)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed")
    }
}

async fn run<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let work = move || {
        let done = work();
        drop(permit);
        done
    };
    // A panic costs its own question, and a runtime that is going down asks no more.
    spawn_blocking(work)
        .await
        .map_err(|_| Failure::new(Reason::Disk, "reading the disk was broken off"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Work that hangs until the sender is dropped.
    fn hanging() -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (release, hang) = mpsc::channel::<()>();
        (release, move || {
            let _ = hang.recv();
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_unknown_in_time_and_keeps_its_permit() {
        let hands = Hands::new();
        let (release, work) = hanging();
        let asked = hands.in_time(work);
        tokio::pin!(asked);
        assert!(futures_util::poll!(&mut asked).is_pending());
        tokio::time::advance(ANSWER_WITHIN).await;
        assert_eq!(asked.await.unwrap_err().reason, Reason::Timeout);
        assert_eq!(hands.0.available_permits(), PERMITS - 1);
        drop(release);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_disk_takes_only_its_own_share_of_the_threads() {
        let (stuck, healthy) = (Hands::new(), Hands::new());
        let mut releases = Vec::new();
        for _ in 0..PERMITS {
            let (release, work) = hanging();
            releases.push(release);
            let mut asked = Box::pin(stuck.in_time(work));
            assert!(futures_util::poll!(&mut asked).is_pending());
            // Whoever asked is gone; the thread is not.
            drop(asked);
        }
        let mut refused = Box::pin(stuck.in_time(|| ()));
        assert!(futures_util::poll!(&mut refused).is_pending());
        tokio::time::advance(PERMIT_WITHIN).await;
        assert_eq!(refused.await.unwrap_err().reason, Reason::Timeout);

        assert_eq!(healthy.in_time(|| 5).await.unwrap(), 5);

        releases.clear();
        assert_eq!(stuck.patiently(|| 6).await.unwrap(), 6);
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_question_only() {
        let hands = Hands::new();
        let broken: Result<(), _> = hands.in_time(|| panic!("injected")).await;
        assert_eq!(broken.unwrap_err().reason, Reason::Disk);
        assert_eq!(hands.0.available_permits(), PERMITS);
    }
}
