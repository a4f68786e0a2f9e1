//! What was last done to each key of a log.
//!
//! Held only while a log is opened, rewritten or listed: 32 bytes a record, which the running
//! gateway need not remember.

use std::collections::HashMap;

use super::error::TombstoneError;
use super::fingerprint::Fingerprint;
use super::reader::Reader;
use super::record::{Kind, MAX_RECORDS, Record};

/// The last action on one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    pub(super) fingerprint: Fingerprint,
    pub(super) time: u64,
    /// Which record of the log it is.
    pub(super) number: u32,
    /// The scope's place in the list of scopes, doubled, and one more where the key was added.
    scope_and_kind: u32,
}

impl Last {
    pub(super) fn kind(&self) -> Kind {
        if self.scope_and_kind & 1 == 1 {
            Kind::Add
        } else {
            Kind::Remove
        }
    }
}

/// The last action on each key.
#[derive(Debug)]
pub(super) struct History {
    /// Sorted by fingerprint; each is there once.
    last: Vec<Last>,
    scopes: Vec<Box<str>>,
}

impl History {
    /// Reads a log to its end.
    pub(super) fn read(reader: &mut Reader) -> Result<Self, TombstoneError> {
        let mut gathered = Gathered::default();
        while let Some((number, record)) = reader.next()? {
            gathered.push(number, &record);
        }
        Ok(gathered.in_order_of_writing())
    }

    /// The numbers of the records that were the last on their key.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.last.iter().map(|last| last.number)
    }

    /// How many keys are tombstoned.
    pub(super) fn live(&self) -> usize {
        self.live_fingerprints().count()
    }

    /// The tombstoned keys, sorted.
    pub(super) fn live_fingerprints(&self) -> impl Iterator<Item = Fingerprint> {
        self.last
            .iter()
            .filter(|last| last.kind() == Kind::Add)
            .map(|last| last.fingerprint)
    }

    /// Each scope that has tombstoned keys, and how many.
    pub(super) fn live_scopes(&self) -> impl Iterator<Item = (&str, u64)> {
        let mut counts = vec![0_u64; self.scopes.len()];
        for last in &self.last {
            if last.kind() == Kind::Add {
                counts[last.scope_and_kind as usize / 2] += 1;
            }
        }
        let scopes = self.scopes.iter().map(|scope| &**scope);
        scopes.zip(counts).filter(|(_, count)| *count > 0)
    }

    /// The time and kind of the last action on a key.
    pub(super) fn order_of(&self, fingerprint: Fingerprint) -> Option<(u64, Kind)> {
        self.last
            .binary_search_by_key(&fingerprint, |last| last.fingerprint)
            .ok()
            .map(|at| (self.last[at].time, self.last[at].kind()))
    }

    /// Whether a record of the log is the last one on its key.
    pub(super) fn is_last(&self, number: u32, record: &Record<'_>) -> bool {
        let fingerprint = Fingerprint::of(record.scope, record.key);
        self.last
            .binary_search_by_key(&fingerprint, |last| last.fingerprint)
            .is_ok_and(|at| self.last[at].number == number)
    }
}

/// Actions in any order.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    actions: Vec<Last>,
    scopes: Vec<Box<str>>,
    places: HashMap<Box<str>, u32>,
}

impl Gathered {
    pub(super) fn push(&mut self, number: u32, record: &Record<'_>) {
        let place = self.place(record.scope);
        self.actions.push(Last {
            fingerprint: Fingerprint::of(record.scope, record.key),
            time: record.time,
            number,
            scope_and_kind: place * 2 + u32::from(record.kind == Kind::Add),
        });
    }

    /// The action that was written last decides.
    pub(super) fn in_order_of_writing(self) -> History {
        self.decide(|action| (0, Kind::Remove, action.number))
    }

    /// The action with the latest time decides; at the same second, adding does.
    pub(super) fn in_order_of_time(self) -> History {
        // At the same second and of the same kind the first one stays: merging a log with itself
        // changes nothing.
        self.decide(|action| (action.time, action.kind(), u32::MAX - action.number))
    }

    fn decide(mut self, order: impl Fn(&Last) -> (u64, Kind, u32)) -> History {
        self.actions
            .sort_unstable_by_key(|action| (action.fingerprint, order(action)));
        // The last of each key is kept: `dedup` keeps the first, so it moves the later one there.
        self.actions.dedup_by(|later, kept| {
            let same = later.fingerprint == kept.fingerprint;
            if same {
                *kept = *later;
            }
            same
        });
        History {
            last: self.actions,
            scopes: self.scopes,
        }
    }

    fn place(&mut self, scope: &str) -> u32 {
        if let Some(place) = self.places.get(scope) {
            return *place;
        }
        let place = u32::try_from(self.scopes.len())
            .ok()
            .filter(|place| *place <= MAX_RECORDS)
            .expect("there are not more scopes than records");
        self.scopes.push(scope.into());
        self.places.insert(scope.into(), place);
        place
    }
}

impl From<History> for Gathered {
    fn from(history: History) -> Self {
        let places = (0..).zip(&history.scopes);
        Self {
            places: places
                .map(|(place, scope)| (scope.clone(), place))
                .collect(),
            actions: history.last,
            scopes: history.scopes,
        }
    }
}

/// The records of a log that were the last on their key, removals too, in the order they were
/// written.
pub(crate) struct LastActions {
    reader: Reader,
    history: History,
}

impl LastActions {
    /// Reads a log once to its end; the records are what a second reading yields.
    pub(super) fn read(mut reader: Reader) -> Result<Self, TombstoneError> {
        let history = History::read(&mut reader)?;
        Ok(Self { reader, history })
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// How many keys are tombstoned, and how many are so no longer.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let live = self.history.live();
        (live as u64, (self.history.last.len() - live) as u64)
    }

    /// The log, as it was read.
    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The log, at the end of its first reading, and what was read.
    pub(super) fn into_parts(self) -> (Reader, History) {
        (self.reader, self.history)
    }

    /// How many records were followed by another one on their key.
    pub(super) fn superseded(&self) -> usize {
        self.reader.records() as usize - self.history.last.len()
    }

    /// Reads the log again, and hands out each record that was the last on its key.
    pub(crate) fn each<E: From<TombstoneError>>(
        &mut self,
        mut take: impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.reader.rewind()?;
        while let Some((number, record)) = self.reader.next()? {
            if self.history.is_last(number, &record) {
                take(&record)?;
            }
        }
        Ok(())
    }
}
