//! How a Rust file opens, and how long it may become.

use crate::Finding;

/// The most lines a file may have.
const MOST_LINES: usize = 500;

/// A file that does not open by saying what it is for.
pub fn headers(path: &str, text: &str) -> Vec<Finding> {
    if path == "build.rs" || path.ends_with("/build.rs") {
        return Vec::new();
    }
    let header: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .collect();
    if has_a_sentence(&header.join(" ")) {
        return Vec::new();
    }
    let remedy = "open it with `//!` and a sentence on what it is for and what it refuses";
    vec![Finding::new(
        path,
        1,
        "the file does not say what it is for",
        remedy,
    )]
}

fn has_a_sentence(header: &str) -> bool {
    let several_words = header.split_whitespace().nth(1).is_some();
    several_words && (header.ends_with('.') || header.contains(". "))
}

/// A file that has grown too long.
pub fn lengths(path: &str, text: &str) -> Vec<Finding> {
    let lines = text.lines().count();
    if lines <= MOST_LINES {
        return Vec::new();
    }
    let problem = format!("the file has {lines} lines, more than {MOST_LINES}");
    let remedy = "ask which second noun has moved in, and give it a file";
    vec![Finding::new(path, MOST_LINES + 1, problem, remedy)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_header_is_found() {
        for text in [
            "",
            "use std::fmt;",
            "// Keys.\n",
            "use a;\n//! Keys and more.",
            "//! x",
        ] {
            assert_eq!(headers("src/a.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn a_header_is_one_sentence_at_least() {
        assert_eq!(headers("src/a.rs", "//! The keys of\n//! objects.\n"), []);
        assert_eq!(headers("src/a.rs", "//! Keys. They are\n"), []);
        assert_eq!(headers("build.rs", "fn main() {}"), []);
    }

    #[test]
    fn a_file_of_more_than_five_hundred_lines_is_found() {
        assert_eq!(lengths("src/a.rs", &"\n".repeat(500)), []);
        assert_eq!(lengths("src/a.rs", &"\n".repeat(501)).len(), 1);
    }
}
