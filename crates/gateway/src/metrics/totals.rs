//! The same counters as `/metrics`, added up for people who look.
//!
//! Only reads; nothing is counted here that is not exported.

use std::collections::BTreeMap;

use ::cache::{Cache, CacheError, Evicted, Tier};
use origin_resolver::{Reason, SaveCause, VerdictLabel};
use prometheus::core::Collector;
use prometheus::proto::Metric;

use super::Metrics;
use crate::promotion::Outcome;

/// The upper bounds of the classes that times are counted in, in seconds; one more is above all.
pub(crate) use super::SECONDS;

/// Classes of times to the first byte.
pub(crate) const CLASSES: usize = SECONDS.len() + 1;

/// What was counted of viewers' requests since the start, all routes together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// 200, 204, 206 and 304.
    pub(crate) found: u64,
    /// 404 and 410.
    pub(crate) missing: u64,
    /// 500 and 503.
    pub(crate) failed: u64,
    /// Everything else: the request was at fault.
    pub(crate) refused: u64,
    /// Answers that the cache gave, of [`Self::looked_up`].
    pub(crate) held: u64,
    /// Answers for which the cache was asked.
    pub(crate) looked_up: u64,
    /// Bytes of bodies sent.
    pub(crate) sent_bytes: u64,
    /// Of these, how many came from the cache and so from no origin.
    pub(crate) held_bytes: u64,
    /// Bytes read from origins, for viewers and in the background.
    pub(crate) read_bytes: u64,
    /// Answers by the time to their first byte.
    pub(crate) first_byte: [u64; CLASSES],
    /// Objects found, by the origin that had them.
    pub(crate) found_at: Vec<(Box<str>, u64)>,
}

/// What was counted of one origin since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OriginTotals {
    /// Questions by verdict.
    pub(crate) verdicts: Vec<(&'static str, u64)>,
    /// Questions that ended as unknown, by reason; only reasons that there were.
    pub(crate) unknown: Vec<(&'static str, u64)>,
    /// Objects that only it could give while it rehearsed, by cause.
    pub(crate) saves: Vec<(&'static str, u64)>,
    pub(crate) served_bytes: u64,
    pub(crate) background_bytes: u64,
    /// What became of promotions to it, by result; only results that there were.
    pub(crate) promotions: Vec<(&'static str, u64)>,
}

/// What one route has answered since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RouteTotals {
    pub(crate) answers: u64,
    /// Of these, 5xx.
    pub(crate) errors: u64,
    /// Of these, from copies that are older than they should be.
    pub(crate) stale: u64,
}

/// What was counted of one route since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct WithdrawnTotals {
    pub(crate) withdrawn: u64,
    /// More is withdrawn than may be followed.
    pub(crate) brake: bool,
}

/// What was counted of the cache since the start, and what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CacheTotals {
    pub(crate) up: bool,
    pub(crate) memory_bytes: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) entries: u64,
    pub(crate) orphans: u64,
    pub(crate) fills: u64,
    pub(crate) followers: u64,
    /// By where it was found.
    pub(crate) hits: Vec<(&'static str, u64)>,
    /// By reason.
    pub(crate) evicted: Vec<(&'static str, u64)>,
    /// By kind; only kinds that there were.
    pub(crate) errors: Vec<(&'static str, u64)>,
}

impl Metrics {
    /// What was counted of requests. Takes some microseconds for each label that there is.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for metric in metrics(&self.routes.requests) {
            totals.add_requests(&metric);
        }
        for metric in metrics(&self.routes.bytes) {
            let bytes = whole(metric.get_counter().get_value());
            totals.sent_bytes += bytes;
            if is_held(label(&metric, "cache")) {
                totals.held_bytes += bytes;
            }
        }
        for metric in metrics(&self.routes.first_byte) {
            totals.add_times(&metric);
        }
        for metric in metrics(&self.origins.bytes) {
            totals.read_bytes += whole(metric.get_counter().get_value());
        }
        for metric in metrics(&self.routes.served) {
            let count = whole(metric.get_counter().get_value());
            let origin = label(&metric, "origin");
            match totals
                .found_at
                .iter_mut()
                .find(|(name, _)| **name == *origin)
            {
                Some((_, sum)) => *sum += count,
                None => totals.found_at.push((origin.into(), count)),
            }
        }
        totals
    }

    /// What each route has answered, by its name.
    pub(crate) fn route_totals(&self) -> BTreeMap<String, RouteTotals> {
        let mut all = BTreeMap::<String, RouteTotals>::new();
        for metric in metrics(&self.routes.requests) {
            let count = whole(metric.get_counter().get_value());
            let totals = all.entry(label(&metric, "route").to_owned()).or_default();
            totals.answers += count;
            if label(&metric, "status").starts_with('5') {
                totals.errors += count;
            }
            if label(&metric, "cache") == "stale" {
                totals.stale += count;
            }
        }
        all
    }

    /// What was counted of an origin that is asked.
    pub(crate) fn origin_totals(&self, name: &str) -> OriginTotals {
        let vecs = &self.origins;
        let bytes = |purpose| vecs.bytes.with_label_values(&[name, purpose]).get();
        OriginTotals {
            verdicts: VerdictLabel::ALL
                .map(|verdict| {
                    let labels = [name, verdict.label()];
                    (
                        verdict.label(),
                        vecs.requests.with_label_values(&labels).get(),
                    )
                })
                .into(),
            unknown: there_were(Reason::ALL.map(|reason| {
                let labels = [name, reason.label()];
                (
                    reason.label(),
                    vecs.unknown.with_label_values(&labels).get(),
                )
            })),
            saves: SaveCause::ALL
                .map(|cause| {
                    let labels = [name, cause.label()];
                    (cause.label(), vecs.saves.with_label_values(&labels).get())
                })
                .into(),
            served_bytes: bytes("serve"),
            background_bytes: bytes("background"),
            // Not by the handle, which would make results for origins that get no copies.
            promotions: metrics(&vecs.promotions)
                .filter(|metric| label(metric, "origin") == name)
                .filter_map(|metric| {
                    let result = label(&metric, "result");
                    let outcome = Outcome::ALL.iter().find(|one| one.label() == result)?;
                    Some((outcome.label(), whole(metric.get_counter().get_value())))
                })
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }

    /// What was counted of a route.
    pub(crate) fn withdrawn_totals(&self, route: &str) -> WithdrawnTotals {
        let vecs = &self.routes;
        WithdrawnTotals {
            withdrawn: vecs.withdrawn.with_label_values(&[route]).get(),
            brake: vecs.withdrawn_brake.with_label_values(&[route]).get() == 1,
        }
    }

    /// What was counted of the cache.
    pub(crate) fn cache_totals(&self, cache: &Cache) -> CacheTotals {
        let usage = cache.usage();
        let mine = &self.cache;
        CacheTotals {
            up: cache.is_up(),
            memory_bytes: cache.memory_bytes(),
            disk_bytes: usage.bytes,
            entries: usage.entries,
            orphans: usage.orphans,
            fills: u64::try_from(mine.fills.get()).unwrap_or(0),
            followers: mine.followers.get(),
            hits: Tier::ALL
                .map(|tier| (tier.label(), mine.hits[tier as usize].get()))
                .into(),
            evicted: Evicted::ALL
                .map(|reason| (reason.label(), mine.evicted[reason as usize].get()))
                .into(),
            errors: there_were(
                CacheError::ALL.map(|kind| (kind.label(), mine.errors[kind as usize].get())),
            ),
        }
    }
}

impl Totals {
    fn add_requests(&mut self, metric: &Metric) {
        let count = whole(metric.get_counter().get_value());
        match label(metric, "status") {
            "200" | "204" | "206" | "304" => self.found += count,
            "404" | "410" => self.missing += count,
            "500" | "503" => self.failed += count,
            _ => self.refused += count,
        }
        let cache = label(metric, "cache");
        if is_held(cache) {
            self.held += count;
        }
        if cache != "bypass" {
            self.looked_up += count;
        }
    }

    fn add_times(&mut self, metric: &Metric) {
        let histogram = metric.get_histogram();
        let mut below = 0;
        for (class, bucket) in histogram
            .get_bucket()
            .iter()
            .take(SECONDS.len())
            .enumerate()
        {
            let count = bucket.cumulative_count();
            self.first_byte[class] += count.saturating_sub(below);
            below = count;
        }
        self.first_byte[SECONDS.len()] += histogram.get_sample_count().saturating_sub(below);
    }
}

/// Whether a `cache` label says that the bytes came from no origin.
fn is_held(cache: &str) -> bool {
    matches!(cache, "hit" | "stale" | "revalidated")
}

fn metrics(of: &impl Collector) -> impl Iterator<Item = Metric> {
    let families = of.collect().into_iter();
    families.flat_map(|mut family| family.take_metric())
}

fn label<'m>(metric: &'m Metric, name: &str) -> &'m str {
    let mut labels = metric.get_label().iter();
    labels
        .find(|pair| pair.name() == name)
        .map_or("", |pair| pair.value())
}

fn there_were<const N: usize>(all: [(&'static str, u64); N]) -> Vec<(&'static str, u64)> {
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counters are whole and never negative"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::{Method, StatusCode};

    use super::*;
    use crate::http::respond::CacheResult;

    #[test]
    fn what_people_see_is_what_monitoring_sees() {
        let metrics = Metrics::new(Arc::default());
        let route = metrics.route("media", &["current".into(), "old".into()]);
        for (status, cache) in [
            (StatusCode::OK, CacheResult::Hit),
            (StatusCode::PARTIAL_CONTENT, CacheResult::Miss),
            (StatusCode::NOT_FOUND, CacheResult::Miss),
            (StatusCode::GONE, CacheResult::Bypass),
            (StatusCode::SERVICE_UNAVAILABLE, CacheResult::Miss),
            (StatusCode::METHOD_NOT_ALLOWED, CacheResult::Bypass),
        ] {
            route.answered(&Method::GET, status, cache);
        }
        let (first, all) = (Duration::from_millis(3), Duration::from_millis(9));
        route.timed(CacheResult::Hit, first, all, 100);
        route.timed(CacheResult::Miss, Duration::from_mins(1), all, 11);
        route.served_by("old");
        metrics.read_beside("old", 7);
        let totals = metrics.totals();
        assert_eq!(
            (totals.found, totals.missing, totals.failed, totals.refused),
            (2, 2, 1, 1)
        );
        assert_eq!((totals.held, totals.looked_up), (1, 4));
        let answered = RouteTotals {
            answers: 6,
            errors: 1,
            stale: 0,
        };
        assert_eq!(metrics.route_totals()["media"], answered);
        assert_eq!((totals.sent_bytes, totals.held_bytes), (111, 100));
        assert_eq!(totals.read_bytes, 7);
        // 3 ms lie between 2.5 and 5; a minute lies above every bound.
        assert_eq!(
            (totals.first_byte[2], totals.first_byte[CLASSES - 1]),
            (1, 1)
        );
        assert_eq!(totals.first_byte.iter().sum::<u64>(), 2);
        let old = totals.found_at.iter().find(|(name, _)| &**name == "old");
        assert_eq!(old.map(|(_, count)| *count), Some(1));
    }

    #[test]
    fn looking_at_an_origin_makes_no_new_labels() {
        let metrics = Metrics::new(Arc::default());
        metrics.origin("old", None);
        metrics.promotes_to("new");
        metrics.promoted("new", Outcome::Copied);
        let before = metrics.text(None).lines().count();
        assert_eq!(metrics.origin_totals("old").promotions, []);
        assert_eq!(
            metrics.origin_totals("old").verdicts.len(),
            VerdictLabel::ALL.len()
        );
        assert_eq!(metrics.text(None).lines().count(), before);
        metrics.origin("new", None);
        assert_eq!(metrics.origin_totals("new").promotions, [("copied", 1)]);
    }
}
