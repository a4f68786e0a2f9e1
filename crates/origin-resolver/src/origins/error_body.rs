//! Reads the body of an error answer, a little and not for long, for the code that it holds.
//!
//! The body itself goes nowhere: it is never served, stored or logged.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Response;

use super::xml;

/// Error bodies of storages have a few hundred bytes; error pages may have any number.
const MAX_BYTES: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(2);

/// What an error body tells.
#[derive(Debug, Default)]
pub(super) struct ErrorBody {
    /// The storage's code, if there is one.
    pub(super) code: Option<Box<str>>,
    /// Whether it broke off or came too slowly, so that a code may have been lost.
    pub(super) cut: bool,
}

impl ErrorBody {
    /// Reads it. A body longer than 64 KiB is a page: what storages send is short.
    pub(super) async fn read(response: Response) -> Self {
        let mut bytes = Vec::new();
        let mut chunks = response.bytes_stream();
        let reading = async {
            while let Some(chunk) = chunks.next().await {
                let Ok(chunk) = chunk else { return false };
                let room = MAX_BYTES.saturating_sub(bytes.len());
                bytes.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                if bytes.len() >= MAX_BYTES {
                    break;
                }
            }
            true
        };
        let whole = tokio::time::timeout(PATIENCE, reading).await;
        let text = String::from_utf8_lossy(&bytes);
        Self {
            code: code(&text),
            cut: whole != Ok(true),
        }
    }
}

/// The code of an S3 error document, or of a Backblaze cap in JSON.
fn code(body: &str) -> Option<Box<str>> {
    let from_xml = || {
        let error = body.split_once("<Error")?.1;
        xml::texts(error, "Code").next()
    };
    let from_json = || {
        let value: serde_json::Value = serde_json::from_str(body).ok()?;
        let code = value.get("code")?.as_str()?;
        // Other JSON codes are a web server's own: a 404's `not_found` says no more than the 404.
        code.ends_with("_cap_exceeded").then(|| code.to_owned())
    };
    let code = from_xml().or_else(from_json)?;
    let code = code.trim();
    // It will stand in messages.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (!code.is_empty() && code.len() <= 64 && code.bytes().all(plain)).then(|| code.into())
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn codes_are_found_in_what_providers_really_send() {
        for (body, expected) in [
            (
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>",
                Some("NoSuchKey"),
            ),
            (
                "<Error xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><BucketName>b</BucketName>\n  <Code>\n NoSuchBucket </Code></Error>",
                Some("NoSuchBucket"),
            ),
            (
                "{\"code\": \"download_cap_exceeded\", \"message\": \"Cannot download file\", \"status\": 403}",
                Some("download_cap_exceeded"),
            ),
            ("{\"code\": \"not_found\", \"status\": 404}", None),
            ("<html><body><h1>404</h1><Code>x</Code></body></html>", None),
            ("<Error><Code>a&lt;script&gt;</Code></Error>", None),
            ("", None),
            ("not found", None),
        ] {
            assert_eq!(code(body).as_deref(), expected, "{body}");
        }
    }
}
