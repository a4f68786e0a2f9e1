//! The keys that prove each origin to be the one it was.
//!
//! Damage is no reason not to serve: canaries are learned again.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use object::ObjectKey;

use crate::files;

pub(crate) const FILE: &str = "canaries.json";

/// The canaries of a state directory that another process may hold; none where they cannot be
/// read.
pub fn read_canaries(directory: &Path) -> BTreeMap<String, Vec<ObjectKey>> {
    let Ok(text) = fs::read(directory.join(FILE)) else {
        return BTreeMap::new();
    };
    match serde_json::from_slice::<BTreeMap<String, Vec<String>>>(&text) {
        Ok(plain) => plain
            .into_iter()
            .map(|(origin, keys)| {
                let keys = keys.iter().filter_map(|key| ObjectKey::parse(key).ok());
                (origin, keys.collect())
            })
            .collect(),
        Err(error) => {
            tracing::warn!(%error, file = FILE, "learned canaries cannot be read and are learned again");
            BTreeMap::new()
        }
    }
}

/// Keeps the canaries; where that fails the old file is still there.
pub(crate) fn keep(
    directory: &Path,
    canaries: &BTreeMap<String, Vec<ObjectKey>>,
) -> io::Result<()> {
    let plain: BTreeMap<_, Vec<_>> = canaries
        .iter()
        .map(|(origin, keys)| (origin, keys.iter().map(ObjectKey::as_str).collect()))
        .collect();
    let text = serde_json::to_vec_pretty(&plain)?;
    files::replace(directory, FILE, |file| file.write_all(&text))?;
    files::sync_directory(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canaries_that_were_kept_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let canaries = BTreeMap::from([(
            "current".to_owned(),
            vec![ObjectKey::parse("写真 1.png").unwrap()],
        )]);
        keep(directory.path(), &canaries).unwrap();
        assert_eq!(read_canaries(directory.path()), canaries);
    }

    #[test]
    fn damaged_canaries_are_learned_again() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), b"{\"a\": [1").unwrap();
        assert!(read_canaries(directory.path()).is_empty());
    }
}
