//! A frame: what one write made durable together, sealed.
//!
//! It says at which offset it stands, so that a block that turns up in another place is told from
//! a good one. Pure.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What stands before a payload: its length, a seal of length and offset, a seal of the payload.
pub(crate) const HEAD_BYTES: usize = 16;
/// The longest payload. A reader holds one in memory.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 16 * 1024 * 1024;

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// How many bytes follow; never 0, at most [`MAX_PAYLOAD_BYTES`].
    pub(crate) payload_bytes: usize,
    offset: u64,
    seal: [u8; 8],
}

impl Head {
    /// Reads the head that stands at this offset; `None` where there is none.
    pub(crate) fn read(bytes: &[u8], offset: u64) -> Option<Self> {
        let (head, _) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let length = head.first_chunk::<4>()?;
        if head[4..8] != head_seal(*length, offset) {
            return None;
        }
        let payload_bytes = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        (1..=MAX_PAYLOAD_BYTES)
            .contains(&payload_bytes)
            .then_some(Self {
                payload_bytes,
                offset,
                seal: *head.last_chunk()?,
            })
    }

    /// Whether this is the payload that it was written for.
    pub(crate) fn fits(&self, payload: &[u8]) -> bool {
        payload_seal(payload, self.offset) == self.seal
    }
}

/// A frame for this payload at this offset; `None` where it is empty or too long.
pub(crate) fn frame(payload: &[u8], offset: u64) -> Option<Vec<u8>> {
    if payload.is_empty() || payload.len() > MAX_PAYLOAD_BYTES {
        return None;
    }
    let length = u32::try_from(payload.len()).ok()?.to_be_bytes();
    let mut frame = Vec::with_capacity(HEAD_BYTES + payload.len());
    frame.extend(length);
    frame.extend(head_seal(length, offset));
    frame.extend(payload_seal(payload, offset));
    frame.extend(payload);
    Some(frame)
}

/// Whether a whole frame stands anywhere in these bytes, which begin at this offset.
pub(crate) fn any_in(bytes: &[u8], offset: u64) -> bool {
    (0..bytes.len()).any(|at| {
        let Some(head) = Head::read(&bytes[at..], offset + at as u64) else {
            return false;
        };
        bytes[at + HEAD_BYTES..]
            .get(..head.payload_bytes)
            .is_some_and(|payload| head.fits(payload))
    })
}

fn head_seal(length: [u8; 4], offset: u64) -> [u8; 4] {
    let mut sealed = [0; 12];
    sealed[..4].copy_from_slice(&length);
    sealed[4..].copy_from_slice(&offset.to_be_bytes());
    let [.., a, b, c, d] = xxh3_64(&sealed).to_be_bytes();
    [a, b, c, d]
}

fn payload_seal(payload: &[u8], offset: u64) -> [u8; 8] {
    xxh3_64_with_seed(payload, offset).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_flipped_bit_makes_a_frame_bad() {
        let good = frame(b"payload", 32).unwrap();
        assert!(any_in(&good, 32) && !any_in(&good, 33));
        for bit in 0..good.len() * 8 {
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!any_in(&flipped, 32), "bit {bit}");
        }
    }

    #[test]
    fn a_whole_frame_behind_rubbish_is_found_and_a_torn_one_is_not() {
        let mut bytes = vec![0xa5; 77];
        bytes.extend(frame(b"payload", 577).unwrap());
        assert!(any_in(&bytes, 500));
        assert!(!any_in(&bytes[..bytes.len() - 1], 500));
    }

    #[test]
    fn a_payload_is_neither_empty_nor_too_long() {
        assert_eq!(frame(b"", 0), None);
        assert_eq!(frame(&vec![0; MAX_PAYLOAD_BYTES + 1], 0), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at: u32) {
            prop_assert!(!any_in(&bytes, at.into()));
        }
    }
}
