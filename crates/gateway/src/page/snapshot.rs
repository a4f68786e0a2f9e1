//! Everything that the page shows, at one moment, as numbers.
//!
//! Plain data, and also what `GET /api/status` answers. Says nothing in words, so that both
//! languages and every test can be made from one of these without a server.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::audits::AuditStatus;
use crate::fleet::FleetStatus;
use crate::migrations::MigrationStatus;

/// The gateway at one moment.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Snapshot {
    pub(crate) version: &'static str,
    pub(crate) uptime_seconds: u64,
    /// Whether viewers' connections are accepted.
    pub(crate) accepting: bool,
    /// In the order in which routes ask them.
    pub(crate) origins: Vec<OriginStatus>,
    /// Never contacted.
    pub(crate) retired: Vec<String>,
    pub(crate) migrations: Vec<MigrationStatus>,
    pub(crate) audits: Vec<AuditStatus>,
    pub(crate) hour: Span,
    pub(crate) day: Span,
    /// What bytes cost, where the configuration says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) egress_price: Option<EgressPrice>,
    pub(crate) routes: Vec<RouteStatus>,
    /// Objects that wait to be copied; none where no route promotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) promotions_waiting: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache: Option<CacheStatus>,
    /// Only where there is a fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fleet: Option<FleetStatus>,
}

/// What happened in the last hour or day, or since the start where that is less long ago.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Span {
    /// How long it really is.
    pub(crate) seconds: u64,
    /// 200, 204, 206 and 304.
    pub(crate) found: u64,
    /// 404 and 410.
    pub(crate) missing: u64,
    /// 500 and 503.
    pub(crate) failed: u64,
    /// Other answers: the request was at fault.
    pub(crate) refused: u64,
    /// Of the answers for which the cache was asked, the part that it gave; none where it was not.
    pub(crate) hit_ratio: Option<f64>,
    /// Seconds below which half, 95 % and 99 % of the times to the first byte lie.
    pub(crate) first_byte_seconds: Option<[f64; 3]>,
    pub(crate) sent_bytes: u64,
    /// Sent from the cache, so read from no origin.
    pub(crate) saved_bytes: u64,
    /// Read from origins.
    pub(crate) read_bytes: u64,
    /// What is drawn of it.
    pub(crate) plot: PlotNumbers,
}

/// The numbers of a span's plots, the oldest first.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct PlotNumbers {
    /// How much time a point is for.
    pub(crate) step_seconds: u64,
    /// How many points the whole span has.
    pub(crate) points: usize,
    /// Answers in a second.
    pub(crate) found: Vec<f64>,
    pub(crate) missing: Vec<f64>,
    pub(crate) failed: Vec<f64>,
    /// Bytes in a second.
    pub(crate) sent_bytes: Vec<f64>,
    pub(crate) saved_bytes: Vec<f64>,
    /// Seconds below which 95 % of the first bytes lie; 0 where there were none.
    pub(crate) first_byte: Vec<f64>,
}

/// A price of bytes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EgressPrice {
    pub(crate) per_gigabyte: f64,
    pub(crate) currency: String,
}

/// One origin that is asked.
#[derive(Debug, Default, Serialize)]
pub(crate) struct OriginStatus {
    pub(crate) name: String,
    /// `active` or `rehearsal`.
    pub(crate) state: &'static str,
    /// The breaker trusts it.
    pub(crate) up: bool,
    /// Its canaries are missing.
    pub(crate) suspect: bool,
    /// What it comes to.
    pub(crate) health: Health,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_failure: Option<String>,
    /// The class of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_failure_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed_seconds_ago: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) found_seconds_ago: Option<u64>,
    /// Keys that prove that it is still the one it was.
    pub(crate) canaries: usize,
    /// Questions since the start, by verdict.
    pub(crate) questions: BTreeMap<&'static str, u64>,
    /// Of the objects found in the last hour, how many it gave.
    pub(crate) found_last_hour: u64,
    /// The same for all origins together.
    pub(crate) found_last_hour_anywhere: u64,
    /// Its part of what was found, for each point of the hour; none where nothing was.
    pub(crate) share: Vec<Option<f64>>,
    /// Bytes read from it since the start.
    pub(crate) served_bytes: u64,
    pub(crate) background_bytes: u64,
    /// What may still be read in the background in this period; none where that is not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) budget: Option<BudgetStatus>,
    /// What became of copies to it since the start, by result.
    pub(crate) promotions: BTreeMap<&'static str, u64>,
    /// What only it could give while it rehearsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) saves: Option<Saves>,
}

/// How an origin is doing, in one word.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Health {
    /// It was not asked yet.
    #[default]
    Unasked,
    /// It answers.
    Answers,
    /// The latest thing that it did was to fail, less than a minute ago.
    Failing,
    /// Objects that it is known to hold are missing, so its word counts for nothing.
    Suspect,
    /// It is left alone for a while.
    Down,
}

/// A budget of bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct BudgetStatus {
    pub(crate) left_bytes: u64,
    pub(crate) of_bytes: u64,
    /// `day` or `month`.
    pub(crate) period: &'static str,
}

/// What only a rehearsing origin could give.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Saves {
    /// Since the start, by cause.
    pub(crate) by_reason: BTreeMap<&'static str, u64>,
    /// How many keys the ledger lists, once for each reason; none where it does not answer.
    pub(crate) keys: Option<u64>,
    /// The first of them.
    pub(crate) first: Vec<SavedKey>,
}

/// One key that only a rehearsing origin could give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SavedKey {
    pub(crate) key: String,
    /// `missing` or `unknown`.
    pub(crate) reason: &'static str,
    /// How often.
    pub(crate) count: u64,
}

/// One route.
#[derive(Debug, Default, Serialize)]
pub(crate) struct RouteStatus {
    pub(crate) name: String,
    /// Its origins, in the order asked.
    pub(crate) origins: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) promote_to: Option<String>,
    /// Keys that the application deleted, noticed since the start.
    pub(crate) withdrawn: u64,
    /// More is deleted than may be followed.
    pub(crate) withdrawn_brake: bool,
}

/// The cache.
#[derive(Debug, Default, Serialize)]
pub(crate) struct CacheStatus {
    /// Whether its disk can be used.
    pub(crate) up: bool,
    pub(crate) memory_bytes: u64,
    pub(crate) memory_of_bytes: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) disk_of_bytes: u64,
    pub(crate) entries: u64,
    pub(crate) orphans: u64,
    /// Downloads that fill it now.
    pub(crate) fills: u64,
    /// Since the start: requests that waited for what another one had begun.
    pub(crate) followers: u64,
    /// Since the start, by where it was found, by reason, by kind.
    pub(crate) hits: BTreeMap<&'static str, u64>,
    pub(crate) evicted: BTreeMap<&'static str, u64>,
    pub(crate) errors: BTreeMap<&'static str, u64>,
}

impl Snapshot {
    /// What was saved in a span, in money.
    pub(crate) fn saved_money(&self, span: &Span) -> Option<String> {
        let price = self.egress_price.as_ref()?;
        let amount = super::numbers::money(span.saved_bytes, price.per_gigabyte);
        Some(format!("{amount} {}", price.currency))
    }
}
