//! Metrics that a document names are ones that the code has.

use crate::{Finding, Tree};

const PREFIX: &str = "media_gateway_";

/// What a histogram adds to its name.
const SERIES: &[&str] = &["_bucket", "_sum", "_count"];

/// Metric names of one document that no Rust file has, with the prefix or without it.
pub fn unknown_metrics(path: &str, text: &str, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for name in names(line).filter(|name| !is_known(name, tree)) {
            let problem = format!("no code has the metric {PREFIX}{name}");
            let remedy = "name one that is exported";
            findings.push(Finding::new(path, number, problem, remedy));
        }
    }
    findings
}

/// What follows the prefix. Nothing, or a trailing underscore, stands for a family of names.
fn names(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices(PREFIX)
        .map(|(at, _)| {
            let rest = &line[at + PREFIX.len()..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            &rest[..end.unwrap_or(rest.len())]
        })
        .filter(|name| !name.is_empty() && !name.ends_with('_'))
}

fn is_known(name: &str, tree: &Tree) -> bool {
    let base = SERIES.iter().find_map(|series| name.strip_suffix(series));
    [Some(name), base].into_iter().flatten().any(|name| {
        let quoted = [format!("\"{name}\""), format!("\"{PREFIX}{name}\"")];
        tree.texts_ending(".rs")
            .any(|(_, text)| quoted.iter().any(|quoted| text.contains(quoted)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_that_no_code_has_is_found() {
        let tree = Tree::from([(
            "a.rs",
            &*format!("f(\"hits_total\"); g(\"{PREFIX}wait_seconds\");"),
        )]);
        let unknown =
            |name: &str| unknown_metrics("a.md", &format!("see `{PREFIX}{name}` or"), &tree).len();
        assert_eq!(unknown("misses_total"), 1);
        assert_eq!(unknown("hits"), 1);
        assert_eq!(unknown("hits_total"), 0);
        assert_eq!(unknown("wait_seconds_bucket{le=\"1\"}"), 0);
        assert_eq!(unknown("origin_*"), 0);
        assert_eq!(unknown("…"), 0);
    }
}
