//! What is counted of a fleet; exported only where there is one.

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::Maker;

/// The handles of a fleet.
pub(crate) struct FleetMetrics {
    up: IntGauge,
    members: IntGauge,
    messages: IntCounterVec,
    refused: IntCounter,
}

impl FleetMetrics {
    pub(super) fn new(make: &Maker) -> Self {
        let messages = make.counters(
            "fleet_messages_total",
            "Tombstones and purges told to other gateways, and taken over from them.",
            &["direction", "kind"],
        );
        for (direction, kind) in [
            ("in", "tombstone"),
            ("in", "purge"),
            ("out", "tombstone"),
            ("out", "purge"),
        ] {
            messages.with_label_values(&[direction, kind]);
        }
        Self {
            up: make.gauge(
                "fleet_up",
                "Whether this gateway and its fleet know the same of what is gone.",
            ),
            members: make.gauge(
                "fleet_members",
                "Other gateways of the fleet that are known.",
            ),
            messages,
            refused: make.counter(
                "fleet_refused_total",
                "What was found in Redis and is of no gateway.",
            ),
        }
    }

    pub(crate) fn is(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    pub(crate) fn known_members(&self) -> u64 {
        u64::try_from(self.members.get()).unwrap_or(0)
    }

    pub(crate) fn members(&self, count: usize) {
        self.members.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn told(&self, direction: &str, kind: &str, count: usize) {
        let counter = self.messages.with_label_values(&[direction, kind]);
        counter.inc_by(count as u64);
    }

    pub(crate) fn refused(&self, count: u64) {
        self.refused.inc_by(count);
    }
}
