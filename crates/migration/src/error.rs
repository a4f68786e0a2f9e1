//! Why a migration could not go on; what failed for one object is in its report instead.

use origin_resolver::Failure;

use crate::estimate::Shortfall;
use crate::journal::JournalError;
use crate::knowledge::Forgetful;

/// Why a migration could not be done, or not to its end. What was copied stays, and the next run
/// goes on.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// Its journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An origin cannot be listed.
    #[error("{origin} cannot be listed: {failure}")]
    Listing {
        /// Its name.
        origin: Box<str>,
        /// Why.
        failure: Failure,
    },
    /// The target cannot be written.
    #[error("nothing can be stored at {origin}: {failure}")]
    ReadOnly {
        /// Its name.
        origin: Box<str>,
        /// Why.
        failure: Failure,
    },
    /// What is to be copied does not fit, so nothing was.
    #[error("nothing was copied: {0}")]
    DoesNotFit(Shortfall),
    /// What must not be copied cannot be told.
    #[error(transparent)]
    Forgetful(#[from] Forgetful),
    /// The file with the keys cannot be read.
    #[error("{file}: the keys cannot be read: {error}")]
    Named {
        /// The file.
        file: String,
        /// What happened.
        error: std::io::Error,
    },
    /// One object after the other fails for a reason that has nothing to do with objects.
    #[error(
        "stopped after {failures} failures in a row, the last one {why}; what was copied stays, and the next run goes on from here"
    )]
    Stopped {
        /// How many.
        failures: usize,
        /// The last one.
        why: Box<str>,
    },
}
