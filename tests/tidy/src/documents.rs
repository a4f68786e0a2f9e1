//! What the documents point at: files and headings by links, and paths in backticks.

use std::path::Path;

use crate::markdown::{anchors, inline_code, links};
use crate::{Finding, Tree};

/// Directories at the root: code that begins with one of them is a path.
const DIRECTORIES: &[&str] = &[
    "crates/",
    "tests/",
    "config/",
    "docs/",
    "docker/",
    "packaging/",
];

/// Relative links of one document that lead nowhere.
pub fn broken_links(path: &str, text: &str, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for link in links(text) {
        if let Some(problem) = broken(path, &link.text, tree) {
            let remedy = "name a file of the repository, or a heading of it";
            findings.push(Finding::new(path, link.line, problem, remedy));
        }
    }
    findings
}

fn broken(from: &str, link: &str, tree: &Tree) -> Option<String> {
    let scheme = link.split(['/', '#', '?']).next().unwrap_or_default();
    if scheme.contains(':') || link.starts_with("//") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() {
        from.to_owned()
    } else {
        let Some(target) = resolve(from, file) else {
            return Some(format!("the link {link} leaves the repository"));
        };
        target
    };
    if !tree.has(&target) {
        return Some(format!("the link {link} leads to no file"));
    }
    let is_document = Path::new(&target).extension() == Some("md".as_ref());
    let headings = tree
        .text(&target)
        .filter(|_| is_document && !anchor.is_empty())?;
    let found = anchors(headings).iter().any(|heading| heading == anchor);
    (!found).then(|| format!("the link {link} leads to no heading"))
}

/// The path that `link` means in the document `from`, from the root of the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = match link.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => from
            .split('/')
            .rev()
            .skip(1)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect(),
    };
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Paths in backticks that do not exist. Patterns and placeholders are not checked.
pub fn missing_paths(path: &str, text: &str, tree: &Tree) -> Vec<Finding> {
    inline_code(text)
        .into_iter()
        .filter(|code| names_no_file(&code.text, tree))
        .map(|code| {
            let problem = format!("`{}` does not exist", code.text);
            let remedy = "name what exists, from the root of the repository";
            Finding::new(path, code.line, problem, remedy)
        })
        .collect()
}

fn names_no_file(code: &str, tree: &Tree) -> bool {
    let word = code.split_whitespace().next().unwrap_or_default();
    // A place in a file: `path:line`, or `path#heading`.
    let word = word.split([':', '#']).next().unwrap_or_default();
    DIRECTORIES
        .iter()
        .any(|directory| word.starts_with(directory))
        && !word.contains(['*', '<', '{', '[', '…', '$'])
        && !tree.has(word.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree::from([
            ("README.md", "# Begin here"),
            ("docs/a.md", "# A\n\n## How it works"),
            ("crates/object/src/key.rs", ""),
            ("tests/run", ""),
        ])
    }

    fn broken_in(path: &str, link: &str) -> usize {
        broken_links(path, &format!("see [it]({link})"), &tree()).len()
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        for link in [
            "b.md",
            "../a.md",
            "a.md#missing",
            "#missing",
            "../../x",
            "/docs/b.md",
        ] {
            assert_eq!(broken_in("docs/a.md", link), 1, "{link}");
        }
    }

    #[test]
    fn links_to_files_directories_headings_and_sites_hold() {
        for link in [
            "a.md",
            "./a.md#how-it-works",
            "#how-it-works",
            "../README.md#begin-here",
            "../crates/object/",
            "/README.md",
            "..",
            "https://example.org/b.md#c",
            "mailto:a@example.org",
        ] {
            assert_eq!(broken_in("docs/a.md", link), 0, "{link}");
        }
    }

    #[test]
    fn a_path_that_does_not_exist_is_found() {
        let missing = |text| missing_paths("README.md", text, &tree()).len();
        assert_eq!(missing("in `crates/object/src/keys.rs`"), 1);
        assert_eq!(missing("in `tests/runs --quick`"), 1);
        assert_eq!(
            missing("in `docs/`, `tests/run --quick`, `crates/object/src/key.rs:3`"),
            0
        );
        assert_eq!(
            missing("in `crates/*/src`, `tests/<name>.rs`, `other/file`"),
            0
        );
    }
}
