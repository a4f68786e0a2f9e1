//! A connection's phase, shared by what reads and writes it and by its requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::pace::Pace;
use super::phase::Phase;
use crate::config::Limits;

/// What the parts of one connection know of each other.
#[derive(Debug)]
pub(super) struct Watch {
    state: Mutex<State>,
    /// The connection's task: a stream that ends on another thread starts its idle time.
    task: AtomicWaker,
    minimum_rate_bytes: u64,
    minimum_rate_grace: Duration,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    reset: bool,
    /// The stream of the request that was started last, until its task takes it.
    stream: Option<Arc<Stream>>,
    /// How often everything written was handed to the kernel.
    flushes: u64,
    /// Who waits for that.
    unflushed: Vec<Waker>,
}

/// A stream may hand something over while a flush that began before is under way.
const FLUSHES: u64 = 2;

impl Watch {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                phase: Phase::new(limits, Instant::now()),
                reset: false,
                stream: None,
                flushes: 0,
                unflushed: Vec::new(),
            }),
            task: AtomicWaker::new(),
            minimum_rate_bytes: limits.minimum_rate_bytes,
            minimum_rate_grace: limits.minimum_rate_grace,
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn phase<T>(&self, look: impl FnOnce(&mut Phase) -> T) -> T {
        self.with(|state| look(&mut state.phase))
    }

    /// Wakes this task when a stream ends.
    pub(super) fn wake(&self, task: &Waker) {
        self.task.register(task);
    }

    /// From now on the end of the connection is a reset, which no client takes for the end of
    /// a body.
    pub(super) fn end_with_reset(&self) {
        self.with(|state| state.reset = true);
    }

    pub(super) fn ends_with_reset(&self) -> bool {
        self.with(|state| state.reset)
    }

    /// Everything that was written is with the kernel.
    pub(super) fn flushed(&self) {
        let waiting = self.with(|state| {
            state.flushes += 1;
            std::mem::take(&mut state.unflushed)
        });
        for waker in waiting {
            waker.wake();
        }
    }

    /// Counts a request until the returned guard is dropped.
    pub(super) fn request(self: &Arc<Self>, multiplexed: bool) -> InFlight {
        let stream = multiplexed.then(|| {
            Arc::new(Stream(Mutex::new(Pace::new(
                self.minimum_rate_bytes,
                self.minimum_rate_grace,
            ))))
        });
        self.with(|state| {
            state.phase.request_started(Instant::now(), multiplexed);
            state.stream.clone_from(&stream);
        });
        InFlight {
            watch: Arc::clone(self),
            stream,
            flushed_after: None,
        }
    }

    /// The stream of the request that was started last.
    pub(super) fn take_stream(&self) -> Option<Arc<Stream>> {
        self.with(|state| state.stream.take())
    }
}

/// The pace at which one stream of a multiplexed connection is taken.
#[derive(Debug)]
pub(super) struct Stream(Mutex<Pace>);

impl Stream {
    fn pace<T>(&self, look: impl FnOnce(&mut Pace) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pace(|pace| pace.deadline())
    }
}

/// A request from its headers to the end of its response's body.
#[derive(Debug)]
pub(super) struct InFlight {
    watch: Arc<Watch>,
    stream: Option<Arc<Stream>>,
    /// With so many flushes everything of this request is with the kernel.
    flushed_after: Option<u64>,
}

impl InFlight {
    /// The body handed out a frame, and waits until the next is asked for.
    pub(super) fn handed_out(&self) {
        if let Some(stream) = &self.stream {
            stream.pace(|pace| pace.waiting(Instant::now()));
        }
    }

    /// The next frame is asked for: the one before, of so many bytes, was taken.
    pub(super) fn taken(&self, bytes: usize) {
        if let Some(stream) = &self.stream {
            stream.pace(|pace| pace.took(Instant::now(), bytes));
        }
    }

    /// Ready once the kernel has what was handed over before the first call. A client that does
    /// not read delays it until its connection is cut.
    pub(super) fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ready = self.watch.with(|state| {
            let after = self.flushed_after.get_or_insert(state.flushes + FLUSHES);
            if state.flushes >= *after {
                return true;
            }
            if !state
                .unflushed
                .iter()
                .any(|waker| waker.will_wake(cx.waker()))
            {
                state.unflushed.push(cx.waker().clone());
            }
            false
        });
        if ready {
            return Poll::Ready(());
        }
        // The connection flushes whenever it is looked after.
        self.watch.task.wake();
        Poll::Pending
    }

    /// The body broke off.
    pub(super) fn broke_off(&self) {
        // A stream is reset by itself; its neighbours live.
        if self.stream.is_none() {
            self.watch.end_with_reset();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.taken(0);
        self.watch
            .phase(|phase| phase.request_ended(Instant::now()));
        if self.stream.is_some() {
            self.watch.task.wake();
        }
    }
}
