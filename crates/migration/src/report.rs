//! What a migration came to, for people and scripts.

use serde::Serialize;

use crate::estimate::Estimate;
use crate::journal::{Journal, JournalError, Results};
use crate::record::NoteKind;
use crate::tally::{Sum, Tally};

/// The most remarks of one sort that are listed; all of them are counted.
const MOST_REMARKS: usize = 1000;

/// What a migration came to.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The source's name.
    pub from: Box<str>,
    /// The target's name.
    pub to: Box<str>,
    /// Which run it was, as the journal counts.
    pub run: u64,
    /// It had been begun by an earlier process: what follows counts from that beginning.
    pub resumed: bool,
    /// Nothing was copied, because nothing was to be.
    pub dry_run: bool,
    /// Keys came from rows: that the source lacks some of them is as it should be.
    pub may_be_absent: bool,
    /// What the target had when it was listed, of the keys that were wanted.
    pub target: Sum,
    /// The requests that this took.
    pub target_pages: u64,
    /// What the source has, sorted by what becomes of it.
    pub tally: Tally,
    /// What became of what was planned.
    pub results: Results,
    /// What the copying takes.
    pub estimate: Estimate,
    /// What it would take if copies were verified in the other ways.
    pub alternatives: Vec<Estimate>,
    /// Why it does not fit; a run that is no dry run ends there.
    pub shortfall: Option<String>,
    /// What the operator should look at.
    pub remarks: Remarks,
}

impl Report {
    /// Whether the target has everything that it should have.
    pub fn is_complete(&self) -> bool {
        let Tally {
            differs,
            unfit,
            absent,
            unknown,
            ..
        } = &self.tally;
        let beside = [differs, unfit, unknown];
        let is_all_there = self.may_be_absent || absent.objects == 0;
        self.results.failed == 0 && is_all_there && beside.iter().all(|sum| sum.objects == 0)
    }
}

/// What the operator should look at, the first of each sort.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Remarks {
    /// Not copied, each with its reason; the next run tries again.
    pub failed: Vec<Remark>,
    /// The target has something else under the key.
    pub differs: Vec<Remark>,
    /// It is there and no key can name it.
    pub unfit: Vec<Remark>,
    /// It was named, and could not be asked for or is not there.
    pub unasked: Vec<Remark>,
}

/// A name and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The key, or what stood in its place.
    pub key: Box<str>,
    /// Why it is here.
    pub why: Box<str>,
}

impl Remarks {
    pub(crate) fn of(journal: &Journal) -> Result<Self, JournalError> {
        let mut remarks = Self::default();
        let (mut failed, add) = (
            Vec::new(),
            |list: &mut Vec<Remark>, key: &str, why: &str| {
                if list.len() < MOST_REMARKS {
                    list.push(Remark {
                        key: key.into(),
                        why: why.into(),
                    });
                }
            },
        );
        journal.remarks(
            |note| {
                let list = match note.kind {
                    NoteKind::Differs => &mut remarks.differs,
                    NoteKind::Unfit => &mut remarks.unfit,
                    NoteKind::Unasked => &mut remarks.unasked,
                };
                add(list, &note.name, &note.why);
            },
            |key, why| add(&mut failed, key, why),
        )?;
        remarks.failed = failed;
        Ok(remarks)
    }
}
