//! What is counted, under the names of the contract.
//!
//! Handles are made once and kept: looking a label up hashes and locks. No label ever holds
//! anything that a client chooses.

mod cache;
mod fleet;
pub(crate) mod totals;
mod vecs;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use ::cache::Cache;
use http::{Method, StatusCode};
use origin_resolver::{Failure, OriginObserver, Reason, SaveCause, VerdictLabel};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use self::cache::CacheMetrics;
pub(crate) use self::fleet::FleetMetrics;
use self::vecs::{OriginVecs, RouteVecs};
use crate::egress::Allowance;
use crate::http::respond::CacheResult;
use crate::promotion::Outcome;

const METHODS: [&str; 4] = ["GET", "HEAD", "OPTIONS", "other"];
/// Every status that the gateway sends; anything else would be a mistake and counts as 500.
const STATUSES: [u16; 17] = [
    200, 204, 206, 304, 308, 400, 403, 404, 405, 410, 412, 413, 416, 421, 431, 500, 503,
];
pub(crate) const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    routes: RouteVecs,
    origins: OriginVecs,
    pub(crate) unrouted: IntCounter,
    resumed: IntCounter,
    promotion_queue: IntGauge,
    /// Refused, accepted.
    reloads: [IntCounter; 2],
    /// Not taken, taken.
    webhook: [IntCounter; 2],
    certificates: IntGaugeVec,
    certificates_missing: IntGauge,
    /// Whose time is exported.
    named: std::sync::Mutex<BTreeMap<String, i64>>,
    cache: Arc<CacheMetrics>,
    open: Arc<AtomicUsize>,
    connections: IntGauge,
}

impl Metrics {
    /// An empty registry of its own; `open` is the number of open connections.
    pub(crate) fn new(open: Arc<AtomicUsize>) -> Self {
        let make =
            Maker(Registry::new_custom(Some("media_gateway".into()), None).expect("a prefix"));
        let reloads = make.counters(
            "config_reloads_total",
            "Configurations read while serving, by what became of them.",
            &["result"],
        );
        let webhook = make.counters(
            "webhook_messages_total",
            "Messages of alerts to the webhook, by what became of them; each try counts.",
            &["result"],
        );
        let metrics = Self {
            webhook: ["failed", "sent"].map(|result| webhook.with_label_values(&[result])),
            reloads: ["refused", "applied"].map(|result| reloads.with_label_values(&[result])),
            routes: RouteVecs::new(&make),
            origins: OriginVecs::new(&make),
            promotion_queue: make.gauge("promotion_queue", "Objects that wait to be copied."),
            unrouted: make.counter(
                "unrouted_total",
                "Requests for a host or path that no route has.",
            ),
            resumed: make.counter(
                "resumed_bodies_total",
                "Bodies that broke and were continued.",
            ),
            certificates: make.gauges(
                "certificate_expiry_seconds",
                "Until a certificate ends; negative once it has.",
                &["name"],
            ),
            certificates_missing: make.gauge(
                "certificates_missing",
                "Names of server.tls.acme for which there is no certificate.",
            ),
            named: std::sync::Mutex::default(),
            cache: CacheMetrics::new(&make),
            connections: make.gauge("connections", "Open connections of clients."),
            open,
            registry: make.0.clone(),
        };
        let build = make.gauges("build_info", "1; the labels say which build.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        metrics
    }

    /// The handles of one route.
    pub(crate) fn route(&self, name: &str, origins: &[Box<str>]) -> RouteMetrics {
        RouteMetrics {
            name: name.into(),
            requests: self.routes.requests.clone(),
            handles: (0..METHODS.len() * STATUSES.len() * CacheResult::ALL.len())
                .map(|_| OnceLock::new())
                .collect(),
            by_cache: CacheResult::ALL
                .map(|cache| ByCache {
                    seconds: self
                        .routes
                        .seconds
                        .with_label_values(&[name, cache.metrics_label()]),
                    first_byte: self
                        .routes
                        .first_byte
                        .with_label_values(&[name, cache.metrics_label()]),
                    bytes: self
                        .routes
                        .bytes
                        .with_label_values(&[name, cache.metrics_label()]),
                })
                .into(),
            refused: self.routes.refused.with_label_values(&[name]),
            stale: self.routes.stale.with_label_values(&[name]),
            withdrawn: self.routes.withdrawn.with_label_values(&[name]),
            withdrawn_brake: self.routes.withdrawn_brake.with_label_values(&[name]),
            served: origins
                .iter()
                .map(|origin| {
                    let counter = self.routes.served.with_label_values(&[name, origin]);
                    (origin.clone(), counter)
                })
                .collect(),
        }
    }

    /// A promotion to an origin has ended.
    pub(crate) fn promoted(&self, origin: &str, outcome: Outcome) {
        let labels = [origin, outcome.label()];
        self.origins.promotions.with_label_values(&labels).inc();
    }

    /// Makes every outcome visible before there is one.
    pub(crate) fn promotes_to(&self, origin: &str) {
        for outcome in Outcome::ALL {
            let labels = [origin, outcome.label()];
            self.origins.promotions.with_label_values(&labels);
        }
    }

    /// How many objects wait to be copied.
    pub(crate) fn waiting(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.promotion_queue.set(count);
    }

    /// How long each certificate has still, by its name. Of two with one name, the shorter time.
    pub(crate) fn certificates<'a>(&self, left: impl Iterator<Item = (&'a str, i64)>) {
        let mut now = BTreeMap::new();
        for (name, seconds) in left {
            let least = now.entry(name.to_owned()).or_insert(seconds);
            *least = seconds.min(*least);
        }
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in named.keys().filter(|name| !now.contains_key(*name)) {
            let _ = self.certificates.remove_label_values(&[gone]);
        }
        for (name, seconds) in &now {
            self.certificates.with_label_values(&[name]).set(*seconds);
        }
        *named = now;
    }

    /// For how many names there should be a certificate and is none.
    pub(crate) fn certificates_missing(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.certificates_missing.set(count);
    }

    /// What may still be read from an origin in the background.
    pub(crate) fn budget_left(&self, origin: &str, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.origins.budget.with_label_values(&[origin]).set(bytes);
    }

    /// A command beside the gateway has read so much from an origin.
    pub(crate) fn read_beside(&self, origin: &str, bytes: u64) {
        let background = [origin, "background"];
        self.origins
            .bytes
            .with_label_values(&background)
            .inc_by(bytes);
    }

    /// Receives the cache's events.
    pub(crate) fn cache_observer(&self) -> Arc<CacheMetrics> {
        Arc::clone(&self.cache)
    }

    /// Receives one origin's events; what viewers read is taken from its allowance.
    pub(crate) fn origin(
        &self,
        name: &str,
        allowance: Option<Arc<Allowance>>,
    ) -> Arc<dyn OriginObserver> {
        let vecs = &self.origins;
        Arc::new(OriginMetrics {
            requests: VerdictLabel::ALL
                .map(|verdict| vecs.requests.with_label_values(&[name, verdict.label()])),
            unknown: Reason::ALL
                .map(|reason| vecs.unknown.with_label_values(&[name, reason.label()])),
            seconds: vecs.seconds.with_label_values(&[name]),
            served_bytes: vecs.bytes.with_label_values(&[name, "serve"]),
            background_bytes: vecs.bytes.with_label_values(&[name, "background"]),
            up: vecs.up.with_label_values(&[name]),
            suspect: vecs.suspect.with_label_values(&[name]),
            saves: SaveCause::ALL.map(|cause| vecs.saves.with_label_values(&[name, cause.label()])),
            resumed: self.resumed.clone(),
            allowance,
        })
    }

    /// An origin is asked no more: what would still be said of its present state is not true.
    pub(crate) fn origin_left(&self, name: &str) {
        let vecs = &self.origins;
        for gauges in [&vecs.up, &vecs.suspect, &vecs.budget] {
            // It may have had none.
            let _ = gauges.remove_label_values(&[name]);
        }
    }

    /// A configuration was read anew.
    pub(crate) fn reloaded(&self, accepted: bool) {
        self.reloads[usize::from(accepted)].inc();
    }

    /// A message of alerts was sent, or was not taken.
    pub(crate) fn webhook(&self, taken: bool) {
        self.webhook[usize::from(taken)].inc();
    }

    /// The handles of the fleet; asked for once.
    pub(crate) fn fleet(&self) -> FleetMetrics {
        FleetMetrics::new(&Maker(self.registry.clone()))
    }

    /// How many connections of clients are open.
    pub(crate) fn open_connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Everything in Prometheus' text format.
    pub(crate) fn text(&self, cache: Option<&Cache>) -> String {
        if let Some(cache) = cache {
            self.cache.read(cache);
        }
        self.connections
            .set(i64::try_from(self.open_connections()).unwrap_or(i64::MAX));
        let mut families = self.registry.gather();
        // The process metrics have standard names, without our prefix.
        families.extend(prometheus::core::Collector::collect(
            &prometheus::process_collector::ProcessCollector::for_self(),
        ));
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// One route's handles.
pub(crate) struct RouteMetrics {
    name: Box<str>,
    requests: IntCounterVec,
    /// By method, status and cache result; made when first used, so that what never happens is
    /// not exported.
    handles: Vec<OnceLock<IntCounter>>,
    by_cache: Vec<ByCache>,
    pub(crate) refused: IntCounter,
    /// Answered from a copy older than it should be.
    pub(crate) stale: IntCounter,
    /// The application has deleted it.
    pub(crate) withdrawn: IntCounter,
    /// Whether more was deleted than may be followed.
    pub(crate) withdrawn_brake: IntGauge,
    served: Vec<(Box<str>, IntCounter)>,
}

struct ByCache {
    seconds: Histogram,
    first_byte: Histogram,
    bytes: IntCounter,
}

impl RouteMetrics {
    /// A request was answered.
    pub(crate) fn answered(&self, method: &Method, status: StatusCode, cache: CacheResult) {
        let method = METHODS
            .iter()
            .position(|known| *known == method.as_str())
            .unwrap_or(METHODS.len() - 1);
        let status = STATUSES
            .iter()
            .position(|known| *known == status.as_u16())
            .unwrap_or(STATUSES.len() - 2);
        let index = (method * STATUSES.len() + status) * CacheResult::ALL.len() + cache as usize;
        self.handles[index]
            .get_or_init(|| {
                self.requests.with_label_values(&[
                    &*self.name,
                    METHODS[method],
                    &STATUSES[status].to_string(),
                    cache.metrics_label(),
                ])
            })
            .inc();
    }

    /// How long it took, and what was sent.
    pub(crate) fn timed(&self, cache: CacheResult, first: Duration, all: Duration, bytes: u64) {
        let handles = &self.by_cache[cache as usize];
        handles.first_byte.observe(first.as_secs_f64());
        handles.seconds.observe(all.as_secs_f64());
        handles.bytes.inc_by(bytes);
    }

    /// An origin had the object.
    pub(crate) fn served_by(&self, origin: &str) {
        if let Some((_, counter)) = self.served.iter().find(|(name, _)| &**name == origin) {
            counter.inc();
        }
    }
}

struct OriginMetrics {
    requests: [IntCounter; VerdictLabel::ALL.len()],
    unknown: [IntCounter; Reason::ALL.len()],
    seconds: Histogram,
    served_bytes: IntCounter,
    background_bytes: IntCounter,
    up: IntGauge,
    suspect: IntGauge,
    saves: [IntCounter; SaveCause::ALL.len()],
    resumed: IntCounter,
    allowance: Option<Arc<Allowance>>,
}

impl OriginObserver for OriginMetrics {
    fn answered(&self, verdict: VerdictLabel, elapsed: Duration) {
        self.requests[verdict as usize].inc();
        self.seconds.observe(elapsed.as_secs_f64());
    }

    fn unknown(&self, failure: &Failure) {
        self.unknown[failure.reason as usize].inc();
    }

    fn served_bytes(&self, count: u64) {
        self.served_bytes.inc_by(count);
        if let Some(allowance) = &self.allowance {
            allowance.note(count, SystemTime::now());
        }
    }

    fn background_bytes(&self, count: u64) {
        self.background_bytes.inc_by(count);
    }

    fn up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    fn suspect(&self, suspect: bool) {
        self.suspect.set(i64::from(suspect));
    }

    fn rehearsal_save(&self, cause: SaveCause) {
        self.saves[cause as usize].inc();
    }

    fn resumed(&self) {
        self.resumed.inc();
    }
}

/// Makes and registers; names are constants, so nothing here can fail at run time.
struct Maker(Registry);

impl Maker {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.keep(IntCounter::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.keep(IntGauge::new(name, help))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(SECONDS.into());
        self.keep(HistogramVec::new(options, labels))
    }

    fn keep<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<C>,
    ) -> C {
        let made = made.expect("names and labels are valid constants");
        self.0
            .register(Box::new(made.clone()))
            .expect("each name is registered once");
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_in_the_order_of_their_numbers() {
        for (index, verdict) in VerdictLabel::ALL.into_iter().enumerate() {
            assert_eq!(verdict as usize, index);
        }
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
        for (index, cause) in SaveCause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, index);
        }
        for (index, cache) in CacheResult::ALL.into_iter().enumerate() {
            assert_eq!(cache as usize, index);
        }
    }

    #[test]
    fn what_a_client_chooses_never_becomes_a_label() {
        let metrics = Metrics::new(Arc::default());
        let route = metrics.route("media", &["current".into()]);
        let strange = Method::from_bytes(b"BREW").unwrap();
        route.answered(
            &strange,
            StatusCode::METHOD_NOT_ALLOWED,
            CacheResult::Bypass,
        );
        let text = metrics.text(None);
        assert!(!text.contains("BREW"));
        assert!(text.contains(
            "media_gateway_requests_total{cache=\"bypass\",method=\"other\",route=\"media\",status=\"405\"} 1"
        ), "{text}");
        assert!(text.contains("process_resident_memory_bytes"));
    }
}
