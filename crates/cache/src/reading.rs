//! Readers of a version, and its end when another one takes its place: who has begun to read finds
//! all that was held until he is done, like the readers of a file that was replaced.
//!
//! Each side says first what it is about to do and looks then what the other one has said. Says
//! nothing of what is purged or deleted: that goes, read or not.

use std::sync::Arc;

use crate::disk::{Pin, Pins};
use crate::life::Life;

/// Begins to read what is held of a version. `None` where it is to be opened anew: its place was
/// taken, and what was held of it may be gone.
pub(crate) fn begin(pins: &Arc<Pins>, number: u64, life: &Life) -> Option<Pin> {
    let pin = pins.pin(number);
    life.is_good().then_some(pin)
}

/// Retires a version whose place is taken. Returns whether somebody reads it: then what is held of
/// it stays until he is done.
pub(crate) fn replace(pins: &Pins, number: u64, life: &Life) -> bool {
    life.retire();
    pins.is_pinned(number)
}
