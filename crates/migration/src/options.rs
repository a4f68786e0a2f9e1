//! What a migration is asked to do.

use std::fs::File;
use std::sync::Arc;

use object::{Digest, ObjectKey};
use sha2::{Digest as _, Sha256};

use crate::estimate::Verify;
use crate::selection::{Pattern, Selection};
use crate::share::Share;

/// What a migration is asked to do.
#[derive(Clone)]
pub struct Options {
    /// Which keys.
    pub selection: Selection,
    /// Only the keys that stand in a file, which are asked for one by one; else what the source
    /// lists.
    pub named: Option<Named>,
    /// Of what the source lists, only what the application's rows name.
    pub referenced: Option<Referenced>,
    /// What was verified at the target and is missing there has been lost by it, and is copied
    /// again; else the application has deleted it.
    pub lost: bool,
    /// How much of what was verified at the target may be missing there before that is not
    /// believed to be deletions.
    pub max_withdrawn: Share,
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
    /// What the file is called, for people.
    pub name: Box<str>,
    /// The file, which nobody changes meanwhile.
    pub file: Arc<File>,
    /// What tells it from another list: another one is another run.
    pub digest: [u8; 32],
    /// What a line means.
    pub read: Arc<ReadLine>,
    /// That the source lacks some of them is as it should be: they are counted, and not listed.
    pub may_be_absent: bool,
}

/// Turns a line into a key, or says why it is none.
pub type ReadLine = dyn Fn(&str) -> Result<ObjectKey, String> + Send + Sync;

/// Whether any row may mean this key, under whatever spelling.
pub type Names = dyn Fn(&ObjectKey) -> bool + Send + Sync;

/// What the application's rows name.
#[derive(Clone)]
pub struct Referenced {
    /// Whose rows they are: others are another run.
    pub by: Box<str>,
    /// Whether they name a key.
    pub names: Arc<Names>,
}

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
        let by = self.referenced.as_ref().map(|referenced| &referenced.by);
        let lost = self.lost;
        // As Rust writes it down: texts are quoted, so no two scopes are written alike.
        let scope =
            format!("{prefix:?} {exclude:?} {published:?} {shard:?} {named:?} {by:?} {lost:?}");
        format!("{:?}", Digest(Sha256::digest(scope).into()))
    }

    /// Whether named keys that the source lacks are as they should be.
    pub(crate) fn may_be_absent(&self) -> bool {
        let named = self.named.as_ref();
        named.is_some_and(|named| named.may_be_absent)
    }

    /// Whether no row names a key, where that matters.
    pub(crate) fn is_unreferenced(&self, key: &ObjectKey) -> bool {
        let referenced = self.referenced.as_ref();
        referenced.is_some_and(|referenced| !(referenced.names)(key))
    }
}
