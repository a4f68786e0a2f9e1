//! One breach of one rule: where it is, what it is, and what to do about it.

use std::fmt;

/// A breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, from the root of the repository.
    pub path: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
    /// What to do instead.
    pub remedy: &'static str,
}

impl Finding {
    pub(crate) fn new(
        path: &str,
        line: usize,
        problem: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        Self {
            path: path.to_owned(),
            line,
            problem: problem.into(),
            remedy,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            problem,
            remedy,
        } = self;
        write!(f, "{path}:{line}: {problem}; {remedy}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_place_problem_and_remedy() {
        let finding = Finding::new("a/b.rs", 7, "it leans", "prop it up");
        assert_eq!(finding.to_string(), "a/b.rs:7: it leans; prop it up");
    }
}
