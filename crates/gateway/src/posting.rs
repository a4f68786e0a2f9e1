//! What is told to others over HTTP, by POST, to an address that the operator has named.
//!
//! Never asks for anything, follows no redirect, and keeps what it shows out of what it says.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

/// In all: connection, request and answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most of a refusal that is repeated, in characters.
const LONGEST_REASON: usize = 300;

/// One address that is told something, again and again.
pub(crate) struct Post {
    client: Client,
    url: Url,
    token: Option<HeaderValue>,
}

impl Post {
    /// To `url`, showing `token` there.
    ///
    /// # Errors
    /// The token cannot be a header's value, or TLS cannot be prepared.
    pub(crate) fn new(url: Url, token: Option<&SecretString>) -> Result<Self, String> {
        let bearer = |token: &SecretString| {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
            let mut value =
                value.map_err(|_| "the token has characters that no header can hold")?;
            value.set_sensitive(true);
            Ok::<_, String>(value)
        };
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .build();
        Ok(Self {
            client: client.map_err(|error| error.to_string())?,
            url,
            token: token.map(bearer).transpose()?,
        })
    }

    /// Says it once, as JSON.
    ///
    /// # Errors
    /// Nobody answers, or the answer is not that it was taken.
    pub(crate) async fn send(&self, body: &impl Serialize) -> Result<(), String> {
        let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
        let delivered = self.deliver(headers, body).await;
        delivered.map_err(|untaken| untaken.why)
    }

    /// Says it once, in any form.
    ///
    /// # Errors
    /// Nobody answers, or the answer is not that it was taken.
    pub(crate) async fn deliver(&self, headers: HeaderMap, body: Vec<u8>) -> Result<(), Untaken> {
        let mut request = self.client.post(self.url.clone()).headers(headers);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let sent = request.body(body).send().await;
        let answer = sent.map_err(|error| Untaken {
            why: in_words(&error.without_url()),
            status: None,
            retry_after: None,
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let after = answer.headers().get(header::RETRY_AFTER);
        let retry_after = after.and_then(|after| wait(after.to_str().ok()?, SystemTime::now()));
        let said = first_of(answer).await;
        Err(Untaken {
            why: format!("{status}: {}", said.trim()),
            status: Some(status),
            retry_after,
        })
    }
}

/// Why something was not taken.
#[derive(Debug)]
pub(crate) struct Untaken {
    /// In words, the beginning of the receiver's own among them.
    pub(crate) why: String,
    /// What was answered, if anything was.
    pub(crate) status: Option<StatusCode>,
    /// For how long the receiver wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

/// `Retry-After` (RFC 9110, section 10.2.3); also with a fraction, as some services send it.
fn wait(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => httpdate::parse_http_date(text)
            .ok()
            .map(|until| until.duration_since(now).unwrap_or_default()),
    }
}

/// An error with what caused it, which is what says something.
fn in_words(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

/// The beginning of what a refusal says, as text that a terminal can show.
async fn first_of(mut answer: reqwest::Response) -> String {
    let mut read = Vec::new();
    while read.len() < 4 * LONGEST_REASON
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        read.extend_from_slice(&chunk);
    }
    let text = String::from_utf8_lossy(&read);
    let shown = text
        .chars()
        .map(|one| if one.is_control() { ' ' } else { one });
    shown.take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_says_in_seconds_or_by_a_date_when_it_wants_more() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 60);
        for (text, seconds) in [
            ("5", Some(5.0)),
            ("0.65", Some(0.65)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(60.0)),
            ("Tue, 06 Nov 1984 08:49:37 GMT", Some(0.0)),
            ("-1", None),
            ("NaN", None),
            ("soon", None),
        ] {
            let expected = seconds.map(Duration::from_secs_f64);
            assert_eq!(wait(text, now), expected, "{text}");
        }
    }
}
