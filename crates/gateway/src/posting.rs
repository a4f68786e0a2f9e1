//! What is told to others over HTTP: JSON, by POST, to an address that the operator has named.
//!
//! Never asks for anything, follows no redirect, and keeps what it shows out of what it says.

use std::time::Duration;

use http::{HeaderValue, header};
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

    /// Says it once.
    ///
    /// # Errors
    /// Nobody answers, or the answer is not that it was taken.
    pub(crate) async fn send(&self, body: &impl Serialize) -> Result<(), String> {
        let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
        let mut request = self.client.post(self.url.clone());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let sent = request.body(body).send().await;
        let answer = sent.map_err(|error| in_words(&error.without_url()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let said = first_of(answer).await;
        Err(format!("{status}: {}", said.trim()))
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
