//! The strict reading of the file: syntax errors with their line, and the line of every key.
//!
//! A syntax error is reported without the text around it, because that may be a secret.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// A file that is TOML, and where its keys stand.
pub(super) struct Document {
    /// The content.
    pub(super) table: toml::Table,
    /// The line of each key, by path.
    pub(super) places: BTreeMap<String, Place>,
}

/// Reads the text of a file.
pub(super) fn read(file: &str, text: &str) -> Result<Document, Vec<Problem>> {
    // A byte-order mark is what Windows editors leave; TOML does not know it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = Lines::of(text);
    let (root, mut errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        let problems = errors.iter().map(|error| syntax(file, text, &lines, error));
        return Err(problems.collect());
    }
    let mut places = BTreeMap::new();
    collect(root.get_ref(), "", &mut |path, at| {
        places.insert(
            path,
            Place::File {
                file: file.to_owned(),
                line: lines.line(at),
            },
        );
    });
    let table = toml::from_str(text).map_err(|error| vec![syntax(file, text, &lines, &error)])?;
    Ok(Document { table, places })
}

fn syntax(file: &str, text: &str, lines: &Lines, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or_default();
    let start = span.start;
    let is_duplicate = error.message() == "duplicate key";
    let mut problem = match text.get(span) {
        // Its span is a key, which is no secret.
        Some(key) if is_duplicate => Problem::new(
            "",
            format!("\"{key}\" stands here a second time"),
            "keep one; each origin needs a name of its own",
        ),
        _ => Problem::new(
            "",
            format!(
                "not valid TOML in column {}: {}",
                lines.column(start),
                error.message()
            ),
            "correct the line; text stands in quotes, a table begins with [name], a route with [[routes]]",
        ),
    };
    problem.place = Some(Place::File {
        file: file.to_owned(),
        line: lines.line(start),
    });
    problem
}

fn collect(table: &DeTable<'_>, prefix: &str, note: &mut impl FnMut(String, usize)) {
    for (key, value) in table {
        let path = if prefix.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{prefix}.{}", key.get_ref())
        };
        note(path.clone(), key.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => collect(inner, &path, note),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    note(path.clone(), item.span().start);
                    if let DeValue::Table(inner) = item.get_ref() {
                        collect(inner, &path, note);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Where each line of a text begins.
struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            starts: std::iter::once(0).chain(after_newlines).collect(),
        }
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn column(&self, offset: usize) -> usize {
        offset - self.starts[self.line(offset) - 1] + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(document: &Document, path: &str) -> usize {
        match &document.places[path] {
            Place::File { line, .. } => *line,
            Place::Environment { .. } => panic!("{path} is not from the environment"),
        }
    }

    #[test]
    fn every_key_knows_its_line() {
        let text = "[server]\nlisten = [\n  \"a\",\n  \"b\"]\n\n[[routes]]\nurl = \"/\"\n[[routes]]\n\nname = \"x\"\n";
        let document = read("f.toml", text).unwrap_or_else(|_| panic!("valid"));
        assert_eq!(line_of(&document, "server"), 1);
        assert_eq!(line_of(&document, "server.listen"), 2);
        assert_eq!(line_of(&document, "server.listen[1]"), 4);
        assert_eq!(line_of(&document, "routes[0].url"), 7);
        assert_eq!(line_of(&document, "routes[1].name"), 10);
    }

    #[test]
    fn a_syntax_error_has_its_line_and_none_of_the_text() {
        let text = "[origins.a]\nsecret_access_key = \"hunter2\nkind = \"s3\"\n";
        let problems = read("f.toml", text).err().unwrap();
        assert!(
            problems[0].to_string().starts_with("f.toml:2: "),
            "{}",
            problems[0]
        );
        assert!(!format!("{problems:?}").contains("hunter2"));
    }

    #[test]
    fn the_same_table_twice_is_refused_where_it_stands() {
        let problems = read("f.toml", "[origins.a]\n[origins.b]\n[origins.a]\n")
            .err()
            .unwrap();
        assert!(problems[0].to_string().starts_with("f.toml:3: "));
        assert!(problems[0].reason.contains("second time"));
    }
}
