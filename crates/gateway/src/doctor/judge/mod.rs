//! What the facts about one origin mean. Pure.
//!
//! A problem is what keeps viewers from being served truthfully; what works and may not be what
//! the operator wants is a warning.

mod bucket;
mod canary;
mod directory;
mod remedy;
#[cfg(test)]
mod tests;
mod truth;
mod writing;

use std::time::Duration;

use origin_resolver::{Failure, Kind, VerdictLabel};

use self::directory::Root;
use super::facts::Facts;
use super::finding::{Check, Finding, Findings, Level};
use super::published;
use crate::config::Origin;

/// From here on the difference of clocks is worth a look.
const CLOCK_WARNING_SECONDS: u64 = 60;
/// From here on S3 refuses signatures (`RequestTimeTooSkewed`).
const CLOCK_PROBLEM_SECONDS: u64 = 900;
/// A listing of the first level shows so many names at most.
const LISTED: usize = 100;
/// So many names are written out.
const NAMED: usize = 10;

/// Every finding about one origin. `published` are the prefixes of its own keys that routes
/// publish.
pub(super) fn judge(origin: &Origin, published: &[String], facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings::about(subject(origin.name()));
    let into = &mut findings;
    let root = match &origin.settings.kind {
        Kind::Filesystem(settings) => directory::judge(origin, settings, facts, into),
        Kind::S3(_) | Kind::Http(_) => Root::Trusted,
    };
    if root == Root::Unusable || !is_reached(origin, facts, into) {
        return findings.into_list();
    }
    if let Kind::S3(s3) = &origin.settings.kind {
        bucket::judge_credentials(origin, s3, facts, into);
    }
    canary::judge(origin, facts, into);
    // Without its marker a directory's every absence is unknown, which has been said.
    if root == Root::Trusted {
        truth::judge_absent_key(origin, facts, into);
    }
    judge_clock(origin, facts, into);
    if let Kind::S3(_) = &origin.settings.kind {
        bucket::judge_listing(facts, into);
    }
    judge_prefixes(published, facts, into);
    writing::judge(origin, facts, into);
    findings.into_list()
}

/// What findings about an origin are about.
pub(super) fn subject(origin: &str) -> String {
    format!("origins.{origin}")
}

fn is_reached(origin: &Origin, facts: &Facts, findings: &mut Findings) -> bool {
    let mut sorted = facts.round_trips.clone();
    sorted.sort_unstable();
    let Some(median) = sorted.get(sorted.len() / 2) else {
        let (what, remedy) = match &facts.no_answer {
            Some(failure) => (said(origin, failure), remedy::of(origin, failure.reason)),
            None => ("it was not asked in time".to_owned(), "try again"),
        };
        findings.add(Level::Problem, Check::Reachable, what, remedy);
        return false;
    };
    let what = format!("answers in {}", shown(*median));
    if let Some(failure) = &facts.no_answer {
        let what = format!("{what}, but not always: {}", said(origin, failure));
        let remedy = remedy::of(origin, failure.reason);
        findings.add(Level::Warning, Check::Reachable, what, remedy);
    } else if *median > origin.settings.hedge_after {
        findings.add(
            Level::Notice,
            Check::Reachable,
            format!(
                "{what}, later than hedge_after ({}): each miss also asks the next origin",
                shown(origin.settings.hedge_after)
            ),
            "raise hedge_after if this is normal for it",
        );
    } else {
        findings.ok(Check::Reachable, what);
    }
    true
}

fn judge_clock(origin: &Origin, facts: &Facts, findings: &mut Findings) {
    let Some(ahead) = facts.clock_ahead_seconds else {
        return;
    };
    let apart = ahead.unsigned_abs();
    let side = if ahead < 0 { "behind" } else { "ahead of" };
    let what = format!("its clock is {apart} s {side} this machine's");
    let signs = matches!(&origin.settings.kind, Kind::S3(s3) if s3.credentials.is_some());
    let remedy = "set this machine's clock by NTP: timedatectl set-ntp true";
    if apart > CLOCK_PROBLEM_SECONDS && signs {
        let what = format!("{what}, and signatures are refused beyond 15 minutes");
        findings.add(Level::Problem, Check::Clock, what, remedy);
    } else if apart > CLOCK_WARNING_SECONDS {
        findings.add(Level::Warning, Check::Clock, what, remedy);
    } else {
        findings.ok(Check::Clock, what);
    }
}

fn judge_prefixes(published: &[String], facts: &Facts, findings: &mut Findings) {
    let Some(Ok(listed)) = &facts.listed else {
        return;
    };
    let unpublished = published::unpublished(listed, published);
    if !unpublished.is_empty() {
        findings.add(
            Level::Notice,
            Check::Unpublished,
            format!("held but not published: {}", names(&unpublished)),
            "nothing, if it is private; else add it to the keys of a route",
        );
    }
    let not_held = published::not_held(listed, published);
    // A listing that was cut short proves no absence.
    if !not_held.is_empty() && listed.len() < LISTED {
        findings.add(
            Level::Notice,
            Check::Published,
            format!("published, and nothing lies there: {}", names(&not_held)),
            "look for a typing error in the keys of the routes or in rewrite",
        );
    }
}

/// Names as they are, with whatever could upset a terminal made visible.
fn names(names: &[String]) -> String {
    let shown: Vec<_> = names
        .iter()
        .take(NAMED)
        .map(|name| format!("{name:?}"))
        .collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What happened, without the origin's name, which stands above it.
fn said(origin: &Origin, failure: &Failure) -> String {
    let own = format!("{}: ", origin.name());
    let what = failure.what.strip_prefix(&*own).unwrap_or(&failure.what);
    format!("{}: {what}", failure.reason)
}

fn shown(time: Duration) -> String {
    if time < Duration::from_millis(10) {
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{} ms", time.as_millis())
    }
}

/// Whether the walk may count on this origin's *missing*.
fn is_missing(facts: &Facts) -> bool {
    matches!(facts.verdict, Some((VerdictLabel::Missing, _)))
}
