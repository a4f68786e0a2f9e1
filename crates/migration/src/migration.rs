//! A whole migration: inventory, whether it fits, and the copying.
//!
//! May be killed at any moment. What was copied is remembered before it counts, in the ledger
//! first: a copy that only the journal knew would be forgotten by whoever deletes.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use object::ObjectKey;
use origin_resolver::Bandwidth;
use tokio::sync::Semaphore;

use crate::copying::Copying;
use crate::difference::Recalled;
use crate::end::End;
use crate::error::MigrationError;
use crate::estimate::{Estimate, ROOM_MIB, Verify, fits};
use crate::inventory;
use crate::journal::Journal;
use crate::knowledge::{Forgetful, Knowledge, Verified};
use crate::options::Options;
use crate::progress::{Phase, Progress};
use crate::record::PlanFrame;
use crate::report::{Remarks, Report};
use crate::share::{Share, percent};
use crate::shared::Shared;
use crate::tally::Tally;

/// A migration from one origin to another.
#[derive(Clone)]
pub struct Migration {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) options: Arc<Options>,
    knowledge: Arc<dyn Knowledge>,
    pub(crate) progress: Arc<Progress>,
    /// Memory for bodies that a bucket takes only as a whole, in MiB.
    pub(crate) room: Arc<Semaphore>,
    /// The target has just failed to store something, for a reason that would befall anything.
    pub(crate) target_in_doubt: Arc<AtomicBool>,
}

impl Migration {
    /// From one end to the other, without beginning.
    pub fn new(from: End, to: End, options: Options, knowledge: Arc<dyn Knowledge>) -> Self {
        // Reading again to compare is as slow as copying: the limit is on all that moves.
        let bandwidth = options.bandwidth.map(Bandwidth::new);
        Self {
            from: from.at(bandwidth.clone()),
            to: to.at(bandwidth),
            options: Arc::new(options),
            knowledge,
            progress: Arc::default(),
            room: Arc::new(Semaphore::new(ROOM_MIB as usize)),
            target_in_doubt: Arc::default(),
        }
    }

    /// How far it is, for whoever shows it.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Does it, or goes on with it. Dropping the future is like being killed.
    ///
    /// # Errors
    /// It could not be done, or not to its end; single objects that failed are in the report.
    pub async fn run(&self, journal: Journal) -> Result<Report, MigrationError> {
        if !self.options.dry_run {
            self.to
                .writable()
                .map_err(|failure| MigrationError::ReadOnly {
                    origin: self.to.name().into(),
                    failure,
                })?;
        }
        let journal = Shared::new(journal);
        inventory::take(self, &journal).await?;
        let is_ready = journal.look(|journal| journal.standing().is_ready);
        let tally = journal.look(|journal| journal.standing().tally);
        if !is_ready {
            let target = journal.look(|journal| journal.standing().target.objects);
            self.brake(&tally, target)?;
            let capacity = self.to.capacity().await;
            let estimate = self.estimate(&tally, self.options.verify);
            let fits = fits(&tally, &estimate, capacity, self.options.egress_left);
            if self.options.dry_run {
                return self.report(&journal, fits.err()).await;
            }
            fits.map_err(MigrationError::DoesNotFit)?;
            journal
                .work(|journal| journal.add_plan(&PlanFrame::Ready))
                .await?;
        }
        if self.options.dry_run {
            return self.report(&journal, None).await;
        }
        self.copy_all(&journal).await?;
        journal
            .work(|journal| journal.add_plan(&PlanFrame::Finished))
            .await?;
        self.report(&journal, None).await
    }

    /// Stops before anything is copied where what was seen cannot be meant: what a target has lost
    /// looks as if the application had deleted it, and with another database nothing has a row.
    fn brake(&self, tally: &Tally, target_objects: u64) -> Result<(), MigrationError> {
        let (missing, verified) = (tally.unnoticed.objects, tally.verified);
        let max = self.options.max_withdrawn;
        let is_emptied =
            self.options.named.is_none() && missing > 0 && target_objects == 0 && max < Share::ALL;
        if is_emptied || max.is_plainly_less_than(missing, verified) {
            return Err(MigrationError::Withdrawn {
                origin: self.to.name().into(),
                missing,
                verified,
                percent: percent(missing, verified),
                max,
            });
        }
        let unreferenced = tally.unreferenced.objects;
        let beside = [
            tally.unpublished,
            tally.excluded,
            tally.elsewhere,
            tally.unfit,
        ];
        let beside: u64 = beside.iter().map(|sum| sum.objects).sum();
        if unreferenced > 0 && unreferenced + beside == tally.source.objects {
            return Err(MigrationError::Rowless {
                origin: self.from.name().into(),
                objects: unreferenced,
            });
        }
        Ok(())
    }

    /// What is remembered of keys; as many as were asked for.
    pub(crate) async fn recall(&self, keys: &[ObjectKey]) -> Result<Vec<Recalled>, Forgetful> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let recalled = self.knowledge.recall(keys).await?;
        if recalled.len() != keys.len() {
            let what = format!("{} answers for {} keys", recalled.len(), keys.len());
            return Err(Forgetful(what));
        }
        Ok(recalled)
    }

    /// Has remembered what stands at the target.
    pub(crate) async fn learn(&self, standing: Vec<Verified>) -> Result<(), Forgetful> {
        self.knowledge.learn(standing).await
    }

    async fn copy_all(&self, journal: &Shared) -> Result<(), MigrationError> {
        self.progress.enter(Phase::Copying);
        self.show(journal);
        let mut copying = Copying::new(self, journal);
        let copied = copying.copy_all().await;
        // What has ended counts, whatever befell another one.
        copied.and(copying.keep_all().await)
    }

    pub(crate) fn show(&self, journal: &Shared) {
        let (planned, done, failed) = journal.look(|journal| {
            let standing = journal.standing();
            let planned = standing.tally.planned();
            (planned, standing.done_count(), standing.results.failed)
        });
        self.progress.planned(planned.objects, planned.bytes);
        self.progress.done(done, failed);
    }

    fn estimate(&self, tally: &Tally, verify: Verify) -> Estimate {
        Estimate::new(tally, verify, self.options.bandwidth, self.to.is_bucket())
    }

    async fn report(
        &self,
        journal: &Shared,
        shortfall: Option<crate::Shortfall>,
    ) -> Result<Report, MigrationError> {
        let remarks = journal.work(|journal| Remarks::of(journal)).await?;
        Ok(journal.look(|journal| {
            let standing = journal.standing();
            Report {
                from: self.from.name().into(),
                to: self.to.name().into(),
                run: journal.run(),
                resumed: journal.is_resumed(),
                dry_run: self.options.dry_run,
                may_be_absent: self.options.may_be_absent(),
                target: standing.target,
                target_pages: standing.target_pages,
                tally: standing.tally,
                results: standing.results,
                estimate: self.estimate(&standing.tally, self.options.verify),
                alternatives: Verify::ALL
                    .into_iter()
                    .filter(|verify| *verify != self.options.verify)
                    .map(|verify| self.estimate(&standing.tally, verify))
                    .collect(),
                shortfall: shortfall.map(|shortfall| shortfall.to_string()),
                remarks,
            }
        }))
    }
}
