//! What waits to be written: bounded, with a place taken before the work that fills it.
//!
//! A file is written only when its row is sure of a place, so a full queue never leaves a file
//! without a row.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Places.
pub(super) const PLACES: usize = 4096;

/// A queue from many to the one writer.
#[derive(Debug)]
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    arrived: Condvar,
    left: Condvar,
}

#[derive(Debug)]
struct Inner<T> {
    items: VecDeque<T>,
    /// Taken places, with those of items.
    taken: usize,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                items: VecDeque::new(),
                taken: 0,
                closed: false,
            }),
            arrived: Condvar::new(),
            left: Condvar::new(),
        })
    }

    /// A place, if there is one.
    pub(super) fn reserve(self: &Arc<Self>) -> Option<Slot<T>> {
        self.reserve_below(PLACES)
    }

    /// A place for what can as well be left out, while at least half of them are free.
    pub(super) fn reserve_spare(self: &Arc<Self>) -> Option<Slot<T>> {
        self.reserve_below(PLACES / 2)
    }

    fn reserve_below(self: &Arc<Self>, most: usize) -> Option<Slot<T>> {
        let mut inner = self.lock();
        if inner.closed || inner.taken >= most {
            return None;
        }
        inner.taken += 1;
        Some(Slot(Some(Arc::clone(self))))
    }

    /// A place, waited for; blocks the thread. `None` once the queue is closed.
    pub(super) fn reserve_waiting(self: &Arc<Self>) -> Option<Slot<T>> {
        let mut inner = self.lock();
        while !inner.closed && inner.taken >= PLACES {
            inner = unpoisoned(self.left.wait(inner));
        }
        if inner.closed {
            return None;
        }
        inner.taken += 1;
        Some(Slot(Some(Arc::clone(self))))
    }

    /// What waits, at most `most` of it, after at most `within`; empty if nothing came.
    pub(super) fn take(&self, within: Duration, most: usize) -> Vec<T> {
        let mut inner = self.lock();
        if inner.items.is_empty() && !inner.closed {
            inner = unpoisoned(self.arrived.wait_timeout(inner, within)).0;
        }
        let most = most.min(inner.items.len());
        let items: Vec<T> = inner.items.drain(..most).collect();
        inner.taken -= items.len();
        drop(inner);
        self.left.notify_all();
        items
    }

    /// Takes nothing more. What waits is still given out.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
        self.left.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Closed, empty, and with no place taken that could still be used.
    pub(super) fn is_drained(&self) -> bool {
        let inner = self.lock();
        inner.closed && inner.taken == 0
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        unpoisoned(self.inner.lock())
    }
}

/// Nothing in here panics while it holds a lock, so a poisoned one is as good as another.
fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

/// A place in the queue; given back if it is dropped.
#[derive(Debug)]
pub(super) struct Slot<T>(Option<Arc<Queue<T>>>);

impl<T> Slot<T> {
    pub(super) fn send(mut self, item: T) {
        if let Some(queue) = self.0.take() {
            queue.lock().items.push_back(item);
            queue.arrived.notify_one();
        }
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.lock().taken -= 1;
            queue.left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let queue = Queue::new();
        let mut slots: Vec<_> = (0..PLACES).map(|_| queue.reserve().unwrap()).collect();
        assert!(queue.reserve().is_none());

        // One is given up, one is used and taken out.
        drop(slots.pop());
        slots.push(queue.reserve().unwrap());
        slots.pop().unwrap().send(7);
        assert!(queue.reserve().is_none());
        assert_eq!(queue.take(Duration::ZERO, 1), [7]);
        assert!(queue.reserve().is_some());
    }

    #[test]
    fn what_can_be_left_out_takes_no_place_from_what_cannot() {
        let queue: Arc<Queue<u8>> = Queue::new();
        let spare: Vec<_> = std::iter::from_fn(|| queue.reserve_spare()).collect();
        assert_eq!(spare.len(), PLACES / 2);
        let rest: Vec<_> = std::iter::from_fn(|| queue.reserve()).collect();
        assert_eq!(rest.len(), PLACES - spare.len());
        drop(rest);
        assert!(queue.reserve_spare().is_none());
        drop(spare);
        assert!(queue.reserve_spare().is_some());
    }

    #[test]
    fn whoever_waits_for_a_place_is_woken_by_a_free_one_and_by_the_end() {
        let queue: Arc<Queue<u8>> = Queue::new();
        let mut slots: Vec<_> = (0..PLACES).map(|_| queue.reserve().unwrap()).collect();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.reserve_waiting().is_some());
            drop(slots.pop());
            assert!(waits.join().unwrap());
        });
        slots.push(queue.reserve().unwrap());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.reserve_waiting().is_some());
            queue.close();
            assert!(!waits.join().unwrap());
        });
    }

    #[test]
    fn what_waits_when_the_queue_closes_is_still_given_out() {
        let queue = Queue::new();
        let (first, late) = (queue.reserve().unwrap(), queue.reserve().unwrap());
        first.send(1);
        queue.close();
        assert!(queue.reserve().is_none());
        late.send(2);
        assert_eq!(queue.take(Duration::from_mins(1), 1), [1]);
        assert_eq!(queue.take(Duration::from_mins(1), 9), [2]);
        assert!(queue.take(Duration::from_mins(1), 9).is_empty());
    }
}
