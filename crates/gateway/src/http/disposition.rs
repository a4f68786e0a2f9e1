//! `Content-Disposition` (RFC 6266) and the file name that a client may choose for its download.
//!
//! A name is only ever a name: separators, control characters and marks that turn the direction
//! of writing are taken out, so that it is neither a path nor shown as what it is not.

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;

use super::types::is_token;

/// The longest file name on common file systems.
const MAX_NAME_BYTES: usize = 255;

/// Longer endings are not taken for a file's extension.
const MAX_EXTENSION_BYTES: usize = 16;

/// Everything but `attr-char` of RFC 5987.
const EXTENDED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The header to send. `stored` is passed on as it is, unless it is no header value; `attachment`
/// makes a download of it, `filename` replaces the file name.
pub fn disposition(
    stored: Option<&str>,
    attachment: bool,
    filename: Option<&str>,
) -> Option<HeaderValue> {
    let stored = stored
        .map(str::trim)
        .filter(|stored| !stored.is_empty() && HeaderValue::from_bytes(stored.as_bytes()).is_ok());
    let (kind, parameters) = stored.map_or(("", ""), split);
    if let Some(name) = filename.and_then(clean) {
        let shown = kind.is_empty() || kind.eq_ignore_ascii_case("inline");
        let kind = if shown && !attachment {
            "inline"
        } else {
            "attachment"
        };
        return HeaderValue::try_from(named(kind, &name)).ok();
    }
    if !attachment {
        return HeaderValue::from_bytes(stored?.as_bytes()).ok();
    }
    let text = match parameters {
        "" => "attachment".to_owned(),
        parameters => format!("attachment; {parameters}"),
    };
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

/// The value of the query parameter that names the file: decoded, the first of several.
pub fn filename_from_query(query: Option<&str>, parameter: &str) -> Option<String> {
    form_urlencoded::parse(query?.as_bytes())
        .find(|(name, _)| name == parameter)
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.is_empty())
}

/// The disposition type, empty where it was forgotten, and the parameters.
fn split(stored: &str) -> (&str, &str) {
    let (kind, parameters) = stored.split_once(';').unwrap_or((stored, ""));
    if is_token(kind.trim()) {
        (kind.trim(), parameters.trim())
    } else if kind.contains('=') {
        ("", stored)
    } else {
        ("", "")
    }
}

fn named(kind: &str, name: &str) -> String {
    // Agents disagree on escapes inside the plain form, so it has none.
    let fallback: String = name
        .chars()
        .map(|c| match c {
            '"' | '%' => '_',
            c if c.is_ascii() => c,
            _ => '_',
        })
        .collect();
    if fallback == name {
        format!("{kind}; filename=\"{fallback}\"")
    } else {
        let extended = utf8_percent_encode(name, EXTENDED);
        format!("{kind}; filename=\"{fallback}\"; filename*=UTF-8''{extended}")
    }
}

fn clean(name: &str) -> Option<String> {
    let kept: String = name.chars().filter(|c| !is_harmful(*c)).collect();
    let trimmed = kept.trim_matches(|c: char| c == '.' || c.is_whitespace());
    (!trimmed.is_empty()).then(|| shorten(trimmed))
}

fn is_harmful(c: char) -> bool {
    let turns_direction = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || turns_direction || matches!(c, '/' | '\\' | '\u{2028}' | '\u{2029}')
}

/// Cuts the stem and keeps the extension.
fn shorten(name: &str) -> String {
    if name.len() <= MAX_NAME_BYTES {
        return name.to_owned();
    }
    let extension = name
        .rfind('.')
        .map(|at| &name[at..])
        .filter(|extension| extension.len() <= MAX_EXTENSION_BYTES)
        .unwrap_or("");
    let stem = &name[..name.floor_char_boundary(MAX_NAME_BYTES - extension.len())];
    format!("{stem}{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(stored: Option<&str>, attachment: bool, filename: Option<&str>) -> Option<String> {
        disposition(stored, attachment, filename)
            .map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn without_a_reason_it_is_passed_on_byte_for_byte() {
        for stored in [
            "inline; filename=\"a.png\"; filename*=UTF-8''%E5%86%99.png",
            "inline; filename=\"写真.png\"",
            "attachment",
            "nonsense=",
        ] {
            assert_eq!(sent(Some(stored), false, None).as_deref(), Some(stored));
        }
        for none in [None, Some(""), Some("inline\r\nX-Injected: 1"), Some("\0")] {
            assert_eq!(sent(none, false, None), None);
        }
    }

    #[test]
    fn an_attachment_keeps_the_name_that_was_stored() {
        for (stored, expected) in [
            (None, "attachment"),
            (Some("inline"), "attachment"),
            (Some("inline;"), "attachment"),
            (
                Some("Inline ; filename=\"a;b.svg\"; filename*=UTF-8''a"),
                "attachment; filename=\"a;b.svg\"; filename*=UTF-8''a",
            ),
            (Some("filename=\"a.svg\""), "attachment; filename=\"a.svg\""),
            (Some("in line; filename=a"), "attachment"),
            (Some("inline\r\nX-Injected: 1"), "attachment"),
        ] {
            assert_eq!(sent(stored, true, None).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_wanted_name_replaces_the_stored_one() {
        let stored = Some("inline; filename=\"old.png\"");
        for (attachment, wanted, expected) in [
            (false, "new 1.png", "inline; filename=\"new 1.png\""),
            (true, "new.svg", "attachment; filename=\"new.svg\""),
            (
                false,
                "写真.png",
                "inline; filename=\"__.png\"; filename*=UTF-8''%E5%86%99%E7%9C%9F.png",
            ),
            (
                false,
                "a\"b%41.png",
                "inline; filename=\"a_b_41.png\"; filename*=UTF-8''a%22b%2541.png",
            ),
            (
                false,
                "../..\\etc/passwd\r\nX: 1\0",
                "inline; filename=\"etcpasswdX: 1\"",
            ),
            (false, "gpj.\u{202e}exe", "inline; filename=\"gpj.exe\""),
            (false, " .. / .", "inline; filename=\"old.png\""),
        ] {
            assert_eq!(sent(stored, attachment, Some(wanted)).unwrap(), expected);
        }
        assert_eq!(
            sent(Some("attachment; filename=a"), false, Some("b")).unwrap(),
            "attachment; filename=\"b\""
        );
        assert_eq!(
            sent(Some("form-data"), false, Some("b")).unwrap(),
            "attachment; filename=\"b\""
        );
    }

    #[test]
    fn a_long_name_loses_its_middle_and_not_its_extension() {
        let short = clean(&format!("{}.png", "写".repeat(200))).unwrap();
        assert!(short.len() <= MAX_NAME_BYTES && short.ends_with("写.png"));
        let dots = clean(&format!("a.{}", "b".repeat(300))).unwrap();
        assert_eq!(dots.len(), MAX_NAME_BYTES);
    }

    #[test]
    fn the_first_name_in_the_query_is_decoded_once() {
        for (query, expected) in [
            ("name=a.png", Some("a.png")),
            ("x=1&name=a+b%2B%20c&name=d", Some("a+b+ c")),
            ("n%61me=%E5%86%99", Some("写")),
            ("name=%252F", Some("%2F")),
            ("name=", None),
            ("name", None),
            ("rename=a", None),
            ("", None),
        ] {
            let expected = expected.map(|name| name.replacen("a+b", "a b", 1));
            assert_eq!(
                filename_from_query(Some(query), "name"),
                expected,
                "{query}"
            );
        }
        assert_eq!(filename_from_query(None, "name"), None);
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_quotes(name in "[\\PC\"%;\\\\\r\n/.]{0,300}", attachment: bool) {
            if let Some(sent) = sent(None, attachment, Some(&name)) {
                prop_assert!(sent.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{}", sent);
                prop_assert!(matches!(sent.matches('"').count(), 0 | 2));
                prop_assert!(!sent.contains(['\\', '/']));
            }
        }

        #[test]
        fn a_cleaned_name_is_clean(name in "\\PC{0,300}") {
            if let Some(cleaned) = clean(&name) {
                prop_assert!(cleaned.len() <= MAX_NAME_BYTES && !cleaned.is_empty());
                prop_assert!(!cleaned.chars().any(is_harmful));
            }
        }
    }
}
