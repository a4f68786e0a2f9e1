//! Which media Misskey's database names, or an export of meisskey's.
//!
//! Reads rows and nothing else: in one read-only transaction, so that all of them are of one
//! moment, with a role that needs no more than SELECT on seven tables. Knows neither routes nor
//! origins; what a URL means is decided by whoever asks.

mod columns;
mod connection;
mod database;
mod export;
mod reference;

pub use connection::{Connection, ConnectionError};
pub use database::{Database, DatabaseError};
pub use export::{ExportError, references as export_references};
pub use reference::{Name, Original, Reference};
