//! Which keys the application's rows name.
//!
//! In two ways: as [`Names`], under every spelling that a row may mean, for what must not be
//! called deleted; and as a [`KeyList`], as the routes spell them, for what has to be looked for.

mod keys;
mod names;
mod prints;

pub(crate) use keys::{KeyList, read_key, read_row};
pub(crate) use names::Names;
pub(crate) use prints::{Gathering, Print, Prints};
