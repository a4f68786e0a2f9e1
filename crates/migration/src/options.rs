//! What a migration is asked to do.

use std::path::PathBuf;
use std::sync::Arc;

use object::{Digest, ObjectKey};
use sha2::{Digest as _, Sha256};

use crate::estimate::Verify;
use crate::selection::{Pattern, Selection};

/// What a migration is asked to do.
#[derive(Clone)]
pub struct Options {
    /// Which keys.
    pub selection: Selection,
    /// Only the keys that stand in a file, which are asked for one by one; else what the source
    /// lists.
    pub named: Option<Named>,
    /// How each copy is verified.
    pub verify: Verify,
    /// Objects that are copied at one time.
    pub jobs: usize,
    /// How fast, all of them together, in bytes per second.
    pub bandwidth: Option<u64>,
    /// Bytes that may still be read for background work, at the source and at the target.
    pub egress_left: (Option<u64>, Option<u64>),
    /// Only list, compare and count.
    pub dry_run: bool,
}

/// Keys that stand in a file, one on each line.
#[derive(Clone)]
pub struct Named {
    /// The file.
    pub file: PathBuf,
    /// The SHA-256 of what is in it: another file is another run.
    pub digest: [u8; 32],
    /// What a line means.
    pub read: Arc<ReadLine>,
}

/// Turns a line into a key, or says why it is none.
pub type ReadLine = dyn Fn(&str) -> Result<ObjectKey, String> + Send + Sync;

impl Options {
    /// What tells this run from another one between the same ends: with another scope, what was
    /// listed says nothing.
    pub fn scope(&self) -> String {
        let Selection {
            prefix,
            exclude,
            published,
            shard,
        } = &self.selection;
        let exclude: Vec<_> = exclude.iter().map(Pattern::as_str).collect();
        let named = self.named.as_ref().map(|named| named.digest);
        // As Rust writes it down: texts are quoted, so no two scopes are written alike.
        let scope = format!("{prefix:?} {exclude:?} {published:?} {shard:?} {named:?}");
        format!("{:?}", Digest(Sha256::digest(scope).into()))
    }
}
