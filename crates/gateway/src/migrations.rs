//! How far migrations are, as they tell it themselves: at most [`MOST`], each with its last word.
//!
//! For people to look at. Nothing is decided by it, and a restart forgets it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use migration::{Moment, Phase};
use serde::{Deserialize, Serialize};

/// One for each share of a migration that runs wide, and some more.
const MOST: usize = 256;
/// The most failures that are shown; all are counted.
pub(crate) const MOST_FAILURES: usize = 20;
/// The longest reason that is shown, in characters.
const LONGEST_REASON: usize = 300;
/// Somebody who has not told anything for so long has been killed, or cannot reach the gateway.
const SILENT: Duration = Duration::from_secs(30);

/// What a migration tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) from: Box<str>,
    pub(crate) to: Box<str>,
    /// Of a run that copies one of several shares: `2/4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shard: Option<Box<str>>,
    #[serde(flatten)]
    pub(crate) moment: Moment,
    /// How long it has been copying.
    pub(crate) copying_seconds: u64,
    /// How it has ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<End>,
    /// The first of what was not copied.
    #[serde(default)]
    pub(crate) failures: Vec<Failed>,
}

/// How a migration has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// The target has all that it should have.
    Complete,
    /// Something is missing there, or differs.
    Incomplete,
    /// It could not be done.
    Unable,
}

/// A key that was not copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) key: Box<str>,
    pub(crate) why: Box<str>,
}

/// What is shown of a migration.
#[derive(Debug, Serialize)]
pub(crate) struct MigrationStatus {
    #[serde(flatten)]
    pub(crate) told: Told,
    /// Since it told anything.
    pub(crate) told_seconds_ago: u64,
    /// It has not ended, and tells nothing any more.
    pub(crate) is_silent: bool,
    /// On average, while it copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_per_second: Option<u64>,
    /// Until it is done, if it goes on as it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remaining_seconds: Option<u64>,
}

/// The last word of each migration.
#[derive(Debug, Default)]
pub(crate) struct Migrations(Mutex<Vec<(Told, Instant)>>);

impl Migrations {
    /// Takes the place of what the same migration told before; the longest silent one makes room.
    pub(crate) fn tell(&self, mut told: Told, now: Instant) {
        told.shorten();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(one, _)| !one.is_of(&told));
        if all.len() == MOST {
            all.remove(0);
        }
        all.push((told, now));
    }

    /// Each that has told anything; the last to do so comes first.
    pub(crate) fn status(&self, now: Instant) -> Vec<MigrationStatus> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last_first = all.iter().rev();
        last_first
            .map(|(told, at)| MigrationStatus::of(told, now.saturating_duration_since(*at)))
            .collect()
    }
}

impl Told {
    fn is_of(&self, other: &Self) -> bool {
        (&self.from, &self.to, &self.shard) == (&other.from, &other.to, &other.shard)
    }

    /// Whoever has the token may still be mistaken about how much fits a page.
    fn shorten(&mut self) {
        self.failures.truncate(MOST_FAILURES);
        let texts = self.failures.iter_mut();
        let texts = texts.flat_map(|failed| [&mut failed.key, &mut failed.why]);
        for text in texts.chain(&mut self.shard) {
            if let Some((end, _)) = text.char_indices().nth(LONGEST_REASON) {
                *text = format!("{}…", &text[..end]).into();
            }
        }
    }
}

impl MigrationStatus {
    /// Whether it goes on, as far as is known.
    pub(crate) fn is_running(&self) -> bool {
        self.told.end.is_none() && !self.is_silent
    }

    fn of(told: &Told, ago: Duration) -> Self {
        let Moment {
            phase,
            planned_bytes,
            bytes,
            ..
        } = told.moment;
        let rate = (phase == Phase::Copying)
            .then(|| bytes.checked_div(told.copying_seconds))
            .flatten();
        let remaining = planned_bytes.saturating_sub(bytes);
        let remaining = rate.and_then(|rate| remaining.checked_div(rate));
        Self {
            told: told.clone(),
            told_seconds_ago: ago.as_secs(),
            is_silent: told.end.is_none() && ago > SILENT,
            bytes_per_second: rate,
            remaining_seconds: remaining.filter(|_| told.end.is_none()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(to: &str) -> Told {
        Told {
            from: "old".into(),
            to: to.into(),
            shard: None,
            moment: Moment {
                phase: Phase::Copying,
                target_objects: 0,
                source_objects: 10,
                planned_objects: 10,
                planned_bytes: 1_000,
                done_objects: 4,
                failed: 1,
                bytes: 400,
            },
            copying_seconds: 4,
            end: None,
            failures: Vec::new(),
        }
    }

    #[test]
    fn a_migration_is_shown_with_its_last_word_and_how_long_it_will_take() {
        let (migrations, begin) = (Migrations::default(), Instant::now());
        migrations.tell(told("new"), begin);
        let mut later = told("new");
        later.moment.bytes = 800;
        later.copying_seconds = 8;
        migrations.tell(later, begin);
        let status = migrations.status(begin + Duration::from_secs(3));
        assert_eq!(status.len(), 1);
        assert_eq!(status[0].told_seconds_ago, 3);
        assert_eq!(status[0].bytes_per_second, Some(100));
        assert_eq!(status[0].remaining_seconds, Some(2));
        assert!(!status[0].is_silent);
        assert!(migrations.status(begin + SILENT * 2)[0].is_silent);
    }

    #[test]
    fn one_that_has_ended_is_neither_silent_nor_waited_for() {
        let (migrations, begin) = (Migrations::default(), Instant::now());
        let mut ended = told("new");
        ended.end = Some(End::Incomplete);
        migrations.tell(ended, begin);
        let status = migrations.status(begin + SILENT * 2);
        assert!(!status[0].is_silent && status[0].remaining_seconds.is_none());
    }

    #[test]
    fn what_is_kept_is_bounded_whatever_is_told() {
        let (migrations, begin) = (Migrations::default(), Instant::now());
        for n in 0..MOST + 10 {
            let mut one = told(&format!("new{n}"));
            let failed = Failed {
                key: "夕".repeat(2 * LONGEST_REASON).into(),
                why: "it broke".into(),
            };
            one.failures = vec![failed; 2 * MOST_FAILURES];
            migrations.tell(one, begin);
        }
        let status = migrations.status(begin);
        assert_eq!(status.len(), MOST);
        assert_eq!(&*status[0].told.to, format!("new{}", MOST + 9));
        let failures = &status[0].told.failures;
        assert_eq!(failures.len(), MOST_FAILURES);
        assert_eq!(failures[0].key.chars().count(), LONGEST_REASON + 1);
    }
}
