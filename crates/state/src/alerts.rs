//! Which alerts the operator was told of and has not been told the end of.
//!
//! Knows neither what an alert is nor how it is told. Where this is lost or damaged, what still
//! holds is told once more.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files;

pub(crate) const FILE: &str = "alerts.json";

/// One alert that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldAlert {
    /// Its name.
    pub alert: String,
    /// What it is about, such as `origin old`; empty where there is only one.
    pub subject: String,
    /// When it was told last, in seconds since 1970.
    pub told: u64,
}

/// What was kept; nothing where nothing can be read.
pub(crate) fn read(directory: &Path) -> Vec<ToldAlert> {
    let text = match fs::read(directory.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => return forgotten(&error),
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| forgotten(&error))
}

fn forgotten(error: &dyn std::fmt::Display) -> Vec<ToldAlert> {
    tracing::warn!(
        %error,
        file = FILE,
        "it cannot be read which alerts were told; those that still hold are told again"
    );
    Vec::new()
}

/// Keeps it; where that fails the old file is still there.
pub(crate) fn keep(directory: &Path, told: &[ToldAlert]) -> io::Result<()> {
    let text = serde_json::to_vec(told)?;
    files::replace(directory, FILE, |file| file.write_all(&text))?;
    files::sync_directory(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_known_after_a_restart_and_damage_forgets_it() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()), []);
        let told = [ToldAlert {
            alert: "OriginSuspect".to_owned(),
            subject: "origin old".to_owned(),
            told: 1_700_000_000,
        }];
        keep(directory.path(), &told).unwrap();
        assert_eq!(read(directory.path()), told);
        fs::write(directory.path().join(FILE), b"[{\"alert\"").unwrap();
        assert_eq!(read(directory.path()), []);
    }
}
