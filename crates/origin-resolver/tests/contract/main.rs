//! What every kind of origin promises, checked against each kind.
//!
//! `checks` holds the promises, one function each, over a [`fixture::Fixture`] that can fill an
//! origin with objects. A kind joins by adding a file that implements the trait and says
//! `contract!(its fixture)`; what only that kind promises is tested beside it. `writing` does the same for stores. `failures` goes the
//! other way: what servers do wrong, and that the whole resolver tells the truth all the same.

#![allow(
    clippy::unwrap_used,
    reason = "the whole crate is a test; its helpers are not inside test functions"
)]

mod checks;
mod failures;
mod faulty;
mod filesystem;
mod fixture;
mod in_process;
mod kinds;
mod seaweed;
mod writing;
