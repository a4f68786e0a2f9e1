//! The first section: one sentence, the numbers of the last hour, and the plots.

use askama::Template;
use askama::filters::HtmlSafe;

use super::{Tone, ago, time};
use crate::page::labels::Labels;
use crate::page::numbers::{bytes, count, part, percent, rate, seconds};
use crate::page::plot::{self, ceiling};
use crate::page::snapshot::{Health, OriginStatus, Snapshot, Span};
use crate::page::words::{Language, Words, fill};

/// Everything of it.
#[derive(Template)]
#[template(path = "overview.html")]
pub(crate) struct OverviewView<'s> {
    w: &'s Words,
    tone: Tone,
    /// What matters most.
    headline: Vec<String>,
    /// Changes when somebody who listens should be told, and not with each second.
    key: String,
    /// What is good to know besides.
    besides: Vec<String>,
    tiles: Vec<Tile>,
    figures: Vec<Figure>,
}

/// Its template escapes what it is given.
impl HtmlSafe for OverviewView<'_> {}

/// One number.
struct Tile {
    name: &'static str,
    value: String,
    notes: Vec<String>,
    tone: Tone,
}

/// One plot.
struct Figure {
    title: &'static str,
    span: &'static str,
    /// The same in words.
    says: String,
    top: String,
    begin: String,
    curves: Vec<Curve>,
}

struct Curve {
    /// Of the style sheet.
    class: &'static str,
    name: &'static str,
    line: String,
    area: String,
}

impl<'s> OverviewView<'s> {
    pub(crate) fn of(snapshot: &'s Snapshot, language: Language) -> Self {
        let (w, labels) = (language.words(), language.labels());
        let (tone, headline) = headline(snapshot, w, labels);
        // The last sentence is of times and counts.
        let lasting = headline
            .split_last()
            .map_or(&[][..], |(_, lasting)| lasting);
        let key = format!("{} {}", tone.class(), lasting.join(" "));
        Self {
            w,
            tone,
            headline,
            key,
            besides: besides(snapshot, w),
            tiles: tiles(snapshot, w),
            figures: [(&snapshot.hour, w.last_hour), (&snapshot.day, w.last_day)]
                .into_iter()
                .flat_map(|(span, name)| figures(span, name, w))
                .collect(),
        }
    }
}

/// How everything is, in one or a few sentences.
fn headline(snapshot: &Snapshot, w: &Words, labels: Labels) -> (Tone, Vec<String>) {
    let mut tone = Tone::Good;
    let mut said = Vec::new();
    let mut say = |how: Tone, text: String| {
        tone = tone.max(how);
        said.push(text);
    };
    if !snapshot.accepting {
        say(Tone::Warn, w.draining.to_owned());
    }
    for origin in &snapshot.origins {
        let (name, why) = (&*origin.name, why(origin, labels));
        match origin.health {
            Health::Down => say(Tone::Bad, fill(w.is_down, &[name, why])),
            Health::Suspect => say(Tone::Bad, fill(w.is_suspect, &[name])),
            Health::Failing => say(Tone::Warn, fill(w.is_failing, &[name, why])),
            Health::Answers | Health::Unasked => {}
        }
    }
    if snapshot.cache.as_ref().is_some_and(|cache| !cache.up) {
        say(Tone::Warn, w.cache_is_down.to_owned());
    }
    let is_well =
        |origin: &OriginStatus| matches!(origin.health, Health::Answers | Health::Unasked);
    if snapshot.origins.iter().all(is_well) {
        let asked = |origin: &OriginStatus| origin.health == Health::Answers;
        let text = if snapshot.origins.iter().any(asked) {
            w.all_answer
        } else {
            w.nobody_asked
        };
        say(Tone::Good, text.to_owned());
    }
    let hour = &snapshot.hour;
    let whole = hour.seconds >= 3_600;
    let since = time(hour.seconds, w);
    let failed = count(hour.failed);
    match (hour.failed, whole) {
        (0, true) => say(Tone::Good, w.no_errors_hour.to_owned()),
        (0, false) => say(Tone::Good, fill(w.no_errors_since, &[&since])),
        (_, true) => say(Tone::Warn, fill(w.errors_hour, &[&failed])),
        (_, false) => say(Tone::Warn, fill(w.errors_since, &[&failed, &since])),
    }
    (tone, said)
}

/// Why an origin failed last.
pub(super) fn why<'a>(origin: &OriginStatus, labels: Labels) -> &'a str {
    labels.reason(origin.last_failure_reason.unwrap_or("?"))
}

/// How far the move is.
fn besides(snapshot: &Snapshot, w: &Words) -> Vec<String> {
    let mut said = Vec::new();
    for origin in &snapshot.origins {
        let Some(saves) = &origin.saves else { continue };
        // The ledger remembers what the counters forget at a restart.
        let counted = saves.by_reason.get("missing").copied().unwrap_or(0);
        let keys = saves.first.iter().filter(|save| save.reason == "missing");
        let lost = counted.max(keys.map(|save| save.count).sum());
        said.push(if lost == 0 {
            fill(w.rehearses_safely, &[&origin.name])
        } else {
            fill(w.rehearses_saving, &[&origin.name, &count(lost)])
        });
    }
    for run in snapshot.migrations.iter().filter(|run| run.is_running()) {
        let told = &run.told;
        let done = percent(part(told.moment.done_objects, told.moment.planned_objects));
        said.push(match run.remaining_seconds {
            Some(left) => fill(
                w.is_copied_until,
                &[&told.from, &told.to, &done, &time(left, w)],
            ),
            None => fill(w.is_copied, &[&told.from, &told.to, &done]),
        });
    }
    let safe = snapshot
        .audits
        .iter()
        .filter(|audit| &*audit.audited.verdict == "safe");
    for audit in safe {
        let since = time(audit.ended_seconds_ago, w);
        said.push(fill(w.may_go, &[&audit.audited.origin, &since]));
    }
    said
}

fn tiles(snapshot: &Snapshot, w: &'static Words) -> Vec<Tile> {
    let (hour, day) = (&snapshot.hour, &snapshot.day);
    let all = |span: &Span| span.found + span.missing + span.failed + span.refused;
    let of_day = |text: String| fill(w.of_day, &[&text]);
    let share = |count: fn(&Span) -> u64| {
        let of = |span: &Span| match all(span) {
            0 => "–".to_owned(),
            all => percent(part(count(span), all)),
        };
        (of(hour), of_day(of(day)), count(hour))
    };
    let (found, found_day, _) = share(|span| span.found);
    let (missing, missing_day, missing_count) = share(|span| span.missing);
    let (failed, failed_day, failed_count) = share(|span| span.failed);
    let counted = |number: u64| fill(w.counted, &[&count(number)]);
    let tile = |name, value, notes| Tile {
        name,
        value,
        notes,
        tone: Tone::Calm,
    };
    let ratio = |span: &Span| span.hit_ratio.map_or("–".to_owned(), percent);
    let [half, most, nearly_all] = hour
        .first_byte_seconds
        .map_or(["–", "–", "–"].map(str::to_owned), |times| {
            times.map(seconds)
        });
    let mut saved_notes: Vec<_> = snapshot.saved_money(hour).into_iter().collect();
    saved_notes.push(of_day(bytes(day.saved_bytes)));
    saved_notes.extend(snapshot.saved_money(day).map(of_day));
    vec![
        tile(
            w.answers,
            fill(w.per_second, &[&rate(per_second(all(hour), hour.seconds))]),
            vec![counted(all(hour)), of_day(count(all(day)))],
        ),
        tile(w.found, found, vec![counted(hour.found), found_day]),
        tile(
            w.missing,
            missing,
            vec![counted(missing_count), missing_day],
        ),
        Tile {
            tone: if failed_count > 0 {
                Tone::Bad
            } else {
                Tone::Good
            },
            ..tile(w.failed, failed, vec![counted(failed_count), failed_day])
        },
        tile(
            w.first_byte,
            half,
            vec![
                fill(w.most_below, &[&most]),
                fill(w.nearly_all_below, &[&nearly_all]),
            ],
        ),
        tile(w.hit_ratio, ratio(hour), vec![of_day(ratio(day))]),
        tile(w.egress_saved, bytes(hour.saved_bytes), saved_notes),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn per_second(count: u64, seconds: u64) -> f64 {
    count as f64 / seconds.max(1) as f64
}

/// A curve before it is drawn: its class, its name, its values.
type Numbers<'n> = (&'static str, &'static str, &'n [f64]);

fn figures(span: &Span, name: &'static str, w: &'static Words) -> [Figure; 3] {
    let numbers = &span.plot;
    let per_second = |value: f64| fill(w.per_second, &[&rate(value)]);
    let speed = |value: f64| fill(w.per_second, &[&bytes(whole(value))]);
    let figure = |title, unit: &dyn Fn(f64) -> String, curves: &[Numbers<'_>]| {
        let first = curves[0].2;
        let most = first.iter().copied().fold(0.0, f64::max);
        let top = ceiling(
            curves
                .iter()
                .flat_map(|(_, _, values)| values.iter().copied()),
        );
        let now = first.last().copied().unwrap_or(0.0);
        Figure {
            title,
            span: name,
            says: fill(w.plot_says, &[title, name, &unit(most), &unit(now)]),
            top: unit(top),
            begin: ago(numbers.step_seconds * numbers.points as u64, w),
            curves: curves
                .iter()
                .enumerate()
                .map(|(index, (class, name, values))| {
                    // A red line along the bottom would say that there were errors.
                    let is_seen = index == 0 || values.iter().any(|value| *value > 0.0);
                    let values = if is_seen { values } else { &[][..] };
                    Curve {
                        class,
                        name,
                        line: plot::line(values, numbers.points, top),
                        area: plot::area(values, numbers.points, top),
                    }
                })
                .collect(),
        }
    };
    [
        figure(
            w.plot_answers,
            &per_second,
            &[
                ("found", w.found_short, &numbers.found),
                ("missing", w.missing_short, &numbers.missing),
                ("failed", w.failed_short, &numbers.failed),
            ],
        ),
        figure(
            w.plot_first_byte,
            &|value| seconds(value),
            &[("time", w.first_byte, &numbers.first_byte)],
        ),
        figure(
            w.plot_bytes,
            &speed,
            &[
                ("sent", w.sent, &numbers.sent_bytes),
                ("saved", w.from_cache, &numbers.saved_bytes),
            ],
        ),
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and rounded"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}
