//! What is wrong with a configuration, where, and what to do about it.
//!
//! Data only: nothing is printed here, and a secret never gets in. A problem names the key by its
//! path (`origins.current.endpoint`), so that it can be found whether it came from a file or from
//! the environment.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One thing that is wrong, or (as a warning) questionable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Problem {
    /// `origins.current.endpoint`, `routes[0].url`; empty where the file as a whole is meant.
    pub path: String,
    /// What stands there; absent for secrets and where nothing stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Why it cannot stay so.
    pub reason: String,
    /// What to write instead.
    pub remedy: String,
    /// Where it was read, if that is known.
    #[serde(flatten)]
    pub place: Option<Place>,
}

/// Where a value was read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// A line of the configuration file.
    File {
        /// The file as the operator named it.
        file: String,
        /// Counted from one.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its whole name.
        variable: String,
    },
}

/// What stands in a problem instead of a secret.
pub(crate) const HIDDEN: &str = "[hidden]";

impl Problem {
    /// A problem without a value and a place.
    pub fn new(
        path: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            value: None,
            reason: reason.into(),
            remedy: remedy.into(),
            place: None,
        }
    }

    /// The same with the value that stands there. Never pass a secret.
    #[must_use]
    pub fn with_value(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
        }
    }
}

/// On one line, for a log.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.path.is_empty() {
            f.write_str(&self.path)?;
            if let Some(value) = &self.value {
                write!(f, " = {value:?}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}; {}", self.reason, self.remedy)
    }
}

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Debug, Clone, Default, Deserialize, Serialize, thiserror::Error)]
#[error("the configuration has {} problem(s)", .problems.len())]
pub struct Rejected {
    /// Never empty.
    pub problems: Vec<Problem>,
    /// What would have been warned of as well.
    pub warnings: Vec<Problem>,
    /// The files that were read, or should have been, besides the configuration itself.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
}
