//! The one thread that writes the index.
//!
//! Batches are visible at once and durable after a quarter of a second: what a crash takes with it
//! are misses. Any error ends it, and the index with it; nothing is tried twice on a file whose
//! state is unknown.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use redb::Durability;

use super::batch::{Batch, Desk, Retired};
use super::change::Change;
use super::common::Common;
use super::error::{Broken, Kind};
use super::generation::Generation;
use super::index::guarded;
use super::meter::Books;
use super::tables::{META_BOOKS, META_CLEAN};
use crate::CacheError;

/// Between two durable commits.
const DURABLE_EVERY: Duration = Duration::from_millis(250);

/// Changes in one commit: so many that a commit costs each little, so few that nobody waits long.
const AT_ONCE: usize = 512;

/// How long it sleeps when there is nothing to do.
const IDLE: Duration = Duration::from_secs(1);

/// How often it looks whether it is the last that uses the index.
const LAST_LOOK: Duration = Duration::from_millis(5);

/// How long writes that are under way may take once the queue is closed.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Writes one index.
pub(super) struct Writer {
    generation: Arc<Generation>,
    common: Arc<Common>,
    books: Books,
    retired: Vec<Retired>,
    /// Slices of retired versions are left that can go now.
    busy: bool,
    settling: Vec<mpsc::Sender<()>>,
    /// Since when something is visible that is not durable.
    dirty: Option<Instant>,
}

impl Writer {
    pub(super) fn new(generation: Arc<Generation>, common: Arc<Common>, books: Books) -> Self {
        Self {
            generation,
            common,
            books,
            retired: Vec::new(),
            busy: false,
            settling: Vec::new(),
            dirty: None,
        }
    }

    /// Until the queue is closed and empty, or something fails; returns what did.
    pub(super) fn run(self) -> Option<Broken> {
        // Fires last: whoever waits for the end wants the index closed.
        let _ended = self.generation.ended.clone().drop_guard();
        let mut writer = self;
        let failed = guarded(|| writer.work()).err();
        if let Some(broken) = &failed {
            writer.common.observer.error(CacheError::Index);
            if broken.kind == Kind::Full {
                writer.common.observer.error(CacheError::Full);
            }
            writer.generation.fail(broken.clone());
        }
        // Closing the index takes the disk's time; no thread of the runtime should be the one.
        while Arc::strong_count(&writer.generation) > 1 {
            std::thread::sleep(LAST_LOOK);
        }
        failed
    }

    fn work(&mut self) -> Result<(), Broken> {
        let queue = Arc::clone(&self.generation.queue);
        let mut closed: Option<Instant> = None;
        loop {
            let changes = queue.take(self.patience(), AT_ONCE);
            if self.generation.failing.is_cancelled() {
                return Ok(());
            }
            if queue.is_closed() {
                let since = *closed.get_or_insert_with(Instant::now);
                let drained = queue.is_drained();
                if changes.is_empty() && (drained || since.elapsed() > LAST_WRITES) {
                    return self.finish(drained);
                }
            }
            self.step(changes)?;
        }
    }

    fn patience(&self) -> Duration {
        match self.dirty {
            _ if self.busy => Duration::ZERO,
            Some(since) => DURABLE_EVERY.saturating_sub(since.elapsed()),
            None => IDLE,
        }
    }

    /// One batch; an idle one does what has fallen due meanwhile.
    pub(super) fn step(&mut self, mut changes: Vec<Change>) -> Result<(), Broken> {
        changes.extend(self.common.numbers.wanted().map(Change::Reserve));
        let asked = changes
            .iter()
            .any(|change| matches!(change, Change::Flush(_) | Change::Reserve(_)));
        let due = |since: Instant| since.elapsed() >= DURABLE_EVERY;
        let durable = asked || self.dirty.is_some_and(due);
        let waits = self
            .retired
            .iter()
            .any(|one| !one.spare_readers || !self.common.pins.is_pinned(one.place.number));
        let idle = changes.is_empty() && !durable && !waits && !self.generation.pending.is_due();
        if idle {
            return Ok(());
        }
        guarded(|| self.commit(changes, durable, false))
    }

    fn commit(&mut self, changes: Vec<Change>, durable: bool, last: bool) -> Result<(), Broken> {
        let generation = Arc::clone(&self.generation);
        let common = Arc::clone(&self.common);
        let desk = Desk {
            index: &generation.index,
            content: &generation.content,
            pending: &generation.pending,
            common: &common,
        };
        let mut transaction = generation.index.database().begin_write()?;
        transaction.set_durability(if durable {
            Durability::Immediate
        } else {
            Durability::None
        })?;
        transaction.set_quick_repair(durable);
        let mut flushed = Vec::new();
        let mut reserved = None;
        let retired = std::mem::take(&mut self.retired);
        let mut batch = Batch::open(&desk, &transaction, self.books, retired)?;
        for change in changes {
            if let Change::Reserve(end) = &change {
                reserved = Some(*end);
            }
            match batch.apply(change)? {
                Some(Change::Flush(answer)) => flushed.push(answer),
                Some(Change::Settle(answer)) => self.settling.push(answer),
                Some(Change::Clean) => {
                    generation
                        .swept
                        .store(true, std::sync::atomic::Ordering::Release);
                }
                _ => {}
            }
        }
        self.busy = batch.work_off()?;
        batch.unlink_due()?;
        if batch.books != self.books {
            batch.meta.put(META_BOOKS, batch.books.encode())?;
        }
        if last && batch.retired.is_empty() && generation.is_swept() {
            batch.write_number(META_CLEAN, 1)?;
        }
        let coming = std::mem::take(&mut batch.coming);
        self.books = batch.books;
        self.retired = std::mem::take(&mut batch.retired);
        let rows = batch.objects.take_changed();
        drop(batch);
        transaction.commit()?;
        for (key, row) in rows {
            common.recent.changed(key, row);
        }

        common.meter.publish(&self.books);
        drop(coming);
        if durable {
            self.dirty = None;
            common.meter.publish_index(generation.index.allocated());
            if let Some(end) = reserved {
                common.numbers.extend(end);
            }
        } else {
            self.dirty.get_or_insert_with(Instant::now);
        }
        if !self.busy {
            for answer in self.settling.drain(..) {
                let _ = answer.send(());
            }
        }
        for answer in flushed {
            let _ = answer.send(());
        }
        Ok(())
    }

    /// The last commit. The index counts as closed in order only if no file can be left over.
    fn finish(&mut self, drained: bool) -> Result<(), Broken> {
        let until = Instant::now() + LAST_WRITES;
        while self.busy && Instant::now() < until {
            guarded(|| self.commit(Vec::new(), false, false))?;
        }
        guarded(|| self.commit(Vec::new(), true, drained))
    }
}
