//! The configuration and the commands about it, from the outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_input;
mod command_line;
mod doctor;
mod files;
mod listeners;
mod overrides;
mod parsed;
mod reports;

use gateway::config::{Config, Loaded, Problem, Rejected};

/// A configuration that is fine, to be spoiled by the tests.
pub(crate) const FINE: &str = r#"
[origins.current]
kind = "s3"
endpoint = "https://s3.example.com"
bucket = "media"

[[routes]]
url = "https://media.example.com/"
origins = ["current"]
"#;

/// Parses without an environment.
pub(crate) fn parse(text: &str) -> Result<Loaded, Rejected> {
    Config::parse("gateway.toml", text, [])
}

/// Parses what must be fine.
pub(crate) fn fine(text: &str) -> Loaded {
    parse(text).unwrap_or_else(|rejected| panic!("refused: {:#?}", rejected.problems))
}

/// Parses what must not be.
pub(crate) fn problems(text: &str) -> Vec<Problem> {
    match parse(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(rejected) => rejected.problems,
    }
}

/// The paths of all problems.
pub(crate) fn paths(problems: &[Problem]) -> Vec<&str> {
    problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect()
}
