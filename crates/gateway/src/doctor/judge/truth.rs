//! What a key gets that nobody can have uploaded: whether a 404 of this origin can be true. Pure.

use origin_resolver::{
    Failure, ForbiddenMeans, HttpSettings, Kind, MissingMeans, Reason, VerdictLabel,
};

use super::{is_missing, remedy, said};
use crate::config::Origin;
use crate::doctor::facts::{Facts, Heard};
use crate::doctor::finding::{Check, Findings, Level};

pub(super) fn judge_absent_key(origin: &Origin, facts: &Facts, findings: &mut Findings) {
    let mut add = |level, what: String, remedy: &str| {
        findings.add(level, Check::AbsentKey, what, remedy);
    };
    if matches!(facts.absent, Some(Heard::Forbidden)) {
        let (level, what, remedy) = forbidden(origin, facts);
        add(level, what, remedy);
        return;
    }
    match &facts.verdict {
        Some((VerdictLabel::Missing, _)) => add(Level::Ok, "is missing".to_owned(), ""),
        Some((VerdictLabel::Found, _)) => add(
            Level::Problem,
            "a key that nobody can have uploaded is found: it answers everything".to_owned(),
            "look at what answers there; a server that sends a page for everything cannot be an origin",
        ),
        Some((VerdictLabel::Withheld, _)) => add(
            Level::Problem,
            "a key that nobody can have uploaded is withheld: it forbids everything".to_owned(),
            "look at what answers there",
        ),
        Some((VerdictLabel::Unknown, Some(failure))) => unknown(origin, failure, add),
        Some((VerdictLabel::Unknown, None)) | None => add(
            Level::Problem,
            "is unknown: no answer in time".to_owned(),
            remedy::of(origin, Reason::Timeout),
        ),
    }
}

fn unknown(origin: &Origin, failure: &Failure, mut add: impl FnMut(Level, String, &str)) {
    if failure.reason == Reason::Protocol && lies_on_purpose(origin) {
        add(
            Level::Notice,
            "is unknown, as missing_means = \"unknown\" says: routes with this origin never answer 404"
                .to_owned(),
            "take the origin out when it is no longer needed",
        );
        return;
    }
    add(
        Level::Problem,
        format!(
            "is unknown, so a file that is missing is answered 503: {}",
            said(origin, failure)
        ),
        remedy::of(origin, failure.reason),
    );
}

fn lies_on_purpose(origin: &Origin) -> bool {
    matches!(
        origin.settings.kind,
        Kind::Http(HttpSettings {
            missing_means: MissingMeans::Unknown,
            ..
        })
    )
}

/// A 403: the answer of a bucket that lets strangers read and not list, and of one that lets
/// nobody in.
fn forbidden(origin: &Origin, facts: &Facts) -> (Level, String, &'static str) {
    let has_keys = facts.absent_signed.is_some();
    let missing = is_missing(facts);
    match (missing, has_keys) {
        (true, true) => {
            let what = "gets a 403, and the keys tell that it is missing";
            (Level::Ok, what.to_owned(), "")
        }
        (false, true) => {
            let failure = facts.verdict.as_ref().and_then(|(_, why)| why.as_ref());
            let why = failure.map(|failure| format!(": {}", said(origin, failure)));
            let what = format!(
                "gets a 403, and the keys cannot tell what it means, so a file that is missing is answered 503{}",
                why.unwrap_or_default()
            );
            let reason = failure.map_or(Reason::Denied, |failure| failure.reason);
            (Level::Problem, what, remedy::of(origin, reason))
        }
        (true, false) if origin.settings.forbidden_means == ForbiddenMeans::Missing => {
            let what = "gets a 403, which forbidden_means takes for missing";
            (Level::Ok, what.to_owned(), "")
        }
        (true, false) => {
            let what = "gets a 403, and a canary shows that it means missing";
            (Level::Ok, what.to_owned(), "")
        }
        (false, false) if facts.canaries.is_empty() => {
            let what = "gets a 403, as would everything in a bucket that is closed: until a canary is known, a file that is missing is answered 503 and not 404";
            let remedy = "set canary to a file that will always be there, or give keys and read = \"anonymous\"; forbidden_means = \"missing\" only where nothing else is ever answered 403";
            (Level::Warning, what.to_owned(), remedy)
        }
        (false, false) => {
            let what = "gets a 403, and the canaries do not show that it means missing, so a file that is missing is answered 503";
            let remedy = "let the public read objects (s3:GetObject), or give access_key_id and secret_access_key";
            (Level::Problem, what.to_owned(), remedy)
        }
    }
}
