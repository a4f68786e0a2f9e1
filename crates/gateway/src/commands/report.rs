//! How a command reports: blocks for people, JSON for scripts.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::cli::Global;
use crate::config::{Config, Loaded, Problem, Rejected};

/// Reads the configuration that the command line names, with this process's environment.
///
/// # Errors
/// Every problem at once.
pub fn load(file: &std::path::Path) -> Result<Loaded, Rejected> {
    Config::load(file, std::env::vars_os())
}

/// Loads for a command that has something else to report, or reports why it cannot.
pub(super) fn load_or_report(global: &Global) -> Result<Loaded, ExitCode> {
    let file = global.file();
    load(&file).map_err(|rejected| {
        print_rejected(&file.display().to_string(), &rejected, global.json);
        ExitCode::FAILURE
    })
}

/// What `check --offline --json` prints.
#[derive(Serialize)]
struct JsonReport<'a> {
    ok: bool,
    file: &'a str,
    problems: &'a [Problem],
    warnings: &'a [Problem],
}

/// Prints problems and warnings; on standard error for people, where problems belong, and on
/// standard output for scripts.
pub fn print_rejected(file: &str, rejected: &Rejected, json: bool) {
    print_findings(file, &rejected.problems, &rejected.warnings, json);
}

/// The same for any lists, also empty ones.
pub(super) fn print_findings(file: &str, problems: &[Problem], warnings: &[Problem], json: bool) {
    if json {
        print_json(&JsonReport {
            ok: problems.is_empty(),
            file,
            problems,
            warnings,
        });
        return;
    }
    for warning in warnings {
        complain(&block("warning", warning));
    }
    for problem in problems {
        complain(&block("error", problem));
    }
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let warned = count(warnings.len(), "warning");
    match (problems.len(), warnings.len()) {
        (0, 0) => say(&format!("{file}: the configuration is fine")),
        (0, _) => say(&format!(
            "{file}: the configuration is usable, with {warned}"
        )),
        (some, 0) => complain(&format!("{file}: {}", count(some, "problem"))),
        (some, _) => complain(&format!("{file}: {}, {warned}", count(some, "problem"))),
    }
}

/// A time for people, of seconds since 1970.
pub(super) fn time(seconds: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Prints one JSON value on standard output.
pub(super) fn print_json(value: &impl Serialize) {
    let text = serde_json::to_string_pretty(value).expect("a report is always JSON");
    say(&text);
}

/// Writes a report and a line break to standard output. A reader who has seen enough (`| head`)
/// has closed it, which is no failure of the command.
pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// The same to standard error.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// One problem as a paragraph, with an empty line after it.
fn block(word: &str, problem: &Problem) -> String {
    let mut lines = Vec::new();
    let place = problem.place.as_ref().map(|place| format!("  ({place})"));
    let path = match problem.path.as_str() {
        "" => "the configuration",
        path => path,
    };
    lines.push(format!("{word}: {path}{}", place.unwrap_or_default()));
    if let Some(value) = &problem.value {
        lines.push(format!("  value:  {}", printable(value)));
    }
    lines.push(format!("  reason: {}", printable(&problem.reason)));
    lines.push(format!("  remedy: {}\n", printable(&problem.remedy)));
    lines.join("\n")
}

/// Without control characters, which could rewrite the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped: Box<dyn Iterator<Item = char>> = if c.is_control() {
                Box::new(c.escape_default())
            } else {
                Box::new(std::iter::once(c))
            };
            escaped
        })
        .collect()
}
