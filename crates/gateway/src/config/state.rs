//! The directory of what must survive.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::findings::Findings;
use super::problem::Problem;

/// `[state]` as written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawState {
    /// Tombstones, ledger, journals, certificates and the control socket. Never inside the
    /// cache; back it up. Default `"/var/lib/media-gateway"`.
    directory: Option<String>,
}

/// What must survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where.
    pub directory: PathBuf,
}

pub(super) fn check(raw: RawState, findings: &mut Findings) -> State {
    State {
        directory: directory(
            "state.directory",
            raw.directory,
            "/var/lib/media-gateway",
            findings,
        ),
    }
}

/// A directory's path; refuses an empty one, which would mean the working directory.
pub(super) fn directory(
    key: &str,
    written: Option<String>,
    default: &str,
    findings: &mut Findings,
) -> PathBuf {
    let text = written.unwrap_or_else(|| default.to_owned());
    if text.is_empty() {
        findings.refuse(Problem::new(
            key,
            "an empty path is no directory",
            format!("write a path such as \"{default}\""),
        ));
    }
    PathBuf::from(text)
}

/// Whether one path is the other or lies below it, as far as the file system tells today: links
/// are followed in the part that exists.
pub(super) fn is_within(inner: &Path, outer: &Path) -> bool {
    real(inner).starts_with(real(outer))
}

fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // `absolute` keeps "..", which is right only while links are unknown; where nothing exists
    // there are none.
    for existing in path.ancestors() {
        if let Ok(canonical) = existing.canonicalize() {
            let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
            return rest.components().fold(canonical, |mut at, component| {
                match component {
                    std::path::Component::ParentDir => {
                        at.pop();
                    }
                    other => at.push(other),
                }
                at
            });
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_within_another_is_recognised_through_dots_and_links() {
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("cache");
        std::fs::create_dir(&cache).unwrap();
        std::os::unix::fs::symlink(&cache, directory.path().join("link")).unwrap();
        assert!(is_within(&cache, &cache));
        assert!(is_within(&directory.path().join("link/state"), &cache));
        assert!(is_within(&directory.path().join("no/../cache/x"), &cache));
        assert!(!is_within(&directory.path().join("cache-2"), &cache));
    }
}
