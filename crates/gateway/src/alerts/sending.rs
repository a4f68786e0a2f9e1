//! One message to one receiver, and what a refusal means for the operator.
//!
//! Never repeats the receiver's address or token, not even where the receiver does.

use std::time::Duration;

use http::StatusCode;
use secrecy::ExposeSecret;
use url::Url;

use super::message::{Message, Said};
use crate::config::{Shape, Webhook};
use crate::posting::{Post, Untaken};

/// Parts of an address that are shorter are no secrets.
const SHORTEST_SECRET: usize = 6;

/// Why a message has not arrived.
#[derive(Debug)]
pub(crate) struct Unsent {
    /// What happened.
    pub(crate) why: String,
    /// What to do.
    pub(crate) remedy: &'static str,
    /// It will be refused again until the configuration is another one.
    pub(super) for_good: bool,
    /// For how long the receiver wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// Says it once.
pub(super) async fn send(webhook: &Webhook, said: &Said<'_>) -> Result<(), Unsent> {
    let unprepared = |why: String| Unsent {
        why,
        remedy: "correct [webhook]",
        for_good: true,
        retry_after: None,
    };
    let url = Url::parse(webhook.url.expose_secret());
    let url = url.map_err(|_| unprepared("webhook.url is no URL".to_owned()))?;
    // Misskey is shown its token in the message.
    let bearer = webhook.token.as_ref();
    let bearer = bearer.filter(|_| webhook.shape != Shape::Misskey);
    let post = Post::new(url, bearer).map_err(unprepared)?;
    let Message { headers, body } = Message::of(webhook, said);
    let delivered = post.deliver(headers, body).await;
    delivered.map_err(|untaken| Unsent::of(webhook, untaken))
}

impl Unsent {
    fn of(webhook: &Webhook, untaken: Untaken) -> Self {
        let (remedy, for_good) = match untaken.status {
            None => (
                "look at webhook.url, at DNS and at the firewall of this machine",
                false,
            ),
            Some(StatusCode::TOO_MANY_REQUESTS) => ("nothing: it is tried again later", false),
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => (
                "look at webhook.token and what it may do, and at webhook.url",
                true,
            ),
            Some(StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::METHOD_NOT_ALLOWED) => (
                "the address is not, or no longer, one that takes messages: make a new one and set webhook.url",
                true,
            ),
            Some(status) if status.is_redirection() => (
                "write the address that it leads to as webhook.url; redirects are not followed",
                true,
            ),
            Some(status) if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => (
                "look at webhook.shape: another receiver may stand at webhook.url",
                true,
            ),
            Some(_) => ("the receiver is in trouble: it is tried again", false),
        };
        Self {
            why: without_secrets(webhook, untaken.why),
            remedy,
            for_good,
            retry_after: untaken.retry_after,
        }
    }
}

/// The text, or as much as can be said where it holds what must not be seen.
fn without_secrets(webhook: &Webhook, text: String) -> String {
    let url = webhook.url.expose_secret();
    let token = webhook.token.as_ref().map(ExposeSecret::expose_secret);
    let tail = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (_, tail) = tail.split_once('/').unwrap_or_default();
    let parts = tail.split(['/', '?', '&', '=']);
    let secrets = parts.filter(|part| part.len() >= SHORTEST_SECRET);
    let mut secrets = secrets.chain(token).chain([url]);
    if secrets.any(|secret| text.contains(secret)) {
        let status: String = text.chars().take_while(|c| *c != ':').collect();
        return format!("{status}: [hidden]");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn webhook(lines: &str) -> Webhook {
        let text = format!(
            "[webhook]\n{lines}\n[origins.a]\nkind = \"http\"\nurl = \"https://a.example/\"\n[[routes]]\nurl = \"/\"\norigins = [\"a\"]\n"
        );
        let loaded = Config::parse("test.toml", &text, []).unwrap();
        loaded.config.webhook.unwrap()
    }

    #[test]
    fn what_a_receiver_repeats_of_our_secrets_is_not_repeated() {
        let discord =
            "shape = \"discord\"\nurl = \"https://discord.com/api/webhooks/1234567/hushhush\"";
        let misskey = "shape = \"misskey\"\ntoken = \"hushhush\"\nurl = \"https://a.example/api/notes/create\"";
        for lines in [discord, misskey] {
            let webhook = webhook(lines);
            let shown = |why: &str| without_secrets(&webhook, why.to_owned());
            let said = "404 Not Found: no such thing";
            assert_eq!(shown(said), said);
            let echoed = shown("400 Bad Request: you sent hushhush");
            assert_eq!(echoed, "400 Bad Request: [hidden]");
        }
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let webhook = webhook("shape = \"json\"\nurl = \"https://a.example/\"");
        let of = |status: u16| {
            let status = StatusCode::from_u16(status).ok();
            Unsent::of(
                &webhook,
                Untaken {
                    why: String::new(),
                    status,
                    retry_after: None,
                },
            )
        };
        for status in [301, 400, 401, 403, 404, 405, 413] {
            assert!(of(status).for_good, "{status}");
        }
        for status in [408, 429, 500, 502, 503] {
            assert!(!of(status).for_good, "{status}");
        }
    }
}
