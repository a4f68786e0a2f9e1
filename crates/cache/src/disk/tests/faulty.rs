//! The file of an index that fails on demand, because no disk does.

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::super::opening::Create;

/// Which errors the file gives from now on; 0 for none.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Arc<Plan>);

#[derive(Debug, Default)]
struct Plan {
    reads: AtomicI32,
    writes: AtomicI32,
}

impl Faults {
    /// For an index that has them.
    pub(super) fn create(&self) -> Create {
        let faults = self.clone();
        Arc::new(move |builder, file| {
            builder.create_with_backend(Faulty(FileBackend::new(file)?, faults.clone()))
        })
    }

    pub(super) fn fail_reads(&self, errno: i32) {
        self.0.reads.store(errno, Ordering::SeqCst);
    }

    pub(super) fn fail_writes(&self, errno: i32) {
        self.0.writes.store(errno, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Faulty(FileBackend, Faults);

impl Faulty {
    fn read_fault(&self) -> io::Result<()> {
        fault(&self.1.0.reads)
    }

    fn write_fault(&self) -> io::Result<()> {
        fault(&self.1.0.writes)
    }
}

fn fault(of: &AtomicI32) -> io::Result<()> {
    match of.load(Ordering::SeqCst) {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

type Locked = Result<bool, redb::BackendError>;

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_fault()?;
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.write_fault()?;
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.write_fault()?;
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write_fault()?;
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked {
        self.0.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), redb::BackendError> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked {
        self.0.query_lock_range(start, end)
    }
}
