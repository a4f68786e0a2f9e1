//! The state directory in the hands of a command, where no gateway runs.
//!
//! It is held until the command ends, so nothing else can change it meanwhile.

use std::sync::Arc;

use anyhow::Context;
use migration::Forgetful;
use state::{StateDirectory, StateError};

use crate::config::Config;
use crate::moved;

/// Takes it, and what is known of the origins as they are now.
///
/// # Errors
/// Another process has it, or it cannot be read.
pub(super) async fn open(config: &Config) -> anyhow::Result<Arc<StateDirectory>> {
    let config = config.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let spaces = config.routes.iter().map(|route| &*route.cache_space);
        let state = StateDirectory::open(&config.state.directory, spaces)?;
        moved::notice(&config, &state);
        Ok::<_, StateError>(Arc::new(state))
    });
    opened.await?.context("what must stay gone cannot be told")
}

/// Asks it, on a thread that may block.
///
/// # Errors
/// What the work says.
pub(super) async fn ask<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, Forgetful> {
    let worked = tokio::task::spawn_blocking(work).await;
    let worked = worked.unwrap_or_else(|error| Err(error.to_string()));
    worked.map_err(Forgetful)
}
