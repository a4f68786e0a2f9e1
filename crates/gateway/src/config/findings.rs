//! Gathers problems and warnings while a configuration is checked, so that all come at once.
//!
//! Adds the place where each value was read. Keeps silent on what could not even be read (a
//! number where a URL belongs): the operator has been told of that already, and hearing that the
//! same key is missing would only confuse.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::problem::{Place, Problem, Rejected};

/// The list that every check writes to.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    places: BTreeMap<String, Place>,
    files: Vec<PathBuf>,
    unreadable: BTreeSet<String>,
}

impl Findings {
    /// An empty list that knows where each path was read.
    pub(super) fn new(places: BTreeMap<String, Place>) -> Self {
        Self {
            places,
            ..Self::default()
        }
    }

    /// Something that makes the configuration unusable.
    pub(super) fn refuse(&mut self, problem: Problem) {
        if !self.is_unreadable(&problem.path) {
            let problem = self.placed(problem);
            self.problems.push(problem);
        }
    }

    /// A value that could not be read at all; later problems of the same path are dropped.
    pub(super) fn refuse_unreadable(&mut self, problem: Problem) {
        let path = problem.path.clone();
        self.refuse(problem);
        self.unreadable.insert(path);
    }

    /// Something that works and is probably not meant.
    pub(super) fn warn(&mut self, warning: Problem) {
        let warning = self.placed(warning);
        self.warnings.push(warning);
    }

    /// Whether the operator has already been told that this value could not be read.
    pub(super) fn is_unreadable(&self, path: &str) -> bool {
        self.unreadable.contains(path)
    }

    /// The configuration depends on what a file holds.
    pub(super) fn depends_on(&mut self, file: impl Into<PathBuf>) {
        self.files.push(file.into());
    }

    /// The files that it depends on.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Adds the place of the path, or of the nearest table around it.
    pub(super) fn placed(&self, mut problem: Problem) -> Problem {
        let mut path = problem.path.as_str();
        while problem.place.is_none() && !path.is_empty() {
            problem.place = self.places.get(path).cloned();
            path = &path[..path.rfind(['.', '[']).unwrap_or(0)];
        }
        problem
    }

    /// How many problems there are so far.
    pub(super) fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// The problems and the warnings, in the order of the file; what stands nowhere comes last.
    pub(super) fn into_parts(mut self) -> (Vec<Problem>, Vec<Problem>) {
        self.problems.sort_by_key(line);
        self.warnings.sort_by_key(line);
        (self.problems, self.warnings)
    }
}

impl From<Findings> for Rejected {
    fn from(mut findings: Findings) -> Self {
        let files = std::mem::take(&mut findings.files);
        let (problems, warnings) = findings.into_parts();
        Self {
            problems,
            warnings,
            files,
        }
    }
}

fn line(problem: &Problem) -> usize {
    match &problem.place {
        Some(Place::File { line, .. }) => *line,
        _ => usize::MAX,
    }
}
