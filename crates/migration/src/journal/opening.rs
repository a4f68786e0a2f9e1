//! Opening a journal: an unfinished run goes on, or a new one begins.
//!
//! What was copied is carried from run to run; everything else belongs to one run. Damage ends
//! the run that it befell, so that no listing is trusted of which a part is gone.

use std::fs::{DirBuilder, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::standing::Standing;
use super::{Journal, JournalError, KNOWN, Lock, PRESENT, copied};
use crate::log::{Found, Kind, Log, options};
use crate::record::{Done, PlanFrame, TargetPage};
use crate::table::{Builder, Table};

/// A plan of which nothing was done is not used any more when it is older: there is more to copy
/// by then. In seconds.
const STALE_PLAN: u64 = 60 * 60;

const LOCK: &str = "lock";

pub(super) fn open(directory: &Path, scope: &str, now: u64) -> Result<Journal, JournalError> {
    let io = |error| JournalError::Io {
        path: directory.to_owned(),
        error,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(io)?;
    let lock = options()
        .create(true)
        .truncate(false)
        .open(directory.join(LOCK))
        .map_err(io)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(JournalError::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    let opened = resume(directory, scope, now)?;
    let resumed = opened.is_some();
    let (plan, target, done, standing) = match opened {
        Some(opened) => opened,
        None => begin(directory, scope, now)?,
    };
    Ok(Journal {
        directory: directory.to_owned(),
        plan,
        target,
        done,
        known: Table::open(directory, KNOWN).map_err(io)?,
        standing,
        resumed,
        _lock: Lock(lock),
    })
}

type Opened = (Log, Log, Log, Standing);

/// The unfinished run that is there, if it can go on.
fn resume(directory: &Path, scope: &str, now: u64) -> Result<Option<Opened>, JournalError> {
    let mut standing = None;
    let plan = Log::open(directory, Kind::Plan, |payload| {
        let frame = PlanFrame::decode(payload).ok_or("a frame cannot be read")?;
        match (&mut standing, frame) {
            (None, PlanFrame::Run { began, scope }) => {
                standing = Some(Standing::new(began, &scope));
                Ok(())
            }
            (None, _) => Err("it does not begin with a run".to_owned()),
            (Some(standing), frame) => standing.take_plan(&frame),
        }
    })?;
    let (Some(plan), Some(mut standing)) = (believed(directory, plan), standing) else {
        return Ok(None);
    };
    if standing.is_finished || *standing.scope != *scope {
        return Ok(None);
    }
    let Some(target) = belonging(directory, Kind::Target, plan.run(), |payload| {
        let page = TargetPage::decode(payload).ok_or("a frame cannot be read")?;
        standing.take_target(&page)
    })?
    else {
        return Ok(None);
    };
    let Some(done) = belonging(directory, Kind::Done, plan.run(), |payload| {
        let all = Done::decode_all(payload).ok_or("a frame cannot be read")?;
        all.iter().try_for_each(|one| standing.take_done(one))
    })?
    else {
        return Ok(None);
    };
    // What was planned was compared with all of the target.
    if standing.target_at.is_some() && standing.tally.source.objects > 0 {
        return Ok(None);
    }
    let is_stale = standing.source_at.is_none()
        && standing.done_count() == 0
        && now.saturating_sub(standing.began) > STALE_PLAN;
    Ok((!is_stale).then_some((plan, target, done, standing)))
}

/// Begins a new run. Whatever becomes of this process meanwhile, what was copied stays known.
fn begin(directory: &Path, scope: &str, now: u64) -> Result<Opened, JournalError> {
    let io = |error| JournalError::Io {
        path: directory.to_owned(),
        error,
    };
    let mut builder = Builder::new(directory, KNOWN);
    if let Some(known) = Table::open(directory, KNOWN).map_err(io)? {
        builder.take_over(&known).map_err(io)?;
    }
    let mut failed = None;
    let _ = Log::open(directory, Kind::Done, |payload| {
        let all = Done::decode_all(payload).ok_or("a frame cannot be read")?;
        for (key, value) in all.iter().filter_map(copied) {
            if let Err(error) = builder.push(key, value) {
                failed.get_or_insert(error);
            }
        }
        Ok(())
    })?;
    failed.map_or(Ok(()), Err).map_err(io)?;
    builder.finish().map_err(io)?;
    match std::fs::remove_file(directory.join(PRESENT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let earlier = match Log::open(directory, Kind::Plan, |_| Ok(()))? {
        Found::Log(plan) => plan.run(),
        Found::None if is_empty(directory) => 0,
        // No number that an earlier run's files can have.
        Found::None | Found::Damaged(_) => now,
    };
    let run = earlier + 1;
    // The plan last: until it is there, the old run is the one that counts.
    let mut plan = Log::create(directory, Kind::Plan, run)?;
    let first = PlanFrame::Run {
        began: now,
        scope: scope.into(),
    };
    plan.append([&*first.encode()])?;
    let target = Log::create(directory, Kind::Target, run)?;
    let done = Log::create(directory, Kind::Done, run)?;
    Ok((plan, target, done, Standing::new(now, scope)))
}

/// Whether no run has left anything here.
fn is_empty(directory: &Path) -> bool {
    let is_there = |kind: Kind| directory.join(kind.name()).exists();
    !is_there(Kind::Target) && !is_there(Kind::Done)
}

/// A log of this run; one of an earlier run, or none, is a new one.
fn belonging(
    directory: &Path,
    kind: Kind,
    run: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<Option<Log>, JournalError> {
    // An earlier run's frames must not be taken for this one's.
    let is_of_run = match Log::open(directory, kind, |_| Ok(()))? {
        Found::Log(log) => log.run() == run,
        Found::None => false,
        damaged @ Found::Damaged(_) => return Ok(believed(directory, damaged)),
    };
    if !is_of_run {
        return Ok(Some(Log::create(directory, kind, run)?));
    }
    let found = Log::open(directory, kind, &mut take)?;
    Ok(believed(directory, found))
}

/// The log, unless it is damaged, which is said.
fn believed(directory: &Path, found: Found) -> Option<Log> {
    match found {
        Found::Log(log) => Some(log),
        Found::None => None,
        Found::Damaged(why) => {
            tracing::warn!(
                journal = %directory.display(),
                why,
                "the journal is damaged: what was listed is listed again, and nothing is copied twice"
            );
            None
        }
    }
}
