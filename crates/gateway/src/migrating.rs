//! What the state directory knows of keys, as a migration asks it, and what it learns from one.
//!
//! The same whether the running gateway is asked or the files are opened by the command. Blocking.

use std::sync::Arc;

use migration::{Barred, Recalled, Verified};
use object::{Digest, ObjectKey};
use serde::{Deserialize, Serialize};
use state::{By, Entry, LedgerDown, StateDirectory};

use crate::config;
use crate::withdrawals::{self, Known};

/// A migration's two ends, as the routes see them.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    from: Box<str>,
    to: Box<str>,
    /// The cache spaces whose tombstones count.
    spaces: Vec<Arc<str>>,
    /// Where the application writes and deletes.
    uploads: Vec<Box<str>>,
    /// Where keys of each route may have been deleted.
    places: Vec<Arc<[Box<str>]>>,
}

impl Ends {
    /// As these routes see them: those that ask either of the origins, or all where none does.
    pub(crate) fn of<'r>(
        from: &str,
        to: &str,
        routes: impl IntoIterator<Item = &'r config::Route>,
    ) -> Self {
        let routes: Vec<_> = routes.into_iter().collect();
        let mut touched: Vec<_> = routes
            .iter()
            .filter(|route| {
                route
                    .origins
                    .iter()
                    .any(|one| **one == *from || **one == *to)
            })
            .collect();
        if touched.is_empty() {
            touched = routes.iter().collect();
        }
        let mut spaces: Vec<Arc<str>> = touched
            .iter()
            .map(|one| (*one.cache_space).into())
            .collect();
        let mut uploads: Vec<_> = touched.iter().map(|one| one.uploads_to.clone()).collect();
        let places = touched.iter().map(|one| withdrawals::places(one)).collect();
        spaces.sort_unstable();
        spaces.dedup();
        uploads.sort_unstable();
        uploads.dedup();
        Self {
            from: from.into(),
            to: to.into(),
            spaces,
            uploads,
            places,
        }
    }

    /// What is known of these keys.
    ///
    /// # Errors
    /// The ledger cannot be used: nobody can say which keys the application has deleted.
    pub(crate) fn recall(
        &self,
        state: &StateDirectory,
        keys: &[ObjectKey],
    ) -> Result<Vec<Recalled>, String> {
        let recalled = keys.iter().map(|key| self.recall_one(state, key)).collect();
        if state.ledger().is_up() {
            Ok(recalled)
        } else {
            Err("the ledger cannot be used now; `media-gateway serve` logs why".to_owned())
        }
    }

    fn recall_one(&self, state: &StateDirectory, key: &ObjectKey) -> Recalled {
        let ledger = state.ledger();
        let is_gone =
            |space: &Arc<str>| state.tombstones().contains(space, key.as_str().as_bytes());
        let target = ledger.get(&self.to, key);
        let source = ledger.get(&self.from, key);
        let at = |name: &str| match name {
            name if *name == *self.to => target,
            name if *name == *self.from => source,
            name => ledger.get(name, key),
        };
        let is_withdrawn = |places: &Arc<[Box<str>]>| {
            let known: Vec<_> = places.iter().map(|name| Known::from(at(name))).collect();
            withdrawals::latest(&known).is_some()
        };
        let barred = if self.spaces.iter().any(is_gone) {
            Some(Barred::Tombstoned)
        } else if self.places.iter().any(is_withdrawn) {
            Some(Barred::Withdrawn)
        } else {
            None
        };
        let digest = |entry: Option<Entry>| entry.and_then(|entry| entry.digest);
        Recalled {
            barred,
            source: digest(source),
            target: digest(target),
            was_at_target: target.is_some() && self.uploads.contains(&self.to),
            unseen_at_target: target.is_none() && self.uploads.contains(&self.to),
        }
    }

    /// Notes what stands at the target: copies that were verified, and what was found there, where
    /// nothing better is known.
    ///
    /// # Errors
    /// The ledger cannot be used.
    pub(crate) fn learn(
        &self,
        state: &StateDirectory,
        copies: &[Verified],
        now: u64,
    ) -> Result<(), LedgerDown> {
        for copy in copies {
            if copy.digest.is_none() && state.ledger().get(&self.to, &copy.key).is_some() {
                continue;
            }
            let entry = Entry {
                length: copy.length,
                digest: copy.digest,
                verified: now,
                // Only of a verified copy it may be said that it equals what it was made from.
                by: match copy.digest {
                    Some(_) => By::Migration,
                    None => By::Serving,
                },
                withdrawn: None,
            };
            if !state.ledger().verified(&self.to, &copy.key, entry) {
                // Too much waits to be written.
                state.ledger().flush()?;
                state.ledger().verified(&self.to, &copy.key, entry);
            }
        }
        if copies.is_empty() {
            return Ok(());
        }
        state.ledger().flush()
    }
}

/// What a migration asks the running gateway.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecallRequest {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) keys: Vec<String>,
}

/// What is known of one key.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct RecalledRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    barred: Option<BarredRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(default)]
    was_at_target: bool,
    #[serde(default)]
    unseen_at_target: bool,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum BarredRow {
    Tombstoned,
    Withdrawn,
}

/// What stands at the target.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LearnRequest {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) copies: Vec<CopyRow>,
}

/// One of them.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CopyRow {
    key: String,
    length: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

impl From<Recalled> for RecalledRow {
    fn from(recalled: Recalled) -> Self {
        let hex = |digest: Option<Digest>| digest.map(|digest| hex::encode(digest.0));
        Self {
            barred: recalled.barred.map(|barred| match barred {
                Barred::Tombstoned => BarredRow::Tombstoned,
                Barred::Withdrawn => BarredRow::Withdrawn,
            }),
            source: hex(recalled.source),
            target: hex(recalled.target),
            was_at_target: recalled.was_at_target,
            unseen_at_target: recalled.unseen_at_target,
        }
    }
}

impl From<RecalledRow> for Recalled {
    fn from(row: RecalledRow) -> Self {
        let digest = |hex: Option<String>| hex.as_deref().and_then(digest);
        Self {
            barred: row.barred.map(|barred| match barred {
                BarredRow::Tombstoned => Barred::Tombstoned,
                BarredRow::Withdrawn => Barred::Withdrawn,
            }),
            source: digest(row.source),
            target: digest(row.target),
            was_at_target: row.was_at_target,
            unseen_at_target: row.unseen_at_target,
        }
    }
}

impl From<&Verified> for CopyRow {
    fn from(copy: &Verified) -> Self {
        Self {
            key: copy.key.as_str().to_owned(),
            length: copy.length,
            sha256: copy.digest.map(|digest| hex::encode(digest.0)),
        }
    }
}

impl CopyRow {
    /// What is meant.
    ///
    /// # Errors
    /// Its key is none, or its sum.
    pub(crate) fn read(&self) -> Result<Verified, String> {
        let sum = |hex: &String| digest(hex).ok_or("a SHA-256 has 64 hexadecimal digits");
        Ok(Verified {
            key: ObjectKey::parse(&self.key).map_err(|error| error.to_string())?,
            length: self.length,
            digest: self.sha256.as_ref().map(sum).transpose()?,
        })
    }
}

fn digest(text: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).ok()?;
    Some(Digest(digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn config() -> Config {
        let origin = |name: &str| {
            format!("[origins.{name}]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n")
        };
        let text = origin("a")
            + &origin("b")
            + &origin("c")
            + "[[routes]]\nname = \"media\"\nurl = \"/\"\norigins = [\"a\", \"b\"]\n\
               [[routes]]\nname = \"other\"\nurl = \"https://x.example/\"\norigins = [\"c\"]\n";
        Config::parse("test.toml", &text, []).unwrap().config
    }

    fn key(text: &str) -> ObjectKey {
        ObjectKey::parse(text).unwrap()
    }

    fn verified(text: &str) -> Verified {
        Verified {
            key: key(text),
            length: 5,
            digest: Some(Digest([7; 32])),
        }
    }

    #[test]
    fn what_is_gone_in_a_space_of_either_end_or_of_no_route_is_barred() {
        let directory = tempfile::tempdir().unwrap();
        let config = config();
        let spaces: Vec<_> = config
            .routes
            .iter()
            .map(|route| &*route.cache_space)
            .collect();
        let state = StateDirectory::open(directory.path(), spaces).unwrap();
        let gone: [(&str, &[u8]); 3] = [("media", b"1"), ("other", b"2"), ("former", b"3")];
        state.tombstones().add(&gone, "a test").unwrap();
        let ends = Ends::of("b", "a", &config.routes);
        let recalled = ends.recall(&state, &["1", "2", "3", "4"].map(key)).unwrap();
        let barred: Vec<_> = recalled.iter().map(|one| one.barred.is_some()).collect();
        assert_eq!(barred, [true, false, true, false]);
    }

    #[test]
    fn what_was_copied_is_known_and_missed_where_the_application_deletes() {
        let directory = tempfile::tempdir().unwrap();
        let config = config();
        let state = StateDirectory::open(directory.path(), ["media", "other"]).unwrap();
        for (from, to, deletes) in [("b", "a", true), ("a", "b", false)] {
            let ends = Ends::of(from, to, &config.routes);
            ends.learn(&state, &[verified("k")], 9).unwrap();
            let recalled = ends.recall(&state, &[key("k")]).unwrap()[0];
            assert_eq!(recalled.was_at_target, deletes);
            assert_eq!(recalled.target, Some(Digest([7; 32])));
            assert_eq!(recalled.barred, None);
        }
        assert_eq!(
            state.ledger().get("a", &key("k")).unwrap().by,
            By::Migration
        );
        state.ledger().withdrawn("a", &key("k"), 10);
        state.ledger().flush().unwrap();
        let ends = Ends::of("b", "a", &config.routes);
        let recalled = ends.recall(&state, &[key("k")]).unwrap()[0];
        assert_eq!(recalled.barred, Some(Barred::Withdrawn));
    }

    #[test]
    fn what_was_found_where_the_application_deletes_is_known_and_proves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let config = config();
        let state = StateDirectory::open(directory.path(), ["media", "other"]).unwrap();
        let found = Verified {
            digest: None,
            ..verified("k")
        };
        let unseen = |from, to| {
            let ends = Ends::of(from, to, &config.routes);
            ends.recall(&state, &[key("k")]).unwrap()[0].unseen_at_target
        };
        assert!(unseen("b", "a") && !unseen("a", "b"));
        let ends = Ends::of("b", "a", &config.routes);
        ends.learn(&state, std::slice::from_ref(&found), 9).unwrap();
        assert!(!unseen("b", "a"));
        assert!(ends.recall(&state, &[key("k")]).unwrap()[0].was_at_target);
        let entry = || state.ledger().get("a", &key("k")).unwrap();
        assert_eq!((entry().by, entry().digest), (By::Serving, None));
        ends.learn(&state, &[verified("k"), found], 10).unwrap();
        assert_eq!(entry().by, By::Migration, "the proof is kept");
    }

    #[test]
    fn what_was_deleted_where_the_application_wrote_before_is_barred_until_it_is_seen_again() {
        let directory = tempfile::tempdir().unwrap();
        let config = config();
        let state = StateDirectory::open(directory.path(), ["media", "other"]).unwrap();
        let entry = |verified| Entry {
            length: 5,
            digest: None,
            verified,
            by: By::Serving,
            withdrawn: None,
        };
        let ledger = state.ledger();
        ledger.verified("b", &key("k"), entry(5));
        ledger.withdrawn("b", &key("k"), 10);
        ledger.flush().unwrap();
        let ends = Ends::of("b", "a", &config.routes);
        let barred = || ends.recall(&state, &[key("k")]).unwrap()[0].barred;
        assert_eq!(barred(), Some(Barred::Withdrawn));
        ledger.verified("a", &key("k"), entry(20));
        ledger.flush().unwrap();
        assert_eq!(barred(), None);
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let recalled = Recalled {
            barred: Some(Barred::Withdrawn),
            source: Some(Digest([1; 32])),
            target: None,
            was_at_target: true,
            unseen_at_target: false,
        };
        let text = serde_json::to_string(&RecalledRow::from(recalled)).unwrap();
        let row: RecalledRow = serde_json::from_str(&text).unwrap();
        assert_eq!(Recalled::from(row), recalled);
        let copy = verified("写/a b");
        assert_eq!(CopyRow::from(&copy).read(), Ok(copy.clone()));
        let found = Verified {
            digest: None,
            ..copy
        };
        assert_eq!(CopyRow::from(&found).read(), Ok(found));
    }
}
