//! What is counted for each route and each origin: names, help and labels.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use super::Maker;

pub(super) struct RouteVecs {
    pub(super) requests: IntCounterVec,
    pub(super) seconds: HistogramVec,
    pub(super) first_byte: HistogramVec,
    pub(super) bytes: IntCounterVec,
    pub(super) refused: IntCounterVec,
    pub(super) served: IntCounterVec,
    pub(super) stale: IntCounterVec,
    pub(super) withdrawn: IntCounterVec,
    pub(super) withdrawn_brake: IntGaugeVec,
}

pub(super) struct OriginVecs {
    pub(super) requests: IntCounterVec,
    pub(super) unknown: IntCounterVec,
    pub(super) seconds: HistogramVec,
    pub(super) bytes: IntCounterVec,
    pub(super) up: IntGaugeVec,
    pub(super) suspect: IntGaugeVec,
    pub(super) saves: IntCounterVec,
    pub(super) budget: IntGaugeVec,
    pub(super) promotions: IntCounterVec,
}

impl RouteVecs {
    pub(super) fn new(make: &Maker) -> Self {
        Self {
            requests: make.counters(
                "requests_total",
                "Requests answered.",
                &["route", "method", "status", "cache"],
            ),
            seconds: make.histograms(
                "request_seconds",
                "From the request to the last byte sent.",
                &["route", "cache"],
            ),
            first_byte: make.histograms(
                "first_byte_seconds",
                "From the request to the first byte of the answer.",
                &["route", "cache"],
            ),
            bytes: make.counters(
                "response_bytes_total",
                "Bytes of bodies sent to clients.",
                &["route", "cache"],
            ),
            refused: make.counters(
                "refused_keys_total",
                "Keys asked for that the route does not publish.",
                &["route"],
            ),
            stale: make.counters(
                "stale_served_total",
                "Answers from a copy that was older than it should be.",
                &["route"],
            ),
            withdrawn: make.counters(
                "withdrawn_total",
                "Keys that were verified at the upload origin and found missing there.",
                &["route"],
            ),
            withdrawn_brake: make.gauges(
                "withdrawn_brake",
                "1 while more keys are withdrawn than deletes_brake lets follow.",
                &["route"],
            ),
            served: make.counters(
                "origin_served_total",
                "Objects found, by the origin that had them.",
                &["route", "origin"],
            ),
        }
    }
}

impl OriginVecs {
    pub(super) fn new(make: &Maker) -> Self {
        Self {
            requests: make.counters(
                "origin_requests_total",
                "Questions asked, by what they amounted to.",
                &["origin", "verdict"],
            ),
            unknown: make.counters(
                "origin_unknown_total",
                "Questions that ended as unknown, by reason.",
                &["origin", "reason"],
            ),
            seconds: make.histograms(
                "origin_seconds",
                "From a question to the first byte of the answer.",
                &["origin"],
            ),
            bytes: make.counters(
                "origin_bytes_total",
                "Bytes of bodies read from the origin.",
                &["origin", "use"],
            ),
            up: make.gauges("origin_up", "1 while the breaker trusts it.", &["origin"]),
            suspect: make.gauges(
                "origin_suspect",
                "1 while objects it is known to hold are missing.",
                &["origin"],
            ),
            saves: make.counters(
                "rehearsal_saves_total",
                "Objects that only a rehearsing origin could answer.",
                &["origin", "reason"],
            ),
            budget: make.gauges(
                "egress_budget_bytes",
                "What may still be read in the background in this period (max_egress).",
                &["origin"],
            ),
            promotions: make.counters(
                "promotions_total",
                "Objects served from elsewhere, by what became of their copy.",
                &["origin", "result"],
            ),
        }
    }
}
