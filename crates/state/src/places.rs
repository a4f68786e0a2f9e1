//! Which place each origin's name meant: what is known of an origin is known of a place.
//!
//! Knows no kinds of origins: a place is a text that others give, without anything secret. Damage
//! is no reason not to serve; the places are then taken as they are.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::files;

pub(crate) const FILE: &str = "origins.json";

/// The place that each name meant; none where that cannot be told.
pub(crate) fn read(directory: &Path) -> BTreeMap<String, String> {
    let text = match fs::read(directory.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => return untold(&error),
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| untold(&error))
}

fn untold(error: &dyn std::fmt::Display) -> BTreeMap<String, String> {
    tracing::warn!(%error, file = FILE, "which places the origins were cannot be told");
    BTreeMap::new()
}

/// Keeps them; where that fails the old file is still there.
pub(crate) fn keep(directory: &Path, places: &BTreeMap<String, String>) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(places)?;
    files::replace(directory, FILE, |file| file.write_all(&text))?;
    files::sync_directory(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_known_after_a_restart_and_damage_is_no_place() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path()).is_empty());
        let places = BTreeMap::from([("current".to_owned(), "s3 https://a/ b".to_owned())]);
        keep(directory.path(), &places).unwrap();
        assert_eq!(read(directory.path()), places);
        fs::write(directory.path().join(FILE), b"{\"current\": ").unwrap();
        assert!(read(directory.path()).is_empty());
    }
}
