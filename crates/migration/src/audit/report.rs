//! What an audit came to.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::account::{Account, Verdict};
use super::blocker::Blocker;
use super::counts::Counts;
use super::memory::Standing;
use super::rows::RowsReport;
use super::{Audit, seconds};
use crate::tally::Sum;

/// What an audit came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// May it be switched off?
    pub verdict: Verdict,
    /// The audited origin.
    pub origin: Box<str>,
    /// The routes that ask it, and what remains on each.
    pub routes: Vec<RouteReport>,
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// Whether the keys came from a file.
    pub named: bool,
    /// How many keys were chosen by chance, where not all were looked at.
    pub sample: Option<usize>,
    /// How many objects came to what.
    pub counts: Counts,
    /// All that are proven.
    pub proven: Sum,
    /// How many blockers there are.
    pub blocked: u64,
    /// The first ones of each sort.
    pub blockers: Vec<Blocker>,
    /// What could not be looked at.
    pub doubts: Vec<String>,
    /// Bytes that would have to be read to prove what is unproven.
    pub reading_bytes: u64,
    /// What became of the keys that the application's rows name, where they were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowsReport>,
    /// Requests that listing, and asking for named keys, took.
    pub requests: u64,
    /// Whether a gateway was serving.
    pub serving: bool,
    /// What was written less long ago stood against it, in seconds.
    pub quiet_for: u64,
    /// Saves within this time stood against it, in seconds.
    pub saves_within: u64,
}

/// A route that asks the audited origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteReport {
    /// Its name.
    pub name: Box<str>,
    /// What it publishes.
    pub keys: Vec<String>,
    /// The origins that remain.
    pub remaining: Vec<Box<str>>,
}

impl Report {
    pub(super) fn new(
        audit: &Audit,
        account: Account,
        standing: &Standing,
        rows: Option<RowsReport>,
        requests: u64,
    ) -> Self {
        let routes = audit.routes.iter().map(|route| RouteReport {
            name: route.name.clone(),
            keys: route.keys.clone(),
            remaining: route
                .homes
                .iter()
                .map(|&home| audit.homes[home].name().into())
                .collect(),
        });
        Self {
            verdict: account.verdict(),
            origin: audit.origin.name().into(),
            routes: routes.collect(),
            began: seconds(audit.now),
            named: audit.options.named.is_some(),
            sample: audit.options.sample,
            proven: account.counts.proven(),
            counts: account.counts,
            blocked: account.blocked(),
            blockers: account.blockers,
            doubts: account.doubts,
            reading_bytes: audit.reading_bytes.load(Ordering::Relaxed),
            rows,
            requests,
            serving: standing.is_serving,
            quiet_for: audit.options.quiet_for.as_secs(),
            saves_within: audit.options.saves_within.as_secs(),
        }
    }
}
