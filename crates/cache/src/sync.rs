//! The lock of this crate. Under a model scheduler taking it and giving it back are places where
//! another task may go on, so that a test sees each order of events.

use std::ops::{Deref, DerefMut};

#[cfg(feature = "model")]
use shuttle::sync::{Mutex as Lock, MutexGuard as LockGuard};
#[cfg(not(feature = "model"))]
use std::sync::{Mutex as Lock, MutexGuard as LockGuard};

/// A lock under which nothing panics, so that it is never poisoned.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(Lock<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Lock::new(value))
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        Guard(Some(self.0.lock().expect("no panic under this lock")))
    }
}

/// The lock, until it is dropped.
pub(crate) struct Guard<'a, T>(Option<LockGuard<'a, T>>);

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().expect("it is given back when dropped")
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0
            .as_deref_mut()
            .expect("it is given back when dropped")
    }
}

#[cfg(feature = "model")]
impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.0 = None;
        if !std::thread::panicking() {
            shuttle::thread::sleep(std::time::Duration::ZERO);
        }
    }
}
