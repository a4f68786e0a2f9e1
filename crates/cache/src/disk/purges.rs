//! What was purged, for as long as something of before might still turn up.
//!
//! A purge is a moment: every version that began before it is dead from now on, whatever the
//! index still says. It stays after the sweep, because a download that began before may still want
//! to store; when it is forgotten, such late ones are refused altogether.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use object::ObjectKey;

use super::facts::Purge;
use super::numbers::{Moment, UNSTORABLE};

/// How long one is remembered after its sweep.
const REMEMBERED: Duration = Duration::from_mins(10);

/// The most that are remembered; beyond it, swept ones are forgotten earlier, and if that is not
/// enough, everything is purged.
const MOST: usize = 65_536;

/// The purges of this process and those that the index has not swept yet.
#[derive(Debug, Default)]
pub(super) struct Purges {
    length: AtomicUsize,
    list: RwLock<List>,
}

#[derive(Debug, Default)]
struct List {
    keys: HashMap<(Arc<str>, ObjectKey), Entry>,
    wide: Vec<(Purge, Entry)>,
    /// Of everything that was forgotten.
    forgotten: Option<Moment>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    moment: Moment,
    swept: Option<Instant>,
}

impl Purges {
    /// Everything that matches and is of before is dead from the moment this returns.
    pub(super) fn add(&self, what: &Purge, moment: Moment) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        list.add(what, moment);
        if list.length() > MOST {
            list.forget(|entry| entry.swept.is_some());
            if list.length() > MOST {
                let latest = list.latest().map_or(moment, |latest| latest.max(moment));
                list.keys.clear();
                list.wide.clear();
                list.add(&Purge::All, latest);
            }
        }
        self.length.store(list.length(), Ordering::Release);
    }

    /// Whether a version is dead.
    pub(super) fn is_dead(&self, space: &str, key: &ObjectKey, number: u64) -> bool {
        if self.length.load(Ordering::Acquire) == 0 {
            return false;
        }
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        let exact = !list.keys.is_empty()
            && list
                .keys
                .get(&(Arc::from(space), key.clone()))
                .is_some_and(|entry| entry.moment.is_after(number));
        exact
            || list
                .wide
                .iter()
                .any(|(what, entry)| entry.moment.is_after(number) && what.takes(space, key))
    }

    /// Whether a version of which the index knows nothing may still be stored.
    pub(super) fn is_too_late(&self, number: u64) -> bool {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.forgotten.is_some_and(|moment| moment.is_after(number))
    }

    /// The storable numbers begin at `first`: what was purged before is older than that. Returns
    /// what the index has to be told.
    pub(super) fn settle(&self, first: u64) -> Vec<(Purge, u64)> {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let mut unswept = Vec::new();
        for ((space, key), entry) in &mut list.keys {
            let number = *entry.moment.storable.get_or_insert(first);
            if entry.swept.is_none() {
                let (space, key) = (Arc::clone(space), key.clone());
                unswept.push((Purge::Key { space, key }, number));
            }
        }
        for (what, entry) in &mut list.wide {
            let number = *entry.moment.storable.get_or_insert(first);
            if entry.swept.is_none() {
                unswept.push((what.clone(), number));
            }
        }
        unswept
    }

    /// Everything of before this one is gone from the index.
    pub(super) fn swept(&self, what: &Purge, number: u64, now: Instant) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let is_it = |entry: &Entry| entry.moment.storable == Some(number);
        if let Purge::Key { space, key } = what {
            let found = list.keys.get_mut(&(Arc::clone(space), key.clone()));
            if let Some(entry) = found.filter(|entry| is_it(entry)) {
                entry.swept = Some(now);
            }
        }
        for (_, entry) in list
            .wide
            .iter_mut()
            .filter(|(of, entry)| of == what && is_it(entry))
        {
            entry.swept = Some(now);
        }
    }

    /// Forgets what was swept long ago.
    pub(super) fn forget_old(&self, now: Instant) {
        if self.length.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let old = |swept| now.saturating_duration_since(swept) > REMEMBERED;
        list.forget(|entry| entry.swept.is_some_and(old));
        self.length.store(list.length(), Ordering::Release);
    }
}

impl List {
    fn length(&self) -> usize {
        self.keys.len() + self.wide.len()
    }

    fn latest(&self) -> Option<Moment> {
        let entries = self
            .keys
            .values()
            .chain(self.wide.iter().map(|(_, entry)| entry));
        entries.map(|entry| entry.moment).reduce(Moment::max)
    }

    fn add(&mut self, what: &Purge, moment: Moment) {
        let entry = Entry {
            moment,
            swept: None,
        };
        if let Purge::Key { space, key } = what {
            self.keys.insert((Arc::clone(space), key.clone()), entry);
        } else {
            self.wide.retain(|(of, _)| of != what);
            self.wide.push((what.clone(), entry));
        }
    }

    fn forget(&mut self, which: impl Fn(&Entry) -> bool) {
        let forgotten = &mut self.forgotten;
        let mut keep = |entry: &Entry| {
            let gone = which(entry);
            if gone {
                *forgotten = Some(forgotten.map_or(entry.moment, |old| old.max(entry.moment)));
            }
            !gone
        };
        self.keys.retain(|_, entry| keep(entry));
        self.wide.retain(|(_, entry)| keep(entry));
    }
}

/// The moment of a purge that the index of an earlier process still holds: nothing of this
/// process is older than it.
pub(super) fn recorded(number: u64) -> Moment {
    Moment {
        storable: Some(number),
        unstorable: UNSTORABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::parse(text).unwrap()
    }

    fn moment(number: u64) -> Moment {
        Moment {
            storable: Some(number),
            unstorable: UNSTORABLE + number,
        }
    }

    #[test]
    fn a_purge_takes_what_matches_and_is_older() {
        let all = [
            Purge::All,
            Purge::Space("media".into()),
            Purge::Prefix {
                space: "media".into(),
                prefix: "a/".into(),
            },
            Purge::Key {
                space: "media".into(),
                key: key("a/1"),
            },
        ];
        for what in all {
            let purges = Purges::default();
            assert!(!purges.is_dead("media", &key("a/1"), 4));
            purges.add(&what, moment(5));
            assert!(purges.is_dead("media", &key("a/1"), 4), "{what:?}");
            assert!(!purges.is_dead("media", &key("a/1"), 5), "{what:?}");
            assert!(purges.is_dead("media", &key("a/1"), UNSTORABLE), "{what:?}");
            let elsewhere = purges.is_dead("other", &key("a/1"), 4);
            assert_eq!(elsewhere, what == Purge::All, "{what:?}");
        }
        let narrow = Purges::default();
        let prefix = Purge::Prefix {
            space: "media".into(),
            prefix: "a/".into(),
        };
        narrow.add(&prefix, moment(5));
        assert!(!narrow.is_dead("media", &key("b/1"), 4));
    }

    #[test]
    fn what_was_forgotten_still_keeps_late_ones_out() {
        let purges = Purges::default();
        let (what, now) = (Purge::Space("media".into()), Instant::now());
        purges.add(&what, moment(5));
        purges.forget_old(now);
        assert!(purges.is_dead("media", &key("a"), 4));
        purges.swept(&what, 5, now);
        purges.forget_old(now + REMEMBERED + Duration::from_secs(1));
        assert!(!purges.is_dead("media", &key("a"), 4));
        assert!(purges.is_too_late(4));
        assert!(!purges.is_too_late(5));
    }

    #[test]
    fn a_purge_of_before_the_disk_came_up_takes_what_lies_there() {
        let purges = Purges::default();
        let early = Moment {
            storable: None,
            unstorable: UNSTORABLE + 1,
        };
        purges.add(&Purge::All, early);
        assert_eq!(purges.settle(100), [(Purge::All, 100)]);
        assert!(purges.is_dead("media", &key("a"), 99));
        assert!(!purges.is_dead("media", &key("a"), 100));
    }

    #[test]
    fn too_many_purges_become_one_of_everything() {
        let purges = Purges::default();
        for number in 0..=MOST as u64 {
            let what = Purge::Key {
                space: "media".into(),
                key: key(&number.to_string()),
            };
            purges.add(&what, moment(number + 1));
        }
        assert!(purges.is_dead("media", &key("never named"), 1));
        assert!(!purges.is_dead("media", &key("never named"), MOST as u64 + 1));
        assert_eq!(purges.settle(0).len(), 1);
    }
}
