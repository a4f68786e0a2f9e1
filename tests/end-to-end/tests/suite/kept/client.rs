//! A viewer: what was answered, and whether it ended as it said it would.

use std::time::Duration;

use futures_util::StreamExt;
use http::{HeaderMap, Method};
use tokio::time::{Instant, sleep};

use super::harness::{Gateway, PATIENCE};

/// An answer as far as it came.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// It ended cleanly.
    pub(super) whole: bool,
}

impl Told {
    /// A header as text; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("printable"))
    }

    /// `X-Cache`.
    pub(super) fn label(&self) -> &str {
        self.header("x-cache")
    }

    /// Whether it is exactly these bytes with this status, and ended cleanly.
    pub(super) fn is(&self, status: u16, bytes: &[u8]) -> bool {
        self.status == status && self.whole && self.body == bytes
    }

    /// Without its body, which may be long.
    pub(super) fn summary(&self) -> String {
        let (status, label, length) = (self.status, self.label(), self.body.len());
        format!("{status} {label} {length} bytes, whole: {}", self.whole)
    }

    /// The headers that must not depend on the method.
    pub(super) fn stable_headers(&self) -> Vec<(String, String)> {
        let stable = self.headers.iter().filter(|(name, _)| *name != "date");
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
        let mut headers: Vec<_> = stable
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        headers.sort();
        headers
    }
}

/// Reads what is left of an answer.
pub(super) async fn rest(response: reqwest::Response) -> Told {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let (mut body, mut whole, mut stream) = (Vec::new(), true, response.bytes_stream());
    while let Some(chunk) = stream.next().await {
        let Ok(chunk) = chunk else {
            whole = false;
            break;
        };
        body.extend_from_slice(&chunk);
    }
    Told {
        status,
        headers,
        body,
        whole,
    }
}

/// Any request. A connection that ends without an answer is a 0.
pub(super) async fn ask(
    gateway: &Gateway,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Told {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = gateway.client().request(method, gateway.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let sent = tokio::time::timeout(PATIENCE, request.send()).await;
    let sent = sent.unwrap_or_else(|_| panic!("{path}: no answer: {}", gateway.log()));
    let Ok(response) = sent else {
        return Told {
            status: 0,
            headers: HeaderMap::new(),
            body: Vec::new(),
            whole: false,
        };
    };
    rest(response).await
}

pub(super) async fn get(gateway: &Gateway, path: &str) -> Told {
    ask(gateway, "GET", path, &[]).await
}

pub(super) async fn head(gateway: &Gateway, path: &str) -> Told {
    ask(gateway, "HEAD", path, &[]).await
}

pub(super) async fn range(gateway: &Gateway, path: &str, range: &str) -> Told {
    ask(gateway, "GET", path, &[("Range", range)]).await
}

/// Asks until the answer is no 503: a failure is shared for a second after the origin is back.
pub(super) async fn get_once_up(gateway: &Gateway, path: &str) -> Told {
    get_until(gateway, path, |told| told.status != 503).await
}

/// Asks until the answer is the one.
pub(super) async fn get_until(
    gateway: &Gateway,
    path: &str,
    enough: impl Fn(&Told) -> bool,
) -> Told {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = get(gateway, path).await;
        if enough(&told) {
            return told;
        }
        let (said, log) = (told.summary(), gateway.log());
        assert!(Instant::now() < deadline, "{path} stays {said}: {log}");
        sleep(Duration::from_millis(20)).await;
    }
}
