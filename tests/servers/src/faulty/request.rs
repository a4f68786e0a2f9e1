//! One request as it came over the wire, and the reading of it.
//!
//! An HTTP/1.1 subset: no chunked request bodies, no folded headers. Nothing is normalised, so a
//! test can assert on the very bytes.

use std::io;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use super::BUCKET;

const MAX_HEAD_BYTES: u64 = 128 * 1024;

/// A recorded request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// The request target as it stood in the request line.
    pub target: String,
    /// In the order sent; names as sent.
    pub headers: Vec<(String, String)>,
    /// Counts connections from 0, so equal numbers mean that one was used again.
    pub connection: u64,
}

impl Request {
    /// The first header of this name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(had, _)| had.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The target up to its query, still percent-encoded.
    pub fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(&*self.target, |(path, _)| path)
    }

    /// The target's query, still percent-encoded; empty where there is none.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// One parameter of the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query()
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(had, _)| *had == name)
            .map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned())
    }

    /// Whether it carries an AWS signature, in the header or the query. It is not verified.
    pub fn is_signed(&self) -> bool {
        self.parameter("X-Amz-Signature").is_some()
            || self
                .header("authorization")
                .is_some_and(|value| value.starts_with("AWS"))
    }

    /// The bucket it names: the first segment of the path, or the first label of the host where
    /// that is ours (virtual-host addressing).
    pub fn bucket(&self) -> String {
        self.split().0
    }

    /// The key it names, decoded once; `None` for a bucket or the service itself.
    pub fn key(&self) -> Option<Vec<u8>> {
        Some(self.split().1).filter(|key| !key.is_empty())
    }

    fn split(&self) -> (String, Vec<u8>) {
        let decode = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let path = self.path();
        let path = path.strip_prefix('/').unwrap_or(path);
        let host = self.header("host").unwrap_or_default();
        if host.split('.').next() == Some(BUCKET) {
            return (BUCKET.to_owned(), decode(path));
        }
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        (bucket.to_owned(), decode(key))
    }
}

/// Reads the next request of a connection; `None` where the peer closed it between requests.
pub(super) async fn read<R>(from: &mut R, connection: u64) -> io::Result<Option<(Request, Bytes)>>
where
    R: AsyncBufRead + Unpin,
{
    let mut head = from.take(MAX_HEAD_BYTES);
    let mut first = Vec::new();
    if head.read_until(b'\n', &mut first).await? == 0 {
        return Ok(None);
    }
    let first = text(&first);
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut headers = Vec::new();
    loop {
        let mut line = Vec::new();
        if head.read_until(b'\n', &mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = text(&line);
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let request = Request {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        connection,
    };
    let length = request
        .header("content-length")
        .map_or(Some(0), |value| value.parse().ok());
    let length = length.ok_or(io::ErrorKind::InvalidData)?;
    let mut body = Vec::new();
    if from.take(length).read_to_end(&mut body).await? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((request, body.into())))
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parsed(raw: &str) -> Request {
        read(&mut raw.as_bytes(), 0).await.unwrap().unwrap().0
    }

    #[tokio::test]
    async fn keys_are_decoded_once_and_never_normalised() {
        for (path, key) in [
            ("/bucket/misskey/a.webp", "misskey/a.webp"),
            ("/bucket//x", "/x"),
            ("/bucket///x", "//x"),
            ("/bucket/a//b/", "a//b/"),
            ("/bucket/%E5%86%99%E7%9C%9F%201.png", "写真 1.png"),
            ("/bucket/a%252Fb", "a%2Fb"),
            ("/bucket/a+b?c=d", "a+b"),
        ] {
            let request = parsed(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
            assert_eq!(request.key().unwrap(), key.as_bytes(), "{path}");
            assert_eq!(request.bucket(), "bucket");
        }
        let hosted = parsed("GET /a/b HTTP/1.1\r\nHost: bucket.example:80\r\n\r\n").await;
        assert_eq!(hosted.key().unwrap(), b"a/b");
    }

    #[tokio::test]
    async fn a_signature_is_seen_in_the_header_and_in_the_query() {
        for (target, header, signed) in [
            ("/bucket/a", "", false),
            ("/bucket/a?X-Amz-Signature=abc", "", true),
            ("/bucket/a", "Authorization: AWS4-HMAC-SHA256 x\r\n", true),
            ("/bucket/a", "Authorization: Bearer x\r\n", false),
        ] {
            let request = parsed(&format!("GET {target} HTTP/1.1\r\n{header}\r\n")).await;
            assert_eq!(request.is_signed(), signed, "{target} {header}");
        }
    }
}
