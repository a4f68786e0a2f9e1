//! What is to be done about one key, from what both ends say of it.
//!
//! Pure. In doubt nothing is overwritten and nothing is called equal: a doubt is settled by
//! asking both ends, and what stays different is reported.

use std::fmt;
use std::time::SystemTime;

use object::Digest;

use crate::fingerprint::Mark;

/// An object as one end lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its length.
    pub size_bytes: u64,
    /// Its entity tag.
    pub mark: Mark,
    /// When it was written there.
    pub modified: Option<SystemTime>,
}

/// What an earlier run did with this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// The length it copied.
    pub size_bytes: u64,
    /// The entity tag at the source then, in 64 bits.
    pub source: u64,
    /// The entity tag of the copy, in 64 bits.
    pub target: u64,
}

/// What is remembered of a key outside of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recalled {
    /// Whether it may be copied at all.
    pub barred: Option<Barred>,
    /// The digest that was verified at the source.
    pub source: Option<Digest>,
    /// The digest that was verified at the target.
    pub target: Option<Digest>,
    /// It was verified at the target, which is where the application deletes: if it is missing
    /// there, it was deleted.
    pub was_at_target: bool,
    /// The application deletes at the target, and nobody knows yet that it has this key: whoever
    /// finds it there tells.
    pub unseen_at_target: bool,
}

/// Why a key is never copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    /// It must stay gone.
    Tombstoned,
    /// The application deleted it.
    Withdrawn,
}

/// What is to be done about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: the target has it.
    Same,
    /// Copy it, unless somebody else has done so meanwhile.
    Copy,
    /// Copy it over the copy that an earlier run made, which nobody has touched.
    Replace,
    /// Ask both ends for what proves their content, then see [`settle`].
    Ask,
    /// Leave both as they are.
    Differs(Difference),
    /// Never copy it.
    Barred(Barred),
    /// Never copy it: the application has deleted it at the target, and nobody had noticed.
    Deleted,
}

/// In what two objects differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// Their lengths.
    Length {
        /// That at the source.
        source: u64,
        /// That at the target.
        target: u64,
    },
    /// Their checksums.
    Content,
}

/// What is to be done about a key that the source has.
pub(crate) fn step(
    source: Seen,
    target: Option<Seen>,
    written: Option<Written>,
    recalled: Recalled,
) -> Step {
    if let Some(barred) = recalled.barred {
        return Step::Barred(barred);
    }
    let Some(target) = target else {
        return if recalled.was_at_target {
            Step::Deleted
        } else {
            Step::Copy
        };
    };
    if source.size_bytes != target.size_bytes {
        let difference = Difference::Length {
            source: source.size_bytes,
            target: target.size_bytes,
        };
        return overwrite(source, target, written).unwrap_or(Step::Differs(difference));
    }
    let digests = recalled
        .source
        .zip(recalled.target)
        .map(|(source, target)| source == target);
    match (source.mark.agree(target.mark), digests) {
        (Some(false), _) | (_, Some(false)) => {
            overwrite(source, target, written).unwrap_or(Step::Ask)
        }
        (Some(true) | None, Some(true) | None) => Step::Same,
    }
}

/// What is to be done after both ends were asked; `agree` as their proofs say.
pub(crate) fn settle(agree: Option<bool>) -> Step {
    match agree {
        Some(false) => Step::Differs(Difference::Content),
        Some(true) | None => Step::Same,
    }
}

/// Whether the target's object is an earlier run's copy that nobody touched, and the source has
/// been written anew since.
fn overwrite(source: Seen, target: Seen, written: Option<Written>) -> Option<Step> {
    let written = written?;
    let is_ours = written.size_bytes == target.size_bytes
        && written.target != 0
        && written.target == target.mark.short();
    let is_new = written.source != 0
        && source.mark.short() != 0
        && written.source != source.mark.short()
        && source.modified? > target.modified?;
    (is_ours && is_new).then_some(Step::Replace)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { source, target } => {
                write!(f, "{source} bytes at the source, {target} at the target")
            }
            Self::Content => f.write_str("the same length and another checksum"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn seen(size_bytes: u64, tag: &str, at: u64) -> Seen {
        Seen {
            size_bytes,
            mark: Mark::of(Some(tag)),
            modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(at)),
        }
    }

    const A: &str = "0123456789abcdef0123456789abcdef";
    const B: &str = "ffffffffffffffffffffffffffffffff";

    fn written(size_bytes: u64, source: &str, target: &str) -> Written {
        Written {
            size_bytes,
            source: Mark::of(Some(source)).short(),
            target: Mark::of(Some(target)).short(),
        }
    }

    fn plain(source: Seen, target: Option<Seen>, written: Option<Written>) -> Step {
        step(source, target, written, Recalled::default())
    }

    #[test]
    fn what_the_target_lacks_is_copied_and_what_it_has_is_not() {
        let source = seen(5, A, 1);
        assert_eq!(plain(source, None, None), Step::Copy);
        assert_eq!(plain(source, Some(seen(5, A, 9)), None), Step::Same);
        assert_eq!(plain(source, Some(seen(5, "opaque", 9)), None), Step::Same);
        assert_eq!(plain(source, Some(seen(5, B, 9)), None), Step::Ask);
        let length = Difference::Length {
            source: 5,
            target: 4,
        };
        let shorter = Some(seen(4, A, 9));
        assert_eq!(plain(source, shorter, None), Step::Differs(length));
    }

    #[test]
    fn digests_that_were_verified_are_compared_where_tags_cannot_be() {
        let recalled = |target| Recalled {
            source: Some(Digest([1; 32])),
            target: Some(Digest([target; 32])),
            ..Recalled::default()
        };
        let (source, target) = (seen(5, "x", 1), Some(seen(5, "y", 1)));
        assert_eq!(step(source, target, None, recalled(1)), Step::Same);
        assert_eq!(step(source, target, None, recalled(2)), Step::Ask);
        assert_eq!(settle(Some(false)), Step::Differs(Difference::Content));
        assert_eq!(settle(None), Step::Same);
    }

    #[test]
    fn only_an_untouched_copy_of_ours_is_overwritten_and_only_by_something_newer() {
        let newer = seen(6, B, 20);
        let ours = Some(seen(5, "t1", 10));
        assert_eq!(plain(newer, ours, Some(written(5, A, "t1"))), Step::Replace);
        let kept = |step| matches!(step, Step::Differs(_));
        assert!(kept(plain(newer, ours, None)));
        assert!(kept(plain(newer, ours, Some(written(5, A, "t2")))));
        assert!(kept(plain(seen(6, B, 10), ours, Some(written(5, A, "t1")))));
        assert!(kept(plain(seen(6, A, 20), ours, Some(written(5, A, "t1")))));
    }

    #[test]
    fn a_key_that_was_verified_at_the_target_and_is_missing_there_was_deleted() {
        let recalled = Recalled {
            was_at_target: true,
            ..Recalled::default()
        };
        let source = seen(5, A, 1);
        assert_eq!(step(source, None, None, recalled), Step::Deleted);
        assert_eq!(step(source, Some(source), None, recalled), Step::Same);
    }

    fn any_seen() -> impl Strategy<Value = Seen> {
        let tags = prop::sample::select(vec![A, B, "x", "y"]);
        (0u64..3, tags, 0u64..3).prop_map(|(size, tag, at)| seen(size, tag, at))
    }

    proptest! {
        #[test]
        fn what_is_barred_is_never_copied(
            source in any_seen(),
            target in prop::option::of(any_seen()),
            withdrawn: bool,
        ) {
            let barred = if withdrawn { Barred::Withdrawn } else { Barred::Tombstoned };
            let recalled = Recalled { barred: Some(barred), ..Recalled::default() };
            let earlier = Some(written(1, "x", "y"));
            prop_assert_eq!(step(source, target, earlier, recalled), Step::Barred(barred));
        }

        #[test]
        fn nothing_of_somebody_else_is_ever_overwritten(
            source in any_seen(),
            target in any_seen(),
            earlier in prop::option::of((0u64..3, "[xy]", "[xy]")),
        ) {
            let earlier = earlier.map(|(size, a, b)| written(size, &a, &b));
            let done = plain(source, Some(target), earlier);
            prop_assert_ne!(done, Step::Copy);
            if done == Step::Replace {
                let earlier = earlier.unwrap();
                prop_assert_eq!(earlier.target, target.mark.short());
                prop_assert_eq!(earlier.size_bytes, target.size_bytes);
                prop_assert!(source.modified > target.modified);
            }
            if done == Step::Same {
                prop_assert_eq!(source.size_bytes, target.size_bytes);
            }
        }
    }
}
