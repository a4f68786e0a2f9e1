//! How far a run has come, from the frames of its journal.
//!
//! Pure. The same steps make it whether a frame is read after a kill or has just been written, so
//! that a run that goes on counts as one that never stopped.

use serde::Serialize;

use crate::record::{Done, Left, Outcome, PlanFrame, Position, TargetPage};
use crate::tally::{Sum, Tally};

/// What became of what was planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Results {
    /// Copied and verified, replaced ones too.
    pub copied: Sum,
    /// Of these, how many took the place of an older copy.
    pub replaced: Sum,
    /// Not copied; the next run tries again.
    pub failed: u64,
    /// Somebody else had stored one of that key meanwhile.
    pub appeared: u64,
    /// The source did not have it any more.
    pub vanished: u64,
    /// It became a tombstone meanwhile.
    pub tombstoned: u64,
    /// The application deleted it meanwhile.
    pub withdrawn: u64,
}

/// How far a run has come.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    /// Seconds since 1970.
    pub(crate) began: u64,
    pub(crate) scope: Box<str>,
    pub(crate) tally: Tally,
    /// Where the source's listing goes on; `None` at its end.
    pub(crate) source_at: Option<Position>,
    /// The same of the target's.
    pub(crate) target_at: Option<Position>,
    pub(crate) target: Sum,
    pub(crate) target_pages: u64,
    pub(crate) is_ready: bool,
    pub(crate) is_finished: bool,
    pub(crate) results: Results,
    done: Vec<u64>,
    done_count: u64,
}

impl Standing {
    /// That of a run that has just begun.
    pub(crate) fn new(began: u64, scope: &str) -> Self {
        Self {
            began,
            scope: scope.into(),
            tally: Tally::default(),
            source_at: Some(Position::default()),
            target_at: Some(Position::default()),
            target: Sum::default(),
            target_pages: 0,
            is_ready: false,
            is_finished: false,
            results: Results::default(),
            done: Vec::new(),
            done_count: 0,
        }
    }

    /// How many items were done, failed ones too.
    pub(crate) fn done_count(&self) -> u64 {
        self.done_count
    }

    /// Whether an item of the plan was done.
    pub(crate) fn is_done(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.done.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Goes on with a frame of the plan.
    ///
    /// # Errors
    /// It cannot stand where it stands.
    pub(crate) fn take_plan(&mut self, frame: &PlanFrame) -> Result<(), String> {
        match frame {
            PlanFrame::Run { .. } => return Err("a run begins within a run".to_owned()),
            PlanFrame::Page {
                next, tally, items, ..
            } => {
                if self.source_at.is_none() || self.is_ready {
                    return Err("a page behind the last one".to_owned());
                }
                if items.len() as u64 != tally.planned().objects {
                    return Err("a page that does not hold what it counts".to_owned());
                }
                self.tally += **tally;
                self.source_at.clone_from(next);
            }
            PlanFrame::Ready if self.source_at.is_some() => {
                return Err("it is ready before its last page".to_owned());
            }
            PlanFrame::Ready => self.is_ready = true,
            PlanFrame::Finished => self.is_finished = true,
        }
        Ok(())
    }

    /// Goes on with a page of the target's listing.
    ///
    /// # Errors
    /// It stands behind the last one.
    pub(crate) fn take_target(&mut self, page: &TargetPage) -> Result<(), String> {
        if self.target_at.is_none() {
            return Err("a page behind the last one".to_owned());
        }
        self.target += Sum {
            objects: page.rows.len() as u64,
            bytes: page.bytes,
        };
        self.target_pages += 1;
        self.target_at.clone_from(&page.next);
        Ok(())
    }

    /// Goes on with what became of an item.
    ///
    /// # Errors
    /// The plan has no such item, or it was done before.
    pub(crate) fn take_done(&mut self, done: &Done) -> Result<(), String> {
        if !self.is_ready || done.number >= self.tally.planned().objects {
            return Err("something was done that is not in the plan".to_owned());
        }
        if self.is_done(done.number) {
            return Err("something was done twice".to_owned());
        }
        let (word, bit) = place(done.number);
        if self.done.len() <= word {
            self.done.resize(word + 1, 0);
        }
        self.done[word] |= bit;
        self.done_count += 1;
        let results = &mut self.results;
        match &done.outcome {
            Outcome::Copied { written, replaced } => {
                results.copied.add(written.size_bytes);
                if *replaced {
                    results.replaced.add(written.size_bytes);
                }
            }
            Outcome::Failed { .. } => results.failed += 1,
            Outcome::Left(Left::Appeared) => results.appeared += 1,
            Outcome::Left(Left::Vanished) => results.vanished += 1,
            Outcome::Left(Left::Tombstoned) => results.tombstoned += 1,
            Outcome::Left(Left::Withdrawn) => results.withdrawn += 1,
        }
        Ok(())
    }
}

fn place(number: u64) -> (usize, u64) {
    let word = usize::try_from(number / 64).unwrap_or(usize::MAX);
    (word, 1 << (number % 64))
}
