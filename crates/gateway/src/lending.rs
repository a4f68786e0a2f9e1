//! What each origin may still send this month, and what of it is lent to commands.
//!
//! One count for everything that reads: the gateway lends to the commands beside it, and a command
//! that works alone lends to itself. A lease is on the disk before it is granted, so that a kill
//! of either side forgets none.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use state::{Egress, StateDirectory};

use crate::config::Config;
use crate::egress::{Allowance, Lease};

/// How long the disk may take to note a lease.
const NOTED_WITHIN: Duration = Duration::from_secs(5);

/// The allowances of the origins with `max_egress`.
#[derive(Debug)]
pub(crate) struct Allowances {
    by_origin: BTreeMap<Box<str>, Arc<Allowance>>,
    /// What was read of origins that have none now: they may have one again.
    others: BTreeMap<String, Egress>,
    /// Held while they are written down: an older count must not replace a newer one.
    writing: Arc<Mutex<()>>,
}

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LendRequest {
    pub(crate) origin: String,
    /// So many bytes or none; 0 only asks what is left.
    pub(crate) least: u64,
    /// So many, where there are many.
    pub(crate) wish: u64,
    /// Bytes that it has read since it last said so.
    pub(crate) read: u64,
}

/// What it gets, of an origin whose bytes are limited.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Lent {
    /// 0 where there are too few.
    pub(crate) bytes: u64,
    /// When they are worth nothing any more, in seconds since 1970.
    pub(crate) ends: u64,
    /// What is left besides.
    pub(crate) left: u64,
}

/// What a command gives back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReturnRequest {
    pub(crate) origin: String,
    pub(crate) bytes: u64,
    pub(crate) ends: u64,
    pub(crate) read: u64,
}

/// A command waits for requests that it may send.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TurnsRequest {
    pub(crate) origin: String,
    /// How many it would send now.
    pub(crate) most: u32,
}

impl Allowances {
    /// Of these origins, of which so much was read before.
    pub(crate) fn new(config: &Config, mut spent: BTreeMap<String, Egress>) -> Self {
        let by_origin = config.origins.iter().filter_map(|origin| {
            let (name, budget) = (&origin.settings.name, origin.max_egress?);
            let spent = spent.remove(&**name).unwrap_or_default();
            Some((name.clone(), Arc::new(Allowance::new(budget, spent))))
        });
        let by_origin = by_origin.collect();
        Self {
            by_origin,
            others: spent,
            writing: Arc::default(),
        }
    }

    /// Of the origins of another configuration. What was read goes on to count, and what is read
    /// meanwhile on behalf of the one before.
    pub(crate) fn after(&self, config: &Config) -> Self {
        let mut next = Self::new(config, self.spent());
        for origin in &config.origins {
            let (Some(known), Some(budget)) = (self.get(origin.name()), origin.max_egress) else {
                continue;
            };
            known.is_now(budget);
            let name = origin.settings.name.clone();
            next.by_origin.insert(name, Arc::clone(known));
        }
        next.writing = Arc::clone(&self.writing);
        next
    }

    /// Whether no origin is limited.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_origin.is_empty()
    }

    /// What may be read from an origin, where that is limited.
    pub(crate) fn get(&self, origin: &str) -> Option<&Arc<Allowance>> {
        self.by_origin.get(origin)
    }

    /// What is left of each.
    pub(crate) fn left(&self) -> impl Iterator<Item = (&str, u64)> {
        let now = SystemTime::now();
        let all = self.by_origin.iter();
        all.map(move |(name, allowance)| (&**name, allowance.left(now)))
    }

    /// What was read, and lent.
    pub(crate) fn spent(&self) -> BTreeMap<String, Egress> {
        let now = SystemTime::now();
        let all = self.by_origin.iter();
        all.map(|(name, allowance)| (name.to_string(), allowance.spent(now)))
            .chain(self.others.clone())
            .collect()
    }

    /// Writes that down. Blocking.
    ///
    /// # Errors
    /// The file cannot be written; the old one is then still there.
    pub(crate) fn keep(&self, state: &StateDirectory) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        state.keep_egress(&self.spent())
    }

    /// Lends bytes of an origin, or only says what is left; `None` where that is not limited.
    ///
    /// # Errors
    /// It could not be written down, and nothing was lent.
    pub(crate) async fn lend(
        self: &Arc<Self>,
        state: &Arc<StateDirectory>,
        request: &LendRequest,
    ) -> Result<Option<Lent>, String> {
        let Some(allowance) = self.get(&request.origin) else {
            return Ok(None);
        };
        let now = SystemTime::now();
        let nothing = Lease { bytes: 0, ends: 0 };
        let lease = if request.least == 0 {
            nothing
        } else {
            let lease = allowance.lend(request.least, request.wish, now);
            lease.unwrap_or(nothing)
        };
        if lease.bytes > 0
            && let Err(error) = self.note(state).await
        {
            allowance.give_back(lease, now);
            return Err(format!("what is lent cannot be written down: {error}"));
        }
        Ok(Some(Lent {
            bytes: lease.bytes,
            ends: lease.ends,
            left: allowance.left(now),
        }))
    }

    /// Takes back what was lent and not read.
    pub(crate) fn take_back(&self, request: &ReturnRequest) {
        if let Some(allowance) = self.get(&request.origin) {
            let lease = Lease {
                bytes: request.bytes,
                ends: request.ends,
            };
            allowance.give_back(lease, SystemTime::now());
        }
    }

    async fn note(self: &Arc<Self>, state: &Arc<StateDirectory>) -> io::Result<()> {
        let (this, state) = (Arc::clone(self), Arc::clone(state));
        let noted = tokio::task::spawn_blocking(move || this.keep(&state));
        match tokio::time::timeout(NOTED_WITHIN, noted).await {
            Ok(noted) => noted.unwrap_or_else(|error| Err(io::Error::other(error))),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = "[origins.old]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n\
                    max_egress = \"1 GB/month\"\n\
                    [origins.free]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n\
                    [[routes]]\nurl = \"/\"\norigins = [\"old\", \"free\"]\n";
        Config::parse("test.toml", text, []).unwrap().config
    }

    fn request(origin: &str, least: u64, wish: u64) -> LendRequest {
        LendRequest {
            origin: origin.to_owned(),
            least,
            wish,
            read: 0,
        }
    }

    #[tokio::test]
    async fn what_was_lent_is_gone_also_for_whoever_comes_after_a_kill() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Arc::new(StateDirectory::open(directory.path(), ["media"]).unwrap());
        let state = open();
        let allowances = Arc::new(Allowances::new(&config(), state.egress()));
        let lent = allowances.lend(&state, &request("old", 10, 1 << 40)).await;
        let lent = lent.unwrap().unwrap();
        assert_eq!((lent.bytes, lent.left), (125_000_000, 875_000_000));
        // Nothing is written down in the end.
        drop((state, allowances));
        let state = open();
        let next = Arc::new(Allowances::new(&config(), state.egress()));
        let asked = next.lend(&state, &request("old", 0, 0)).await;
        assert_eq!(asked.unwrap().unwrap().left, 875_000_000);
        next.take_back(&ReturnRequest {
            origin: "old".to_owned(),
            bytes: lent.bytes,
            ends: lent.ends,
            read: 0,
        });
        let too_much = next.lend(&state, &request("old", 1_000_000_001, 0)).await;
        let too_much = too_much.unwrap().unwrap();
        assert_eq!((too_much.bytes, too_much.left), (0, 1_000_000_000));
        let free = next.lend(&state, &request("free", 10, 10)).await;
        assert_eq!(free, Ok(None));
    }

    #[tokio::test]
    async fn what_cannot_be_written_down_is_not_lent() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let state = Arc::new(StateDirectory::open(&path, ["media"]).unwrap());
        let allowances = Arc::new(Allowances::new(&config(), state.egress()));
        std::fs::remove_dir_all(&path).unwrap();
        let refused = allowances.lend(&state, &request("old", 10, 10)).await;
        assert!(refused.unwrap_err().contains("cannot be written down"));
        assert_eq!(allowances.left().next(), Some(("old", 1_000_000_000)));
    }
}
