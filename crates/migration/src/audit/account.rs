//! What an audit comes to: counts, what stands against switching off, and the verdict.
//!
//! Pure. Only what was proven counts as safe; whatever has not been looked at makes it worse.

use serde::Serialize;

use super::blocker::{Against, Blocker, SORTS};
use super::counts::Counts;
use super::finding::Finding;
use crate::difference::Barred;

/// May the origin be switched off?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Each key is proven elsewhere, or must stay gone.
    Safe,
    /// Something would be lost, or is not proven.
    NotSafe,
    /// Nothing stands against it, and not everything could be looked at.
    CannotTell,
}

/// What is known of one object on one route.
#[derive(Debug, Clone)]
pub(crate) struct Object<'k> {
    pub(crate) key: &'k str,
    pub(crate) route: &'k str,
    pub(crate) size_bytes: u64,
    /// Why it needs no home.
    pub(crate) barred: Option<Barred>,
    /// It was verified where the application deletes, and that place lists it no more.
    pub(crate) was_deleted: bool,
    /// No row of the application names it.
    pub(crate) is_unreferenced: bool,
    /// The best of the remaining origins.
    pub(crate) found: Finding,
}

/// Takes down one finding after the other.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) counts: Counts,
    pub(crate) blockers: Vec<Blocker>,
    /// How many there were of each sort, listed or not.
    sorts: [u64; SORTS],
    /// So many of each sort are listed.
    most: usize,
    pub(crate) doubts: Vec<String>,
    unlisted_doubts: u64,
}

/// Doubts about single keys that are listed.
const MOST_DOUBTS: usize = 20;

impl Account {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            counts: Counts::default(),
            blockers: Vec::new(),
            sorts: [0; SORTS],
            most,
            doubts: Vec::new(),
            unlisted_doubts: 0,
        }
    }

    /// An object as one route sees it.
    pub(crate) fn object(&mut self, object: &Object<'_>) {
        let size = object.size_bytes;
        self.counts.objects.add(size);
        if object.is_unreferenced && object.barred.is_none() {
            self.counts.unreferenced.add(size);
        }
        let blocker = |what| (what, Some(object.key), Some(object.route));
        let (sum, against) = match (&object.barred, object.was_deleted, &object.found) {
            (Some(Barred::Tombstoned), ..) => (&mut self.counts.tombstoned, None),
            (Some(Barred::Withdrawn), ..) => (&mut self.counts.withdrawn, None),
            (None, _, Finding::Proven(proof)) => (self.counts.by(proof.0), None),
            (None, true, _) => (&mut self.counts.deleted, None),
            _ if object.is_unreferenced => (&mut self.counts.unreferenced_only_here, None),
            (None, false, Finding::Missing) => (&mut self.counts.missing, Some(Against::Missing)),
            (None, false, Finding::Length(there)) => {
                let (here, there) = (size, *there);
                let against = Against::Length { here, there };
                (&mut self.counts.length, Some(against))
            }
            (None, false, Finding::Content) => (&mut self.counts.content, Some(Against::Content)),
            (None, false, Finding::Unproven) => {
                (&mut self.counts.unproven, Some(Against::Unproven))
            }
            (None, false, Finding::Unknown(why)) => {
                let doubt = format!("{}: {why}", object.key);
                self.counts.unknown.add(size);
                self.doubt_about_a_key(doubt);
                return;
            }
        };
        sum.add(size);
        if let Some(against) = against {
            let (what, key, route) = blocker(against);
            self.block(what, key, route);
        }
    }

    /// Something was written lately.
    pub(crate) fn young(&mut self, key: &str, size_bytes: u64, modified: Option<u64>) {
        self.counts.young.add(size_bytes);
        self.block(Against::Young { modified }, Some(key), None);
    }

    /// Something stands against it.
    pub(crate) fn block(&mut self, what: Against, key: Option<&str>, route: Option<&str>) {
        let count = &mut self.sorts[what.sort()];
        *count += 1;
        if *count <= self.most as u64 {
            self.blockers.push(Blocker {
                what,
                key: key.map(Into::into),
                route: route.map(Into::into),
            });
        }
    }

    /// Something could not be looked at.
    pub(crate) fn doubt(&mut self, why: impl Into<String>) {
        self.doubts.push(why.into());
    }

    /// The same of one key out of many.
    pub(crate) fn doubt_about_a_key(&mut self, why: String) {
        if self.doubts.len() < MOST_DOUBTS {
            self.doubts.push(why);
        } else {
            self.unlisted_doubts += 1;
        }
    }

    /// Ends the account.
    pub(crate) fn close(&mut self) {
        if self.unlisted_doubts > 0 {
            self.doubts
                .push(format!("and {} more keys", self.unlisted_doubts));
            self.unlisted_doubts = 0;
        }
        // Those of one sort together, in the order in which they were found.
        self.blockers.sort_by_key(|blocker| blocker.what.sort());
    }

    /// How many blockers there are, listed or not.
    pub(crate) fn blocked(&self) -> u64 {
        self.sorts.iter().sum()
    }

    /// What all of it comes to.
    pub(crate) fn verdict(&self) -> Verdict {
        let is_in_doubt = !self.doubts.is_empty() || self.counts.unknown.objects > 0;
        if self.blocked() > 0 {
            Verdict::NotSafe
        } else if is_in_doubt {
            Verdict::CannotTell
        } else {
            Verdict::Safe
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::finding::{Proof, proven};
    use super::*;

    fn object(barred: Option<Barred>, was_deleted: bool, found: Finding) -> Object<'static> {
        Object {
            is_unreferenced: false,
            key: "k",
            route: "media",
            size_bytes: 5,
            barred,
            was_deleted,
            found,
        }
    }

    fn verdict(objects: &[Object<'_>]) -> Verdict {
        let mut account = Account::new(3);
        for one in objects {
            account.object(one);
        }
        account.close();
        account.verdict()
    }

    #[test]
    fn each_way_in_which_a_key_is_not_proven_is_not_safe() {
        for found in [
            Finding::Missing,
            Finding::Length(4),
            Finding::Content,
            Finding::Unproven,
        ] {
            let one = object(None, false, found);
            let good = object(None, false, proven(Proof::Copy));
            assert_eq!(verdict(&[good.clone(), one]), Verdict::NotSafe);
            assert_eq!(verdict(&[good]), Verdict::Safe);
        }
        let unknown = object(None, false, Finding::Unknown("timeout".into()));
        assert_eq!(verdict(&[unknown]), Verdict::CannotTell);
    }

    #[test]
    fn what_must_stay_gone_needs_no_home() {
        for barred in [Barred::Tombstoned, Barred::Withdrawn] {
            assert_eq!(
                verdict(&[object(Some(barred), false, Finding::Missing)]),
                Verdict::Safe
            );
        }
        assert_eq!(
            verdict(&[object(None, true, Finding::Missing)]),
            Verdict::Safe
        );
    }

    #[test]
    fn what_no_row_names_needs_no_home_and_is_counted() {
        let rowless = |found| Object {
            is_unreferenced: true,
            ..object(None, false, found)
        };
        let mut account = Account::new(3);
        for found in [
            Finding::Missing,
            Finding::Unproven,
            Finding::Unknown("timeout".into()),
            proven(Proof::Copy),
        ] {
            account.object(&rowless(found));
        }
        account.close();
        assert_eq!(account.verdict(), Verdict::Safe);
        let counts = account.counts;
        assert_eq!(counts.unreferenced.objects, 4);
        assert_eq!(counts.unreferenced_only_here.objects, 3);
        assert_eq!(counts.by_copy.objects, 1);
    }

    #[test]
    fn a_few_of_each_sort_are_listed_and_all_are_counted() {
        let mut account = Account::new(3);
        for _ in 0..10 {
            account.young("k", 5, None);
            account.object(&object(None, false, Finding::Missing));
        }
        account.close();
        assert_eq!((account.blocked(), account.blockers.len()), (20, 6));
        assert_eq!(account.blockers[0].what, Against::Missing);
        assert_eq!(account.counts.young.objects, 10);
    }

    fn any_finding() -> impl Strategy<Value = Finding> {
        prop_oneof![
            Just(Finding::Missing),
            (0u64..9).prop_map(Finding::Length),
            Just(Finding::Content),
            Just(Finding::Unproven),
            Just(Finding::Unknown("x".into())),
            prop::sample::select(vec![
                Proof::Checksum,
                Proof::Digest,
                Proof::Copy,
                Proof::Reading
            ])
            .prop_map(proven),
            Just(proven(Proof::Checksum)),
            Just(proven(Proof::Checksum)),
        ]
    }

    fn any_barred() -> impl Strategy<Value = Option<Barred>> {
        prop::sample::select(vec![
            None,
            None,
            Some(Barred::Tombstoned),
            Some(Barred::Withdrawn),
        ])
    }

    proptest! {
        #[test]
        fn it_is_safe_only_if_each_key_is_proven_or_gone(
            objects in prop::collection::vec((any_barred(), prop::bool::weighted(0.1), any_finding()), 0..5),
            young in 0u8..2,
            doubtful in prop::bool::weighted(0.2),
        ) {
            let mut account = Account::new(1);
            for (barred, deleted, found) in &objects {
                account.object(&object(*barred, *deleted, found.clone()));
            }
            for _ in 0..young {
                account.young("k", 5, None);
            }
            if doubtful {
                account.doubt("a doubt");
            }
            account.close();
            let is_proven = objects.iter().all(|(barred, deleted, found)| {
                barred.is_some() || *deleted || matches!(found, Finding::Proven(_))
            });
            let safe = is_proven && young == 0 && !doubtful;
            prop_assert_eq!(account.verdict() == Verdict::Safe, safe);
            let counts = account.counts;
            let sums = [counts.tombstoned, counts.withdrawn, counts.deleted, counts.missing,
                counts.length, counts.content, counts.unproven, counts.unknown, counts.proven()];
            let all: u64 = sums.iter().map(|sum| sum.objects).sum();
            prop_assert_eq!(all, counts.objects.objects);
        }
    }
}
