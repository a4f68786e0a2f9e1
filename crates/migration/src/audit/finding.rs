//! Whether one origin's object is proven to stand at another one.
//!
//! Pure. An equal length alone proves nothing, and a contradiction is never outvoted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object::Digest;
use serde::Serialize;

use crate::difference::Seen;

/// What the ledger knows of a key at one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The length that was verified, in bytes.
    pub length: u64,
    /// The SHA-256 that a copy has written down.
    pub digest: Option<Digest>,
    /// When it was last seen there, in seconds since 1970.
    pub verified: u64,
    /// A promotion or a migration was the last to verify it.
    pub copied: bool,
}

/// How a key is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// Equal lengths, and equal checksums that both origins tell.
    Checksum,
    /// Equal lengths, and equal digests in the ledger.
    Digest,
    /// Equal lengths, and the ledger knows it as a copy that was verified when it was made.
    Copy,
    /// Both were read and are equal.
    Reading,
}

/// What a remaining origin comes to for one key; the later ones are nearer to a proof.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Finding {
    /// It is not there.
    Missing,
    /// It is there with another length, in bytes.
    Length(u64),
    /// It is there with the same length and another checksum.
    Content,
    /// It is there with the same length, and nothing more can be said.
    Unproven,
    /// Nobody could say.
    Unknown(Box<str>),
    /// It is there.
    Proven(ProofRank),
}

/// A proof that can be put in an order with the other findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProofRank(pub(crate) Proof);

impl PartialOrd for ProofRank {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ProofRank {
    fn cmp(&self, _other: &Self) -> std::cmp::Ordering {
        // One proof is as good as another.
        std::cmp::Ordering::Equal
    }
}

/// What both origins and the ledger say of one key. `tags` is whether both origins' checksums
/// agree, where they can be compared.
pub(crate) fn compare(
    here: Seen,
    there: Option<u64>,
    tags: Option<bool>,
    known: (Option<Known>, Option<Known>),
) -> Finding {
    let Some(length) = there else {
        return Finding::Missing;
    };
    if length != here.size_bytes {
        return Finding::Length(length);
    }
    let of_this = |known: Option<Known>| known.filter(|known| is_of(*known, here));
    let (of_source, of_home) = (of_this(known.0), of_this(known.1));
    let digest = |known: Option<Known>| known.and_then(|known| known.digest);
    let digests = digest(of_source)
        .zip(digest(of_home))
        .map(|(here, there)| here == there);
    let is_copy = of_home.is_some_and(|known| known.copied);
    match (tags, digests) {
        (Some(false), _) | (_, Some(false)) => Finding::Content,
        (Some(true), _) => proven(Proof::Checksum),
        (None, Some(true)) => proven(Proof::Digest),
        (None, None) if is_copy => proven(Proof::Copy),
        (None, None) => Finding::Unproven,
    }
}

pub(crate) fn proven(proof: Proof) -> Finding {
    Finding::Proven(ProofRank(proof))
}

/// Whether the ledger speaks of this object: what was written after it was verified is another.
fn is_of(known: Known, here: Seen) -> bool {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(known.verified));
    let is_later = |modified: SystemTime| at.is_some_and(|at| modified > at);
    known.length == here.size_bytes && !here.modified.is_some_and(is_later)
}

/// Whether something was written so lately that more may come. What has no time may be new.
pub(crate) fn is_young(modified: Option<SystemTime>, now: SystemTime, quiet_for: Duration) -> bool {
    if quiet_for.is_zero() {
        return false;
    }
    modified.is_none_or(|modified| {
        modified
            .checked_add(quiet_for)
            .is_none_or(|quiet| quiet > now)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Mark;

    fn here() -> Seen {
        Seen {
            size_bytes: 5,
            mark: Mark::default(),
            modified: Some(UNIX_EPOCH + Duration::from_secs(100)),
        }
    }

    fn knows(length: u64, digest: Option<u8>, copied: bool, verified: u64) -> Known {
        Known {
            length,
            digest: digest.map(|byte| Digest([byte; 32])),
            verified,
            copied,
        }
    }

    #[test]
    fn an_equal_length_alone_is_no_proof() {
        let nothing = (None, None);
        assert_eq!(compare(here(), None, None, nothing), Finding::Missing);
        assert_eq!(compare(here(), Some(4), None, nothing), Finding::Length(4));
        assert_eq!(compare(here(), Some(5), None, nothing), Finding::Unproven);
        let served = (None, Some(knows(5, None, false, 200)));
        assert_eq!(compare(here(), Some(5), None, served), Finding::Unproven);
    }

    #[test]
    fn checksums_digests_and_verified_copies_are_proofs() {
        let of = |tags, known| compare(here(), Some(5), tags, known);
        assert_eq!(of(Some(true), (None, None)), proven(Proof::Checksum));
        let both = (
            Some(knows(5, Some(1), false, 200)),
            Some(knows(5, Some(1), true, 200)),
        );
        assert_eq!(of(None, both), Finding::Proven(ProofRank(Proof::Digest)));
        let copy = (None, Some(knows(5, None, true, 200)));
        assert_eq!(of(None, copy), proven(Proof::Copy));
        let only_served = (None, Some(knows(5, Some(1), false, 200)));
        assert_eq!(of(None, only_served), Finding::Unproven);
    }

    #[test]
    fn a_contradiction_is_never_outvoted() {
        let of = |tags, known| compare(here(), Some(5), tags, known);
        let copy = (None, Some(knows(5, Some(1), true, 200)));
        assert_eq!(of(Some(false), copy), Finding::Content);
        let other = (
            Some(knows(5, Some(2), true, 200)),
            Some(knows(5, Some(1), true, 200)),
        );
        assert_eq!(of(Some(true), other), Finding::Content);
    }

    #[test]
    fn what_was_written_after_the_copy_or_is_longer_is_another_object() {
        let of = |known| compare(here(), Some(5), None, (None, known));
        assert_eq!(of(Some(knows(5, Some(1), true, 99))), Finding::Unproven);
        assert_eq!(of(Some(knows(6, Some(1), true, 200))), Finding::Unproven);
    }

    #[test]
    fn what_has_no_time_may_be_new() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        let quiet = Duration::from_secs(100);
        for (modified, young) in [
            (at(900), false),
            (at(901), true),
            (at(2000), true),
            (None, true),
        ] {
            assert_eq!(is_young(modified, now, quiet), young, "{modified:?}");
        }
        assert!(!is_young(None, now, Duration::ZERO));
    }

    #[test]
    fn the_nearest_to_a_proof_of_several_origins_counts() {
        let found = [
            Finding::Missing,
            proven(Proof::Copy),
            Finding::Unproven,
            Finding::Content,
        ];
        assert_eq!(found.iter().max(), Some(&proven(Proof::Copy)));
        assert!(Finding::Unproven > Finding::Content && Finding::Content > Finding::Length(9));
    }
}
