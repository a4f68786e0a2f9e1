//! A bucket's keys, and who may list it. Pure.

use origin_resolver::{Failure, ReadAs, Reason, S3Settings};

use super::{names, remedy, said};
use crate::config::Origin;
use crate::doctor::facts::{Facts, Heard};
use crate::doctor::finding::{Check, Findings, Level};

pub(super) fn judge_credentials(
    origin: &Origin,
    s3: &S3Settings,
    facts: &Facts,
    findings: &mut Findings,
) {
    if s3.credentials.is_none() {
        findings.ok(Check::Credentials, "no keys: it is read as a stranger");
        return;
    }
    let asked = facts.absent_signed.as_ref();
    let failures = [refusal_of(facts), asked.and_then(failure_of)];
    let refused = failures
        .into_iter()
        .flatten()
        .find(|failure| failure.reason == Reason::Credentials);
    let mut add = |level, what: String, remedy: &str| {
        findings.add(level, Check::Credentials, what, remedy);
    };
    if let Some(failure) = refused {
        // Even where strangers may read: whatever needs the keys will fail.
        let what = format!("the keys are refused: {}", said(origin, failure));
        add(Level::Problem, what, remedy::of(origin, failure.reason));
        return;
    }
    match (&facts.listed, asked) {
        (Some(Ok(_)), _) => add(
            Level::Ok,
            "the keys are accepted, and may list the bucket".to_owned(),
            "",
        ),
        (_, Some(Heard::Missing | Heard::Found)) => add(
            Level::Notice,
            "the keys are accepted, and may not list the bucket".to_owned(),
            "grant them s3:ListBucket, if this check is to see what lies in it",
        ),
        (Some(Err(failure)), _) => {
            let level = match (failure.reason, s3.read) {
                (Reason::Denied, ReadAs::Signed) => Level::Problem,
                _ => Level::Warning,
            };
            let what = format!(
                "whether the keys are accepted cannot be told: {}",
                said(origin, failure)
            );
            add(level, what, remedy::of(origin, failure.reason));
        }
        (None, _) => add(
            Level::Warning,
            "whether the keys are accepted cannot be told: no answer in time".to_owned(),
            remedy::of(origin, Reason::Timeout),
        ),
    }
}

fn refusal_of(facts: &Facts) -> Option<&Failure> {
    facts.listed.as_ref()?.as_ref().err()
}

fn failure_of(heard: &Heard) -> Option<&Failure> {
    match heard {
        Heard::Failed(failure) => Some(failure),
        Heard::Found | Heard::Missing | Heard::Forbidden => None,
    }
}

pub(super) fn judge_listing(facts: &Facts, findings: &mut Findings) {
    match &facts.listed_by_strangers {
        Some(Ok(listed)) => {
            let what = if listed.is_empty() {
                "anyone can list the bucket (it is empty)".to_owned()
            } else {
                format!("anyone can list the bucket: {}", names(listed))
            };
            findings.add(
                Level::Warning,
                Check::Listing,
                what,
                "take s3:ListBucket (the ACL public-read of the bucket) from everyone: the names of all files are public",
            );
        }
        Some(Err(failure)) if matches!(failure.reason, Reason::Denied | Reason::Credentials) => {
            findings.ok(Check::Listing, "strangers cannot list it");
        }
        // What else went wrong is said where it matters.
        Some(Err(_)) | None => {}
    }
}
