//! A length of time: `400ms`, `5s`, `90d`.

use std::time::Duration;

use super::Text;

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Span(pub(in crate::config) Duration);

impl Text for Span {
    const EXPECTED: &'static str = r#"a time such as "400ms", "5s" or "90d""#;
    const NAME: &'static str = "Duration";
    const PATTERN: &'static str = r"^\s*([0-9]+\s*[a-zA-Z]+\s*)+$";

    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
        let span = humantime::parse_duration(text).ok()?;
        has_unit.then_some(Self(span))
    }
}

super::from_text!(Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_needs_its_unit() {
        assert_eq!(Span::read("400ms"), Some(Span(Duration::from_millis(400))));
        assert_eq!(Span::read("90d"), Some(Span(Duration::from_hours(90 * 24))));
        assert_eq!(Span::read("1h 30m"), Some(Span(Duration::from_mins(90))));
        for text in ["", "5", "0", "s", "-5s", "5 parsecs"] {
            assert_eq!(Span::read(text), None, "{text}");
        }
    }
}
