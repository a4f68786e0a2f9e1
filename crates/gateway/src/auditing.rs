//! What the state directory knows of keys, as an audit asks it.
//!
//! The same whether the running gateway is asked or the files are opened by the command. Blocking;
//! only reads.

mod rows;

use std::sync::Arc;

use migration::Barred;
use migration::audit::{Cached, Known, Recollection, Saved, Standing};
use object::ObjectKey;
use state::{By, Entry, SaveReason, StateDirectory};

use crate::config;
use crate::routes::is_published;
use crate::withdrawals;
pub(crate) use rows::{
    CachedRequest, CachedRow, RecallRequest, RecollectionRow, ScopeRow, StandingRequest,
    StandingRow,
};

/// An origin that may be switched off, the routes that ask it, and what remains on them.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    origin: Box<str>,
    /// The origins that remain on any of the routes; none twice.
    pub(crate) homes: Vec<Box<str>>,
    pub(crate) routes: Vec<config::Route>,
}

impl Scope {
    /// As these routes see it.
    pub(crate) fn of<'r>(
        origin: &str,
        routes: impl IntoIterator<Item = &'r config::Route>,
    ) -> Self {
        let asks = |route: &&config::Route| route.origins.iter().any(|one| **one == *origin);
        let routes: Vec<_> = routes.into_iter().filter(asks).cloned().collect();
        let mut homes: Vec<Box<str>> = Vec::new();
        for name in routes.iter().flat_map(|route| &route.origins) {
            if **name != *origin && !homes.contains(name) {
                homes.push(name.clone());
            }
        }
        Self {
            origin: origin.into(),
            homes,
            routes,
        }
    }

    /// The origin that may be switched off.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// How it is named to the running gateway.
    pub(crate) fn named(&self) -> ScopeRow {
        let names = self.routes.iter().map(|route| route.name.to_string());
        ScopeRow {
            origin: self.origin.to_string(),
            homes: self.homes.iter().map(ToString::to_string).collect(),
            routes: names.collect(),
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
    ) -> Result<Vec<Recollection>, String> {
        let recalled = keys.iter().map(|key| self.recall_one(state, key)).collect();
        if state.ledger().is_up() {
            Ok(recalled)
        } else {
            Err("the ledger cannot be used now; `media-gateway serve` logs why".to_owned())
        }
    }

    fn recall_one(&self, state: &StateDirectory, key: &ObjectKey) -> Recollection {
        let get = |name: &str| state.ledger().get(name, key);
        let barred = self.routes.iter().map(|route| barred(state, route, key));
        Recollection {
            here: get(&self.origin).map(known),
            there: self.homes.iter().map(|name| get(name).map(known)).collect(),
            barred: barred.collect(),
        }
    }

    /// What is known besides keys, of saves since then, in seconds since 1970.
    ///
    /// # Errors
    /// The ledger cannot be used.
    pub(crate) fn standing(
        &self,
        state: &StateDirectory,
        since: u64,
        promotions_waiting: Option<usize>,
    ) -> Result<Standing, String> {
        let ledger = state.ledger();
        let down = |error: state::LedgerDown| format!("the ledger cannot be used: {error}");
        ledger.flush().map_err(down)?;
        let mut saves = Vec::new();
        let mut rows = ledger.saves(&self.origin);
        for save in rows.by_ref() {
            let save = save.map_err(down)?;
            let counts = save.reason == SaveReason::Missing && save.first >= since;
            if counts && self.needs_a_home(state, &save.key) {
                saves.push(Saved {
                    key: save.key,
                    first: save.first,
                    count: save.count,
                });
            }
        }
        let beyond = ledger.save_totals(&self.origin).map_err(down)?.beyond;
        Ok(Standing {
            is_serving: promotions_waiting.is_some(),
            promotions_waiting: promotions_waiting.unwrap_or(0) as u64,
            saves,
            unlisted_saves: beyond + rows.damaged(),
        })
    }

    /// The keys of these copies that a route publishes, where it goes on in words.
    pub(crate) fn cached(&self, sourced: cache::Sourced) -> Cached {
        let is_served = |(space, key): &(Arc<str>, ObjectKey)| {
            let mut routes = self.routes.iter();
            routes.any(|route| *route.cache_space == **space && is_published(route, key))
        };
        let keys = sourced.keys.into_iter().filter(is_served);
        Cached {
            keys: keys.map(|(_, key)| key).collect(),
            next: sourced.next.map(hex::encode),
        }
    }

    /// Whether a route that publishes the key would miss it.
    pub(crate) fn needs_a_home(&self, state: &StateDirectory, key: &ObjectKey) -> bool {
        let mut publishing = self.routes.iter().filter(|route| is_published(route, key));
        publishing.any(|route| barred(state, route, key).is_none())
    }
}

/// Why a key needs no home on a route.
fn barred(state: &StateDirectory, route: &config::Route, key: &ObjectKey) -> Option<Barred> {
    let space: Arc<str> = (*route.cache_space).into();
    if state.tombstones().contains(&space, key.as_str().as_bytes()) {
        return Some(Barred::Tombstoned);
    }
    let places = withdrawals::places(route);
    let seen: Vec<_> = places
        .iter()
        .map(|name| withdrawals::Known::from(state.ledger().get(name, key)))
        .collect();
    withdrawals::latest(&seen).map(|_| Barred::Withdrawn)
}

fn known(entry: Entry) -> Known {
    Known {
        length: entry.length,
        digest: entry.digest,
        verified: entry.verified,
        copied: matches!(entry.by, By::Promotion | By::Migration),
    }
}

#[cfg(test)]
mod tests {
    use object::Digest;

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

    #[test]
    fn only_routes_that_ask_the_origin_count_and_what_remains_on_them() {
        let scope = Scope::of("b", &config().routes);
        assert_eq!(scope.named().homes, ["a"]);
        assert_eq!(scope.named().routes, ["media"]);
        assert!(Scope::of("c", &config().routes).homes.is_empty());
        assert!(Scope::of("d", &config().routes).routes.is_empty());
    }

    #[test]
    fn saves_count_from_a_time_on_and_not_for_what_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(directory.path(), ["media", "other"]).unwrap();
        let ledger = state.ledger();
        for (name, at) in [("early", 10), ("late", 20), ("gone", 20), ("withdrawn", 20)] {
            ledger.record_save("b", SaveReason::Missing, &key(name), at);
        }
        ledger.record_save("b", SaveReason::Unknown, &key("outage"), 20);
        state
            .tombstones()
            .add(&[("media", &b"gone"[..])], "a test")
            .unwrap();
        let entry = Entry {
            length: 5,
            digest: Some(Digest([7; 32])),
            verified: 9,
            by: By::Migration,
            withdrawn: None,
        };
        ledger.verified("a", &key("withdrawn"), entry);
        ledger.withdrawn("a", &key("withdrawn"), 15);
        ledger.verified("a", &key("late"), entry);
        // Where the application wrote before; the second one was seen again where it writes now.
        for name in ["former", "again"] {
            ledger.verified("b", &key(name), entry);
            ledger.withdrawn("b", &key(name), 15);
        }
        let verified = 16;
        ledger.verified("a", &key("again"), Entry { verified, ..entry });
        let scope = Scope::of("b", &config().routes);
        let standing = scope.standing(&state, 15, Some(3)).unwrap();
        let saves: Vec<_> = standing
            .saves
            .iter()
            .map(|save| save.key.as_str())
            .collect();
        assert_eq!(saves, ["late"]);
        let row = StandingRow::from(standing.clone());
        let text = serde_json::to_string(&row).unwrap();
        let row: StandingRow = serde_json::from_str(&text).unwrap();
        assert_eq!(row.read(), Ok(standing));

        let recalled = scope
            .recall(
                &state,
                &["late", "gone", "withdrawn", "former", "again"].map(key),
            )
            .unwrap();
        let bars: Vec<_> = recalled.iter().map(|one| one.barred[0]).collect();
        assert_eq!(
            bars,
            [
                None,
                Some(Barred::Tombstoned),
                Some(Barred::Withdrawn),
                Some(Barred::Withdrawn),
                None
            ]
        );
        let text = serde_json::to_string(&RecollectionRow::from(recalled[0].clone())).unwrap();
        let row: RecollectionRow = serde_json::from_str(&text).unwrap();
        assert_eq!(Recollection::from(row), recalled[0]);
        assert!(recalled[0].there[0].is_some_and(|known| known.copied));
    }
}
