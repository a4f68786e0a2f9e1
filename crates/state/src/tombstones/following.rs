//! Tombstones that several gateways share: what one did is told to the others, and taken over.
//!
//! Of two actions on one key the one with the later time stays, at the same second the one that
//! adds. An addition is never earlier than what its gateway knew of the key, and a removal is one
//! second later than the addition that it undoes, whatever the clock says: so it undoes what was
//! seen, and not an addition elsewhere that nobody here has heard of. Refuses to remove a key of
//! which no tombstone is known.

use std::collections::HashMap;

use super::fingerprint::Fingerprint;
use super::history::{History, LastActions};
use super::{Kind, Record, TombstoneError, Tombstones, shorten_crowded, unix_now};

/// What was done to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Whether it must stay gone from then on.
    pub adds: bool,
    /// The order among actions on the key: seconds since 1970, or later.
    pub time: u64,
    /// The cache space.
    pub scope: Box<str>,
    /// The key.
    pub key: Box<[u8]>,
    /// Why.
    pub reason: Box<str>,
}

impl Action {
    fn record(&self) -> Record<'_> {
        Record {
            kind: if self.adds { Kind::Add } else { Kind::Remove },
            time: self.time,
            scope: &self.scope,
            key: &self.key,
            reason: &self.reason,
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.scope, &self.key)
    }

    /// What decides between two actions on one key.
    fn order(&self) -> (u64, Kind) {
        (self.time, self.record().kind)
    }
}

impl From<&Record<'_>> for Action {
    fn from(record: &Record<'_>) -> Self {
        Self {
            adds: record.kind == Kind::Add,
            time: record.time,
            scope: record.scope.into(),
            key: record.key.into(),
            reason: record.reason.into(),
        }
    }
}

impl Tombstones {
    /// Adds or removes as one of several gateways that share tombstones, and returns what the
    /// others have to be told. Durable when this returns. A key without a tombstone here is not
    /// removed; if its removal is known, that is told again. Reads the whole log.
    ///
    /// # Errors
    /// Nothing was recorded, and why.
    pub fn act(
        &self,
        adds: bool,
        keys: &[(&str, &[u8])],
        reason: &str,
    ) -> Result<Vec<Action>, TombstoneError> {
        let now = unix_now();
        let history = self.history()?;
        let actions: Vec<_> = keys
            .iter()
            .filter_map(|(scope, key)| {
                let known = history.order_of(Fingerprint::of(scope, key));
                let time = match (adds, known) {
                    (true, known) => known.map_or(now, |(time, _)| time.max(now)),
                    (false, Some((time, Kind::Add))) => time.saturating_add(1),
                    (false, Some((time, Kind::Remove))) => time,
                    (false, None) => return None,
                };
                Some(Action {
                    adds,
                    time,
                    scope: (*scope).into(),
                    key: (*key).into(),
                    reason: reason.into(),
                })
            })
            .collect();
        self.follow(&actions)?;
        Ok(actions)
    }

    /// Takes over what other gateways did, and returns which of the actions were news. Durable
    /// when this returns, and applied only then; doing it again changes nothing. Reads the whole
    /// log.
    ///
    /// # Errors
    /// Not everything was recorded, and why; what was not is not applied.
    pub fn follow(&self, actions: &[Action]) -> Result<Vec<usize>, TombstoneError> {
        for action in actions {
            action.record().check()?;
        }
        let mut log = self.log();
        let news = news(&LastActions::read(log.reader()?)?.into_parts().1, actions);
        if news.is_empty() {
            return Ok(news);
        }
        log.append(news.iter().map(|at| actions[*at].record()))?;
        let of = |adds| -> Vec<(&str, &[u8])> {
            let taken = news.iter().map(|at| &actions[*at]);
            taken
                .filter(|action| action.adds == adds)
                .map(|action| (&*action.scope, &*action.key))
                .collect()
        };
        let (added, removed) = (of(true), of(false));
        let (new, old) = {
            let resident = self.read();
            (
                resident.select(&added, false),
                resident.select(&removed, true),
            )
        };
        let mut resident = self.write();
        resident.insert(&new);
        resident.remove(&old);
        self.changed(&resident);
        drop(resident);
        shorten_crowded(&mut log);
        Ok(news)
    }

    /// Hands out the last action on each key, removals too, until `take` has had enough.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn each_action(&self, mut take: impl FnMut(Action) -> bool) -> Result<(), TombstoneError> {
        let reader = self.log().reader()?;
        let mut enough = false;
        LastActions::read(reader)?.each(|record| {
            enough = enough || !take(Action::from(record));
            Ok(())
        })
    }

    fn history(&self) -> Result<History, TombstoneError> {
        let reader = self.log().reader()?;
        Ok(LastActions::read(reader)?.into_parts().1)
    }
}

/// Which actions come after what is known of their keys; of several on one key the last.
fn news(known: &History, actions: &[Action]) -> Vec<usize> {
    let mut last = HashMap::new();
    for (at, action) in actions.iter().enumerate() {
        let fingerprint = action.fingerprint();
        let before = match last.get(&fingerprint) {
            Some(at) => Some(Action::order(&actions[*at])),
            None => known.order_of(fingerprint),
        };
        if before.is_none_or(|before| action.order() > before) {
            last.insert(fingerprint, at);
        }
    }
    let mut news: Vec<_> = last.into_values().collect();
    news.sort_unstable();
    news
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::StateDirectory;

    fn state(directory: &tempfile::TempDir) -> StateDirectory {
        StateDirectory::open(directory.path(), ["media"]).unwrap()
    }

    fn action(adds: bool, time: u64, key: u8) -> Action {
        Action {
            adds,
            time,
            scope: "media".into(),
            key: [b'k', key].into(),
            reason: "".into(),
        }
    }

    const KEY: (&str, &[u8]) = ("media", b"k\x01");

    #[test]
    fn a_removal_undoes_what_was_seen_and_no_addition_made_meanwhile_elsewhere() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (here, there) = (state(&here), state(&there));
        let (here, there) = (here.tombstones(), there.tombstones());
        let future = unix_now() + 500;
        here.follow(&[action(true, future, 1)]).unwrap();
        let removal = here.act(false, &[KEY], "").unwrap();
        assert_eq!(removal[0].time, future + 1, "whatever the clock says");
        assert!(!here.contains("media", KEY.1));
        // Added there later than what was removed here, and not known here.
        there.follow(&[action(true, future + 1, 1)]).unwrap();
        assert_eq!(there.follow(&removal).unwrap(), Vec::<usize>::new());
        assert!(there.contains("media", KEY.1), "in doubt it is gone");
        let mut told = Vec::new();
        there
            .each_action(|action| {
                told.push(action);
                true
            })
            .unwrap();
        here.follow(&told).unwrap();
        assert!(here.contains("media", KEY.1));
        assert_eq!(here.len(), 1);
    }

    #[test]
    fn an_addition_after_a_removal_holds_whatever_the_clock_says() {
        let directory = tempfile::tempdir().unwrap();
        let state = state(&directory);
        let future = unix_now() + 500;
        state
            .tombstones()
            .follow(&[action(false, future, 1)])
            .unwrap();
        let added = state.tombstones().act(true, &[KEY], "").unwrap();
        assert_eq!(added[0].time, future);
        assert!(state.tombstones().contains("media", KEY.1));
    }

    #[test]
    fn what_was_never_heard_of_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let state = state(&directory);
        assert!(
            state
                .tombstones()
                .act(false, &[KEY], "")
                .unwrap()
                .is_empty()
        );
        // So an old addition that comes later still counts.
        state.tombstones().follow(&[action(true, 5, 1)]).unwrap();
        assert!(state.tombstones().contains("media", KEY.1));
    }

    #[test]
    fn what_was_taken_over_is_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let first = state(&directory);
        let news = first.tombstones().follow(&[
            action(true, 5, 1),
            action(true, 5, 2),
            action(false, 6, 2),
        ]);
        assert_eq!(news.unwrap(), [0, 2]);
        drop(first);
        let again = state(&directory);
        assert!(again.tombstones().contains("media", KEY.1));
        assert_eq!(again.tombstones().len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn gateways_that_have_heard_the_same_hold_the_same_whatever_the_order(
            actions in prop::collection::vec((any::<bool>(), 0_u64..6, 0_u8..4), 0..30),
            cut in 0_usize..30,
        ) {
            let actions: Vec<_> = actions
                .into_iter()
                .map(|(adds, time, key)| action(adds, time, key))
                .collect();
            let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let (one, other) = (state(&one), state(&other));
            one.tombstones().follow(&actions).unwrap();
            let (first, second) = actions.split_at(cut.min(actions.len()));
            for action in second.iter().rev().chain(first).chain(second) {
                other.tombstones().follow(std::slice::from_ref(action)).unwrap();
            }
            for key in 0..4 {
                let holds = |state: &StateDirectory| state.tombstones().contains("media", &[b'k', key]);
                prop_assert_eq!(holds(&one), holds(&other));
            }
        }
    }
}
