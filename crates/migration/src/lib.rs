//! Copies everything from one origin to another, once, at a known price.
//!
//! The parts, from the outside in: a [`Migration`] takes the inventory of both [`End`]s, says
//! what it costs and whether it fits, and copies; a [`Journal`] remembers what was listed and
//! copied, so that it may be killed at any moment; [`Knowledge`] is what must not be copied, and
//! who is told of copies. What is to be done about one key is a pure decision. Knows no client,
//! no command line and no configuration.

pub mod audit;
mod coding;
mod copy;
mod copying;
mod difference;
mod end;
mod error;
mod estimate;
mod fingerprint;
mod frame;
mod inventory;
mod journal;
mod knowledge;
mod log;
mod migration;
mod options;
mod progress;
mod reading;
mod record;
mod report;
mod selection;
mod share;
mod shared;
mod table;
mod tally;

pub use difference::{Barred, Recalled};
pub use end::End;
pub use error::MigrationError;
pub use estimate::{Estimate, Shortfall, Verify};
pub use journal::{Journal, JournalError, Results};
pub use knowledge::{Forgetful, Knowledge, Nothing, Verified};
pub use log::LogError;
pub use migration::Migration;
pub use options::{Named, Names, Options, ReadLine, Referenced};
pub use progress::{Moment, Phase, Progress};
pub use report::{Remark, Remarks, Report};
pub use selection::{Chosen, Pattern, Selection, Shard};
pub use share::{NoShare, Share, percent};
pub use tally::{Sum, Tally};
