//! What was left for later: notes to oneself, holes in the code, and tests that do not run.

use crate::Finding;
use crate::rust::{Token, lines_with, tokens};

// Written in two halves, so that this file does not find itself.
const NOTES: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];
const HOLES: &[&str] = &["todo", "unimplemented"];

/// How the reason of an ignored test begins that another test runs.
const RUN_ELSEWHERE: &str = "\"run by ";

/// Notes to oneself, and macros that stand for code to come.
pub fn unfinished(path: &str, text: &str) -> Vec<Finding> {
    let remedy = "finish it, or leave it out and say so in the documents";
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for note in NOTES.iter().filter(|note| has_word(line, note)) {
            findings.push(Finding::new(
                path,
                number,
                format!("a {note} is left"),
                remedy,
            ));
        }
    }
    let tokens = tokens(path, text).unwrap_or_default(); // `walls` says what is no Rust
    for hole in HOLES {
        for line in lines_with(&tokens, &[hole, "!"]) {
            findings.push(Finding::new(
                path,
                line,
                format!("a {hole}! is left"),
                remedy,
            ));
        }
    }
    findings
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|found| found == word)
}

/// Tests that nothing runs. One that another test runs, in a process of its own, says so in
/// its reason: `#[ignore = "run by the test above …"]`.
pub fn ignored_tests(path: &str, text: &str) -> Vec<Finding> {
    let tokens = tokens(path, text).unwrap_or_default();
    tokens
        .windows(5)
        .filter(|window| is(&window[..3], ["#", "[", "ignore"]))
        .filter(|window| window[3].text != "=" || !window[4].text.starts_with(RUN_ELSEWHERE))
        .map(|window| {
            let remedy = "let it run, or give the reason \"run by …\" if another test runs it";
            Finding::new(path, window[0].line, "a test is ignored", remedy)
        })
        .collect()
}

fn is(tokens: &[Token], texts: [&str; 3]) -> bool {
    tokens.iter().map(|token| token.text.as_str()).eq(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_and_holes_are_found() {
        for note in NOTES {
            assert_eq!(
                unfinished("a.rs", &format!("fn f() {{}} // {note}: later")).len(),
                1
            );
        }
        for hole in HOLES {
            assert_eq!(
                unfinished("a.rs", &format!("fn f() {{ {hole}!() }}")).len(),
                1
            );
        }
    }

    #[test]
    fn words_that_only_contain_a_note_are_none() {
        let word = format!("// {}S and a{}b", NOTES[0], NOTES[2]);
        assert_eq!(unfinished("a.rs", &word), []);
    }

    #[test]
    fn a_test_that_nothing_runs_is_found() {
        let ignored = |attribute: &str| {
            ignored_tests("a.rs", &format!("#[test]\n{attribute}\nfn f() {{}}")).len()
        };
        assert_eq!(ignored("#[ignore]"), 1);
        assert_eq!(ignored(r#"#[ignore = "it is slow"]"#), 1);
        assert_eq!(ignored(r#"#[ignore = "run by the test above"]"#), 0);
        assert_eq!(ignored(""), 0);
    }
}
