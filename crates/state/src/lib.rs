//! The directory of what must survive a restart: tombstones, the ledger, rehearsal saves and
//! canaries. `FORMAT.md` beside this crate says what lies in it.
//!
//! Blocking, and without a runtime: whoever calls from one leaves its threads first. Decides
//! nothing about origins, routes or answers; it only remembers, and says so when it cannot.

mod alerts;
mod canaries;
mod directory;
mod egress;
mod exchange;
mod files;
mod fleet;
mod ledger;
mod places;
mod tombstones;

pub use alerts::ToldAlert;
pub use canaries::read_canaries;
pub use directory::{StateDirectory, StateError, control_socket};
pub use egress::Egress;
pub use exchange::{Counts, ExportError, Exported, ImportError, Imported, Taken, export, import};
pub use fleet::{FleetNotes, OwnPurge};
pub use ledger::{
    By, Entry, Ledger, LedgerCounts, LedgerDown, LedgerRows, MAX_SAVED_KEYS, Save, SaveReason,
    SaveRows, SaveTotals, Withdrawn,
};
pub use tombstones::{
    Action, Added, Listing, MAX_REASON_BYTES, MAX_SCOPE_BYTES, Scope, Tombstone, TombstoneError,
    Tombstones, list_tombstones,
};
