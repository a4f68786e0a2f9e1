//! What the gateway remembers, as the command reaches it: over the control socket while it runs,
//! else in the files, which are then held until the migration ends.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use migration::{Forgetful, Knowledge, Recalled, Verified};
use object::ObjectKey;
use serde::Serialize;
use state::StateDirectory;

use super::super::alone;
use crate::clock::unix_now;
use crate::config::Config;
use crate::control::call_patiently;
use crate::migrating::{CopyRow, Ends, LearnRequest, RecallRequest, RecalledRow};

const RECALL: &str = "/api/migration/recall";
const LEARN: &str = "/api/migration/learn";

/// What is remembered.
pub(super) enum Remembered {
    /// By the gateway that runs.
    Beside {
        directory: PathBuf,
        from: String,
        to: String,
    },
    /// In the files.
    Alone {
        state: Arc<StateDirectory>,
        ends: Arc<Ends>,
    },
}

impl Remembered {
    /// Finds out who has it.
    pub(super) async fn of(config: &Config, from: &str, to: &str) -> anyhow::Result<Self> {
        let nothing = RecallRequest {
            from: from.to_owned(),
            to: to.to_owned(),
            keys: Vec::new(),
        };
        let taken = alone::unless_a_gateway_answers(config, RECALL, &nothing).await?;
        Ok(match taken {
            None => Self::Beside {
                directory: config.state.directory.clone(),
                from: from.to_owned(),
                to: to.to_owned(),
            },
            Some(state) => Self::Alone {
                state,
                ends: Arc::new(Ends::of(from, to, &config.routes)),
            },
        })
    }

    /// Asks the gateway, and waits for one that is being restarted.
    async fn ask(
        directory: &std::path::Path,
        path: &str,
        request: &impl Serialize,
    ) -> Result<Vec<u8>, Forgetful> {
        let answer = call_patiently(directory, path, request).await;
        answer.map_err(|error| Forgetful(error.to_string()))
    }

    /// The state directory, where this command has it.
    pub(super) fn held(&self) -> Option<&Arc<StateDirectory>> {
        match self {
            Self::Alone { state, .. } => Some(state),
            Self::Beside { .. } => None,
        }
    }
}

impl Knowledge for Remembered {
    fn recall<'a>(
        &'a self,
        keys: &'a [ObjectKey],
    ) -> BoxFuture<'a, Result<Vec<Recalled>, Forgetful>> {
        Box::pin(async move {
            match self {
                Self::Beside {
                    directory,
                    from,
                    to,
                } => {
                    let request = RecallRequest {
                        from: from.clone(),
                        to: to.clone(),
                        keys: keys.iter().map(|key| key.as_str().to_owned()).collect(),
                    };
                    let answer = Self::ask(directory, RECALL, &request).await?;
                    let rows: Vec<RecalledRow> = serde_json::from_slice(&answer)
                        .map_err(|error| Forgetful(error.to_string()))?;
                    Ok(rows.into_iter().map(Recalled::from).collect())
                }
                Self::Alone { state, ends } => {
                    let (state, ends, keys) = (Arc::clone(state), Arc::clone(ends), keys.to_vec());
                    alone::ask(move || ends.recall(&state, &keys)).await
                }
            }
        })
    }

    fn learn(&self, copies: Vec<Verified>) -> BoxFuture<'_, Result<(), Forgetful>> {
        Box::pin(async move {
            match self {
                Self::Beside {
                    directory,
                    from,
                    to,
                } => {
                    let request = LearnRequest {
                        from: from.clone(),
                        to: to.clone(),
                        copies: copies.iter().map(CopyRow::from).collect(),
                    };
                    Self::ask(directory, LEARN, &request).await.map(drop)
                }
                Self::Alone { state, ends } => {
                    let (state, ends) = (Arc::clone(state), Arc::clone(ends));
                    alone::ask(move || {
                        ends.learn(&state, &copies, unix_now())
                            .map_err(|error| error.to_string())
                    })
                    .await
                }
            }
        })
    }
}
