//! Whether what is being sent may still be sent.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

const GOOD: u8 = 0;
const RETIRED: u8 = 1;
const CUT: u8 = 2;

/// The life of a version, or of a body that is only passed through.
#[derive(Debug, Default)]
pub(crate) struct Life {
    state: AtomicU8,
    cut: Notify,
}

impl Life {
    /// No new request uses it and nothing more of it is kept; running responses go on.
    pub(crate) fn retire(&self) {
        self.state.fetch_max(RETIRED, Ordering::AcqRel);
    }

    /// No byte of it leaves any more.
    pub(crate) fn cut(&self) {
        self.state.fetch_max(CUT, Ordering::AcqRel);
        self.cut.notify_waiters();
    }

    /// Whether new requests may use it.
    pub(crate) fn is_good(&self) -> bool {
        self.state.load(Ordering::Acquire) == GOOD
    }

    /// Whether running responses must end.
    pub(crate) fn is_cut(&self) -> bool {
        self.state.load(Ordering::Acquire) >= CUT
    }

    /// Ends when it is cut.
    pub(crate) async fn ended(&self) {
        loop {
            // Before the look: a cut in between wakes it.
            let mut cut = std::pin::pin!(self.cut.notified());
            cut.as_mut().enable();
            if self.is_cut() {
                return;
            }
            cut.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_cut_ends_those_who_wait_and_those_who_come() {
        let life = Life::default();
        life.retire();
        assert!(!life.is_good() && !life.is_cut());
        tokio::join!(life.ended(), async { life.cut() });
        life.retire();
        assert!(life.is_cut());
        life.ended().await;
    }
}
