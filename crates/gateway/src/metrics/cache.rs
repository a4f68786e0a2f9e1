//! What is counted of the cache.

use std::sync::Arc;

use cache::{Cache, CacheError, CacheObserver, Evicted, Tier};
use prometheus::{IntCounter, IntGauge};

use super::Maker;

/// The cache's counters. Gauges that are read from the cache itself are set when they are asked
/// for.
pub(crate) struct CacheMetrics {
    up: IntGauge,
    pub(super) hits: [IntCounter; Tier::ALL.len()],
    pub(super) errors: [IntCounter; CacheError::ALL.len()],
    pub(super) evicted: [IntCounter; Evicted::ALL.len()],
    pub(super) fills: IntGauge,
    pub(super) followers: IntCounter,
    bytes: [IntGauge; Tier::ALL.len()],
    entries: IntGauge,
    orphans: IntGauge,
}

impl CacheMetrics {
    pub(super) fn new(make: &Maker) -> Arc<Self> {
        let hits = make.counters(
            "cache_hits_total",
            "Answers whose object was held, by where it was found.",
            &["tier"],
        );
        let errors = make.counters(
            "cache_errors_total",
            "What went wrong on the disk; none of it reaches a viewer.",
            &["kind"],
        );
        let evicted = make.counters(
            "cache_evicted_total",
            "Versions that left the disk.",
            &["reason"],
        );
        let bytes = make.gauges("cache_bytes", "Bytes held.", &["tier"]);
        Arc::new(Self {
            up: make.gauge("cache_up", "1 while the disk can be used."),
            hits: Tier::ALL.map(|tier| hits.with_label_values(&[tier.label()])),
            errors: CacheError::ALL.map(|kind| errors.with_label_values(&[kind.label()])),
            evicted: Evicted::ALL.map(|reason| evicted.with_label_values(&[reason.label()])),
            fills: make.gauge("fills_in_progress", "Downloads that fill the cache."),
            followers: make.counter(
                "fill_followers_total",
                "Requests that waited for what another one had begun.",
            ),
            bytes: Tier::ALL.map(|tier| bytes.with_label_values(&[tier.label()])),
            entries: make.gauge("cache_entries", "Objects on the disk."),
            orphans: make.gauge(
                "orphans",
                "Objects that no origin of their route has any more.",
            ),
        })
    }

    /// Reads the gauges.
    pub(super) fn read(&self, cache: &Cache) {
        let usage = cache.usage();
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.bytes[Tier::Memory as usize].set(whole(cache.memory_bytes()));
        self.bytes[Tier::Disk as usize].set(whole(usage.bytes));
        self.entries.set(whole(usage.entries));
        self.orphans.set(whole(usage.orphans));
    }
}

impl CacheObserver for CacheMetrics {
    fn up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    fn hit(&self, tier: Tier) {
        self.hits[tier as usize].inc();
    }

    fn error(&self, kind: CacheError) {
        self.errors[kind as usize].inc();
    }

    fn evicted(&self, reason: Evicted) {
        self.evicted[reason as usize].inc();
    }

    fn fills(&self, change: i64) {
        self.fills.add(change);
    }

    fn follower(&self) {
        self.followers.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stand_in_the_order_of_their_numbers() {
        for (index, tier) in Tier::ALL.into_iter().enumerate() {
            assert_eq!(tier as usize, index);
        }
        for (index, kind) in CacheError::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
        for (index, reason) in Evicted::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
