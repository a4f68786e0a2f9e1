//! The second section: a card for each origin, in the order in which it is asked.

use askama::Template;
use askama::filters::HtmlSafe;

use super::overview::why;
use super::{Row, Tone, ago};
use crate::page::labels::Labels;
use crate::page::numbers::{bytes, count, part, percent};
use crate::page::plot;
use crate::page::snapshot::{Health, OriginStatus, Saves, Snapshot};
use crate::page::words::{Language, Words, fill};

/// Everything of it.
#[derive(Template)]
#[template(path = "origins.html")]
pub(crate) struct OriginsView<'s> {
    w: &'s Words,
    cards: Vec<Card<'s>>,
    retired: Option<String>,
}

/// Its template escapes what it is given.
impl HtmlSafe for OriginsView<'_> {}

struct Card<'s> {
    name: &'s str,
    place: String,
    tone: Tone,
    state: &'static str,
    why: String,
    share: String,
    share_line: String,
    share_area: String,
    rows: Vec<Row>,
    saves: Option<SavesView<'s>>,
}

struct SavesView<'s> {
    rows: Vec<Row>,
    title: String,
    keys: Vec<SavedKey<'s>>,
}

struct SavedKey<'s> {
    key: &'s str,
    reason: &'s str,
    count: String,
}

impl<'s> OriginsView<'s> {
    pub(crate) fn of(snapshot: &'s Snapshot, language: Language) -> Self {
        let (w, labels) = (language.words(), language.labels());
        let cards = snapshot.origins.iter().enumerate();
        let points = snapshot.hour.plot.points;
        let retired = snapshot.retired.join(", ");
        Self {
            w,
            cards: cards
                .map(|(index, origin)| card(index, origin, points, (w, labels)))
                .collect(),
            retired: (!retired.is_empty()).then(|| fill(w.retired, &[&retired])),
        }
    }
}

fn card<'s>(
    index: usize,
    origin: &'s OriginStatus,
    points: usize,
    (w, labels): (&'static Words, Labels),
) -> Card<'s> {
    let reason = why(origin, labels);
    let (tone, state, why) = match origin.health {
        Health::Unasked => (Tone::Calm, w.state_unasked, w.why_unasked.to_owned()),
        Health::Answers => (Tone::Good, w.state_answers, w.why_answers.to_owned()),
        Health::Failing => (Tone::Warn, w.state_failing, fill(w.why_failing, &[reason])),
        Health::Suspect => (Tone::Bad, w.state_suspect, w.why_suspect.to_owned()),
        Health::Down => (Tone::Bad, w.state_down, fill(w.why_down, &[reason])),
    };
    let anywhere = origin.found_last_hour_anywhere;
    let share = part(origin.found_last_hour, anywhere);
    // Where nothing was found there is no share; the line goes on as it was.
    let mut last = 0.0;
    let shares = origin.share.iter().map(|share| {
        last = share.unwrap_or(last);
        last
    });
    let shares: Vec<f64> = shares.collect();
    Card {
        name: &origin.name,
        place: if origin.state == "rehearsal" {
            w.asked_last.to_owned()
        } else {
            fill(w.asked_as, &[&count(index as u64 + 1)])
        },
        tone,
        state,
        why,
        share: if anywhere == 0 {
            w.share_none.to_owned()
        } else {
            fill(w.share, &[&percent(share)])
        },
        share_line: plot::line(&shares, points, 1.0),
        share_area: plot::area(&shares, points, 1.0),
        rows: rows(origin, w, labels),
        saves: origin
            .saves
            .as_ref()
            .map(|saves| saves_view(saves, w, labels)),
    }
}

fn rows(origin: &OriginStatus, w: &'static Words, labels: Labels) -> Vec<Row> {
    let when = |seconds: Option<u64>| seconds.map_or(w.never.to_owned(), |since| ago(since, w));
    let failure = origin.last_failure.as_ref().map_or_else(
        || w.none.to_owned(),
        |failure| format!("{failure} · {}", when(origin.failed_seconds_ago)),
    );
    let breaker = if origin.up {
        w.breaker_closed
    } else {
        w.breaker_open
    };
    let canaries = match origin.canaries {
        0 => w.canaries_none.to_owned(),
        some => fill(w.canaries_ready, &[&count(some as u64)]),
    };
    // In the order in which they are known everywhere, not in that of the alphabet.
    let questions = ["found", "missing", "withheld", "unknown"].into_iter();
    let questions = questions.filter_map(|verdict| {
        let number = *origin.questions.get(verdict)?;
        let is_usual = matches!(verdict, "found" | "missing");
        (is_usual || number > 0).then(|| format!("{} {}", labels.verdict(verdict), count(number)))
    });
    let read = [origin.served_bytes, origin.background_bytes].map(bytes);
    let mut rows = vec![
        Row::new(w.last_found, when(origin.found_seconds_ago)),
        Row::new(w.last_error, failure),
        Row::new(w.breaker, breaker),
        Row::new(w.canaries, canaries),
        Row::new(w.questions, questions.collect::<Vec<_>>().join(" · ")),
        Row::new(w.read, fill(w.read_split, &[&read[0], &read[1]])),
    ];
    if let Some(budget) = &origin.budget {
        let text = if budget.period == "day" {
            w.budget_day
        } else {
            w.budget_month
        };
        let [left, of] = [budget.left_bytes, budget.of_bytes].map(bytes);
        rows.push(Row::new(w.budget, fill(text, &[&left, &of])));
    }
    rows
}

fn saves_view<'s>(saves: &'s Saves, w: &'static Words, labels: Labels) -> SavesView<'s> {
    let rows = saves.by_reason.iter();
    let rows = rows.map(|(reason, number)| Row::new(labels.save(reason), count(*number)));
    SavesView {
        rows: rows.collect(),
        title: match saves.keys {
            Some(keys) => fill(w.saved_keys, &[&count(keys)]),
            None => w.saved_keys_unknown.to_owned(),
        },
        keys: saves
            .first
            .iter()
            .map(|save| SavedKey {
                key: &save.key,
                reason: labels.save(save.reason),
                count: count(save.count),
            })
            .collect(),
    }
}
