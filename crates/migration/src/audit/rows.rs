//! What the application's rows name, as an audit uses it: what no row names needs no home, and
//! what a row names and nobody has is said apart.
//!
//! A name too many keeps an object from being called unreferenced; only what is spelled as a route
//! spells it is looked for.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, stream};
use object::ObjectKey;
use serde::Serialize;

use super::Audit;
use super::account::Account;
use super::finding::is_young;
use super::home::{Has, Home};
use super::inventory::{Candidate, Seen};
use crate::difference::Barred;
use crate::error::MigrationError;
use crate::inventory::named;
use crate::options::{Named, Names};
use crate::share::{Share, percent};

/// Rows without an object that are listed.
const MOST_LISTED: usize = 1000;

/// Says which row a line is from, in words.
pub type ReadRow = dyn Fn(&str) -> Box<str> + Send + Sync;

/// What the application's rows name.
#[derive(Clone)]
pub struct Rows {
    /// The keys, each once.
    pub keys: Named,
    /// Which row a line of them is from.
    pub row: Arc<ReadRow>,
    /// Whether any row may mean a key.
    pub names: Arc<Names>,
    /// When they were read.
    pub read: SystemTime,
    /// How much may be named by no row and be nowhere else before that is not believed.
    pub max_unreferenced: Share,
}

/// What became of the keys that rows name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RowsReport {
    /// Keys of the audited routes that rows name, each once.
    pub keys: u64,
    /// Of these, the audited origin has them: they are among the objects.
    pub here: u64,
    /// Only a remaining origin has them.
    pub elsewhere: u64,
    /// Nobody has them, and they must stay gone.
    pub gone: u64,
    /// Nobody has them.
    pub nowhere: u64,
    /// The first of these.
    pub nobody_has: Vec<Nowhere>,
}

/// A row whose object is at none of the origins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nowhere {
    /// The key that it names.
    pub key: Box<str>,
    /// Which row.
    pub row: Box<str>,
    /// The ledger has seen it: it was lost. Else it may never have existed.
    pub existed: bool,
}

impl Rows {
    /// Whether a row may mean this key.
    pub(crate) fn name(&self, key: &ObjectKey) -> bool {
        (self.names)(key)
    }

    /// Whether no row means this object, and none is still to come: what was written less long
    /// ago may be there before its row.
    pub(crate) fn are_without(&self, candidate: &Candidate, quiet_for: Duration) -> bool {
        let modified = candidate.here.modified;
        !self.name(&candidate.key) && !is_young(modified, self.read, quiet_for)
    }

    /// Says so where more is without a row than is plausible.
    pub(crate) fn look_at_unreferenced(&self, account: &mut Account) {
        let some = account.counts.unreferenced_only_here.objects;
        let all = account.counts.objects.objects;
        if self.max_unreferenced.is_plainly_less_than(some, all) {
            account.doubt(format!(
                "{some} of {all} objects have no row and no other home ({:.1} %), and more than \
                 --max-unreferenced {} is not believed: restored or wrong database?",
                percent(some, all),
                self.max_unreferenced
            ));
        }
    }
}

/// Looks for the keys that rows name and the audited origin does not have.
pub(crate) async fn take(
    audit: &Audit,
    rows: &Rows,
    homes: &[Home],
    seen: &Seen,
    account: &mut Account,
    requests: &mut u64,
) -> Result<RowsReport, MigrationError> {
    let mut report = RowsReport::default();
    let mut at = Some(0);
    while let Some(offset) = at {
        let (lines, next) = named::lines(&rows.keys, offset).await?;
        let mut absent = Vec::new();
        for line in lines {
            let Ok(key) = (rows.keys.read)(&line) else {
                continue;
            };
            if !audit.routes.iter().any(|route| route.publishes(&key)) {
                continue;
            }
            report.keys += 1;
            if seen.contains(&key) {
                report.here += 1;
            } else {
                absent.push((key, line));
            }
        }
        look(audit, rows, homes, absent, account, &mut report, requests).await?;
        at = next;
    }
    Ok(report)
}

async fn look(
    audit: &Audit,
    rows: &Rows,
    homes: &[Home],
    absent: Vec<(ObjectKey, String)>,
    account: &mut Account,
    report: &mut RowsReport,
    requests: &mut u64,
) -> Result<(), MigrationError> {
    let mut looked = stream::iter(absent)
        .map(async |(key, line)| (has(audit, homes, &key).await, key, line))
        .buffered(audit.options.jobs.max(1));
    let mut nowhere = Vec::new();
    while let Some((found, key, line)) = looked.next().await {
        *requests += found.requests;
        match found.has {
            Has::Yes => report.elsewhere += 1,
            Has::No => nowhere.push((key, line)),
            Has::Unknown(why) => account.doubt_about_a_key(format!("{}: {why}", key.as_str())),
        }
    }
    drop(looked);
    let keys: Vec<_> = nowhere.iter().map(|(key, _)| key.clone()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let recalled = audit.recall(&keys, homes).await?;
    for ((key, line), recalled) in nowhere.into_iter().zip(recalled) {
        let mut bars = audit.routes.iter().zip(&recalled.barred);
        let must_stay_gone = bars
            .any(|(route, barred)| route.publishes(&key) && *barred == Some(Barred::Tombstoned));
        if must_stay_gone {
            report.gone += 1;
            continue;
        }
        report.nowhere += 1;
        if report.nobody_has.len() < MOST_LISTED {
            report.nobody_has.push(Nowhere {
                row: (rows.row)(&line),
                existed: recalled.here.is_some() || recalled.there.iter().any(Option::is_some),
                key: key.as_str().into(),
            });
        }
    }
    Ok(())
}

/// What the remaining origins say of a key.
pub(crate) struct Said {
    pub(crate) has: Has,
    /// Requests that it took.
    pub(crate) requests: u64,
}

/// Whether a remaining origin of each route that publishes a key has something under it.
pub(crate) async fn has(audit: &Audit, homes: &[Home], key: &ObjectKey) -> Said {
    let (mut said, mut doubt) = (Vec::new(), None);
    said.resize_with(homes.len(), || None);
    let mut requests = 0;
    for route in audit.routes.iter().filter(|route| route.publishes(key)) {
        let mut is_there = false;
        for &home in &route.homes {
            if said[home].is_none() {
                requests += u64::from(!homes[home].is_listed());
                said[home] = Some(homes[home].has(key).await);
            }
            match &said[home] {
                Some(Has::Yes) => is_there = true,
                Some(Has::Unknown(why)) => doubt = Some(why.clone()),
                _ => {}
            }
            if is_there {
                break;
            }
        }
        if !is_there {
            let has = doubt.map_or(Has::No, Has::Unknown);
            return Said { has, requests };
        }
    }
    let has = Has::Yes;
    Said { has, requests }
}
