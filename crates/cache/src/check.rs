//! Asks the origins, in the background, whether a copy is still what they have.
//!
//! A copy that is old, or came from an origin that rehearses its retirement or has left, is used
//! while it is checked. Only this file decides that a copy was deleted, replaced or orphaned.

use std::sync::Arc;

use object::{ObjectHead, Part};

use crate::brief::Absent;
use crate::disk::RowChange;
use crate::parts::Parts;
use crate::source::{Found, Known, Opened, Opening, Source, Standing};
use crate::version::Version;

/// Checks a version on a task of its own, unless that was done a moment ago.
pub(crate) fn check(parts: &Arc<Parts>, source: &Arc<dyn Source>, version: &Arc<Version>) {
    if !version.begin_check(parts.now()) {
        return;
    }
    let (parts, source, version) = (Arc::clone(parts), Arc::clone(source), Arc::clone(version));
    let tasks = parts.tasks.clone();
    tasks.spawn(async move {
        let number = parts.disk.next_number();
        let Opened { outcome, trail } = source.open(&version.place.key, Part::Head).await;
        parts
            .disk
            .rest_inactivity(matches!(outcome, Opening::Unknown { .. }));
        match outcome {
            Opening::Found(found) => {
                let was_gone = source.standing(&version.origin()) == Standing::Gone;
                if parts.compare(&version, &found) && was_gone {
                    parts.write_down(&version, RowChange::Orphan(false));
                }
            }
            Opening::Missing { for_good } => {
                let left = source.standing(&version.origin()) == Standing::Gone;
                if left && !for_good {
                    parts.orphan(&version);
                } else {
                    if left {
                        parts.write_down(&version, RowChange::Orphan(false));
                    }
                    parts.brief.absent(
                        source.list(),
                        &version.place,
                        number,
                        Absent::Missing,
                        &trail,
                    );
                    parts.gone(&version);
                }
            }
            Opening::Withdrawn => parts.cut_version(&version),
            Opening::Withheld => parts.drop_version(&version),
            Opening::Unknown { .. } => {}
        }
    });
}

impl Parts {
    /// Whether it is still what an origin has.
    fn compare(&self, version: &Arc<Version>, found: &Found) -> bool {
        if !is_same(&version.known(), &found.origin, &found.head, version.total) {
            self.replace_version(version);
            return false;
        }
        self.confirm(version, &found.origin, &found.head);
        true
    }

    /// An origin has it: it is as fresh as when it was stored, and more of it comes from there.
    pub(crate) fn confirm(&self, version: &Version, origin: &Arc<str>, head: &ObjectHead) {
        let now = self.now();
        let known = Known {
            origin: Arc::clone(origin),
            head: head.clone(),
        };
        version.confirmed(known, now);
        let proof = head.validator.clone();
        self.write_down(
            version,
            RowChange::Checked {
                at: now,
                source: Some(Arc::clone(origin)),
                proof: proof.map(|proof| ((&**origin).into(), proof)),
            },
        );
    }

    /// Its origin has left the route and nobody else has it: the cache is its last home.
    fn orphan(&self, version: &Arc<Version>) {
        let now = self.now();
        version.confirmed_as_orphan(now);
        self.write_down(version, RowChange::Orphan(true));
        let at = RowChange::Checked {
            at: now,
            source: None,
            proof: None,
        };
        self.write_down(version, at);
    }

    /// The application deleted it.
    fn gone(&self, version: &Arc<Version>) {
        let now = self.now();
        version.gone_since(now);
        self.write_down(version, RowChange::Gone(Some(now)));
    }

    fn write_down(&self, version: &Version, change: RowChange) {
        let place = &version.place;
        self.disk
            .update(&place.space, &place.key, version.number, change);
    }
}

/// Whether an origin has the version that is held. At the same origin the validator tells; at
/// another one an equal length does, unless a proof contradicts it.
fn is_same(known: &Known, origin: &str, now: &ObjectHead, total: u64) -> bool {
    let before = &known.head;
    if now.length != Some(total) || before.proofs.agree(&now.proofs) == Some(false) {
        return false;
    }
    *known.origin != *origin
        || match (&before.validator, &now.validator) {
            (Some(before), Some(now)) => before == now,
            _ => before.last_modified == now.last_modified,
        }
}

#[cfg(test)]
mod tests {
    use object::{Digest, Proofs, Validator};

    use super::*;

    fn known(origin: &str, tag: &str, digest: Option<u8>) -> Known {
        let validator = Validator::from_etag(tag);
        let proofs = Proofs {
            own: digest.map(|byte| Digest([byte; 32])),
            ..Proofs::default()
        };
        let head = ObjectHead {
            length: Some(10),
            validator,
            proofs,
            ..ObjectHead::default()
        };
        Known {
            origin: origin.into(),
            head,
        }
    }

    #[test]
    fn a_version_is_told_by_its_validator_at_home_and_by_its_length_elsewhere() {
        let held = known("current", "\"a\"", Some(1));
        for (other, total, same) in [
            (known("current", "\"a\"", Some(1)), 10, true),
            (known("current", "\"b\"", Some(1)), 10, false),
            (known("old", "\"b\"", None), 10, true),
            (known("old", "\"b\"", None), 11, false),
            (known("old", "\"b\"", Some(2)), 10, false),
        ] {
            let is = is_same(&held, &other.origin, &other.head, total);
            assert_eq!(is, same, "{other:?}");
        }
    }
}
