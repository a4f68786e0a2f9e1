//! How far a migration is, for whoever shows it.
//!
//! Counts only; a reader may look at any time.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The target is listed.
    ListingTarget,
    /// The source is listed and compared.
    ListingSource,
    /// Objects are copied.
    Copying,
}

/// Counters that one migration writes and others read.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    target_objects: AtomicU64,
    source_objects: AtomicU64,
    planned_objects: AtomicU64,
    planned_bytes: AtomicU64,
    done_objects: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// What is being done.
    pub phase: Phase,
    /// Objects that the target has listed.
    pub target_objects: u64,
    /// Objects that the source has listed.
    pub source_objects: u64,
    /// Objects that are to be copied.
    pub planned_objects: u64,
    /// Their bytes.
    pub planned_bytes: u64,
    /// Of these, how many are done, failed ones too.
    pub done_objects: u64,
    /// How many have failed.
    pub failed: u64,
    /// Bytes that have passed, of copies that were tried again too.
    pub bytes: u64,
}

impl Progress {
    /// What it is now.
    pub fn now(&self) -> Moment {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Moment {
            phase: match self.phase.load(Ordering::Relaxed) {
                0 => Phase::ListingTarget,
                1 => Phase::ListingSource,
                _ => Phase::Copying,
            },
            target_objects: read(&self.target_objects),
            source_objects: read(&self.source_objects),
            planned_objects: read(&self.planned_objects),
            planned_bytes: read(&self.planned_bytes),
            done_objects: read(&self.done_objects),
            failed: read(&self.failed),
            bytes: read(&self.bytes),
        }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        let number = match phase {
            Phase::ListingTarget => 0,
            Phase::ListingSource => 1,
            Phase::Copying => 2,
        };
        self.phase.store(number, Ordering::Relaxed);
    }

    pub(crate) fn listed(&self, target_objects: u64, source_objects: u64) {
        self.target_objects.store(target_objects, Ordering::Relaxed);
        self.source_objects.store(source_objects, Ordering::Relaxed);
    }

    pub(crate) fn planned(&self, objects: u64, bytes: u64) {
        self.planned_objects.store(objects, Ordering::Relaxed);
        self.planned_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn done(&self, objects: u64, failed: u64) {
        self.done_objects.store(objects, Ordering::Relaxed);
        self.failed.store(failed, Ordering::Relaxed);
    }

    pub(crate) fn passed(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
