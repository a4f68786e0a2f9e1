//! What audits came to, as they tell it themselves: the last one of each origin.
//!
//! For people to look at. Nothing is decided by it, and a restart forgets it.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Origins of which one is kept.
const MOST: usize = 32;
/// Lines of each kind that are shown.
const MOST_LINES: usize = 20;
/// The longest line, in characters.
const LONGEST: usize = 300;

/// What an audit tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audited {
    pub(crate) origin: Box<str>,
    /// `safe`, `not_safe` or `cannot_tell`.
    pub(crate) verdict: Box<str>,
    /// Objects that were looked at.
    pub(crate) objects: u64,
    /// Of these, how many are proven elsewhere.
    pub(crate) proven: u64,
    /// How many reasons stand against it.
    pub(crate) blocked: u64,
    /// The first of these, in words.
    pub(crate) blockers: Vec<Box<str>>,
    /// What could not be looked at, in words.
    pub(crate) doubts: Vec<Box<str>>,
}

/// What is shown of an audit.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AuditStatus {
    #[serde(flatten)]
    pub(crate) audited: Audited,
    /// Since it ended.
    pub(crate) ended_seconds_ago: u64,
}

/// The last audit of each origin.
#[derive(Debug, Default)]
pub(crate) struct Audits(Mutex<Vec<(Audited, Instant)>>);

impl Audits {
    /// Takes the place of what was told of the same origin before; the oldest one makes room.
    pub(crate) fn tell(&self, mut audited: Audited, now: Instant) {
        audited.shorten();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(one, _)| one.origin != audited.origin);
        if all.len() == MOST {
            all.remove(0);
        }
        all.push((audited, now));
    }

    /// Each, the last one first.
    pub(crate) fn status(&self, now: Instant) -> Vec<AuditStatus> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last_first = all.iter().rev();
        last_first
            .map(|(audited, at)| AuditStatus {
                audited: audited.clone(),
                ended_seconds_ago: now.saturating_duration_since(*at).as_secs(),
            })
            .collect()
    }
}

impl Audited {
    fn shorten(&mut self) {
        for lines in [&mut self.blockers, &mut self.doubts] {
            lines.truncate(MOST_LINES);
            for line in lines {
                if let Some((end, _)) = line.char_indices().nth(LONGEST) {
                    *line = format!("{}…", &line[..end]).into();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audited(origin: &str, blockers: usize) -> Audited {
        Audited {
            origin: origin.into(),
            verdict: "not_safe".into(),
            objects: 10,
            proven: 9,
            blocked: 1,
            blockers: vec!["夕".repeat(2 * LONGEST).into(); blockers],
            doubts: Vec::new(),
        }
    }

    #[test]
    fn the_last_word_on_each_origin_is_kept_and_no_more() {
        let (audits, now) = (Audits::default(), Instant::now());
        audits.tell(audited("old", 0), now);
        audits.tell(audited("old", 3 * MOST_LINES), now);
        let status = audits.status(now);
        assert_eq!(status.len(), 1);
        let lines = &status[0].audited.blockers;
        assert_eq!(lines.len(), MOST_LINES);
        assert_eq!(lines[0].chars().count(), LONGEST + 1);
        for n in 0..2 * MOST {
            audits.tell(audited(&format!("o{n}"), 0), now);
        }
        assert_eq!(audits.status(now).len(), MOST);
    }
}
