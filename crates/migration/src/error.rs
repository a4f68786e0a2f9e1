//! Why a migration could not go on; what failed for one object is in its report instead.

use origin_resolver::Failure;

use crate::estimate::Shortfall;
use crate::journal::JournalError;
use crate::knowledge::Forgetful;
use crate::share::Share;

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
    /// The target has lost what was in it, or the application has deleted implausibly much.
    #[error(
        "nothing was copied: {missing} of {verified} keys that were verified at {origin}, where the application deletes, are missing there now and nobody had noticed ({percent:.1} %), and more than --max-withdrawn {max} is not believed to be deletions. If {origin} has lost them: --lost copies them again. If the application has deleted them: a greater --max-withdrawn leaves them"
    )]
    Withdrawn {
        /// The target.
        origin: Box<str>,
        /// How many are missing.
        missing: u64,
        /// Of so many.
        verified: u64,
        /// Of a hundred.
        percent: f64,
        /// What would be believed.
        max: Share,
    },
    /// Rows were read, and none of them names anything that was listed.
    #[error(
        "nothing was copied: none of {objects} keys that {origin} lists is named by a row: restored or wrong database, or another application's?"
    )]
    Rowless {
        /// The source.
        origin: Box<str>,
        /// How many it lists of what was wanted.
        objects: u64,
    },
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
