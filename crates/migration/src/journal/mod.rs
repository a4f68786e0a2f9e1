//! The journal of a migration: what was listed, what is to be copied and what became of it.
//!
//! Blocking. Whatever it has taken is durable: a run that is killed goes on where it was, lists
//! nothing again and copies nothing again. `FORMAT.md` beside this crate says how it lies on the
//! disk. A journal that is damaged costs a new listing, never a wrong copy.

mod opening;
mod standing;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

pub use standing::Results;
pub(crate) use standing::Standing;

use crate::fingerprint::Fingerprint;
use crate::log::{Log, LogError, Next};
use crate::record::{Done, Item, Note, Outcome, PlanFrame, TargetPage};
use crate::table::{Builder, Table};

/// What the target has, sorted.
const PRESENT: &str = "present";
/// What earlier runs have copied, sorted.
const KNOWN: &str = "known";

/// The journal of one pair of origins, held by this process.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    plan: Log,
    target: Log,
    done: Log,
    known: Option<Table>,
    standing: Standing,
    resumed: bool,
    /// Last, so that everything else is closed before another may open it.
    _lock: Lock,
}

/// The lock of the journal's directory, which goes with the process.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough while a child that this process has just forked has it too.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another migration between the same origins runs.
    #[error(
        "{} is in use: a migration between these origins runs already; wait for it, or share the keys out with --shard",
        .0.display()
    )]
    InUse(PathBuf),
    /// Its directory cannot be used.
    #[error("{}: {error}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// One of its files cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It failed inside the program.
    #[error("the journal was given up: {0}")]
    Failed(String),
}

/// A way through what is to be copied, page by page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Walk {
    at: u64,
    number: u64,
}

impl Journal {
    /// Takes the journal in this directory, which is made if it is absent, for this process. An
    /// unfinished run of the same scope goes on; else a new one begins. `now` is in seconds since
    /// 1970.
    ///
    /// # Errors
    /// Another process has it, it cannot be written, or a later version has written it.
    pub fn open(directory: &Path, scope: &str, now: u64) -> Result<Self, JournalError> {
        opening::open(directory, scope, now)
    }

    /// How far the run has come.
    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether an earlier process has begun this run.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// The number of this run, from 1.
    pub fn run(&self) -> u64 {
        self.plan.run()
    }

    /// Whether anything of the source was planned.
    pub fn has_planned(&self) -> bool {
        let standing = self.standing();
        standing.source_at.is_none() || standing.tally.source.objects > 0
    }

    /// What earlier runs have copied.
    pub(crate) fn known(&self) -> Option<&Table> {
        self.known.as_ref()
    }

    /// Keeps a page of the target's listing.
    pub(crate) fn add_target(&mut self, page: &TargetPage) -> Result<(), JournalError> {
        self.target.append([&*page.encode()])?;
        self.standing
            .take_target(page)
            .map_err(|what| self.misused(what))
    }

    /// What the target has, from the pages that were kept.
    pub(crate) fn present(&self) -> Result<Table, JournalError> {
        let io = |error| self.io(error);
        let mut builder = Builder::new(&self.directory, PRESENT);
        let mut frames = self.target.frames();
        while let Next::Payload(payload) = frames.next_payload().map_err(io)? {
            let page = TargetPage::decode(payload).unwrap_or_else(|| TargetPage {
                next: None,
                bytes: 0,
                rows: Vec::new(),
            });
            for (key, value) in page.rows {
                builder.push(key, value).map_err(io)?;
            }
        }
        builder.finish().map_err(io)
    }

    /// Keeps a frame of the plan.
    pub(crate) fn add_plan(&mut self, frame: &PlanFrame) -> Result<(), JournalError> {
        self.plan.append([&*frame.encode()])?;
        self.standing
            .take_plan(frame)
            .map_err(|what| self.misused(what))
    }

    /// Keeps what became of items. When it returns, they are acknowledged.
    pub(crate) fn add_done(&mut self, done: &[Done]) -> Result<(), JournalError> {
        if done.is_empty() {
            return Ok(());
        }
        let mut payload = Vec::new();
        for one in done {
            one.encode(&mut payload);
        }
        self.done.append([&*payload])?;
        for one in done {
            self.standing
                .take_done(one)
                .map_err(|what| self.misused(what))?;
        }
        Ok(())
    }

    /// The next items that are to be copied, with their numbers; `None` behind the last. A page
    /// may have none.
    pub(crate) fn todo(&self, walk: &mut Walk) -> Result<Option<Vec<(u64, Item)>>, JournalError> {
        let mut frames = self.plan.frames().resume(walk.at);
        let next = frames.next_payload().map_err(|error| self.io(error))?;
        let Next::Payload(payload) = next else {
            return Ok(None);
        };
        let frame = PlanFrame::decode(payload);
        walk.at = frames.at();
        let Some(PlanFrame::Page { items, .. }) = frame else {
            return Ok(Some(Vec::new()));
        };
        let numbered = (walk.number..).zip(items);
        let mut todo = Vec::new();
        for (number, item) in numbered {
            walk.number = number + 1;
            if !self.standing.is_done(number) {
                todo.push((number, item));
            }
        }
        Ok(Some(todo))
    }

    /// What the operator has to be told of, and what failed with its reason.
    pub(crate) fn remarks(
        &self,
        mut note: impl FnMut(Note),
        mut failure: impl FnMut(&str, &str),
    ) -> Result<(), JournalError> {
        let io = |error| self.io(error);
        let mut frames = self.plan.frames();
        while let Next::Payload(payload) = frames.next_payload().map_err(io)? {
            if let Some(PlanFrame::Page { notes, .. }) = PlanFrame::decode(payload) {
                notes.into_iter().for_each(&mut note);
            }
        }
        let mut frames = self.done.frames();
        while let Next::Payload(payload) = frames.next_payload().map_err(io)? {
            for done in Done::decode_all(payload).unwrap_or_default() {
                if let Outcome::Failed { name, why } = done.outcome {
                    failure(&name, &why);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn io(&self, error: io::Error) -> JournalError {
        JournalError::Io {
            path: self.directory.clone(),
            error,
        }
    }

    /// A caller that keeps what cannot stand there is wrong, and the file would not be believed.
    fn misused(&self, what: String) -> JournalError {
        self.io(io::Error::new(io::ErrorKind::InvalidInput, what))
    }
}

/// What stands in a table for a copy, if it was one.
pub(crate) fn copied(done: &Done) -> Option<(Fingerprint, crate::table::Value)> {
    match &done.outcome {
        Outcome::Copied { written, .. } => {
            Some((done.key, crate::record::written_to_value(*written)))
        }
        Outcome::Failed { .. } | Outcome::Left(_) => None,
    }
}

#[cfg(test)]
mod killed;
#[cfg(test)]
mod tests;
