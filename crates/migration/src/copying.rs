//! All copies of a run: some under way at one time, and what became of each kept.
//!
//! Keeping waits for the disk twice, so it goes on beside the copies and takes together what has
//! ended meanwhile. It is never far behind: whoever kills a run makes the next one read again what
//! was not kept.

use std::mem;

use futures_util::future::BoxFuture;
use tokio::task::{JoinError, JoinSet};

use crate::copy::Copied;
use crate::error::MigrationError;
use crate::fingerprint::Fingerprint;
use crate::journal::{JournalError, Walk};
use crate::knowledge::{Forgetful, Verified};
use crate::migration::Migration;
use crate::record::{Done, Item, Outcome};
use crate::shared::Shared;

/// So many objects, one after the other, that failed for a reason that would befall any other:
/// going on would make failures of them all.
const GENERAL_FAILURES: usize = 32;

/// What has ended on its way to the disk. No task of its own: whoever drops a run has the journal
/// to himself at once.
type Keeping = BoxFuture<'static, Result<(), MigrationError>>;

/// An item, and what came of copying it.
type Ended = (u64, Item, Result<Copied, Forgetful>);

/// Copies that are under way.
pub(crate) struct Copying<'m> {
    migration: &'m Migration,
    journal: &'m Shared,
    jobs: usize,
    tasks: JoinSet<Ended>,
    /// What has ended and is to be kept.
    done: Vec<Done>,
    /// The ledger is told first: a copy that only the journal knew would be forgotten by whoever
    /// deletes.
    verified: Vec<Verified>,
    /// At most one, so that what ended first is kept first.
    keeping: Option<Keeping>,
    being_kept: usize,
    /// What failed for general reasons and may yet turn out to be an outage: then it is not kept,
    /// and tried again when the run goes on.
    general: Vec<Done>,
}

impl<'m> Copying<'m> {
    pub(crate) fn new(migration: &'m Migration, journal: &'m Shared) -> Self {
        Self {
            migration,
            journal,
            jobs: migration.options.jobs.max(1),
            tasks: JoinSet::new(),
            done: Vec::new(),
            verified: Vec::new(),
            keeping: None,
            being_kept: 0,
            general: Vec::new(),
        }
    }

    /// Copies all that is to be copied.
    pub(crate) async fn copy_all(&mut self) -> Result<(), MigrationError> {
        let mut walk = Walk::default();
        loop {
            let mut from = walk;
            let read = self.journal.work(move |journal| {
                let todo = journal.todo(&mut from)?;
                Ok((todo, from))
            });
            let (todo, next) = read.await?;
            walk = next;
            let Some(todo) = todo else {
                break;
            };
            for (number, item) in todo {
                self.have_room().await?;
                let migration = self.migration.clone();
                self.tasks.spawn(async move {
                    let copied = migration.copy(&item).await;
                    (number, item, copied)
                });
            }
        }
        while !self.tasks.is_empty() {
            self.go_on().await?;
        }
        // They were the last ones, and nothing speaks against their being failures.
        self.done.append(&mut self.general);
        Ok(())
    }

    /// Keeps all that has ended.
    pub(crate) async fn keep_all(&mut self) -> Result<(), MigrationError> {
        self.tasks.abort_all();
        loop {
            self.begin_keeping();
            match end_of(&mut self.keeping).await {
                Some(kept) => self.is_kept(kept)?,
                None => return Ok(()),
            }
        }
    }

    /// Returns once another copy may begin: as many may be under way as there are jobs, and as
    /// many again may have ended without being kept.
    async fn have_room(&mut self) -> Result<(), MigrationError> {
        loop {
            let unkept = self.tasks.len() + self.done.len() + self.being_kept;
            if self.tasks.len() < self.jobs && unkept < 2 * self.jobs {
                return Ok(());
            }
            self.go_on().await?;
        }
    }

    /// Waits for the next copy or keeping that ends.
    async fn go_on(&mut self) -> Result<(), MigrationError> {
        self.begin_keeping();
        tokio::select! {
            Some(one) = self.tasks.join_next() => self.take(one),
            Some(kept) = end_of(&mut self.keeping) => self.is_kept(kept),
            else => Ok(()),
        }
    }

    fn take(&mut self, ended: Result<Ended, JoinError>) -> Result<(), MigrationError> {
        let (number, item, copied) =
            ended.map_err(|error| JournalError::Failed(format!("a copy was given up: {error}")))?;
        let Copied {
            outcome,
            verified,
            is_general,
        } = copied?;
        let one = Done {
            number,
            key: Fingerprint::of(&item.key),
            outcome,
        };
        self.verified.extend(verified);
        if !is_general {
            self.done.append(&mut self.general);
            self.done.push(one);
            return Ok(());
        }
        self.general.push(one);
        match self.general.last() {
            Some(Done {
                outcome: Outcome::Failed { why, .. },
                ..
            }) if self.general.len() >= GENERAL_FAILURES => Err(MigrationError::Stopped {
                failures: self.general.len(),
                why: why.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn begin_keeping(&mut self) {
        if self.keeping.is_some() || self.done.is_empty() && self.verified.is_empty() {
            return;
        }
        let (done, verified) = (mem::take(&mut self.done), mem::take(&mut self.verified));
        self.being_kept = done.len();
        let (migration, journal) = (self.migration.clone(), self.journal.clone());
        self.keeping = Some(Box::pin(async move {
            if !verified.is_empty() {
                migration.learn(verified).await?;
            }
            journal.work(move |journal| journal.add_done(&done)).await?;
            migration.show(&journal);
            Ok(())
        }));
    }

    fn is_kept(&mut self, kept: Result<(), MigrationError>) -> Result<(), MigrationError> {
        self.being_kept = 0;
        kept
    }
}

/// Waits for a keeping, and takes it away. May be dropped.
async fn end_of(keeping: &mut Option<Keeping>) -> Option<Result<(), MigrationError>> {
    let kept = keeping.as_mut()?.await;
    *keeping = None;
    Some(kept)
}
