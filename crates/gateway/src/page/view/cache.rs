//! The fifth section: what the cache holds and what went wrong with it.

use std::collections::BTreeMap;

use askama::Template;
use askama::filters::HtmlSafe;

use super::{Bar, Row, Tone};
use crate::page::numbers::{bytes, count};
use crate::page::snapshot::{CacheStatus, Snapshot};
use crate::page::words::{Language, Words, fill};

/// Everything of it but its forms, which do not change by themselves.
#[derive(Template)]
#[template(path = "cache.html")]
pub(crate) struct CacheView<'s> {
    w: &'s Words,
    tone: Tone,
    state: &'static str,
    bars: Vec<Bar>,
    rows: Vec<Row>,
}

/// Its template escapes what it is given.
impl HtmlSafe for CacheView<'_> {}

impl<'s> CacheView<'s> {
    pub(crate) fn of(snapshot: &'s Snapshot, language: Language) -> Self {
        let w = language.words();
        let Some(cache) = &snapshot.cache else {
            return Self {
                w,
                tone: Tone::Calm,
                state: w.cache_off,
                bars: Vec::new(),
                rows: Vec::new(),
            };
        };
        let (tone, state) = if cache.up {
            (Tone::Good, w.cache_up)
        } else {
            (Tone::Bad, w.cache_down)
        };
        let used = |of, whole| fill(w.of_all, &[&bytes(of), &bytes(whole)]);
        let bar = |name: &str, of, whole| Bar::new(name, used(of, whole), of, whole);
        Self {
            w,
            tone,
            state,
            bars: vec![
                bar(w.disk, cache.disk_bytes, cache.disk_of_bytes),
                bar(w.memory, cache.memory_bytes, cache.memory_of_bytes),
            ],
            rows: rows(cache, w),
        }
    }
}

fn rows(cache: &CacheStatus, w: &Words) -> Vec<Row> {
    let hits = ["memory", "disk"].map(|tier| count(cache.hits.get(tier).copied().unwrap_or(0)));
    vec![
        Row::new(w.entries, count(cache.entries)),
        Row::new(w.orphans, count(cache.orphans)),
        Row::new(w.fills, count(cache.fills)),
        Row::new(w.followers, count(cache.followers)),
        Row::new(w.hits, hits.join(" · ")),
        Row::new(w.evicted, listed(&cache.evicted, w)),
        Row::new(w.errors, listed(&cache.errors, w)),
    ]
}

/// Those of which there are some, by the labels of metrics.
fn listed(counts: &BTreeMap<&'static str, u64>, w: &Words) -> String {
    let some = counts.iter().filter(|(_, number)| **number > 0);
    let some: Vec<_> = some
        .map(|(label, number)| format!("{label} {}", count(*number)))
        .collect();
    if some.is_empty() {
        return w.none.to_owned();
    }
    some.join(" · ")
}
