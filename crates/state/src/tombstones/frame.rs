//! A frame: the records that one call made durable together, sealed.
//!
//! It says at which offset it stands, so that a file with a piece cut out, or a block that turns
//! up in another place, is told from a good one and from the rest of a torn write. Pure.

use std::io;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::record::{MAX_RECORDS, Record};

/// What stands before a frame's records: their length, a seal of length and offset, the offset, a
/// seal of the records.
pub(super) const HEAD_BYTES: usize = 24;
/// The most bytes of records in one frame. A reader holds one frame in memory.
pub(super) const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

/// What stands before a frame's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// How many bytes of records follow; never 0, at most [`MAX_PAYLOAD_BYTES`].
    pub(super) payload_bytes: usize,
    /// Where in the log the frame was written.
    pub(super) offset: u64,
    seal: [u8; 8],
}

impl Head {
    /// Reads the head that the bytes begin with; `None` where they are none.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (head, _) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let [length, seal] = [&head[..4], &head[4..8]];
        let offset = head[8..16].first_chunk::<8>()?;
        if *seal != head_seal(length, *offset) {
            return None;
        }
        let payload_bytes = u32::from_be_bytes(*length.first_chunk()?);
        let payload_bytes = usize::try_from(payload_bytes).ok()?;
        (1..=MAX_PAYLOAD_BYTES)
            .contains(&payload_bytes)
            .then_some(Self {
                payload_bytes,
                offset: u64::from_be_bytes(*offset),
                seal: *head[16..].first_chunk::<8>()?,
            })
    }

    /// Whether these are the records that it was written for.
    pub(super) fn fits(&self, payload: &[u8]) -> bool {
        payload_seal(payload, self.offset) == self.seal
    }
}

/// Whether a whole frame begins anywhere in these bytes, wherever it was written.
pub(super) fn any_in(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| {
        let Some(head) = Head::read(&bytes[at..]) else {
            return false;
        };
        bytes[at + HEAD_BYTES..]
            .get(..head.payload_bytes)
            .is_some_and(|payload| head.fits(payload))
    })
}

fn head_seal(length: &[u8], offset: [u8; 8]) -> [u8; 4] {
    let mut sealed = [0; 12];
    sealed[..4].copy_from_slice(length);
    sealed[4..].copy_from_slice(&offset);
    let seal = xxh3_64(&sealed).to_be_bytes();
    [seal[4], seal[5], seal[6], seal[7]]
}

fn payload_seal(payload: &[u8], offset: u64) -> [u8; 8] {
    xxh3_64_with_seed(payload, offset).to_be_bytes()
}

/// Puts records into as few frames as hold them, and hands each to the sink with its offset.
pub(super) struct Framing<S> {
    frame: Vec<u8>,
    offset: u64,
    records: u32,
    sink: S,
}

impl<S: FnMut(&[u8], u64) -> io::Result<()>> Framing<S> {
    /// Frames that begin at this offset.
    pub(super) fn new(offset: u64, sink: S) -> Self {
        Self {
            frame: vec![0; HEAD_BYTES],
            offset,
            records: 0,
            sink,
        }
    }

    /// Adds a record, which has been checked.
    pub(super) fn push(&mut self, record: &Record<'_>) -> io::Result<()> {
        if self.frame.len() + record.encoded_bytes() > HEAD_BYTES + MAX_PAYLOAD_BYTES {
            self.end_frame()?;
        }
        record.encode(&mut self.frame);
        self.records += 1;
        if self.records > MAX_RECORDS {
            return Err(io::Error::other("a log cannot hold more records"));
        }
        Ok(())
    }

    /// Hands over the last frame. Returns the offset behind it, and how many records there were.
    pub(super) fn finish(mut self) -> io::Result<(u64, u32)> {
        self.end_frame()?;
        Ok((self.offset, self.records))
    }

    fn end_frame(&mut self) -> io::Result<()> {
        let (head, payload) = self.frame.split_at_mut(HEAD_BYTES);
        if payload.is_empty() {
            return Ok(());
        }
        let length = u32::try_from(payload.len())
            .expect("a frame is not longer than a MiB")
            .to_be_bytes();
        let offset = self.offset.to_be_bytes();
        head[..4].copy_from_slice(&length);
        head[4..8].copy_from_slice(&head_seal(&length, offset));
        head[8..16].copy_from_slice(&offset);
        head[16..].copy_from_slice(&payload_seal(payload, self.offset));
        (self.sink)(&self.frame, self.offset)?;
        self.offset += self.frame.len() as u64;
        self.frame.truncate(HEAD_BYTES);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Kind;
    use super::*;
    use proptest::prelude::*;

    fn framed(offset: u64, keys: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut framing = Framing::new(offset, |frame, _| {
            bytes.extend(frame);
            Ok(())
        });
        for key in keys {
            framing.push(&record(key)).unwrap();
        }
        let (end, records) = framing.finish().unwrap();
        assert_eq!(records as usize, keys.len());
        assert_eq!(end, offset + bytes.len() as u64);
        bytes
    }

    fn record(key: &[u8]) -> Record<'_> {
        Record {
            kind: Kind::Add,
            time: 7,
            scope: "media",
            key,
            reason: "",
        }
    }

    #[test]
    fn a_frame_is_these_bytes_for_ever() {
        let bytes = framed(20, &[b"a"]);
        let head = "00000016bf2f57840000000000000014290a1a49c17d8e10";
        assert_eq!(hex::encode(&bytes[..HEAD_BYTES]), head);
        assert_eq!(
            hex::encode(&bytes[HEAD_BYTES..]),
            "01020000000000000007000500010000".to_owned() + &hex::encode("mediaa")
        );
    }

    #[test]
    fn a_frame_says_where_it_was_written() {
        let bytes = framed(20, &[b"a", b"b"]);
        let head = Head::read(&bytes).unwrap();
        assert!(head.fits(&bytes[HEAD_BYTES..]));
        assert_eq!(head.offset, 20);
    }

    #[test]
    fn a_flipped_bit_makes_a_frame_bad() {
        let bytes = framed(20, &[b"a", b"b"]);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!any_in(&flipped), "bit {bit}");
        }
    }

    #[test]
    fn more_than_a_frame_holds_goes_into_several() {
        let key = [b'k'; 1024];
        let mut frames = Vec::new();
        let mut framing = Framing::new(20, |frame, at| {
            frames.push((at, frame.len()));
            Ok(())
        });
        for _ in 0..3000 {
            framing.push(&record(&key)).unwrap();
        }
        framing.finish().unwrap();
        assert_eq!(frames.len(), 3);
        assert!(
            frames
                .iter()
                .all(|(_, length)| *length <= HEAD_BYTES + MAX_PAYLOAD_BYTES)
        );
        assert_eq!(frames[1].0, 20 + frames[0].1 as u64);
    }

    #[test]
    fn a_whole_frame_within_rubbish_is_found() {
        let mut bytes = vec![0xa5; 77];
        bytes.extend(framed(500, &[b"a"]));
        assert!(any_in(&bytes));
        assert!(!any_in(&bytes[..bytes.len() - 1]));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!any_in(&bytes));
            prop_assert_eq!(Head::read(&bytes), None);
        }
    }
}
