//! Each object as each route sees it: whether it needs a home, and which one it has.

use std::sync::atomic::Ordering;

use futures_util::{StreamExt, stream};
use object::ObjectKey;

use super::account::{Account, Object};
use super::finding::Finding;
use super::home::{Home, Question};
use super::inventory::Candidate;
use super::memory::Recollection;
use super::{Audit, Route};
use crate::difference::Barred;
use crate::error::MigrationError;

impl Route {
    pub(crate) fn publishes(&self, key: &ObjectKey) -> bool {
        let text = key.as_str();
        !key.is_reserved()
            && self
                .keys
                .iter()
                .any(|prefix| text.starts_with(prefix.as_str()))
    }
}

/// Looks at some objects and takes down what was found.
pub(crate) async fn examine(
    audit: &Audit,
    homes: &[Home],
    account: &mut Account,
    candidates: Vec<Candidate>,
) -> Result<(), MigrationError> {
    if candidates.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = candidates.iter().map(|one| one.key.clone()).collect();
    let mut recalled = audit.recall(&keys, homes).await?;
    let quiet_for = audit.options.quiet_for;
    let rows = audit.options.rows.as_ref();
    if let Some(rows) = rows {
        for (candidate, recalled) in candidates.iter().zip(&mut recalled) {
            // What a row still names the application has not deleted: it was lost.
            if rows.name(&candidate.key) {
                let withdrawn = |barred: &&mut Option<Barred>| **barred == Some(Barred::Withdrawn);
                let bars = recalled.barred.iter_mut().filter(withdrawn);
                bars.for_each(|barred| *barred = None);
            }
        }
    }
    let mut looked = stream::iter(candidates.into_iter().zip(recalled))
        .map(|(candidate, recalled)| look(audit, homes, candidate, recalled))
        .buffered(audit.options.jobs.max(1));
    while let Some(Looked {
        candidate,
        recalled,
        mut found,
    }) = looked.next().await
    {
        let is_named = rows.is_some_and(|rows| rows.name(&candidate.key));
        let is_unreferenced = rows.is_some_and(|rows| rows.are_without(&candidate, quiet_for));
        for (route, barred) in audit.routes.iter().zip(&recalled.barred) {
            if !route.publishes(&candidate.key) {
                continue;
            }
            let is_missing = |home: usize| found[home] == Some(Finding::Missing);
            let was_there = |home: usize| recalled.there[home].is_some();
            let uploads = route.uploads;
            let is_lost = uploads.is_some_and(|home| was_there(home) && is_missing(home));
            let was_deleted = is_lost && !is_named;
            let best = route
                .homes
                .iter()
                .filter_map(|home| found[*home].clone())
                .max();
            let mut best = best.unwrap_or(Finding::Missing);
            let needs_proof = barred.is_none() && !was_deleted && !is_unreferenced;
            if needs_proof && best == Finding::Unproven {
                best = prove(audit, homes, route, &candidate, &mut found).await;
            }
            account.object(&Object {
                key: candidate.key.as_str(),
                route: &route.name,
                size_bytes: candidate.here.size_bytes,
                barred: *barred,
                was_deleted,
                is_unreferenced,
                found: best,
            });
        }
    }
    Ok(())
}

struct Looked {
    candidate: Candidate,
    recalled: Recollection,
    /// What each home comes to, where that was looked at.
    found: Vec<Option<Finding>>,
}

/// Looks into the homes of an object until one has it, on each route on which it needs one.
async fn look(
    audit: &Audit,
    homes: &[Home],
    candidate: Candidate,
    recalled: Recollection,
) -> Looked {
    let mut found: Vec<Option<Finding>> = vec![None; homes.len()];
    for (route, barred) in audit.routes.iter().zip(&recalled.barred) {
        if barred.is_some() || !route.publishes(&candidate.key) {
            continue;
        }
        for &home in &route.homes {
            if found[home].is_none() {
                let question = Question {
                    key: &candidate.key,
                    here: candidate.here,
                    known: (recalled.here, recalled.there[home]),
                };
                found[home] = Some(homes[home].find(&audit.origin, question).await);
            }
            if matches!(found[home], Some(Finding::Proven(_))) {
                break;
            }
        }
    }
    Looked {
        candidate,
        recalled,
        found,
    }
}

/// Reads what nothing else proves, as far as that was paid for.
async fn prove(
    audit: &Audit,
    homes: &[Home],
    route: &Route,
    candidate: &Candidate,
    found: &mut [Option<Finding>],
) -> Finding {
    let mut best = Finding::Unproven;
    for &home in &route.homes {
        if found[home] != Some(Finding::Unproven) {
            continue;
        }
        let size = candidate.here.size_bytes;
        let ends = [&audit.origin, &homes[home].end];
        let paid = ends.iter().filter(|end| end.is_bucket()).count() as u64;
        let cost = size.saturating_mul(paid);
        let left = audit
            .egress_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(cost)
            });
        if audit.options.max_egress == 0 || left.is_err() {
            audit.reading_bytes.fetch_add(cost, Ordering::Relaxed);
            continue;
        }
        best = homes[home]
            .same_bytes(&audit.origin, &candidate.key, size)
            .await;
        found[home] = Some(best.clone());
        if matches!(best, Finding::Proven(_)) {
            break;
        }
    }
    best
}
