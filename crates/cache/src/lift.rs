//! Slices on their way from the disk into memory.
//!
//! A slice that a reader wants all of is read in one piece, checked, and kept in memory for those
//! who come next. One reader does so at a time, and only while there is memory to read into:
//! everybody else reads its two chunks and is held up by nobody.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use crate::memory::Memory;
use crate::parts::{PERMIT_BYTES, Parts};
use crate::segment::slice_length;
use crate::slice::{SLICE_BYTES, Slice};
use crate::sync::Mutex;
use crate::version::Version;

/// Which slices are being lifted: a version's number, and the slice's.
#[derive(Debug, Default)]
pub(crate) struct Lifts(Mutex<HashSet<(u64, u32)>>);

/// The right, and the memory, to lift one slice.
pub(crate) struct Lift<'a> {
    lifts: &'a Lifts,
    name: (u64, u32),
    _memory: OwnedSemaphorePermit,
}

impl Parts {
    /// The right to lift this slice. `None` if another reader has it, downloads need the memory,
    /// or there is nowhere to lift it to.
    pub(crate) fn lift(&self, version: &Version, n: u32) -> Option<Lift<'_>> {
        if !self.memory.takes_slices() {
            return None;
        }
        let permits = u32::try_from(SLICE_BYTES / PERMIT_BYTES).ok()?;
        let memory = Arc::clone(&self.fill_memory)
            .try_acquire_many_owned(permits)
            .ok()?;
        let name = (version.number, n);
        let is_first = self.lifts.0.lock().insert(name);
        is_first.then(|| Lift {
            lifts: &self.lifts,
            name,
            _memory: memory,
        })
    }
}

impl Lift<'_> {
    /// Keeps what was read in memory, if it is all of the slice and may still be used.
    pub(crate) fn keep(self, memory: &Memory, version: &Arc<Version>, chunks: &[Bytes]) {
        let (_, n) = self.name;
        let whole = Slice::whole(chunks.to_vec(), slice_length(n, version.total));
        if let Some(slice) = whole.filter(|_| version.life.is_good()) {
            memory.keep_slice(version, n, &slice);
        }
    }
}

impl Drop for Lift<'_> {
    fn drop(&mut self) {
        self.lifts.0.lock().remove(&self.name);
    }
}
