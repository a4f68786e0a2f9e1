//! What a gateway of a fleet remembers of its purges and of those of the others.
//!
//! Knows neither what a purge is nor how it travels. Where it is lost or damaged the gateway begins
//! as one that has never been in the fleet.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files;

pub(crate) const FILE: &str = "fleet.json";

/// What one gateway remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetNotes {
    /// Who it is among the others; empty before it was ever one of them.
    pub member: String,
    /// The number of its last purge.
    pub sequence: u64,
    /// Whether it has once heard all that the others had to tell.
    pub joined: bool,
    /// Up to which purge of each other gateway it has purged.
    pub applied: BTreeMap<String, u64>,
    /// Its own last purges, in order.
    pub own: VecDeque<OwnPurge>,
}

/// A purge that began at this gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnPurge {
    /// Its number.
    pub sequence: u64,
    /// What is purged, as it is told.
    pub what: String,
}

/// What was kept; `None` where nothing can be read.
pub(crate) fn read(directory: &Path) -> Option<FleetNotes> {
    let text = match fs::read(directory.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return forgotten(&error),
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| forgotten(&error))
}

fn forgotten(error: &dyn std::fmt::Display) -> Option<FleetNotes> {
    tracing::warn!(
        %error,
        file = FILE,
        "what this gateway knew of its fleet cannot be told; it joins as a new one"
    );
    None
}

/// Keeps it; where that fails the old file is still there.
pub(crate) fn keep(directory: &Path, notes: &FleetNotes) -> io::Result<()> {
    let text = serde_json::to_vec(notes)?;
    files::replace(directory, FILE, |file| file.write_all(&text))?;
    files::sync_directory(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_known_after_a_restart_and_damage_is_a_new_beginning() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()), None);
        let notes = FleetNotes {
            member: "a".to_owned(),
            sequence: 7,
            own: VecDeque::from([OwnPurge {
                sequence: 7,
                what: "[]".to_owned(),
            }]),
            ..FleetNotes::default()
        };
        keep(directory.path(), &notes).unwrap();
        assert_eq!(read(directory.path()), Some(notes));
        fs::write(directory.path().join(FILE), b"{\"member\"").unwrap();
        assert_eq!(read(directory.path()), None);
    }
}
