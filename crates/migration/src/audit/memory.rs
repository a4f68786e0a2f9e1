//! What the gateway knows of keys that an audit asks about.
//!
//! A trait, because who holds the ledger and the tombstones is not this crate's business. Only
//! asked, never told anything.

use futures_util::future::BoxFuture;
use object::ObjectKey;

use super::finding::Known;
use crate::difference::Barred;
use crate::knowledge::Forgetful;

/// What is known of one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recollection {
    /// At the audited origin.
    pub here: Option<Known>,
    /// At each remaining origin, in the audit's order.
    pub there: Vec<Option<Known>>,
    /// Why it needs no home on each route, in the audit's order.
    pub barred: Vec<Option<Barred>>,
}

/// What is known besides keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether a gateway serves now.
    pub is_serving: bool,
    /// Keys that wait to be promoted.
    pub promotions_waiting: u64,
    /// Keys that every active origin said are missing, and the audited one gave as it rehearsed;
    /// those that must stay gone and the deleted ones left out.
    pub saves: Vec<Saved>,
    /// Saves that are counted, of which nobody knows the keys.
    pub unlisted_saves: u64,
}

/// A key that only a rehearsing origin could give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The key.
    pub key: ObjectKey,
    /// When that was first so, in seconds since 1970.
    pub first: u64,
    /// How often.
    pub count: u64,
}

/// Some of the keys of which the cache has a copy from the audited origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cached {
    /// The keys.
    pub keys: Vec<ObjectKey>,
    /// Where it goes on, if it does.
    pub next: Option<String>,
}

/// Whoever remembers.
pub trait Memory: Send + Sync {
    /// What is remembered of these keys, in their order and as many.
    fn recall<'a>(
        &'a self,
        keys: &'a [ObjectKey],
    ) -> BoxFuture<'a, Result<Vec<Recollection>, Forgetful>>;

    /// Keys of which the cache has a copy on the disk that came from the audited origin, or was
    /// confirmed by it last; from a place on that an earlier answer gave.
    fn cached(&self, after: Option<String>) -> BoxFuture<'_, Result<Cached, Forgetful>>;

    /// What else is remembered; saves since then, in seconds since 1970.
    fn standing(&self, since: u64) -> BoxFuture<'_, Result<Standing, Forgetful>>;
}
