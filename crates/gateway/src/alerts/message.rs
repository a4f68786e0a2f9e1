//! One message, in the form that its receiver takes.
//!
//! Pure. Names origins, routes and certificates, and never a key, a viewer or a secret; text that
//! does not fit is shortened until it does, and says so.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;

use super::rules::{RUNBOOK, Severity};
use super::standing::{Change, News};
use crate::config::{Shape, Webhook};

/// The most that Discord takes (its reference, "Execute Webhook"), in characters.
const DISCORD_CHARACTERS: usize = 2000;
/// The most that Misskey takes unless it is told otherwise (`maxNoteLength`), in characters.
const MISSKEY_CHARACTERS: usize = 3000;
/// What is longer ntfy makes a file of (its documentation, "Limitations"), in bytes.
const NTFY_BYTES: usize = 4096;
/// Discord: no preview of links.
const SUPPRESS_EMBEDS: u32 = 1 << 2;

/// What is sent.
pub(super) struct Message {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// What is said.
pub(super) enum Said<'n> {
    News(&'n [News]),
    /// Nothing is the matter: somebody tries whether messages arrive.
    Test,
}

#[derive(Serialize)]
struct AlertRow<'n> {
    alert: &'static str,
    status: &'static str,
    severity: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'n str,
    #[serde(skip_serializing_if = "str::is_empty")]
    summary: &'n str,
    description: &'static str,
    remedy: &'static str,
    runbook_url: &'static str,
    lasted_seconds: u64,
}

impl Message {
    pub(super) fn of(webhook: &Webhook, said: &Said<'_>) -> Self {
        let name = webhook.name();
        let json = "application/json";
        let (content_type, body) = match webhook.shape {
            Shape::Discord => {
                let text = text(&name, said, |text| {
                    text.chars().count() <= DISCORD_CHARACTERS
                });
                // Nobody is to be called by what an origin is named.
                let body = json!({
                    "content": text,
                    "flags": SUPPRESS_EMBEDS,
                    "allowed_mentions": { "parse": [] },
                });
                (json, body.to_string())
            }
            Shape::Misskey => {
                let text = text(&name, said, |text| {
                    text.chars().count() <= MISSKEY_CHARACTERS
                });
                let token = webhook.token.as_ref().map(ExposeSecret::expose_secret);
                let mut body = json!({
                    "i": token,
                    "text": text,
                    "visibility": webhook.visibility.as_str(),
                    "noExtractMentions": true,
                });
                if !webhook.recipients.is_empty() {
                    body["visibleUserIds"] = json!(webhook.recipients);
                }
                (json, body.to_string())
            }
            Shape::Ntfy => {
                let text = text(&name, said, |text| text.len() <= NTFY_BYTES);
                ("text/plain; charset=utf-8", text)
            }
            Shape::Json => {
                let rows: Vec<_> = said.news().iter().map(AlertRow::of).collect();
                let status = if said.news().is_empty() {
                    "test"
                } else {
                    "alerts"
                };
                let body = json!({
                    "version": 1,
                    "gateway": name,
                    "status": status,
                    "text": text(&name, said, |_| true),
                    "alerts": rows,
                });
                (json, body.to_string())
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if webhook.shape == Shape::Ntfy {
            headers.extend(for_ntfy(&name, said));
        }
        Self {
            headers,
            body: body.into_bytes(),
        }
    }
}

impl<'n> Said<'n> {
    fn news(&self) -> &'n [News] {
        match self {
            Self::News(news) => news,
            Self::Test => &[],
        }
    }

    /// The worst that holds, if anything does.
    fn worst(&self) -> Option<Severity> {
        let news = self.news().iter();
        let holds = news.filter(|news| news.change != Change::Over);
        holds.map(|news| news.about.0.rule().severity).max()
    }

    /// How many, in words.
    fn title(&self, name: &str) -> String {
        if let Self::Test = self {
            return format!("media-gateway {name}: a test");
        }
        let over = self
            .news()
            .iter()
            .filter(|news| news.change == Change::Over);
        let over = over.count();
        let holding = self.news().len() - over;
        let alerts = match holding {
            0 => None,
            1 => Some("1 alert".to_owned()),
            many => Some(format!("{many} alerts")),
        };
        let over = (over > 0).then(|| format!("{over} over"));
        let parts: Vec<_> = alerts.into_iter().chain(over).collect();
        format!("media-gateway {name}: {}", parts.join(", "))
    }
}

impl<'n> AlertRow<'n> {
    fn of(news: &'n News) -> Self {
        let rule = news.about.0.rule();
        Self {
            alert: rule.name,
            status: match news.change {
                Change::Fires => "firing",
                Change::Lasts => "repeated",
                Change::Over => "resolved",
            },
            severity: rule.severity.label(),
            subject: &news.about.1,
            summary: &news.summary,
            description: rule.description,
            remedy: rule.remedy,
            runbook_url: RUNBOOK,
            lasted_seconds: news.lasted.as_secs(),
        }
    }
}

/// How much of each alert is said.
#[derive(Clone, Copy)]
enum Detail {
    All,
    Summary,
}

/// The longest text of this that fits.
fn text(name: &str, said: &Said<'_>, fits: impl Fn(&str) -> bool) -> String {
    let title = said.title(name);
    if let Said::Test = said {
        return format!(
            "{title}\nThis message arrives, so alerts do. What each means and what to do: {RUNBOOK}"
        );
    }
    let news = said.news();
    let whole = |detail, shown: usize| {
        let mut text = title.clone();
        for one in &news[..shown] {
            text.push('\n');
            text.push_str(&line(one, detail));
        }
        if shown < news.len() {
            let more = news.len() - shown;
            let _ = write!(text, "\n… and {more} more, on the page of this gateway");
        }
        if said.worst().is_some() {
            let _ = write!(text, "\nWhat to do: {RUNBOOK}");
        }
        text
    };
    for detail in [Detail::All, Detail::Summary] {
        let text = whole(detail, news.len());
        if fits(&text) {
            return text;
        }
    }
    // As many as fit; not one after the other, for there may be thousands.
    let (mut most, mut too_many) = (0, news.len());
    while most + 1 < too_many {
        let middle = most.midpoint(too_many);
        if fits(&whole(Detail::Summary, middle)) {
            most = middle;
        } else {
            too_many = middle;
        }
    }
    whole(Detail::Summary, most)
}

fn line(news: &News, detail: Detail) -> String {
    let rule = news.about.0.rule();
    let mut words = match news.change {
        Change::Over => "OVER",
        Change::Fires | Change::Lasts if rule.severity == Severity::Critical => "CRITICAL",
        Change::Fires | Change::Lasts => "WARNING",
    }
    .to_owned();
    words.push(' ');
    words.push_str(rule.name);
    let what = match &*news.summary {
        "" => &news.about.1,
        summary => summary,
    };
    if !what.is_empty() {
        words.push_str(": ");
        words.push_str(what);
    }
    let minutes = news.lasted.as_secs() / 60;
    if minutes > 0 {
        let lasted = std::time::Duration::from_mins(minutes);
        let said = if news.change == Change::Over {
            "it lasted"
        } else {
            "for"
        };
        let _ = write!(words, " ({said} {})", humantime::format_duration(lasted));
    }
    if news.change != Change::Over && matches!(detail, Detail::All) {
        let _ = write!(words, ". {} {}", rule.description, rule.remedy);
    }
    words
}

/// What ntfy shows beside the text (its documentation, "Publishing").
fn for_ntfy(name: &str, said: &Said<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let (priority, tags) = match said.worst() {
        Some(Severity::Critical) => ("5", "rotating_light"),
        Some(Severity::Warning) => ("4", "warning"),
        None => ("3", "white_check_mark"),
    };
    let title = HeaderValue::from_str(&said.title(name)).expect("names are plain characters");
    vec![
        (HeaderName::from_static("title"), title),
        (
            HeaderName::from_static("priority"),
            HeaderValue::from_static(priority),
        ),
        (
            HeaderName::from_static("tags"),
            HeaderValue::from_static(tags),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::alerts::rules::Alert;
    use crate::config::Config;

    fn webhook(lines: &str) -> Webhook {
        let text = format!(
            "[webhook]\nname = \"web-1\"\nurl = \"https://hush.example/\"\n{lines}\n\
             [origins.a]\nkind = \"http\"\nurl = \"https://a.example/\"\n[[routes]]\nurl = \"/\"\norigins = [\"a\"]\n"
        );
        let loaded = Config::parse("test.toml", &text, []).unwrap();
        loaded.config.webhook.unwrap()
    }

    fn news(alert: Alert, change: Change) -> News {
        News {
            about: (alert, "origin old".to_owned()),
            change,
            summary: "Origin old is odd".to_owned(),
            lasted: Duration::from_mins(12),
        }
    }

    fn body(webhook: &Webhook, news: &[News]) -> Value {
        let message = Message::of(webhook, &Said::News(news));
        serde_json::from_slice(&message.body).unwrap()
    }

    #[test]
    fn it_says_what_is_wrong_and_what_to_do() {
        let news = [
            news(Alert::OriginSuspect, Change::Fires),
            news(Alert::OriginLeftAlone, Change::Over),
        ];
        let text = text("web-1", &Said::News(&news), |_| true);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "media-gateway web-1: 1 alert, 1 over");
        let first = "CRITICAL OriginSuspect: Origin old is odd (for 12m). An emptied";
        assert!(lines[1].starts_with(first), "{text}");
        assert_eq!(
            lines[2],
            "OVER OriginLeftAlone: Origin old is odd (it lasted 12m)"
        );
        assert_eq!(lines[3], format!("What to do: {RUNBOOK}"));
    }

    #[test]
    fn however_much_there_is_it_fits_what_a_receiver_takes() {
        for count in [1, 5, 20, 200, 5000] {
            let many: Vec<_> = Alert::ALL
                .iter()
                .cycle()
                .take(count)
                .map(|alert| news(*alert, Change::Fires))
                .collect();
            let discord = body(&webhook("shape = \"discord\""), &many);
            let content = discord["content"].as_str().unwrap();
            assert!(content.chars().count() <= DISCORD_CHARACTERS);
            assert!(content.contains(RUNBOOK) && content.contains(Alert::ALL[0].rule().name));
            assert_eq!(content.contains("more"), count >= 200, "{content}");
            assert_eq!(discord["allowed_mentions"]["parse"], json!([]));
            let note = webhook("shape = \"misskey\"\ntoken = \"t\"");
            let note = body(&note, &many);
            assert!(note["text"].as_str().unwrap().chars().count() <= MISSKEY_CHARACTERS);
            let ntfy = webhook("shape = \"ntfy\"");
            let ntfy = Message::of(&ntfy, &Said::News(&many));
            assert!(ntfy.body.len() <= NTFY_BYTES);
            let all = body(&webhook("shape = \"json\""), &many);
            assert_eq!(all["alerts"].as_array().unwrap().len(), count);
        }
    }

    #[test]
    fn each_receiver_gets_its_own_form() {
        let fires = [news(Alert::OriginSuspect, Change::Fires)];
        let over = [news(Alert::OriginSuspect, Change::Over)];
        let note = webhook(
            "shape = \"misskey\"\ntoken = \"t0ken\"\nvisibility = \"specified\"\nrecipients = [\"9a\"]",
        );
        let note = body(&note, &fires);
        assert_eq!(
            (&note["i"], &note["visibility"]),
            (&json!("t0ken"), &json!("specified"))
        );
        assert_eq!(note["visibleUserIds"], json!(["9a"]));
        let ntfy = webhook("shape = \"ntfy\"");
        for (news, priority) in [(&fires, "5"), (&over, "3")] {
            let message = Message::of(&ntfy, &Said::News(news));
            assert_eq!(message.headers["priority"], priority);
            assert!(message.headers["title"].to_str().unwrap().contains("web-1"));
        }
        let all = body(&webhook("shape = \"json\""), &over);
        assert_eq!(all["alerts"][0]["status"], "resolved");
        assert_eq!(all["alerts"][0]["lasted_seconds"], 720);
    }

    #[test]
    fn a_test_says_that_it_is_one() {
        let message = Message::of(&webhook("shape = \"json\""), &Said::Test);
        let body: Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(body["status"], "test");
        assert!(body["text"].as_str().unwrap().contains("a test"));
    }
}
