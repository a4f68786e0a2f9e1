//! The parts of a route that end up in response headers.

use http::HeaderValue;

use crate::config::findings::Findings;
use crate::config::problem::Problem;

const DEFAULT_CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

pub(super) fn cache_control(
    path: &str,
    written: Option<&str>,
    findings: &mut Findings,
) -> HeaderValue {
    let default = HeaderValue::from_static(DEFAULT_CACHE_CONTROL);
    let Some(text) = written else { return default };
    match HeaderValue::from_str(text) {
        Ok(value) if text.is_ascii() && !text.trim().is_empty() => value,
        _ => {
            findings.refuse(
                Problem::new(
                    format!("{path}.cache_control"),
                    "not the value of a header",
                    format!("write it as \"{DEFAULT_CACHE_CONTROL}\", or remove the line"),
                )
                .with_value(text),
            );
            default
        }
    }
}

pub(super) fn filename_parameter(
    path: &str,
    written: Option<String>,
    findings: &mut Findings,
) -> Option<String> {
    let name = written.filter(|name| !name.is_empty())?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !name.bytes().all(plain) {
        findings.refuse(
            Problem::new(
                format!("{path}.filename_parameter"),
                "not the name of a query parameter",
                "write the name alone, such as \"name\"",
            )
            .with_value(&name),
        );
    }
    Some(name)
}

pub(super) fn inline_types(
    path: &str,
    written: Vec<String>,
    findings: &mut Findings,
) -> Vec<String> {
    let mut types = Vec::new();
    for (index, text) in written.into_iter().enumerate() {
        let path = format!("{path}.inline_types[{index}]");
        let name = text.to_ascii_lowercase();
        if !is_media_type(&name) {
            findings.refuse(
                Problem::new(path, "not a media type", "write it as \"application/pdf\"")
                    .with_value(text),
            );
            continue;
        }
        if runs_scripts(&name) {
            findings.warn(
                Problem::new(
                    path,
                    "files of this type can run scripts in the reader's browser",
                    "leave it out: it is then offered as a download",
                )
                .with_value(text),
            );
        }
        types.push(name);
    }
    types
}

/// `type/subtype` of RFC 9110 section 8.3.1, without parameters and wildcards.
fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    text.split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

fn runs_scripts(name: &str) -> bool {
    name.ends_with("/xml")
        || name.ends_with("+xml")
        || name.ends_with("script")
        || name == "text/html"
}
