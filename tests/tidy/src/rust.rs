//! Rust source as the flat row of its tokens, so that a name in a comment or a string is not
//! taken for a use of it.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::Finding;

/// A word, a sign, a literal or a bracket, as written, and its line.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The tokens of a file. A text that is no Rust is a finding of its own.
pub(crate) fn tokens(path: &str, text: &str) -> Result<Vec<Token>, Finding> {
    let stream: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| {
        let line = error.span().start().line;
        Finding::new(path, line, "this is not Rust", "see what the compiler says")
    })?;
    let mut tokens = Vec::new();
    flatten(stream, &mut tokens);
    Ok(tokens)
}

fn flatten(stream: TokenStream, into: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(into, open, line);
                let end = group.span_close().start().line;
                flatten(group.stream(), into);
                push(into, close, end);
            }
            other => push(into, &other.to_string(), line),
        }
    }
}

fn push(into: &mut Vec<Token>, text: &str, line: usize) {
    into.push(Token {
        text: text.to_owned(),
        line,
    });
}

/// The lines where this row of tokens begins.
pub(crate) fn lines_with(tokens: &[Token], row: &[&str]) -> Vec<usize> {
    tokens
        .windows(row.len())
        .filter(|window| {
            window
                .iter()
                .map(|token| token.text.as_str())
                .eq(row.iter().copied())
        })
        .map(|window| window[0].line)
        .collect()
}

/// The lines that name this crate: before `::` where it is not itself inside a path, or right
/// after `use`.
pub(crate) fn lines_naming(tokens: &[Token], krate: &str) -> Vec<usize> {
    let text = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map_or("", |t| &t.text);
    (0..tokens.len())
        .filter(|&at| tokens[at].text == krate)
        .filter(|&at| {
            let before = text(at.checked_sub(1));
            // A leading `::`, as in `::http::Uri`, has nothing before it that it belongs to.
            let inside_a_path = before == ":"
                && at.checked_sub(3).is_some_and(|at| {
                    tokens[at]
                        .text
                        .chars()
                        .all(|c| c.is_alphanumeric() || c == '_')
                });
            let begins_a_path = text(Some(at + 1)) == ":" && text(Some(at + 2)) == ":";
            before == "use" || before == "crate" || (begins_a_path && !inside_a_path)
        })
        .map(|at| tokens[at].line)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(krate: &str, text: &str) -> Vec<usize> {
        lines_naming(&tokens("a.rs", text).unwrap(), krate)
    }

    #[test]
    fn a_crate_is_named_by_paths_and_imports() {
        assert_eq!(naming("http", "use http::Uri;"), [1]);
        assert_eq!(naming("http", "\nuse http as h;"), [2]);
        assert_eq!(naming("http", "use {std::fmt, http::Uri};"), [1]);
        assert_eq!(naming("http", "fn f() -> ::http::Uri { g() }"), [1]);
        assert_eq!(naming("clap", "#[derive(clap::Parser)] struct A;"), [1]);
    }

    #[test]
    fn comments_strings_and_inner_modules_name_no_crate() {
        assert_eq!(
            naming("http", "// http::Uri\n/// http::Uri\nfn f() {}"),
            [0; 0]
        );
        assert_eq!(naming("http", r#"const A: &str = "http::Uri";"#), [0; 0]);
        assert_eq!(naming("http", "use crate::http::Request;"), [0; 0]);
        assert_eq!(naming("http", "fn f(http: u8) -> u8 { http }"), [0; 0]);
    }

    #[test]
    fn what_is_no_rust_is_a_finding() {
        assert!(tokens("a.rs", "fn f( {").is_err());
    }
}
