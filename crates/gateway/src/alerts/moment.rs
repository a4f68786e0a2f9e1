//! What an alert can be judged by, at one moment, as plain data.
//!
//! Gathered from the counters that `/metrics` exports; asks no origin and waits for no disk.

use std::time::SystemTime;

use crate::app::App;
use crate::clock::unix_now;
use crate::config::Config;
use crate::metrics::totals::{RouteTotals, WithdrawnTotals};

/// Results of promotions that are progress.
const PROGRESS: [&str; 2] = ["copied", "present"];
/// Kinds of errors that speak of the disk itself.
const OF_THE_DISK: [&str; 4] = ["corrupt", "read", "index", "timeout"];

/// The gateway at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Moment {
    pub(super) routes: Vec<RouteMoment>,
    pub(super) origins: Vec<OriginMoment>,
    pub(super) cache: Option<CacheMoment>,
    /// Objects that wait to be copied, and how many were.
    pub(super) promotions: Option<(u64, u64)>,
    /// Each certificate and the seconds until it ends.
    pub(super) certificates: Vec<(String, i64)>,
    /// Names for which there is none.
    pub(super) without_certificate: Vec<String>,
    pub(super) unrouted: u64,
    /// Whether Redis can be used, where there is a fleet.
    pub(super) fleet_up: Option<bool>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct RouteMoment {
    pub(super) name: String,
    pub(super) totals: RouteTotals,
    /// More is deleted than is followed.
    pub(super) brake: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct OriginMoment {
    pub(super) name: String,
    pub(super) up: bool,
    pub(super) suspect: bool,
    /// Questions, and those of them that stayed unknown.
    pub(super) asked: u64,
    pub(super) unknown: u64,
    /// Why, by reason.
    pub(super) reasons: Vec<(&'static str, u64)>,
    /// Answers that only it could give while it rehearsed.
    pub(super) saves: u64,
    /// What may still be read, of what.
    pub(super) budget: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct CacheMoment {
    pub(super) up: bool,
    pub(super) errors: u64,
    pub(super) orphans: u64,
}

impl Moment {
    pub(super) fn of(app: &App, config: &Config) -> Self {
        app.refresh_metrics();
        let metrics = &app.metrics;
        let mut routes = metrics.route_totals();
        let routes = app.routes.iter().map(|route| {
            let name = &*route.config.name;
            let WithdrawnTotals { brake, .. } = metrics.withdrawn_totals(name);
            RouteMoment {
                name: name.to_owned(),
                totals: routes.remove(name).unwrap_or_default(),
                brake,
            }
        });
        let origins = app.origins.iter();
        let origins = origins.map(|origin| OriginMoment::of(app, config, origin));
        let origins: Vec<_> = origins.collect();
        let cache = app.keeping.as_ref().map(|keeping| {
            let totals = metrics.cache_totals(&keeping.cache);
            CacheMoment {
                up: totals.up,
                errors: sum_of(&totals.errors, &OF_THE_DISK),
                orphans: totals.orphans,
            }
        });
        let promotions = app.promotions.as_ref().map(|promotions| {
            let copied = app.origins.iter().map(|origin| {
                let totals = metrics.origin_totals(origin.name());
                sum_of(&totals.promotions, &PROGRESS)
            });
            (promotions.waiting() as u64, copied.sum())
        });
        let (certificates, without_certificate) = certificates(app, config);
        metrics.certificates_missing(without_certificate.len());
        Self {
            routes: routes.collect(),
            origins,
            cache,
            promotions,
            certificates,
            without_certificate,
            unrouted: metrics.unrouted.get(),
            fleet_up: app.lasting.fleet.as_ref().map(|fleet| fleet.is_up()),
        }
    }
}

impl OriginMoment {
    fn of(app: &App, config: &Config, origin: &origin_resolver::GuardedOrigin) -> Self {
        let (name, standing) = (origin.name(), origin.standing());
        let totals = app.metrics.origin_totals(name);
        let count = |label: &str| sum_of(&totals.verdicts, &[label]);
        let budget = config.origin(name).and_then(|origin| origin.max_egress);
        let allowance = app.allowances.get(name);
        Self {
            name: name.to_owned(),
            up: standing.up,
            suspect: standing.suspect,
            asked: totals.verdicts.iter().map(|(_, count)| count).sum(),
            unknown: count("unknown"),
            saves: sum_of(&totals.saves, &["missing"]),
            reasons: totals.unknown,
            budget: budget
                .zip(allowance)
                .map(|(budget, allowance)| (allowance.left(SystemTime::now()), budget.bytes)),
        }
    }
}

/// Each certificate with its time, and the names that have none.
fn certificates(app: &App, config: &Config) -> (Vec<(String, i64)>, Vec<String>) {
    let Some(tls) = &app.lasting.tls else {
        return Default::default();
    };
    let now = i64::try_from(unix_now()).unwrap_or(i64::MAX);
    let shown = tls.shown.now();
    let ends = shown
        .iter()
        .map(|one| (one.name.clone(), one.not_after - now));
    let domains = config.acme().into_iter().flat_map(|acme| &acme.domains);
    let without = domains.filter(|domain| shown.span_of(domain).is_none());
    (ends.collect(), without.map(ToString::to_string).collect())
}

fn sum_of(counts: &[(&'static str, u64)], labels: &[&str]) -> u64 {
    let those = counts.iter().filter(|(label, _)| labels.contains(label));
    those.map(|(_, count)| count).sum()
}
