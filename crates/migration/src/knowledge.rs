//! What the gateway knows of keys that a migration must not copy, and what it learns from one.
//!
//! A trait, because who holds the ledger and the tombstones is not this crate's business.

use futures_util::future::BoxFuture;
use object::{Digest, ObjectKey};

use crate::difference::Recalled;

/// What is remembered outside of both ends.
pub trait Knowledge: Send + Sync {
    /// What is remembered of these keys, in their order and as many. Asked when they are
    /// planned, before each is copied, and once more afterwards.
    fn recall<'a>(
        &'a self,
        keys: &'a [ObjectKey],
    ) -> BoxFuture<'a, Result<Vec<Recalled>, Forgetful>>;

    /// Remembers what stands at the target: copies that were verified, and what was found there;
    /// durable when it returns, or within seconds.
    fn learn(&self, copies: Vec<Verified>) -> BoxFuture<'_, Result<(), Forgetful>>;
}

/// Something that stands at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// As the route spells it.
    pub key: ObjectKey,
    /// Its length.
    pub length: u64,
    /// The SHA-256 of a copy that was verified; `None` of what was found there, of which nothing
    /// is known but that it is there.
    pub digest: Option<Digest>,
}

/// What must not be copied cannot be told now, so nothing is.
#[derive(Debug, Clone, thiserror::Error)]
#[error("which keys must stay gone cannot be told: {0}")]
pub struct Forgetful(pub String);

/// Nothing is remembered: for places that no gateway serves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Knowledge for Nothing {
    fn recall<'a>(
        &'a self,
        keys: &'a [ObjectKey],
    ) -> BoxFuture<'a, Result<Vec<Recalled>, Forgetful>> {
        Box::pin(async { Ok(vec![Recalled::default(); keys.len()]) })
    }

    fn learn(&self, _copies: Vec<Verified>) -> BoxFuture<'_, Result<(), Forgetful>> {
        Box::pin(async { Ok(()) })
    }
}
