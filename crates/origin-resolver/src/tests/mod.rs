//! The walk, the canaries and the rescue against origins that do exactly as told, on a paused
//! clock.

mod background;
mod fake;

mod alone;
mod canary;
mod hedging;
mod rescuing;
pub(crate) mod shelf;
mod verdicts;
