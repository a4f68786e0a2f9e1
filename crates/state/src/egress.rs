//! How many bytes were read from each origin in the current period of its budget.
//!
//! Knows no budgets and no calendar: a period is a name that others give. Damage is no reason not
//! to serve, and is said, because what was spent is then counted from nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files;

pub(crate) const FILE: &str = "egress.json";

/// What was read from one origin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Egress {
    /// The period of the calendar, such as `2026-11` or `2026-11-28`.
    pub period: String,
    /// Bytes in it.
    pub bytes: u64,
}

/// What was read, by origin; nothing where it cannot be told.
pub(crate) fn read(directory: &Path) -> BTreeMap<String, Egress> {
    let text = match fs::read(directory.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => return uncounted(&error),
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| uncounted(&error))
}

fn uncounted(error: &dyn std::fmt::Display) -> BTreeMap<String, Egress> {
    tracing::warn!(
        %error,
        file = FILE,
        "what was read from origins in this period cannot be told; budgets begin anew"
    );
    BTreeMap::new()
}

/// Keeps what was read; where that fails the old file is still there.
pub(crate) fn keep(directory: &Path, read: &BTreeMap<String, Egress>) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(read)?;
    files::replace(directory, FILE, |file| file.write_all(&text))?;
    files::sync_directory(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_known_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path()).is_empty());
        let spent = Egress {
            period: "2026-11".to_owned(),
            bytes: u64::MAX,
        };
        let all = BTreeMap::from([("current".to_owned(), spent)]);
        keep(directory.path(), &all).unwrap();
        assert_eq!(read(directory.path()), all);
    }

    #[test]
    fn a_damaged_file_is_counted_from_nothing() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), b"{\"a\": {\"period\"").unwrap();
        assert!(read(directory.path()).is_empty());
    }
}
