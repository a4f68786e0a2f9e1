//! One opened index with its content and its queue, until it is closed or fails.
//!
//! Everything here blocks; `Disk` decides on which thread and for how long it is waited for.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use object::ObjectKey;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use super::change::{Change, Kept, Lost, Owner};
use super::choice::refusal;
use super::common::{Common, now_hour};
use super::content::{Content, OpenSlice, Unreadable, read_chunk};
use super::error::{Broken, Kind, is_full};
use super::facts::{FirstBytes, Row, SliceAt, SliceRow, VersionFacts};
use super::index::{Index, NAME};
use super::lock::Lock;
use super::meter::{Books, file_system};
use super::opening::{Create, Opened};
use super::pending::{Mark, Pending};
use super::purges::recorded;
use super::queue::{Queue, Slot};
use crate::slice::Slice;
use crate::{CHUNK_BYTES, CacheError};

/// A first slice up to this is read whole with its row; of a longer one, two chunks are.
pub(crate) const WHOLE_FIRST_BYTES: u32 = 256 * 1024;
const FIRST_CHUNKS: usize = 2;
/// More than this is not read on the thread of whoever asks: others wait for it too.
const CHUNKS_AT_ONCE: usize = 4;

/// Freed without a choice when the disk is too full to open the index.
const BLINDLY_FREED_BYTES: u64 = 8 * 1024 * 1024;

/// An opened disk.
pub(super) struct Generation {
    pub(super) index: Index,
    pub(super) queue: Arc<Queue<Change>>,
    pub(super) content: Content,
    pub(super) pending: Arc<Pending>,
    /// When it was opened; a file of before without a row is not wanted.
    pub(super) start: SystemTime,
    /// Whether no file lies there that has no row.
    pub(super) swept: AtomicBool,
    pub(super) failing: CancellationToken,
    /// The writer has ended.
    pub(super) ended: CancellationToken,
    broken: Mutex<Option<Broken>>,
    /// Last, because it is let go last.
    _lock: Lock,
}

/// How to open.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct How {
    /// Read the whole index first: it was damaged.
    pub(super) check: bool,
    /// Begin it anew: it cannot be repaired.
    pub(super) anew: bool,
}

impl Generation {
    /// Opens the directory, or makes it. The books are for the writer.
    pub(super) fn open(
        common: &Common,
        how: How,
        create: &Create,
    ) -> Result<(Self, Books), Broken> {
        let directory = &common.directory;
        let root = directory.join("content");
        fs::create_dir_all(&root)
            .map_err(|error| Broken::io("cannot make the directory", &error))?;
        let lock = Lock::take(directory)?;
        let start = lock.taken();
        let content = Content::new(root.clone());
        let index_file = directory.join(NAME);
        if how.anew {
            fs::remove_file(&index_file)
                .map_err(|error| Broken::io("cannot remove the damaged index", &error))?;
        }
        let new = fs::metadata(&index_file).map_or(true, |metadata| metadata.len() == 0);
        let reached = common.numbers.reached();
        let open = || Index::open(directory, reached, how.check, create);
        let opened = match open() {
            Err(broken) if broken.kind == Kind::Full => {
                let freed = content.remove_some(BLINDLY_FREED_BYTES);
                tracing::warn!(
                    freed,
                    "removed files unseen: the disk is too full to open the index"
                );
                open()?
            }
            opened => opened?,
        };
        Ok(Self::begin(
            common, opened, content, lock, start, new, &root,
        ))
    }

    fn begin(
        common: &Common,
        opened: Opened,
        content: Content,
        lock: Lock,
        start: SystemTime,
        new: bool,
        root: &Path,
    ) -> (Self, Books) {
        let Opened {
            index,
            books,
            clean,
            numbers,
            purges,
        } = opened;
        common.recent.forget();
        let first = common.numbers.open(numbers.start, numbers.end);
        for (what, number) in purges {
            common.purges.add(&what, recorded(number));
        }
        // Purges of before the disk came up take what lies there; before anybody can look.
        common.purges.settle(first);
        common.meter.publish(&books);
        common.meter.publish_index(index.allocated());
        let block = fs::metadata(root).map_or(0, |metadata| {
            std::os::unix::fs::MetadataExt::blocks(&metadata) * 512
        });
        common.meter.set_directory(block);
        let empty = || root.join("content-v2").symlink_metadata().is_err();
        let generation = Self {
            index,
            queue: Queue::new(),
            content,
            pending: Arc::default(),
            start,
            swept: AtomicBool::new(clean && (!new || empty())),
            failing: CancellationToken::new(),
            ended: CancellationToken::new(),
            broken: Mutex::new(None),
            _lock: lock,
        };
        (generation, books)
    }

    /// Nothing more is done with it; the first reason counts.
    pub(super) fn fail(&self, broken: Broken) {
        self.broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(broken);
        self.queue.close();
        self.failing.cancel();
    }

    pub(super) fn broken(&self) -> Option<Broken> {
        self.broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn is_swept(&self) -> bool {
        self.swept.load(Ordering::Acquire)
    }

    /// What an index gave, or nothing: damage costs the row, anything else the whole opening.
    pub(super) fn believe<T>(&self, common: &Common, found: Result<T, Broken>) -> Option<T> {
        match found {
            Ok(found) => Some(found),
            Err(broken) if broken.kind == Kind::Damaged => {
                common.observer.error(CacheError::Corrupt);
                tracing::warn!(%broken, "an entry of the disk cache is taken for absent");
                None
            }
            Err(broken) => {
                common.observer.error(CacheError::Index);
                self.fail(broken);
                None
            }
        }
    }

    /// Asks the writer, unless its queue is full.
    pub(super) fn ask(&self, common: &Common, change: Change) {
        if let Some(slot) = self.queue.reserve() {
            slot.send(change);
        } else if !self.queue.is_closed() {
            common.observer.error(CacheError::Queue);
        }
    }

    /// Asks for everything so far to be durable, and for an answer. The answer is for a thread to
    /// wait for: the writer's time is not the runtime's, which a test may stop.
    pub(super) fn flushed(&self) -> Option<mpsc::Receiver<()>> {
        let (answer, done) = mpsc::channel();
        self.queue.reserve_waiting()?.send(Change::Flush(answer));
        Some(done)
    }

    pub(super) fn find(&self, common: &Common, space: &str, key: &ObjectKey) -> Option<Row> {
        let row = self.index.row_to_note(&common.recent, space, key);
        let row = self.believe(common, row)??;
        (!common.purges.is_dead(space, key, row.number)).then_some(row)
    }

    /// The same as [`Self::find_with_first`] where nothing has to be waited for: the row was read
    /// lately, and the kernel has the bytes in memory. `None` says nothing about the object; an object
    /// of more than `most` bytes is not read.
    pub(super) fn find_at_once(
        &self,
        common: &Common,
        space: &str,
        key: &ObjectKey,
        most: u64,
    ) -> Option<(Row, FirstBytes)> {
        let row = self.index.recent_row(&common.recent, space, key)?;
        if row.facts.total > most || common.purges.is_dead(space, key, row.number) {
            return None;
        }
        let slice = row.slice0.as_ref()?;
        let (file, chunks) = self.read_at_once(None, slice, 0, first_chunks(slice))?;
        Some((row, FirstBytes { file, chunks }))
    }

    pub(super) fn find_with_first(
        &self,
        common: &Common,
        space: &str,
        key: &ObjectKey,
    ) -> Option<(Row, Option<FirstBytes>)> {
        let mut row = self.find(common, space, key)?;
        let Some(slice) = row.slice0.clone() else {
            return Some((row, None));
        };
        let count = first_chunks(&slice);
        let at = SliceAt {
            number: row.number,
            n: 0,
        };
        let owner = Owner {
            space: Arc::clone(&row.space),
            key: row.key.clone(),
        };
        let read = self.read_of(common, None, &slice, at, Some(owner), 0, count);
        if read.is_none() {
            row.slice0 = None;
        }
        let first = read.map(|(file, chunks)| FirstBytes { file, chunks });
        Some((row, first))
    }

    pub(super) fn read(
        &self,
        common: &Common,
        file: Option<OpenSlice>,
        of: &SliceRow,
        at: SliceAt,
        first: usize,
        count: usize,
    ) -> Option<(OpenSlice, Vec<Bytes>)> {
        self.read_of(common, file, of, at, None, first, count)
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one place that reads, for two that ask"
    )]
    fn read_of(
        &self,
        common: &Common,
        file: Option<OpenSlice>,
        of: &SliceRow,
        at: SliceAt,
        owner: Option<Owner>,
        first: usize,
        count: usize,
    ) -> Option<(OpenSlice, Vec<Bytes>)> {
        let lose = |seen| {
            let slice = of.clone();
            let lost = Lost {
                at,
                slice,
                owner,
                seen,
            };
            self.ask(common, Change::Lost(Box::new(lost)));
            None
        };
        let file = match file.map_or_else(|| self.content.open(&of.sha256), Ok) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return lose(None),
            Err(error) => {
                unread(common, &error);
                return None;
            }
        };
        let last = (first + count).min(of.xxh3.len());
        let mut chunks = Vec::with_capacity(last.saturating_sub(first));
        for chunk in first..last {
            match read_chunk(&file, of, chunk) {
                Ok(bytes) => chunks.push(bytes),
                Err(Unreadable::Corrupt) => {
                    common.observer.error(CacheError::Corrupt);
                    if let Some(held_back) = common.complaints.damaged.is_due(Instant::now()) {
                        tracing::warn!(
                            file = %self.content.path(&of.sha256).display(),
                            held_back,
                            "a file of the disk cache is damaged and is removed",
                        );
                    }
                    return lose(file.identity());
                }
                Err(Unreadable::Failed(error)) => {
                    unread(common, &error);
                    return None;
                }
            }
        }
        Some((file, chunks))
    }

    /// Checked chunks that the kernel has in memory. `None` where it would have to be waited for, or
    /// where anything is wrong: whoever reads patiently will find out.
    pub(super) fn read_at_once(
        &self,
        file: Option<OpenSlice>,
        of: &SliceRow,
        first: usize,
        count: usize,
    ) -> Option<(OpenSlice, Vec<Bytes>)> {
        if count > CHUNKS_AT_ONCE {
            return None;
        }
        let file = match file {
            Some(file) => file,
            None => self.content.open_at_once(&of.sha256)?,
        };
        let last = (first + count).min(of.xxh3.len());
        let chunks = (first..last).map(|chunk| self.content.read_chunk_at_once(&file, of, chunk));
        let chunks = chunks.collect::<Option<_>>()?;
        Some((file, chunks))
    }

    /// Writes a slice's file and asks for its row. `None` if it is not kept.
    pub(super) fn keep(
        &self,
        common: &Common,
        facts: VersionFacts,
        n: u32,
        slice: &Slice,
        slot: Slot<Change>,
    ) -> Option<SliceRow> {
        let xxh3: Box<[u64]> = slice.chunks().iter().map(|chunk| xxh3_64(chunk)).collect();
        let length = u32::try_from(slice.length()).ok()?;
        debug_assert_eq!(xxh3.len(), (length as usize).div_ceil(CHUNK_BYTES));
        let wanted = u64::from(length).next_multiple_of(4096);
        let held = common.meter.held();
        let system = file_system(&common.directory)
            .inspect_err(|error| unwritten(common, error))
            .ok()?;
        if refusal(wanted, held, common.limits, system).is_some() {
            common.observer.error(CacheError::Full);
            common.pressed.notify_one();
            return None;
        }
        let coming = common.meter.coming(wanted);
        let guard = self.pending.begin(Mark::new(length, &xxh3));
        let (sha256, allocated) = match self.content.write(slice.chunks()) {
            Ok(written) => written,
            Err(error) => {
                unwritten(common, &error);
                return None;
            }
        };
        common.had_room();
        let slice = SliceRow {
            sha256,
            length,
            allocated,
            xxh3,
        };
        slot.send(Change::Keep(Box::new(Kept {
            facts,
            n,
            slice: slice.clone(),
            hour: now_hour(),
            guard: Some(guard),
            coming: Some(coming),
        })));
        Some(slice)
    }
}

/// How many chunks of a first slice are read with its row.
fn first_chunks(slice: &SliceRow) -> usize {
    if slice.length <= WHOLE_FIRST_BYTES {
        slice.xxh3.len()
    } else {
        FIRST_CHUNKS
    }
}

fn unread(common: &Common, error: &io::Error) {
    common.observer.error(CacheError::Read);
    if let Some(held_back) = common.complaints.unread.is_due(Instant::now()) {
        tracing::warn!(%error, held_back, "a file of the disk cache cannot be read");
    }
}

fn unwritten(common: &Common, error: &io::Error) {
    if is_full(error) {
        common.observer.error(CacheError::Full);
        common.was_full(BLINDLY_FREED_BYTES);
    } else {
        common.observer.error(CacheError::Write);
        if let Some(held_back) = common.complaints.unwritten.is_due(Instant::now()) {
            tracing::warn!(%error, held_back, "a file of the disk cache cannot be written");
        }
    }
}
