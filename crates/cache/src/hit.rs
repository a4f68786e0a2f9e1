//! Hits: answers with what is held, and what follows from them.
//!
//! Looks only where nothing has to be waited for. Refuses to ask an origin for a viewer; what is too
//! old or came from a doubtful origin is checked beside the answer.

use std::sync::Arc;
use std::time::Duration;

use object::ObjectKey;

use crate::answer::Answer;
use crate::cache::Cache;
use crate::check::check;
use crate::held::{Held, Served};
use crate::memory::Entry;
use crate::observer::Tier;
use crate::place::Place;
use crate::source::{Keep, Source, Standing};
use crate::whole;

impl Cache {
    /// The object, where nothing has to be waited for: all of its bytes are in memory, ours or the
    /// kernel's, and no more than any reader may hold. `None` says nothing about the object, and
    /// nothing is counted.
    pub fn at_hand(
        &self,
        space: &Arc<str>,
        key: &ObjectKey,
        source: &Arc<dyn Source>,
    ) -> Option<Held> {
        let parts = &self.parts;
        let (mut entry, mut tier) = match parts.memory.object(space, key) {
            Some(entry) => (entry, Tier::Memory),
            None => (self.on_disk_at_hand(space, key, source)?, Tier::Disk),
        };
        let version = &entry.version;
        if version.is_gone() || version.total > whole::MOST_BYTES as u64 {
            return None;
        }
        if entry.bytes.is_none() {
            entry.bytes = Some(parts.bring_at_once(version)?);
            tier = Tier::Disk;
        }
        Some(self.held(entry, tier, source))
    }

    fn on_disk_at_hand(
        &self,
        space: &Arc<str>,
        key: &ObjectKey,
        source: &Arc<dyn Source>,
    ) -> Option<Entry> {
        if !source.keeps() {
            return None;
        }
        let place = Place {
            space: Arc::clone(space),
            key: key.clone(),
        };
        self.parts.known_at_once(&place, source.list())
    }

    /// An answer with an entry that was found.
    pub(crate) fn hit(&self, entry: Entry, tier: Tier, source: &Arc<dyn Source>) -> Answer {
        Answer::Held(Box::new(self.held(entry, tier, source)))
    }

    fn held(&self, entry: Entry, tier: Tier, source: &Arc<dyn Source>) -> Held {
        let Entry { version, bytes } = entry;
        let bytes = bytes.filter(|bytes| bytes.length() <= whole::MOST_BYTES);
        let parts = &self.parts;
        let now = parts.now();
        let age = Duration::from_secs(now.saturating_sub(version.checked()));
        let served = if age > parts.found {
            check(parts, source, &version);
            Served::Stale
        } else {
            // What only a rehearsing origin gave would hide the hole until after its retirement.
            if source.standing(&version.origin()) != Standing::Active && version.begin_doubt() {
                check(parts, source, &version);
            }
            Served::Hit
        };
        parts.observer.hit(tier);
        let hour = u32::try_from(now / 3600).unwrap_or(u32::MAX);
        if version.keep == Keep::Disk && version.touch(hour) {
            let place = &version.place;
            parts.disk.touch(&place.space, &place.key, version.number);
        }
        Held {
            parts: Arc::clone(parts),
            source: Arc::clone(source),
            version,
            bytes,
            served,
            collapsed: false,
            lease: None,
            trail: None,
        }
    }
}
