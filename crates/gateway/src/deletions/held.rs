//! Which keys are held: those that the origins list, and those that the ledger knows.
//!
//! Page by page into a spool. An origin that cannot be listed is left out, which hides deletions
//! and makes none; a listing that breaks off ends everything, because its other half is unknown.

use std::io;
use std::sync::Arc;

use object::ObjectKey;
use origin_resolver::{Cursor, Failure, GuardedOrigin};
use serde::{Deserialize, Serialize};

use super::decision::is_old;
use super::spool::Spool;
use crate::app::{App, Route};
use crate::routes::is_published;
use crate::rows::{Gathering, Print, Prints};

/// A row of the ledger, as far as it matters here.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedgerKey {
    pub(crate) origin: String,
    pub(crate) key: String,
    /// When it was last seen there, in seconds since 1970.
    pub(crate) verified: u64,
}

/// What one origin of one route holds.
#[derive(Debug, Serialize)]
pub(crate) struct OriginHolds {
    pub(crate) route: String,
    pub(crate) origin: String,
    /// Published keys that it lists.
    pub(crate) keys: u64,
    /// Of these: too young to be judged, or without an age.
    pub(crate) too_young: u64,
    /// What it has under names that no key of the route can have.
    pub(crate) unfit: u64,
    /// Why it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left_out: Option<String>,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeldError {
    /// Half of a listing.
    #[error("the listing of {origin} broke off after {keys} keys: {failure}")]
    BrokeOff {
        origin: String,
        keys: u64,
        failure: Failure,
    },
    /// No room for what was listed.
    #[error("what was listed cannot be kept: {0}")]
    Spool(#[from] io::Error),
}

/// How old a key has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Age {
    /// Seconds since 1970.
    pub(crate) now: u64,
    pub(crate) min_seconds: u64,
}

impl Age {
    fn reached(self, written: Option<u64>) -> bool {
        is_old(written, self.now, self.min_seconds)
    }
}

/// Keys that are held, while they are gathered.
pub(crate) struct Held<'a> {
    routes: &'a [Arc<Route>],
    spaces: Vec<Arc<str>>,
    age: Age,
    spool: Spool,
    all: Gathering,
    young: Gathering,
    /// What `all` was when the ledger's turn came.
    listed: Option<Prints>,
}

/// All of them.
pub(crate) struct Gathered {
    pub(crate) spaces: Vec<Arc<str>>,
    pub(super) spool: Spool,
    /// Each key of a space once.
    pub(super) all: Prints,
    /// Those that some origin holds since too short a time.
    pub(super) young: Prints,
}

impl<'a> Held<'a> {
    pub(crate) fn new(routes: &'a [Arc<Route>], age: Age) -> Result<Self, HeldError> {
        let mut spaces: Vec<_> = routes
            .iter()
            .map(|route| Arc::clone(&route.space))
            .collect();
        spaces.sort();
        spaces.dedup();
        Ok(Self {
            routes,
            spaces,
            age,
            spool: Spool::new()?,
            all: Gathering::default(),
            young: Gathering::default(),
            listed: None,
        })
    }

    /// Lists every origin of the routes, one after the other.
    pub(crate) async fn list(&mut self) -> Result<Vec<OriginHolds>, HeldError> {
        let mut told = Vec::new();
        for route in self.routes {
            for origin in route.resolver.origins() {
                told.push(self.list_one(route, origin).await?);
            }
        }
        Ok(told)
    }

    async fn list_one(
        &mut self,
        route: &Arc<Route>,
        origin: &Arc<GuardedOrigin>,
    ) -> Result<OriginHolds, HeldError> {
        let mut holds = OriginHolds {
            route: route.config.name.to_string(),
            origin: origin.name().to_owned(),
            keys: 0,
            too_young: 0,
            unfit: 0,
            left_out: None,
        };
        let mut began = false;
        for prefix in widest(&route.config.keys) {
            let mut after: Option<Cursor> = None;
            loop {
                let page = match origin.list(prefix, after.take()).await {
                    Ok(page) => page,
                    Err(failure) if !began => {
                        holds.left_out = Some(failure.to_string());
                        return Ok(holds);
                    }
                    Err(failure) => {
                        let (origin, keys) = (holds.origin, holds.keys);
                        return Err(HeldError::BrokeOff {
                            origin,
                            keys,
                            failure,
                        });
                    }
                };
                began = true;
                holds.unfit += page.unfit.len() as u64;
                for listed in page.entries {
                    if !is_published(&route.config, &listed.key) {
                        continue;
                    }
                    let modified = listed.modified.and_then(seconds);
                    let old = self.age.reached(modified);
                    self.add(&route.space, &listed.key, old)?;
                    holds.keys += 1;
                    holds.too_young += u64::from(!old);
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(holds)
    }

    /// Adds what the ledger knows besides, once everything is listed: when a key was seen is no
    /// age, but it is at least as old as that. Returns whether a route has it.
    pub(crate) fn add_known(&mut self, known: &LedgerKey) -> Result<bool, HeldError> {
        if self.listed.is_none() {
            self.listed = Some(std::mem::take(&mut self.all).done());
        }
        let Ok(key) = ObjectKey::parse(&known.key) else {
            return Ok(false);
        };
        let of_route = |route: &&Arc<Route>| {
            let mut origins = route.config.origins.iter();
            origins.any(|name| **name == *known.origin) && is_published(&route.config, &key)
        };
        let routes = self.routes;
        let mut is_known = false;
        for route in routes.iter().filter(of_route) {
            is_known = true;
            let place = Print::of_place(&route.space, key.as_str().as_bytes());
            if !self
                .listed
                .as_ref()
                .is_some_and(|listed| listed.contains(place))
            {
                let old = self.age.reached(Some(known.verified));
                self.add(&route.space, &key, old)?;
            }
        }
        Ok(is_known)
    }

    pub(crate) fn done(mut self) -> Gathered {
        for print in self.listed.take().unwrap_or_default().into_prints() {
            self.all.add(print);
        }
        Gathered {
            spaces: self.spaces,
            spool: self.spool,
            all: self.all.done(),
            young: self.young.done(),
        }
    }

    fn add(&mut self, space: &Arc<str>, key: &ObjectKey, old: bool) -> Result<(), HeldError> {
        let place = Print::of_place(space, key.as_str().as_bytes());
        self.all.add(place);
        if !old {
            self.young.add(place);
        }
        let number = self.spaces.binary_search(space).unwrap_or_default();
        self.spool
            .add(u16::try_from(number).map_err(io::Error::other)?, key)?;
        Ok(())
    }
}

/// Prefixes without those that another one contains.
fn widest(prefixes: &[String]) -> impl Iterator<Item = &String> {
    prefixes
        .iter()
        .enumerate()
        .filter(|(index, prefix)| {
            let mut others = prefixes.iter().enumerate();
            !others.any(|(other, wider)| {
                let wider_or_earlier = wider.len() < prefix.len() || other < *index;
                other != *index && wider_or_earlier && prefix.starts_with(wider.as_str())
            })
        })
        .map(|(_, prefix)| prefix)
}

fn seconds(time: std::time::SystemTime) -> Option<u64> {
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

/// The routes of these names; all where none is named.
///
/// # Errors
/// The name that no route has.
pub(crate) fn chosen(app: &App, names: &[String]) -> Result<Vec<Arc<Route>>, String> {
    if names.is_empty() {
        return Ok(app.routes.clone());
    }
    let one = |name: &String| {
        let mut routes = app.routes.iter();
        let found = routes.find(|route| *route.config.name == **name);
        found
            .cloned()
            .ok_or_else(|| format!("no route is named {name:?}"))
    };
    names.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_wider_prefix_lists_is_not_listed_again() {
        let widest = |prefixes: &[&str]| {
            let prefixes: Vec<_> = prefixes.iter().map(ToString::to_string).collect();
            super::widest(&prefixes).cloned().collect::<Vec<_>>()
        };
        assert_eq!(widest(&["m/a/", "m/", "null/", "m/"]), ["m/", "null/"]);
        assert_eq!(widest(&["m/", ""]), [""]);
    }
}
