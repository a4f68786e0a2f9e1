//! The files of the repository: what is committed and what would be, not what is ignored.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{fs, str};

use anyhow::{Context, ensure};

/// Paths from the root of the repository, each with its text. A file that is not text is
/// there without one.
#[derive(Debug, Default)]
pub struct Tree(BTreeMap<String, Option<String>>);

impl Tree {
    /// Reads the working tree that git knows at `root`.
    pub fn read(root: &Path) -> anyhow::Result<Self> {
        let output = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(root)
            .output()
            .context("git does not run; is it installed?")?;
        ensure!(
            output.status.success(),
            "git cannot list the files of {}: {}",
            root.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        let mut files = BTreeMap::new();
        for path in str::from_utf8(&output.stdout)?.split_terminator('\0') {
            let at = root.join(path);
            // A file that was removed and not yet committed is still listed.
            if at.is_file() {
                let bytes = fs::read(&at).with_context(|| format!("cannot read {path}"))?;
                files.insert(path.to_owned(), String::from_utf8(bytes).ok());
            }
        }
        Ok(Self(files))
    }

    /// Every text, with its path.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The texts whose name ends so, as in `.rs`.
    pub fn texts_ending(&self, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(move |(path, _)| path.ends_with(ending))
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path)?.as_deref()
    }

    /// Every path, also of files that are not text.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there is a file or a directory of this name. The root is the empty path.
    pub fn has(&self, path: &str) -> bool {
        path.is_empty()
            || self.0.contains_key(path)
            || self.paths().any(|file| {
                file.strip_prefix(path)
                    .is_some_and(|below| below.starts_with('/'))
            })
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Tree {
    fn from(files: [(&str, &str); N]) -> Self {
        let owned = |(path, text): (&str, &str)| (path.to_owned(), Some(text.to_owned()));
        Self(files.map(owned).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_exist_because_of_their_files() {
        let tree = Tree::from([("a/b/c.rs", "")]);
        for there in ["", "a", "a/b", "a/b/c.rs"] {
            assert!(tree.has(there), "{there}");
        }
        for absent in ["a/b/c", "b", "a/b/c.rs/d"] {
            assert!(!tree.has(absent), "{absent}");
        }
    }
}
