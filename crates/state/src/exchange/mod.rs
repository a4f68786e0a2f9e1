//! The state as one file, for the day the server burns.
//!
//! Lines of JSON: a header that says what follows, the state, and a last line with the number and
//! the SHA-256 of all before it, so that a piece of a file is never taken for the whole.

mod export;
mod import;
mod line;

use serde::{Deserialize, Serialize};

pub use export::{ExportError, Exported, export};
pub use import::{ImportError, Imported, Taken, import};

/// The name of the file that an import is looked through in.
pub(crate) const SPOOL: &str = "import";

/// What a file holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Keys that must stay gone.
    pub tombstones: u64,
    /// Keys that may be served again.
    pub removals: u64,
    /// Keys that prove an origin.
    pub canaries: u64,
    /// Keys verified at an origin.
    pub ledger: u64,
    /// Keys that only a rehearsing origin could give, once for each reason.
    pub saves: u64,
    /// Origins with rehearsal saves.
    pub save_totals: u64,
}
