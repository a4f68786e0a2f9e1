//! The keys that a running gateway learned and wrote down, for a doctor who starts from nothing.
//!
//! Reads only. A file that is absent is normal; one that cannot be read is said, and no more.

use std::collections::BTreeMap;
use std::path::Path;

use object::ObjectKey;

use super::finding::{Check, Finding, Findings, Level};

const FILE: &str = "canaries.json";

/// The learned canaries by the origin's name, in the origin's own spelling.
pub(super) type Learned = BTreeMap<String, Vec<ObjectKey>>;

/// Reads what was written down in the state directory; blocks.
pub(super) fn read(state: &Path) -> (Learned, Vec<Finding>) {
    let path = state.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Default::default(),
        Err(error) => return (Learned::new(), unreadable(&path, &error.to_string())),
    };
    match serde_json::from_str::<BTreeMap<String, Vec<String>>>(&text) {
        Ok(written) => (parsed(written), Vec::new()),
        Err(error) => (Learned::new(), unreadable(&path, &error.to_string())),
    }
}

fn parsed(written: BTreeMap<String, Vec<String>>) -> Learned {
    written
        .into_iter()
        .map(|(origin, keys)| {
            let keys = keys.iter().filter_map(|key| ObjectKey::parse(key).ok());
            (origin, keys.collect())
        })
        .collect()
}

fn unreadable(path: &Path, error: &str) -> Vec<Finding> {
    let mut findings = Findings::about("state.directory");
    findings.add(
        Level::Warning,
        Check::Canary,
        format!("{} cannot be read: {error}", path.display()),
        "run the check as the gateway's user; if the file is damaged, delete it: it is learned anew",
    );
    findings.into_list()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_read_and_damage_is_said() {
        let state = tempfile::tempdir().unwrap();
        let read = || read(state.path());
        assert_eq!(read(), (Learned::new(), Vec::new()));

        let file = state.path().join(FILE);
        std::fs::write(&file, r#"{"old": ["m/a", "", "m/b"]}"#).unwrap();
        let (learned, findings) = read();
        assert_eq!(learned["old"].len(), 2);
        assert!(findings.is_empty());

        std::fs::write(&file, "{").unwrap();
        let (learned, findings) = read();
        assert!(learned.is_empty());
        assert_eq!(findings[0].level, Level::Warning);
    }
}
