//! Bytes of slices: at once where the kernel has them in memory, else on a thread that may wait.

use bytes::Bytes;
use object::ObjectKey;

use super::Disk;
use super::content::OpenSlice;
use super::facts::{FirstBytes, Row, SliceAt, SliceRow};

impl Disk {
    /// The row of a key and the first bytes of slice 0, where nothing has to be waited for: the row
    /// was read lately, and the kernel has the bytes in memory. `None` says nothing about the object;
    /// an object of more than `most` bytes is not read.
    pub(crate) fn find_at_once(
        &self,
        space: &str,
        key: &ObjectKey,
        most: u64,
    ) -> Option<(Row, FirstBytes)> {
        self.current()?.find_at_once(&self.common, space, key, most)
    }

    /// Checked bytes of up to `count` chunks, from chunk `first` of a slice. `None` is a miss: a
    /// slice that is damaged or gone has been counted, and is being removed.
    pub(crate) async fn read(
        &self,
        file: Option<OpenSlice>,
        of: &SliceRow,
        at: SliceAt,
        first: usize,
        count: usize,
    ) -> Option<(OpenSlice, Vec<Bytes>)> {
        if let Some(read) = self.read_at_once(file.clone(), of, first, count) {
            return Some(read);
        }
        let of = of.clone();
        self.look(move |generation, common| generation.read(common, file, &of, at, first, count))
            .await
    }

    /// The same, where the kernel has all of it in memory and nothing is waited for: on the thread
    /// of whoever asks. `None` says nothing about the file.
    pub(crate) fn read_at_once(
        &self,
        file: Option<OpenSlice>,
        of: &SliceRow,
        first: usize,
        count: usize,
    ) -> Option<(OpenSlice, Vec<Bytes>)> {
        self.current()?.read_at_once(file, of, first, count)
    }
}
