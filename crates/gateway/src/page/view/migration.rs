//! The third section: how far the move is, and whether the old origin may go.

use askama::Template;
use askama::filters::HtmlSafe;
use migration::Phase;

use super::{Bar, Row, Tone, time};
use crate::audits::AuditStatus;
use crate::migrations::{End, Failed, MigrationStatus};
use crate::page::labels::Labels;
use crate::page::numbers::{bytes, count, part, percent};
use crate::page::snapshot::{OriginStatus, RouteStatus, Snapshot};
use crate::page::words::{Language, Words, fill};

/// Migrations that are shown; all are at `/api/migrations`.
const SHOWN: usize = 16;

/// Everything of it.
#[derive(Template)]
#[template(path = "migration.html")]
pub(crate) struct MigrationView<'s> {
    w: &'s Words,
    language: Language,
    runs: Vec<Run<'s>>,
    audits: Vec<AuditView<'s>>,
    /// None where no route promotes.
    promotions: Option<Vec<Row>>,
    withdrawn: Vec<WithdrawnView>,
}

/// Its template escapes what it is given.
impl HtmlSafe for MigrationView<'_> {}

struct Run<'s> {
    title: String,
    tone: Tone,
    state: &'static str,
    bar: Bar,
    rows: Vec<Row>,
    failures_title: String,
    failures: &'s [Failed],
}

struct AuditView<'s> {
    tone: Tone,
    verdict: String,
    counts: String,
    blockers: &'s [Box<str>],
    doubts: &'s [Box<str>],
}

struct WithdrawnView {
    route: String,
    count: String,
    brake: bool,
}

impl<'s> MigrationView<'s> {
    pub(crate) fn of(snapshot: &'s Snapshot, language: Language) -> Self {
        let (w, labels) = (language.words(), language.labels());
        let runs = snapshot.migrations.iter().take(SHOWN);
        Self {
            w,
            language,
            runs: runs.map(|status| run(status, w)).collect(),
            audits: snapshot.audits.iter().map(|one| audit(one, w)).collect(),
            promotions: snapshot
                .promotions_waiting
                .map(|waiting| promotions(waiting, snapshot, w, labels)),
            withdrawn: snapshot
                .routes
                .iter()
                .map(|one| withdrawn(one, w))
                .collect(),
        }
    }
}

fn run<'s>(status: &'s MigrationStatus, w: &'static Words) -> Run<'s> {
    let told = &status.told;
    let moment = &told.moment;
    let (tone, state) = match (told.end, moment.phase) {
        (Some(End::Complete), _) => (Tone::Good, w.complete),
        (Some(End::Incomplete), _) => (Tone::Warn, w.incomplete),
        (Some(End::Unable), _) => (Tone::Bad, w.unable),
        (None, _) if status.is_silent => (Tone::Warn, w.silent),
        (None, Phase::ListingTarget) => (Tone::Calm, w.listing_target),
        (None, Phase::ListingSource) => (Tone::Calm, w.listing_source),
        (None, Phase::Copying) => (Tone::Calm, w.copying),
    };
    let shard = told.shard.as_ref().map(|shard| format!(" ({shard})"));
    let of_all = |done: String, all: String| fill(w.of_all, &[&done, &all]);
    let objects = of_all(count(moment.done_objects), count(moment.planned_objects));
    let done = percent(part(moment.done_objects, moment.planned_objects));
    let is_listing = moment.phase != Phase::Copying && told.end.is_none();
    let mut rows = if is_listing {
        let listed = moment.target_objects + moment.source_objects;
        vec![Row::new(w.objects, count(listed))]
    } else {
        let copied = of_all(bytes(moment.bytes), bytes(moment.planned_bytes));
        vec![Row::new(w.objects, objects), Row::new(w.bytes, copied)]
    };
    if let Some(speed) = status.bytes_per_second {
        rows.push(Row::new(w.speed, fill(w.per_second, &[&bytes(speed)])));
    }
    if let Some(left) = status.remaining_seconds {
        rows.push(Row::new(w.remaining, time(left, w)));
    }
    rows.push(Row::new(w.failures, count(moment.failed)));
    Run {
        title: format!("{} → {}{}", told.from, told.to, shard.unwrap_or_default()),
        tone,
        state,
        // Nothing to copy is all of it.
        bar: match (told.end, moment.planned_objects) {
            (Some(End::Complete), 0) => Bar::new(state, percent(1.0), 1, 1),
            _ => Bar::new(state, done, moment.done_objects, moment.planned_objects),
        },
        rows,
        failures_title: fill(w.failures_shown, &[&count(moment.failed)]),
        failures: &told.failures,
    }
}

fn audit<'s>(status: &'s AuditStatus, w: &Words) -> AuditView<'s> {
    let audited = &status.audited;
    let (tone, text) = match &*audited.verdict {
        "safe" => (Tone::Good, w.audit_safe),
        "not_safe" => (Tone::Bad, w.audit_not_safe),
        _ => (Tone::Warn, w.audit_cannot_tell),
    };
    let [proven, objects] = [audited.proven, audited.objects].map(count);
    AuditView {
        tone,
        verdict: fill(text, &[&audited.origin, &count(audited.blocked)]),
        counts: fill(
            w.audit_counts,
            &[&proven, &objects, &time(status.ended_seconds_ago, w)],
        ),
        blockers: &audited.blockers,
        doubts: &audited.doubts,
    }
}

fn promotions(waiting: u64, snapshot: &Snapshot, w: &Words, labels: Labels) -> Vec<Row> {
    let mut rows = vec![Row::new(w.promotions_waiting, count(waiting))];
    let is_target = |origin: &&OriginStatus| {
        let to = |route: &RouteStatus| route.promote_to.as_ref() == Some(&origin.name);
        snapshot.routes.iter().any(to)
    };
    for origin in snapshot.origins.iter().filter(is_target) {
        let results = origin.promotions.iter();
        let results = results
            .map(|(result, number)| format!("{} {}", labels.promotion(result), count(*number)));
        let results = results.collect::<Vec<_>>().join(" · ");
        let results = if results.is_empty() {
            w.none.to_owned()
        } else {
            results
        };
        rows.push(Row::new(fill(w.to_origin, &[&origin.name]), results));
    }
    rows
}

fn withdrawn(route: &RouteStatus, w: &Words) -> WithdrawnView {
    WithdrawnView {
        route: fill(w.withdrawn_route, &[&route.name]),
        count: fill(w.withdrawn_count, &[&count(route.withdrawn)]),
        brake: route.withdrawn_brake,
    }
}
