//! An example that no document mentions is one that nobody finds.

use crate::{Finding, Tree};

const EXAMPLES: &str = "config/examples/";

/// Example configurations that neither README.md nor the documents mention.
pub fn unmentioned_examples(tree: &Tree) -> Vec<Finding> {
    if tree.text("README.md").is_none() {
        return Vec::new();
    }
    tree.paths()
        .filter_map(|path| Some((path, path.strip_prefix(EXAMPLES)?)))
        .filter(|(_, name)| !documents(tree).any(|text| text.contains(name)))
        .map(|(path, _)| {
            let remedy = "say in README.md or docs when to take it";
            Finding::new(path, 1, "no document mentions this example", remedy)
        })
        .collect()
}

fn documents(tree: &Tree) -> impl Iterator<Item = &str> {
    tree.texts_ending(".md")
        .filter(|(path, _)| *path == "README.md" || path.starts_with("docs/"))
        .map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_that_nothing_mentions_is_found() {
        let example = ("config/examples/a.toml", "");
        let silent = Tree::from([example, ("README.md", "nothing")]);
        assert_eq!(unmentioned_examples(&silent).len(), 1);
        let said = Tree::from([
            example,
            ("README.md", "nothing"),
            ("docs/x.md", "`config/examples/a.toml`"),
        ]);
        assert_eq!(unmentioned_examples(&said), []);
    }

    #[test]
    fn without_a_readme_nothing_is_asked() {
        assert_eq!(
            unmentioned_examples(&Tree::from([("config/examples/a.toml", "")])),
            []
        );
    }
}
