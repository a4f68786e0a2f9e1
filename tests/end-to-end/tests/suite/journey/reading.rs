//! No byte is read twice from a bucket that nobody was told of.
//!
//! What viewers ask for is read once and kept; what the dry run announced is read once more, by
//! the migration. Only what was under way or not yet on the disk when something broke may be read
//! again.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use test_servers::seaweed::PRIVATE;
use test_servers::toll::Passage;
use tokio::time::{Duration, Instant};

use super::truth::{Incident, Side, Trouble};

/// How long after its last byte a copy may not yet be acknowledged: on the disk of the cache, or
/// in the journal, by an unoptimised program on a busy machine.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reader {
    Gateway,
    /// The only one that asks for all there is: the cache asks for segments.
    Migration,
}

/// A part of an object that was read.
#[derive(Debug, Clone, Copy)]
struct Part {
    first: u64,
    end: u64,
    began: Instant,
    ended: Instant,
    whole: bool,
}

/// What was read from one bucket.
#[derive(Debug, Default)]
pub(super) struct Read {
    parts: BTreeMap<(Reader, String), Vec<Part>>,
}

impl Read {
    /// From what has passed its gate.
    pub(super) fn of(passages: &[Passage]) -> Self {
        let mut this = Self::default();
        for passage in passages.iter().filter(|one| one.bytes > 1) {
            let path = passage.target.split('?').next().unwrap();
            let prefix = format!("/{PRIVATE}/");
            let Some(path) = path.strip_prefix(&prefix).filter(|path| !path.is_empty()) else {
                continue;
            };
            let is_media = passage.method == "GET" && matches!(passage.status, 200 | 206);
            if !is_media {
                continue;
            }
            let key = percent_decode_str(path).decode_utf8_lossy().into_owned();
            let range = passage.range.as_deref().unwrap_or_default();
            let reader = match range {
                "bytes=0-" => Reader::Migration,
                _ => Reader::Gateway,
            };
            let first = range
                .strip_prefix("bytes=")
                .and_then(|range| range.split('-').next()?.parse().ok())
                .unwrap_or(0);
            let part = Part {
                first,
                end: first + passage.bytes,
                began: passage.began,
                ended: passage.ended.unwrap_or_else(Instant::now),
                whole: passage.whole,
            };
            this.parts.entry((reader, key)).or_default().push(part);
        }
        this
    }

    /// The bytes of each object that a migration has read, once.
    pub(super) fn migrated(&self) -> BTreeMap<&str, u64> {
        let all = self.parts.iter();
        let migrated = all.filter(|((reader, _), _)| *reader == Reader::Migration);
        migrated
            .map(|((_, key), parts)| {
                let ends = parts.iter().map(|part| part.end);
                (key.as_str(), ends.max().unwrap_or(0))
            })
            .collect()
    }

    /// What was read twice without a reason; and how many objects were with one.
    pub(super) fn twice(&self, side: Side, incidents: &[Incident]) -> (Vec<String>, usize) {
        let (mut wrong, mut excused) = (Vec::new(), 0);
        for ((reader, key), parts) in &self.parts {
            let mut parts = parts.clone();
            parts.sort_by_key(|part| part.began);
            for (n, again) in parts.iter().enumerate() {
                for before in &parts[..n] {
                    if before.first >= again.end || again.first >= before.end {
                        continue;
                    }
                    if is_excused(*reader, side, before, again, incidents) {
                        excused += 1;
                    } else {
                        wrong.push(format!(
                            "{reader:?} read {key} twice from {side:?}: {before:?} {again:?}"
                        ));
                    }
                }
            }
        }
        (wrong, excused)
    }
}

/// Whether something broke while the first reading was under way or not yet acknowledged.
fn is_excused(
    reader: Reader,
    side: Side,
    before: &Part,
    again: &Part,
    incidents: &[Incident],
) -> bool {
    let until = again.began.min(before.ended + UNACKNOWLEDGED);
    let mut touching = incidents
        .iter()
        .filter(|one| one.touches(before.began, until));
    touching.any(|one| match (reader, one.trouble) {
        // An outage of either end: the copy that was made of it did not come to its end.
        (Reader::Gateway, Trouble::Gateway)
        | (Reader::Migration, Trouble::Migration | Trouble::Outage(_)) => true,
        (Reader::Gateway, Trouble::Outage(where_)) => where_ == side && !before.whole,
        _ => false,
    })
}
