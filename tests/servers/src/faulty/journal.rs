//! What happened, for tests to count and to wait for.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::Request;

/// How long a test waits for what never comes before it says so.
const PATIENCE: Duration = Duration::from_secs(20);

/// Totals since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests whose head was read.
    pub requests: usize,
    /// Connections that were accepted.
    pub connections: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Bytes of bodies handed to the kernel, error bodies included.
    pub body_bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Journal {
    requests: Mutex<Vec<Request>>,
    counts: watch::Sender<Counts>,
}

impl Journal {
    pub(super) fn record(&self, request: Request) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(request);
        let count = requests.len();
        self.counts.send_modify(|counts| counts.requests = count);
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.counts
            .send_modify(|counts| counts.body_bytes += bytes as u64);
    }

    /// Counts a connection as open until the guard goes; the number is the connection's own.
    pub(super) fn connection(&self) -> (u64, OpenConnection<'_>) {
        let mut number = 0;
        self.counts.send_modify(|counts| {
            number = counts.connections;
            counts.connections += 1;
            counts.open += 1;
        });
        (number, OpenConnection(self))
    }

    pub(super) async fn wait(&self, what: &str, enough: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.counts.subscribe();
        let Ok(seen) = tokio::time::timeout(PATIENCE, counts.wait_for(enough)).await else {
            panic!("waited in vain for {what}; there were {:?}", self.counts());
        };
        *seen.expect("the sender is borrowed, so it lives")
    }
}

pub(super) struct OpenConnection<'a>(&'a Journal);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.counts.send_modify(|counts| counts.open -= 1);
    }
}
