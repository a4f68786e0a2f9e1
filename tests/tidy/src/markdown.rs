//! What a Markdown document links to, what it puts in backticks, and its anchors.

use std::collections::HashMap;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// A piece of a document and its line, counted from 1.
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// Where links and pictures lead, as written.
pub(crate) fn links(text: &str) -> Vec<Piece> {
    pieces(text, |event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.into_string())
        }
        _ => None,
    })
}

/// Code within a sentence.
pub(crate) fn inline_code(text: &str) -> Vec<Piece> {
    pieces(text, |event| match event {
        Event::Code(code) => Some(code.into_string()),
        _ => None,
    })
}

fn pieces(text: &str, pick: impl Fn(Event<'_>) -> Option<String>) -> Vec<Piece> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
        .into_offset_iter()
        .filter_map(|(event, at)| {
            let line = text[..at.start].matches('\n').count() + 1;
            Some(Piece {
                text: pick(event)?,
                line,
            })
        })
        .collect()
}

/// The anchors of a document's headings, by GitHub's rules: lower case, spaces to hyphens,
/// other signs dropped, repetitions numbered.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut anchors = Vec::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let anchor = slug(&heading.take().unwrap_or_default());
                let times = seen.entry(anchor.clone()).or_default();
                anchors.push(match *times {
                    0 => anchor,
                    n => format!("{anchor}-{n}"),
                });
                *times += 1;
            }
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_follow_the_headings() {
        let text = "# What `a_b` does, and why\n\n## Again\n\n## Again\n";
        assert_eq!(anchors(text), ["what-a_b-does-and-why", "again", "again-1"]);
    }

    #[test]
    fn blocks_of_code_hold_no_links() {
        let text = "a\n[b](c.md) ![d](e.png)\n\n```\n[f](g.md)\n```\n";
        let found = links(text);
        let found: Vec<_> = found.iter().map(|l| (l.text.as_str(), l.line)).collect();
        assert_eq!(found, [("c.md", 2), ("e.png", 2)]);
    }
}
