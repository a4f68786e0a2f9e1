//! The state directory in the hands of a command, where no gateway runs.
//!
//! It is held until the command ends, so nothing else can change it meanwhile.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http::Method;
use migration::Forgetful;
use serde::Serialize;
use state::{StateDirectory, StateError};

use super::report::complain;
use crate::config::Config;
use crate::control::{CallError, call};
use crate::moved;

/// A gateway that starts or ends holds the state and answers nobody. It is asked again so often,
/// and so long after each time; another command may hold it for hours.
const TRIES: u32 = 15;
const PAUSE: Duration = Duration::from_secs(1);

/// Takes the state unless a gateway has it that answers this question.
///
/// # Errors
/// The gateway refuses, or another process has the state and does not answer, or it cannot be
/// read.
pub(super) async fn unless_a_gateway_answers(
    config: &Config,
    path: &str,
    question: &impl Serialize,
) -> anyhow::Result<Option<Arc<StateDirectory>>> {
    let why = "what must stay gone cannot be told";
    for tries in 1.. {
        match call(&config.state.directory, Method::POST, path, Some(question)).await {
            Ok(_) => return Ok(None),
            Err(CallError::NotRunning(_)) => {}
            Err(error) => return Err(error).context(why),
        }
        match open(config).await? {
            Err(error @ StateError::InUse { .. }) if tries < TRIES => {
                if tries == 1 {
                    complain(&format!("{error}; waiting for it"));
                }
                tokio::time::sleep(PAUSE).await;
            }
            opened => return opened.map(Some).context(why),
        }
    }
    unreachable!("the last try returns")
}

/// Takes it, and what is known of the origins as they are now.
async fn open(config: &Config) -> anyhow::Result<Result<Arc<StateDirectory>, StateError>> {
    let config = config.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let spaces = config.routes.iter().map(|route| &*route.cache_space);
        let state = StateDirectory::open(&config.state.directory, spaces)?;
        moved::notice(&config, &state);
        Ok::<_, StateError>(Arc::new(state))
    });
    Ok(opened.await?)
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
