//! One page of what the source has, compared with the target and with what is remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use object::ObjectKey;
use origin_resolver::{Listed, put_requests};

use crate::difference::{Barred, Recalled, Seen, Step, Written, settle, step};
use crate::end::Asked;
use crate::error::MigrationError;
use crate::estimate::room_bytes;
use crate::fingerprint::{Fingerprint, Mark};
use crate::journal::JournalError;
use crate::knowledge::Verified;
use crate::migration::Migration;
use crate::record::{Item, Note, NoteKind, PlanFrame, Position, value_to_seen, value_to_written};
use crate::selection::Chosen;
use crate::shared::Shared;
use crate::table::Table;
use crate::tally::Tally;

/// So many contradictions that were none, one after the other: this pair's listed tags look like
/// MD5s and are something else, and asking about each would cost a request at both ends.
const FALSE_ALARMS: u32 = 16;

/// An object of the source.
pub(super) struct Candidate {
    pub(super) key: ObjectKey,
    pub(super) size_bytes: u64,
    pub(super) etag: Option<Box<str>>,
    pub(super) modified: Option<SystemTime>,
    /// What the target said when it was asked for this key; nothing where it was listed.
    pub(super) target: Option<Seen>,
}

impl Candidate {
    pub(super) fn listed(entry: Listed) -> Self {
        Self {
            key: entry.key,
            size_bytes: entry.size_bytes,
            etag: entry.etag,
            modified: entry.modified,
            target: None,
        }
    }

    fn seen(&self) -> Seen {
        Seen {
            size_bytes: self.size_bytes,
            mark: Mark::of(self.etag.as_deref()),
            modified: self.modified,
        }
    }
}

/// Plans pages, one after the other.
pub(super) struct Planning<'m> {
    migration: &'m Migration,
    journal: Shared,
    present: Option<Arc<Table>>,
    false_alarms: AtomicU32,
}

impl<'m> Planning<'m> {
    pub(super) fn new(migration: &'m Migration, journal: Shared, present: Option<Table>) -> Self {
        Self {
            migration,
            journal,
            present: present.map(Arc::new),
            false_alarms: AtomicU32::new(0),
        }
    }

    /// Decides about a page of a listing and keeps what came of it; `unfit` is what stood beside,
    /// with its bytes.
    pub(super) async fn plan_listed(
        &self,
        candidates: Vec<Candidate>,
        unfit: Vec<(Note, u64)>,
        next: Option<Position>,
    ) -> Result<(), MigrationError> {
        let mut tally = Box::new(Tally {
            source_requests: 1,
            ..Tally::default()
        });
        for (_, bytes) in &unfit {
            tally.source.add(*bytes);
            tally.unfit.add(*bytes);
        }
        let notes = unfit.into_iter().map(|(note, _)| note).collect();
        self.plan(candidates, notes, tally, next).await
    }

    /// The same of keys that were named; those that are no candidates are counted already.
    pub(super) async fn plan_named(
        &self,
        candidates: Vec<Candidate>,
        notes: Vec<Note>,
        mut tally: Box<Tally>,
        next: Option<Position>,
    ) -> Result<(), MigrationError> {
        tally.target_requests += candidates.len() as u64;
        self.plan(candidates, notes, tally, next).await
    }

    async fn plan(
        &self,
        candidates: Vec<Candidate>,
        mut notes: Vec<Note>,
        mut tally: Box<Tally>,
        next: Option<Position>,
    ) -> Result<(), MigrationError> {
        let candidates = self.chosen(candidates, &mut tally);
        let keys: Vec<_> = candidates.iter().map(|one| one.key.clone()).collect();
        let recalled = self.migration.recall(&keys).await?;
        let found = self.look_up(&keys).await?;
        let (mut items, mut unseen) = (Vec::new(), Vec::new());
        for ((candidate, mut recalled), (present, written)) in
            candidates.into_iter().zip(recalled).zip(found)
        {
            let target = candidate.target.or(present);
            tally.verified += u64::from(recalled.was_at_target && recalled.barred.is_none());
            recalled.was_at_target &= !self.migration.options.lost;
            if recalled.unseen_at_target
                && let Some(target) = target
            {
                unseen.push(Verified {
                    key: candidate.key.clone(),
                    length: target.size_bytes,
                    digest: None,
                });
            }
            let step = self
                .decide(&candidate, target, written, recalled, &mut tally)
                .await;
            take_step(step, candidate, target, &mut tally, &mut items, &mut notes);
        }
        // Before the plan: a run that goes on does not look at this page again. What the
        // application deletes later is then known to have been deleted.
        if !unseen.is_empty() {
            self.migration.learn(unseen).await?;
        }
        let frame = PlanFrame::Page {
            next,
            tally,
            items,
            notes,
        };
        self.journal
            .work(move |journal| journal.add_plan(&frame))
            .await?;
        let (target, tally) = self.journal.look(|journal| {
            let standing = journal.standing();
            (standing.target.objects, standing.tally)
        });
        let planned = tally.planned();
        self.migration.progress.listed(target, tally.source.objects);
        self.migration
            .progress
            .planned(planned.objects, planned.bytes);
        Ok(())
    }

    fn chosen(&self, candidates: Vec<Candidate>, tally: &mut Tally) -> Vec<Candidate> {
        let options = &self.migration.options;
        let is_wanted = |one: &Candidate| {
            tally.source.add(one.size_bytes);
            let sum = match options.selection.choose(&one.key) {
                Chosen::Yes if options.is_unreferenced(&one.key) => &mut tally.unreferenced,
                Chosen::Yes => return true,
                other => tally.unwanted(other),
            };
            sum.add(one.size_bytes);
            false
        };
        let mut candidates = candidates;
        candidates.retain(is_wanted);
        candidates
    }

    /// What the target has under these keys, and what earlier runs have written there.
    async fn look_up(
        &self,
        keys: &[ObjectKey],
    ) -> Result<Vec<(Option<Seen>, Option<Written>)>, JournalError> {
        let prints: Vec<_> = keys.iter().map(Fingerprint::of).collect();
        let present = self.present.clone();
        self.journal
            .work(move |journal| {
                let found = prints.into_iter().map(|print| {
                    let seen = match &present {
                        Some(present) => present.get(print)?.as_ref().and_then(value_to_seen),
                        None => None,
                    };
                    let written = match journal.known() {
                        Some(known) => known.get(print)?.as_ref().and_then(value_to_written),
                        None => None,
                    };
                    Ok((seen, written))
                });
                let found: std::io::Result<Vec<_>> = found.collect();
                found.map_err(|error| journal.io(error))
            })
            .await
    }

    async fn decide(
        &self,
        candidate: &Candidate,
        target: Option<Seen>,
        written: Option<Written>,
        recalled: Recalled,
        tally: &mut Tally,
    ) -> Step {
        let first = step(candidate.seen(), target, written, recalled);
        if first != Step::Ask {
            return first;
        }
        if self.false_alarms.load(Ordering::Relaxed) >= FALSE_ALARMS {
            return Step::Same;
        }
        tally.source_requests += 1;
        tally.target_requests += 1;
        let (source, target) = futures_util::future::join(
            self.migration.from.head(&candidate.key),
            self.migration.to.head(&candidate.key),
        )
        .await;
        // Where one of them cannot say, the listing's word stands: it is reported, not overwritten.
        let (Asked::Found(source), Asked::Found(target)) = (source, target) else {
            return settle(Some(false));
        };
        let settled = settle(source.proofs.agree(&target.proofs));
        match settled {
            Step::Same => self.false_alarms.fetch_add(1, Ordering::Relaxed),
            _ => self.false_alarms.swap(0, Ordering::Relaxed),
        };
        settled
    }
}

/// Counts what is to be done, and notes it.
fn take_step(
    step: Step,
    candidate: Candidate,
    target: Option<Seen>,
    tally: &mut Tally,
    items: &mut Vec<Item>,
    notes: &mut Vec<Note>,
) {
    let size = candidate.size_bytes;
    let replaces = match step {
        Step::Copy => {
            tally.new.add(size);
            None
        }
        Step::Replace => {
            tally.newer.add(size);
            target.map(|target| target.mark.short())
        }
        Step::Same | Step::Ask => return tally.same.add(size),
        Step::Barred(Barred::Tombstoned) => return tally.tombstoned.add(size),
        Step::Barred(Barred::Withdrawn) => return tally.withdrawn.add(size),
        Step::Deleted => {
            tally.unnoticed.add(size);
            return tally.withdrawn.add(size);
        }
        Step::Differs(difference) => {
            tally.differs.add(size);
            notes.push(Note::new(
                NoteKind::Differs,
                candidate.key.as_str(),
                &difference,
            ));
            return;
        }
    };
    tally.room_bytes = tally.room_bytes.saturating_add(room_bytes(size));
    tally.put_requests = tally.put_requests.saturating_add(put_requests(size));
    items.push(Item {
        key: candidate.key,
        size_bytes: size,
        etag: candidate.etag,
        modified: candidate.modified,
        replaces,
    });
}
