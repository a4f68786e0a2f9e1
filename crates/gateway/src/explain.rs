//! How a URL is answered, and why: what `explain` and the admin listener tell.
//!
//! Asks each origin once, all at the same time, and draws the conclusion with the same function
//! as the walk. Reads heads, never bodies.

use origin_resolver::{Examination, VerdictLabel, conclude};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::app::{App, Route};
use crate::config::Deletes;
use crate::routes::{is_published, key_of};
use crate::withdrawals::{self, Known};
use object::ObjectKey;

/// The way of one URL.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Explanation {
    /// As it was asked.
    pub(crate) url: String,
    /// The route that answers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<String>,
    /// The key on that route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// The origin that a hint would have asked first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// What the cache holds of it; only a running gateway knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held: Option<HeldCopy>,
    /// That the application has deleted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) withdrawn: Option<WithdrawnKey>,
    /// What each origin says, in the order asked.
    pub(crate) origins: Vec<OriginSays>,
    /// The status that a GET would be answered with.
    pub(crate) status: u16,
    /// Why, in words.
    pub(crate) because: String,
}

/// A copy in the cache.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HeldCopy {
    /// Who gave it, or confirmed it last.
    pub(crate) origin: String,
    pub(crate) length: u64,
    /// Since an origin confirmed it.
    pub(crate) age_seconds: u64,
    /// Whether it is used only while origins are asked again.
    pub(crate) stale: bool,
}

/// A key that the application has deleted from its upload origin.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WithdrawnKey {
    /// Where it was, and is missing.
    pub(crate) origin: String,
    /// Since when, in seconds since 1970; none where that has not been noticed by a viewer's
    /// request yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<u64>,
    /// Whether it is answered 410.
    pub(crate) followed: bool,
    /// What that means on this route, in words.
    pub(crate) means: String,
}

/// What one origin says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OriginSays {
    pub(crate) origin: String,
    /// The key as the origin spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) own_key: Option<String>,
    pub(crate) verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) what: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    pub(crate) milliseconds: u64,
}

/// Why a text cannot be explained.
#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} is not a URL that can be explained: {why}; write it whole, as https://media.example.com/path/of/the/file.webp"
)]
pub(crate) struct NotAUrl {
    text: String,
    pub(crate) why: String,
}

/// What the ledger knows of a key at each of these places, where no gateway runs; nothing where it
/// cannot be told.
pub(crate) type LookUp<'a> = dyn Fn(&[Box<str>], &ObjectKey) -> Option<Vec<Known>> + Sync + 'a;

/// Explains a URL, with what is in the files where no gateway runs.
///
/// # Errors
/// The text is not a URL of a web server.
pub(crate) async fn explain(
    app: &App,
    is_tombstoned: &(dyn Fn(&str, &ObjectKey) -> bool + Sync),
    ledger: &LookUp<'_>,
    text: &str,
) -> Result<Explanation, NotAUrl> {
    let not_a_url = |why: String| NotAUrl {
        text: text.to_owned(),
        why,
    };
    let url = Url::parse(text).map_err(|error| not_a_url(error.to_string()))?;
    let Some(host) = url
        .host_str()
        .filter(|_| matches!(url.scheme(), "http" | "https"))
    else {
        return Err(not_a_url("it has no host".to_owned()));
    };
    // As for a request; the parser has done the rest.
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut explanation = Explanation {
        url: text.to_owned(),
        route: None,
        key: None,
        hint: None,
        held: None,
        withdrawn: None,
        origins: Vec::new(),
        status: 421,
        because: format!("no route has the host {host:?} with this path"),
    };
    // Not `url.path()`: the parser resolves dot segments, which the gateway refuses.
    let path = match ObjectKey::decode(raw_path(text)) {
        Ok(path) => path,
        Err(error) => return Ok(explanation.end(400, &error)),
    };
    let Some(place) = app.table.find(Some(host), &path) else {
        return Ok(explanation);
    };
    let route = &app.routes[place.route];
    explanation.route = Some(route.config.name.to_string());
    let key = match key_of(&route.config, place.rest) {
        Ok(key) => key,
        Err(error) => return Ok(explanation.end(400, &error)),
    };
    explanation.key = Some(key.as_str().to_owned());
    if !is_published(&route.config, &key) {
        let because = "the route's keys do not publish it";
        return Ok(explanation.end(403, &because));
    }
    explanation.hint = route.resolver.hinted(&key).map(str::to_owned);
    let examined = route.resolver.examine(&key).await;
    explanation.withdrawn = withdrawn(route, &key, &examined, ledger).await;
    let conclusion = conclude(examined.iter().map(|one| one.verdict));
    let (status, because) = match conclusion {
        VerdictLabel::Found => (200, found_because(&examined)),
        VerdictLabel::Missing => (
            404,
            "every origin works and says that it is missing".to_owned(),
        ),
        VerdictLabel::Withheld => (404, "it exists, and the public may not see it".into()),
        VerdictLabel::Unknown => (503, "an origin could not say, so nobody may say 404".into()),
    };
    explanation.origins = examined.into_iter().map(OriginSays::from).collect();
    if is_tombstoned(&route.space, &key) {
        return Ok(explanation.end(410, &"it has a tombstone, whatever any origin has"));
    }
    if let Some(keeping) = &app.keeping
        && let Some(copy) = keeping.cache.look(&route.space, &key).await
        && !copy.is_gone
    {
        let because = format!("the cache holds it, as {} gave it", copy.origin);
        explanation.held = Some(HeldCopy {
            origin: copy.origin.into(),
            length: copy.length,
            age_seconds: copy.age_seconds,
            stale: copy.is_old,
        });
        return Ok(explanation.end(200, &because));
    }
    match &explanation.withdrawn {
        Some(withdrawn) if withdrawn.followed => {
            let because = format!("the application has deleted it from {}", withdrawn.origin);
            Ok(explanation.end(410, &because))
        }
        _ => Ok(explanation.end(status, &because)),
    }
}

/// What is known of a deletion by the application, or would be noticed now.
async fn withdrawn(
    route: &Route,
    key: &ObjectKey,
    examined: &[Examination],
    ledger: &LookUp<'_>,
) -> Option<WithdrawnKey> {
    let uploads_to = &*route.config.uploads_to;
    let said = examined.iter().find(|one| &*one.origin == uploads_to);
    let said = said.map(|one| one.verdict);
    if matches!(said, Some(VerdictLabel::Found | VerdictLabel::Withheld)) {
        return None;
    }
    let places = withdrawals::places(&route.config);
    let known = match &route.withdrawals {
        Some(withdrawals) => withdrawals.known(key).await.ok()?,
        None => ledger(&places, key)?,
    };
    let follows = route.config.deletes == Deletes::Follow;
    if let Some((place, withdrawn)) = withdrawals::latest(&known) {
        let followed = follows && withdrawn.followed.is_some();
        let means = match (follows, followed) {
            (true, true) => "deletes = \"follow\": 410, until it is uploaded again",
            (true, false) => "deletes = \"follow\": held, and followed when deletes_brake lets it",
            (false, _) => {
                "deletes = \"hold\": served from older origins, and never copied to another one"
            }
        };
        return Some(WithdrawnKey {
            origin: places[place].to_string(),
            since: Some(withdrawn.since),
            followed,
            means: means.to_owned(),
        });
    }
    let was_there = matches!(known.first(), Some(Known::There { .. }));
    (was_there && said == Some(VerdictLabel::Missing)).then(|| WithdrawnKey {
        origin: uploads_to.to_owned(),
        since: None,
        followed: false,
        means: "it was verified there: the next request that asks that origin makes it withdrawn"
            .to_owned(),
    })
}

impl Explanation {
    fn end(mut self, status: u16, because: &dyn std::fmt::Display) -> Self {
        self.status = status;
        self.because = because.to_string();
        self
    }
}

fn found_because(examined: &[Examination]) -> String {
    examined
        .iter()
        .find(|one| one.verdict == VerdictLabel::Found)
        .map_or_else(String::new, |one| format!("{} has it", one.origin))
}

/// The path of a URL as it was written, without query and fragment.
pub(crate) fn raw_path(url: &str) -> &str {
    let address = url.split(['?', '#']).next().unwrap_or(url);
    let behind_scheme = address.split_once("://").map_or(address, |(_, rest)| rest);
    behind_scheme
        .find('/')
        .map_or("/", |at| &behind_scheme[at..])
}

impl From<Examination> for OriginSays {
    fn from(examined: Examination) -> Self {
        let head = examined.head.as_ref();
        Self {
            origin: examined.origin.into(),
            own_key: examined.own_key.map(|key| key.as_str().to_owned()),
            verdict: examined.verdict.label().to_owned(),
            reason: examined
                .failure
                .as_ref()
                .map(|failure| failure.reason.label().to_owned()),
            length: head.and_then(|head| head.length),
            content_type: head.and_then(|head| head.content_type.as_deref().map(str::to_owned)),
            what: examined.failure.map(|failure| failure.what.into()),
            milliseconds: u64::try_from(examined.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_was_written() {
        for (url, path) in [
            ("https://a.example/x/../y?z#f", "/x/../y"),
            ("https://a.example//x", "//x"),
            ("https://a.example", "/"),
            ("https://a.example?z/x", "/"),
            ("https://a.example/x?u=https://b.example/y", "/x"),
        ] {
            assert_eq!(raw_path(url), path);
        }
    }
}
