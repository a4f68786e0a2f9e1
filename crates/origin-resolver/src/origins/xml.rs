//! Reads single elements out of S3's XML, whatever stands around them.
//!
//! Providers differ in namespaces, order, extra elements and even in closing what they open, so
//! this is a scanner and not a parser. It is for error codes, listings and the answers to uploads:
//! nothing that it reads decides which bytes are served.

/// The texts of all elements of this name, entities resolved, in the order of the document.
pub(super) fn texts<'a>(xml: &'a str, name: &'a str) -> impl Iterator<Item = String> + 'a {
    elements(xml, name).map(unescape)
}

/// What stands between the tags of all elements of this name, which must not nest in itself.
pub(super) fn elements<'a>(xml: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let mut rest = xml;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find('<')?;
            rest = rest.get(at + 1..)?;
            let Some(after_name) = rest.strip_prefix(name) else {
                continue;
            };
            if !after_name.starts_with(['>', ' ', '\t', '\r', '\n', '/']) {
                continue;
            }
            let (attributes, content) = after_name.split_once('>')?;
            rest = content;
            if attributes.ends_with('/') {
                return Some("");
            }
            let close = format!("</{name}>");
            let (inside, after) = content.split_once(close.as_str())?;
            rest = after;
            return Some(inside);
        }
    })
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let known = after
            .split_once(';')
            .and_then(|(name, tail)| Some((entity(name)?, tail)));
        let (character, tail) = known.unwrap_or(('&', after));
        plain.push(character);
        rest = tail;
    }
    plain.push_str(rest);
    plain
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(xml: &str, name: &str) -> Vec<String> {
        texts(xml, name).collect()
    }

    #[test]
    fn elements_are_found_whatever_stands_around_them() {
        let xml = r#"<?xml version="1.0"?><Error xmlns="x"><CodeName>no</CodeName>
            <Code>NoSuchKey</Code><Code a="b">Two</Code><Code/></Error>"#;
        assert_eq!(all(xml, "Code"), ["NoSuchKey", "Two", ""]);
        assert!(all("<Code>never closed", "Code").is_empty());
    }

    #[test]
    fn entities_are_resolved_once() {
        assert_eq!(
            all("<P>a&amp;amp;b&#x2F;&#47;&lt;&bad;&</P>", "P"),
            ["a&amp;b//<&bad;&"]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_scanned_without_a_panic(text in "[<>/&;#xCode ]{0,60}") {
            let _ = all(&text, "Code");
        }
    }
}
