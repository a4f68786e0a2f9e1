//! What is being read, filled or passed through at this moment, by name.
//!
//! So two requests for one object meet, and what must stop can be found.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};

use crate::life::Life;
use crate::place::Place;
use crate::sync::Mutex;
use crate::version::Version;

const SHARDS: usize = 16;

/// Versions and passing bodies that somebody holds.
pub(crate) struct Live {
    shards: Box<[Mutex<HashMap<Place, Slot>>]>,
    seed: RandomState,
}

#[derive(Default)]
struct Slot {
    version: Weak<Version>,
    /// Versions whose place it took and that are still being sent.
    older: Vec<Weak<Version>>,
    passing: Vec<Weak<Life>>,
}

/// What somebody uses of a place; handed out, so that nothing is dropped inside of a lock.
#[derive(Default)]
struct Held {
    versions: Vec<Arc<Version>>,
    passing: Vec<Arc<Life>>,
}

impl Held {
    fn retire(&self) {
        self.versions
            .iter()
            .for_each(|version| version.life.retire());
    }

    fn cut(&self) {
        self.versions.iter().for_each(|version| version.life.cut());
        self.passing.iter().for_each(|life| life.cut());
    }
}

impl Slot {
    fn held(&self) -> Held {
        Held {
            versions: self.versions().collect(),
            passing: self.passing.iter().filter_map(Weak::upgrade).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.version.strong_count() == 0 && self.older.is_empty() && self.passing.is_empty()
    }

    fn versions(&self) -> impl Iterator<Item = Arc<Version>> {
        let all = std::iter::once(&self.version).chain(&self.older);
        all.filter_map(Weak::upgrade)
    }

    fn forget_dead(&mut self) {
        self.older.retain(|version| version.strong_count() > 0);
        self.passing.retain(|life| life.strong_count() > 0);
    }
}

impl Live {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::new(HashMap::new())).collect(),
            seed: RandomState::new(),
        })
    }

    /// The version that somebody uses, unless it must not be used any more.
    pub(crate) fn version(&self, place: &Place) -> Option<Arc<Version>> {
        let shard = self.shard(place).lock();
        let version = shard.get(place)?.version.upgrade();
        drop(shard);
        version.filter(|version| version.life.is_good())
    }

    /// Makes a version known. Where another one of at least its age is in use already, that one
    /// is returned and the new one is not used.
    pub(crate) fn adopt(&self, version: Version) -> Arc<Version> {
        let version = Arc::new(version);
        let mut shard = self.shard(&version.place).lock();
        let slot = shard.entry(version.place.clone()).or_default();
        let known = slot.version.upgrade();
        let stays = known
            .as_ref()
            .is_some_and(|known| known.life.is_good() && known.number >= version.number);
        if !stays {
            slot.forget_dead();
            let older = std::mem::replace(&mut slot.version, Arc::downgrade(&version));
            if known.is_some() {
                slot.older.push(older);
            }
        }
        // Before either version can be dropped, which takes this lock.
        drop(shard);
        known.filter(|_| stays).unwrap_or(version)
    }

    /// A body that is passed through, so that it can be cut.
    pub(crate) fn pass(&self, place: &Place) -> Arc<Life> {
        let life = Arc::new(Life::default());
        let mut shard = self.shard(place).lock();
        let slot = shard.entry(place.clone()).or_default();
        slot.forget_dead();
        slot.passing.push(Arc::downgrade(&life));
        life
    }

    /// Removes what nobody holds any more.
    pub(crate) fn forget(&self, place: &Place) {
        let mut shard = self.shard(place).lock();
        if let Some(slot) = shard.get_mut(place) {
            slot.forget_dead();
            if slot.is_empty() {
                shard.remove(place);
            }
        }
    }

    /// Retires the version of a place.
    pub(crate) fn retire(&self, place: &Place) {
        self.held(place).retire();
    }

    /// Retires the versions of all places that match.
    pub(crate) fn retire_matching(&self, matches: impl Fn(&Place) -> bool) {
        self.held_matching(matches).iter().for_each(Held::retire);
    }

    /// Cuts what is sent of all places that match.
    pub(crate) fn cut_matching(&self, matches: impl Fn(&Place) -> bool) {
        self.held_matching(matches).iter().for_each(Held::cut);
    }

    /// Cuts what is sent of a place.
    pub(crate) fn cut(&self, place: &Place) {
        self.held(place).cut();
    }

    fn held(&self, place: &Place) -> Held {
        let shard = self.shard(place).lock();
        shard.get(place).map(Slot::held).unwrap_or_default()
    }

    fn held_matching(&self, matches: impl Fn(&Place) -> bool) -> Vec<Held> {
        let mut held = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let slots = shard.iter().filter(|(place, _)| matches(place));
            held.extend(slots.map(|(_, slot)| slot.held()));
        }
        held
    }

    fn shard(&self, place: &Place) -> &Mutex<HashMap<Place, Slot>> {
        let hash = self.seed.hash_one(place) % SHARDS as u64;
        &self.shards[usize::try_from(hash).unwrap_or(0)]
    }
}
