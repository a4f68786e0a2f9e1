//! A slice: the unit of filling, and of files on the disk.
//!
//! A rope of small chunks, so that a view of a hundred bytes never pins a whole slice. Knows
//! neither disk nor origin.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// Length of every slice but an object's last, in bytes. It is part of the entity tags that
/// clients remember, so it never changes.
pub const SLICE_BYTES: u64 = 1024 * 1024;

/// Length of every chunk but a slice's last, in bytes: what is checked and sent as one.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// The bytes of one slice: chunks of [`CHUNK_BYTES`], of which only the last may be shorter.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    chunks: Arc<[Bytes]>,
    length: usize,
}

impl Slice {
    /// A slice of `length` bytes, if these chunks are all of it.
    pub(crate) fn whole(chunks: Vec<Bytes>, length: u64) -> Option<Self> {
        let bytes = chunks.iter().map(Bytes::len).sum();
        (bytes as u64 == length && length <= SLICE_BYTES).then(|| Self {
            chunks: chunks.into(),
            length: bytes,
        })
    }

    /// How many bytes.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The chunks in their order.
    pub(crate) fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// The bytes from `at` to the end of the chunk that holds it; empty past the end.
    pub(crate) fn rest_of_chunk(&self, at: usize) -> Bytes {
        self.chunks
            .get(at / CHUNK_BYTES)
            .map_or_else(Bytes::new, |chunk| {
                chunk.slice((at % CHUNK_BYTES).min(chunk.len())..)
            })
    }
}

/// A slice that is still being received.
#[derive(Debug, Default)]
pub(crate) struct SliceBuilder {
    full: Vec<Bytes>,
    last: BytesMut,
}

impl SliceBuilder {
    /// How many bytes there are by now.
    pub(crate) fn length(&self) -> usize {
        self.full.len() * CHUNK_BYTES + self.last.len()
    }

    /// Copies bytes to the end: the one copy that a stored byte costs. Frames of a connection are
    /// copied rather than kept, because a view of a frame pins all of its buffer.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = CHUNK_BYTES - self.last.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.last.extend_from_slice(now);
            bytes = later;
            if self.last.len() == CHUNK_BYTES {
                self.full.push(std::mem::take(&mut self.last).freeze());
            }
        }
    }

    /// A view of the bytes from `at` to the end of the chunk that holds it, as far as they have
    /// arrived.
    pub(crate) fn rest_of_chunk(&self, at: usize) -> Bytes {
        let within = at % CHUNK_BYTES;
        match self.full.get(at / CHUNK_BYTES) {
            Some(chunk) => chunk.slice(within..),
            // The last chunk is still written to: what is handed out is a copy.
            None if at / CHUNK_BYTES == self.full.len() && within < self.last.len() => {
                Bytes::copy_from_slice(&self.last[within..])
            }
            None => Bytes::new(),
        }
    }

    /// The slice.
    pub(crate) fn finish(mut self) -> Slice {
        let length = self.length();
        if !self.last.is_empty() {
            self.full.push(self.last.freeze());
        }
        Slice {
            chunks: self.full.into(),
            length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_slice_is_what_was_pushed_however_it_was_cut(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50_000), 0..8),
            at in 0_usize..300_000,
        ) {
            let all: Vec<u8> = parts.concat();
            let mut builder = SliceBuilder::default();
            for part in &parts {
                builder.push(part);
            }
            let expected = all.get(at..all.len().min((at / CHUNK_BYTES + 1) * CHUNK_BYTES));
            prop_assert_eq!(&builder.rest_of_chunk(at)[..], expected.unwrap_or_default());
            let slice = builder.finish();
            prop_assert_eq!(slice.length(), all.len());
            prop_assert_eq!(slice.chunks().concat(), &all[..]);
            prop_assert_eq!(&slice.rest_of_chunk(at)[..], expected.unwrap_or_default());
        }
    }
}
