//! The fourth section, on a page of its own: how one URL is answered, and why.
//!
//! Not among what changes by itself: each time asks every origin.

use askama::Template;

use super::{Frame, Row, Tone, time};
use crate::explain::{Explanation, HeldCopy, OriginSays, WithdrawnKey};
use crate::page::labels::Labels;
use crate::page::numbers::{bytes, seconds};
use crate::page::words::{Words, fill};

/// The page; without an answer only its form.
#[derive(Template)]
#[template(path = "explain.html")]
pub(crate) struct ExplainView<'e> {
    f: Frame,
    w: &'e Words,
    url: &'e str,
    /// Why it is no URL.
    refused: Option<String>,
    answer: Option<AnswerView<'e>>,
}

struct AnswerView<'e> {
    tone: Tone,
    title: String,
    because: &'e str,
    rows: Vec<Row>,
    says: Vec<SaysView<'e>>,
}

struct SaysView<'e> {
    origin: &'e str,
    own_key: &'e str,
    tone: Tone,
    verdict: String,
    took: String,
    why: String,
}

impl<'e> ExplainView<'e> {
    /// A form to be filled in, and why what was typed is no URL.
    pub(crate) fn form(f: Frame, url: &'e str, refused: Option<&str>) -> Self {
        let w = f.words();
        Self {
            w,
            url,
            refused: refused.map(|why| fill(w.not_a_url, &[why])),
            answer: None,
            f,
        }
    }

    /// An answer.
    pub(crate) fn of(f: Frame, explained: &'e Explanation) -> Self {
        let (w, labels) = (f.words(), f.language.labels());
        Self {
            w,
            url: &explained.url,
            refused: None,
            answer: Some(answer(explained, w, labels)),
            f,
        }
    }
}

fn answer<'e>(explained: &'e Explanation, w: &'static Words, labels: Labels) -> AnswerView<'e> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| w.none.to_owned());
    let mut rows = vec![
        Row::new(w.route, or_none(&explained.route)),
        Row::new(w.key, or_none(&explained.key)),
        Row::new(w.hint, or_none(&explained.hint)),
        Row::new(w.held, held(explained.held.as_ref(), w)),
    ];
    if let Some(WithdrawnKey { origin, means, .. }) = &explained.withdrawn {
        rows.push(Row::new(fill(w.withdrawn_since, &[origin]), means.as_str()));
    }
    AnswerView {
        tone: match explained.status {
            200..400 => Tone::Good,
            500.. => Tone::Bad,
            _ => Tone::Warn,
        },
        title: fill(w.answer, &[&explained.status.to_string()]),
        because: &explained.because,
        rows,
        says: explained
            .origins
            .iter()
            .map(|one| says(one, labels))
            .collect(),
    }
}

fn held(copy: Option<&HeldCopy>, w: &Words) -> String {
    let Some(copy) = copy else {
        return w.held_not.to_owned();
    };
    let since = time(copy.age_seconds, w);
    let text = fill(w.held_copy, &[&bytes(copy.length), &copy.origin, &since]);
    if copy.stale {
        return format!("{text} · {}", w.held_stale);
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn says(said: &OriginSays, labels: Labels) -> SaysView<'_> {
    let details = [
        said.reason
            .as_deref()
            .map(|reason| labels.reason(reason).to_owned()),
        said.what.clone(),
        said.length.map(bytes),
        said.content_type.clone(),
    ];
    SaysView {
        origin: &said.origin,
        own_key: said.own_key.as_deref().unwrap_or_default(),
        tone: match &*said.verdict {
            "found" => Tone::Good,
            "missing" => Tone::Calm,
            "withheld" => Tone::Warn,
            _ => Tone::Bad,
        },
        verdict: labels.verdict(&said.verdict).to_owned(),
        took: seconds(said.milliseconds as f64 / 1000.0),
        why: details
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" · "),
    }
}
