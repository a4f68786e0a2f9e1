//! An answer as it stood on the wire, and whether it ended as it said it would.
//!
//! Read by hand: a library would refuse, repair or hide what the tests look for.

use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take before the test says so.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// One answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// The body ended where its length or its last chunk says.
    pub(super) whole: bool,
}

impl Answer {
    /// A header as text; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("printable"))
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The headers that must not depend on the method.
    pub(super) fn stable_headers(&self) -> Vec<(String, Vec<u8>)> {
        let mut headers: Vec<_> = self
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "date" | "connection"))
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect();
        headers.sort();
        headers
    }
}

/// Writes these bytes and reads until the peer closes.
pub(super) async fn exchange(to: std::net::SocketAddr, request: &[u8]) -> Vec<u8> {
    let talk = async {
        let mut stream = TcpStream::connect(to).await.expect("it listens");
        // A server that has already refused may not read the rest.
        let _ = stream.write_all(request).await;
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        said
    };
    tokio::time::timeout(PATIENCE, talk)
        .await
        .expect("the connection is closed")
}

/// Takes what was said apart; to a HEAD no body is expected.
pub(super) fn parse(said: &[u8], to_head: bool) -> Option<Answer> {
    let end = said.windows(4).position(|four| four == b"\r\n\r\n")?;
    let mut lines = said[..end].split(|byte| *byte == b'\n');
    let status = std::str::from_utf8(lines.next()?).ok()?;
    let status = status.split(' ').nth(1)?.trim().parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|byte| *byte == b':')?;
        headers.append(
            HeaderName::from_bytes(&line[..colon]).ok()?,
            HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?,
        );
    }
    let rest = &said[end + 4..];
    let (body, whole) = if to_head || matches!(status, 204 | 304) {
        (rest.to_vec(), rest.is_empty())
    } else if headers.contains_key(TRANSFER_ENCODING) {
        chunks(rest)
    } else if let Some(length) = headers.get(CONTENT_LENGTH) {
        let length: usize = length.to_str().ok()?.parse().ok()?;
        (rest.to_vec(), rest.len() == length)
    } else {
        // Without either a client could not tell a cut from an end.
        (rest.to_vec(), false)
    };
    Some(Answer {
        status,
        headers,
        body,
        whole,
    })
}

fn chunks(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
            return (body, false);
        };
        let size = std::str::from_utf8(&rest[..end]).unwrap_or_default();
        let Ok(size) = usize::from_str_radix(size, 16) else {
            return (body, false);
        };
        rest = &rest[end + 2..];
        if size == 0 {
            return (body, rest == b"\r\n");
        }
        body.extend_from_slice(&rest[..size.min(rest.len())]);
        if rest.len() < size + 2 {
            return (body, false);
        }
        rest = &rest[size + 2..];
    }
}
