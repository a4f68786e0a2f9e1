//! What the examination found, for people.
//!
//! On a terminal a sign says how much a finding matters, elsewhere a word, which can be searched.

use std::io::IsTerminal;

use bytesize::ByteSize;

use crate::commands::report::{printable, say};
use crate::doctor::{Diagnosis, Finding, Level, Memory};

/// One block for each origin, then the rest.
pub(super) fn print(diagnosis: &Diagnosis) {
    say(&written(diagnosis, std::io::stdout().is_terminal()));
}

fn written(diagnosis: &Diagnosis, signs: bool) -> String {
    let mut lines = Vec::new();
    for examined in &diagnosis.examined {
        lines.push(format!("\n{}", printable(&examined.title)));
        lines.extend(examined.findings.iter().map(|finding| row(finding, signs)));
        if examined.title == "memory" {
            lines.extend(terms(&diagnosis.memory));
        }
    }
    lines.push(String::new());
    lines.push(summary(diagnosis));
    lines.join("\n")
}

fn row(finding: &Finding, signs: bool) -> String {
    let sign = match (finding.level, signs) {
        (Level::Ok, true) => "✓",
        (Level::Notice, true) => "·",
        (Level::Warning, true) => "!",
        (Level::Problem, true) => "✗",
        (Level::Ok, false) => "ok     ",
        (Level::Notice, false) => "notice ",
        (Level::Warning, false) => "warning",
        (Level::Problem, false) => "PROBLEM",
    };
    let what = printable(&finding.what);
    let row = format!("  {sign} {:<11}  {what}", finding.check.label());
    if finding.remedy.is_empty() {
        return row;
    }
    let indent = if signs { 17 } else { 23 };
    let remedy = printable(&finding.remedy);
    format!("{row}\n{:indent$}remedy: {remedy}", "")
}

fn terms(memory: &Memory) -> impl Iterator<Item = String> {
    memory.terms.iter().map(|term| {
        let size = ByteSize(term.bytes).display().si().to_string();
        format!("    {size:>10}  {}", term.what)
    })
}

fn summary(diagnosis: &Diagnosis) -> String {
    let count = |level, one: &str| {
        let count = diagnosis
            .findings()
            .filter(|finding| finding.level == level)
            .count();
        match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {one}s"),
        }
    };
    format!(
        "{}, {}, {}",
        count(Level::Problem, "problem"),
        count(Level::Warning, "warning"),
        count(Level::Notice, "notice")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Check, Examined, Term};

    fn diagnosis() -> Diagnosis {
        let finding = |level, check, what: &str, remedy: &str| Finding {
            subject: "origins.old".to_owned(),
            check,
            level,
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        };
        let examined = |title: &str, findings| Examined {
            title: title.to_owned(),
            findings,
        };
        Diagnosis {
            examined: vec![
                examined(
                    "origin old: bucket \"media\"",
                    vec![
                        finding(Level::Ok, Check::Reachable, "answers in 12 ms", ""),
                        finding(Level::Problem, Check::Clock, "\u{1b}[2J", "set it"),
                    ],
                ),
                examined(
                    "memory",
                    vec![finding(Level::Ok, Check::Memory, "at most 2 MB", "")],
                ),
            ],
            memory: Memory {
                terms: vec![Term {
                    what: "objects".to_owned(),
                    bytes: 2_000_000,
                }],
                total_bytes: 2_000_000,
            },
        }
    }

    #[test]
    fn a_report_is_aligned_and_cannot_move_the_cursor() {
        let expected = "
origin old: bucket \"media\"
  ok      reachable    answers in 12 ms
  PROBLEM clock        \\u{1b}[2J
                       remedy: set it

memory
  ok      memory       at most 2 MB
        2.0 MB  objects

1 problem, 0 warnings, 0 notices";
        assert_eq!(written(&diagnosis(), false), expected);
        assert!(written(&diagnosis(), true).contains("\n  ✗ clock        "));
    }
}
