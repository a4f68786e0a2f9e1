//! The journal as tasks use it: its blocking work runs on threads that may block.

use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::{Journal, JournalError};

/// A journal that a migration's tasks share.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Arc<Mutex<Journal>>);

impl Shared {
    pub(crate) fn new(journal: Journal) -> Self {
        Self(Arc::new(Mutex::new(journal)))
    }

    /// Looks at what is in memory.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Journal) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does something that may wait for the disk.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let journal = Arc::clone(&self.0);
        let worked = tokio::task::spawn_blocking(move || {
            work(&mut journal.lock().unwrap_or_else(PoisonError::into_inner))
        });
        worked
            .await
            .unwrap_or_else(|error| Err(JournalError::Failed(error.to_string())))
    }
}
