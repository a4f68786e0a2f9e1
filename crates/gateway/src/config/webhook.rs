//! Where the operator is told that something should be looked at.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::findings::Findings;
use super::problem::{HIDDEN, Problem};
use super::secrets;
use super::suggest::nearest;
use super::values::{Secret, Span};
use crate::alerts::Alert;
use crate::fleet::{host_name, is_name};

const EVERY: Duration = Duration::from_secs(15);
const REPEAT: Duration = Duration::from_hours(12);

/// `[webhook]` as written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWebhook {
    /// Where alerts are sent by POST. A secret, as such a URL may be all that is needed to write
    /// there.
    url: Option<Secret>,
    /// A file that holds the URL, instead of `url`.
    url_file: Option<String>,
    /// Who receives it: `"discord"`, `"ntfy"` (the URL of a topic), `"misskey"` (the URL ends with
    /// `/api/notes/create`), or `"json"` for anything else.
    shape: Option<Shape>,
    /// What the receiver wants to be shown: Misskey's access token, with leave to write notes; for
    /// ntfy and json a bearer token, if one is wanted.
    token: Option<Secret>,
    /// A file that holds the token, instead of `token`.
    token_file: Option<String>,
    /// Who may read a note: `"followers"`, `"specified"` (only `recipients`), `"home"` or
    /// `"public"`. For Misskey only. Default `"followers"`.
    visibility: Option<Visibility>,
    /// The ids of the users who receive a note that is `"specified"`.
    recipients: Option<Vec<String>>,
    /// What messages call this gateway. Default: the machine's name.
    name: Option<String>,
    /// The alerts that are sent, by name. Default: every one.
    alerts: Option<Vec<String>>,
    /// How often it is looked. Default `"15s"`.
    every: Option<Span>,
    /// For how long something must be so before it is told, whichever alert it is. Default: what
    /// each alert has in the operator's guide.
    after: Option<Span>,
    /// How often it is told again that something is still so. Default `"12h"`.
    repeat: Option<Span>,
}

/// What a receiver understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A webhook of a channel of Discord.
    Discord,
    /// A topic of ntfy.
    Ntfy,
    /// `notes/create` of Misskey.
    Misskey,
    /// Every field, for a program.
    Json,
}

impl Shape {
    /// As it is written.
    pub fn label(self) -> &'static str {
        match self {
            Self::Discord => "discord",
            Self::Ntfy => "ntfy",
            Self::Misskey => "misskey",
            Self::Json => "json",
        }
    }
}

/// Who may read a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody, and it stands in every timeline.
    Public,
    /// Everybody who looks.
    Home,
    /// Who follows the account.
    Followers,
    /// The recipients only.
    Specified,
}

impl Visibility {
    /// As Misskey spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Home => "home",
            Self::Followers => "followers",
            Self::Specified => "specified",
        }
    }
}

/// Where the operator is told of alerts.
#[derive(Clone)]
pub struct Webhook {
    /// A web address. Never shown.
    pub url: SecretString,
    /// What it understands.
    pub shape: Shape,
    /// What it wants to be shown.
    pub token: Option<SecretString>,
    /// Who may read a note.
    pub visibility: Visibility,
    /// The users who receive one that is `specified`; never empty there.
    pub recipients: Vec<String>,
    /// What messages call this gateway; `None` is the machine's name.
    pub name: Option<String>,
    /// Which alerts are sent; never empty.
    pub(crate) alerts: Vec<Alert>,
    /// How often it is looked; at least a second.
    pub every: Duration,
    /// For how long something must be so, instead of each alert's own time.
    pub after: Option<Duration>,
    /// How often it is told again.
    pub repeat: Duration,
}

impl Webhook {
    /// Whether it leads to the same place.
    pub(crate) fn leads_to(&self, other: &Self) -> bool {
        self.url.expose_secret() == other.url.expose_secret()
            && (self.shape, &self.recipients) == (other.shape, &other.recipients)
    }

    /// What messages call this gateway.
    pub(crate) fn name(&self) -> String {
        self.name.clone().unwrap_or_else(host_name)
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("url", &HIDDEN)
            .field("shape", &self.shape)
            .field("name", &self.name)
            .field("alerts", &self.alerts)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Webhook {
    fn eq(&self, other: &Self) -> bool {
        let token = |one: &Self| {
            one.token
                .as_ref()
                .map(|token| token.expose_secret().to_owned())
        };
        self.leads_to(other)
            && token(self) == token(other)
            && (self.visibility, &self.name, &self.alerts)
                == (other.visibility, &other.name, &other.alerts)
            && (self.every, self.after, self.repeat) == (other.every, other.after, other.repeat)
    }
}

pub(super) fn check(raw: Option<RawWebhook>, findings: &mut Findings) -> Option<Webhook> {
    let raw = raw?;
    let url = url(&raw, findings);
    let token = secrets::read("webhook.token", raw.token, raw.token_file, findings);
    let Some(shape) = raw.shape else {
        findings.refuse(Problem::new(
            "webhook.shape",
            "it does not say who receives the alerts",
            "write \"discord\", \"ntfy\", \"misskey\" or \"json\"",
        ));
        return None;
    };
    let has_token = token.is_some() || findings.problem_count() > 0;
    check_token(shape, has_token, findings);
    let (visibility, recipients) = audience(shape, raw.visibility, raw.recipients, findings);
    if let Some(name) = raw.name.as_ref().filter(|name| !is_name(name)) {
        findings.refuse(
            Problem::new(
                "webhook.name",
                "a name has 1 to 64 letters, digits, dots, hyphens and underscores",
                "write one such as \"web-1\", or leave it out",
            )
            .with_value(name),
        );
    }
    let alerts = alerts(raw.alerts, findings);
    let mut within = |key: &str, span: Option<Span>, least: Duration, most: Duration| {
        let span = span?.0;
        if span < least || span > most {
            let (shortest, longest) = (
                humantime::format_duration(least),
                humantime::format_duration(most),
            );
            findings.refuse(
                Problem::new(
                    format!("webhook.{key}"),
                    format!("it must be between {shortest} and {longest}"),
                    "write a time such as \"30s\" or \"12h\", or leave it out",
                )
                .with_value(humantime::format_duration(span).to_string()),
            );
        }
        Some(span)
    };
    let (second, day) = (Duration::from_secs(1), Duration::from_hours(24));
    let every = within("every", raw.every, second, Duration::from_mins(5));
    let after = within("after", raw.after, Duration::ZERO, day);
    let repeat = within("repeat", raw.repeat, Duration::from_mins(1), 30 * day);
    Some(Webhook {
        url: url?,
        shape,
        token,
        visibility,
        recipients,
        name: raw.name,
        alerts,
        every: every.unwrap_or(EVERY),
        after,
        repeat: repeat.unwrap_or(REPEAT),
    })
}

/// The address, which is never repeated.
fn url(raw: &RawWebhook, findings: &mut Findings) -> Option<SecretString> {
    let key = if raw.url_file.is_some() {
        "webhook.url_file"
    } else {
        "webhook.url"
    };
    if raw.url.is_none() && raw.url_file.is_none() {
        findings.refuse(Problem::new(
            "webhook.url",
            "a webhook needs an address",
            "set webhook.url_file, or remove [webhook]",
        ));
    }
    let text = secrets::read(
        "webhook.url",
        raw.url.clone(),
        raw.url_file.clone(),
        findings,
    )?;
    let url = Url::parse(text.expose_secret());
    let reason = match &url {
        Err(_) => "it is no URL",
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            "its scheme is neither https nor http"
        }
        Ok(url) if url.host_str().is_none_or(str::is_empty) => "it names no host",
        Ok(url) => {
            let is_near = url.host_str().is_some_and(|host| {
                host == "localhost"
                    || host.starts_with("127.")
                    || host == "[::1]"
                    || !host.contains('.')
            });
            if url.scheme() == "http" && !is_near {
                findings.warn(
                    Problem::new(
                        key,
                        "it begins with http://, so everybody on the way reads the alerts and the token",
                        "write https://",
                    )
                    .with_value(HIDDEN),
                );
            }
            return Some(text);
        }
    };
    findings.refuse(
        Problem::new(
            key,
            reason,
            "write the whole address, such as \"https://ntfy.sh/my-topic\"",
        )
        .with_value(HIDDEN),
    );
    None
}

fn check_token(shape: Shape, has_token: bool, findings: &mut Findings) {
    match shape {
        Shape::Misskey if !has_token => findings.refuse(Problem::new(
            "webhook.token",
            "Misskey takes a note only with an access token",
            "make one in Misskey's settings (API, with leave to write notes), and set webhook.token_file",
        )),
        Shape::Discord if has_token && findings.problem_count() == 0 => findings.refuse(
            Problem::new(
                "webhook.token",
                "Discord's address holds its own token",
                "remove webhook.token",
            )
            .with_value(HIDDEN),
        ),
        _ => {}
    }
}

/// Who may read it.
fn audience(
    shape: Shape,
    visibility: Option<Visibility>,
    recipients: Option<Vec<String>>,
    findings: &mut Findings,
) -> (Visibility, Vec<String>) {
    let is_note = shape == Shape::Misskey;
    if let Some(key) = [
        visibility.is_some().then_some("webhook.visibility"),
        recipients.is_some().then_some("webhook.recipients"),
    ]
    .into_iter()
    .flatten()
    .next()
        && !is_note
    {
        findings.refuse(Problem::new(
            key,
            format!("webhook.shape is {}, which does not know it", shape.label()),
            "remove it",
        ));
    }
    let visibility = visibility.unwrap_or(Visibility::Followers);
    let recipients = recipients.unwrap_or_default();
    let is_specified = visibility == Visibility::Specified;
    if is_note && is_specified == recipients.is_empty() {
        findings.refuse(if is_specified {
            Problem::new(
                "webhook.recipients",
                "a note that is \"specified\" is read by nobody without them",
                "write the ids of the users, such as [\"9abcdefghi\"]",
            )
        } else {
            Problem::new(
                "webhook.recipients",
                "they count only where webhook.visibility is \"specified\"",
                "write visibility = \"specified\", or remove them",
            )
        });
    }
    (visibility, recipients)
}

fn alerts(written: Option<Vec<String>>, findings: &mut Findings) -> Vec<Alert> {
    let Some(written) = written else {
        return Alert::ALL.to_vec();
    };
    let names = || Alert::ALL.iter().map(|alert| alert.rule().name);
    if written.is_empty() {
        findings.refuse(Problem::new(
            "webhook.alerts",
            "without an alert nothing is ever told",
            "name some, or remove the key: then it is every one",
        ));
    }
    let mut alerts = Vec::new();
    for (at, name) in written.iter().enumerate() {
        let known = Alert::ALL.iter().find(|alert| alert.rule().name == *name);
        if let Some(alert) = known {
            alerts.push(*alert);
            continue;
        }
        let lower: Vec<_> = names().map(str::to_ascii_lowercase).collect();
        let meant = nearest(name, lower.iter().map(String::as_str));
        let meant = meant.and_then(|meant| names().find(|name| name.eq_ignore_ascii_case(meant)));
        let remedy = match meant {
            Some(name) => format!("did you mean \"{name}\"?"),
            None => format!("write some of {}", names().collect::<Vec<_>>().join(", ")),
        };
        findings.refuse(
            Problem::new(
                format!("webhook.alerts[{at}]"),
                "there is no such alert",
                remedy,
            )
            .with_value(name),
        );
    }
    alerts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Loaded};

    fn checked(webhook: &str) -> Result<Loaded, String> {
        let rest = "[origins.a]\nkind = \"http\"\nurl = \"https://a.example/\"\n[[routes]]\nurl = \"/\"\norigins = [\"a\"]\n";
        let text = format!("[webhook]\n{webhook}\n{rest}");
        Config::parse("test.toml", &text, []).map_err(|rejected| {
            let lines: Vec<_> = rejected.problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        })
    }

    const DISCORD: &str = "shape = \"discord\"\nurl = \"https://discord.com/api/webhooks/1/hush\"";
    const MISSKEY: &str = "shape = \"misskey\"\nurl = \"https://hush.example/api/notes/create\"";

    #[test]
    fn an_address_and_its_shape_are_enough_and_never_shown() {
        let webhook = checked(DISCORD).unwrap().config.webhook.unwrap();
        assert_eq!(webhook.shape, Shape::Discord);
        assert_eq!(webhook.alerts, Alert::ALL);
        assert_eq!((webhook.every, webhook.repeat), (EVERY, REPEAT));
        assert!(!format!("{webhook:?}").contains("hush"));
        let some = format!("{DISCORD}\nalerts = [\"OriginSuspect\"]\nafter = \"0s\"");
        let webhook = checked(&some).unwrap().config.webhook.unwrap();
        assert_eq!(webhook.alerts, [Alert::OriginSuspect]);
        let note = "token = \"hush\"\nvisibility = \"specified\"\nrecipients = [\"9a\"]";
        let webhook = checked(&format!("{MISSKEY}\n{note}")).unwrap();
        assert!(!format!("{:?}", webhook.config.webhook).contains("hush"));
    }

    #[test]
    fn what_cannot_be_sent_is_refused_by_its_key_and_without_the_secrets() {
        let more = |base: &str, line: &str| format!("{base}\n{line}");
        for (webhook, key) in [
            ("shape = \"json\"".to_owned(), "webhook.url:"),
            (
                "url = \"https://hush.example/\"".to_owned(),
                "webhook.shape",
            ),
            ("shape = \"json\"\nurl = \"hush\"".to_owned(), "webhook.url"),
            (
                "shape = \"json\"\nurl = \"ftp://hush/\"".to_owned(),
                "webhook.url",
            ),
            (
                "shape = \"slack\"\nurl = \"https://hush/\"".to_owned(),
                "webhook.shape",
            ),
            (MISSKEY.to_owned(), "webhook.token"),
            (more(DISCORD, "token = \"hush\""), "webhook.token"),
            (more(DISCORD, "visibility = \"home\""), "webhook.visibility"),
            (
                more(MISSKEY, "token = \"hush\"\nvisibility = \"specified\""),
                "webhook.recipients",
            ),
            (
                more(MISSKEY, "token = \"hush\"\nrecipients = [\"9a\"]"),
                "webhook.recipients",
            ),
            (more(DISCORD, "name = \"a b\""), "webhook.name"),
            (more(DISCORD, "alerts = []"), "webhook.alerts"),
            (
                more(DISCORD, "alerts = [\"OriginSuspct\"]"),
                "did you mean \"OriginSuspect\"",
            ),
            (more(DISCORD, "every = \"10ms\""), "webhook.every"),
            (more(DISCORD, "after = \"90d\""), "webhook.after"),
            (more(DISCORD, "repeat = \"1s\""), "webhook.repeat"),
        ] {
            let problems = checked(&webhook).unwrap_err();
            assert!(problems.contains(key), "{webhook}: {problems}");
            assert!(!problems.contains("hush"), "{problems}");
        }
    }

    #[test]
    fn a_token_over_plain_http_is_warned_of_unless_it_stays_near() {
        let to = |host: &str| format!("shape = \"ntfy\"\nurl = \"http://{host}/topic\"");
        for (host, warnings) in [("ntfy.example.com", 1), ("127.0.0.1:80", 0), ("ntfy", 0)] {
            assert_eq!(
                checked(&to(host)).unwrap().warnings.len(),
                warnings,
                "{host}"
            );
        }
    }
}
