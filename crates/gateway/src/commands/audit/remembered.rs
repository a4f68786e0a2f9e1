//! What the gateway remembers, as the command reaches it: over the control socket while it runs,
//! else in the files, which are then held until the audit ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::Method;
use migration::Forgetful;
use migration::audit::{Cached, Memory, Recollection, Standing};
use object::ObjectKey;
use serde::Serialize;
use serde::de::DeserializeOwned;
use state::StateDirectory;

use super::super::alone;
use crate::auditing::{
    CachedRequest, CachedRow, RecallRequest, RecollectionRow, Scope, ScopeRow, StandingRequest,
    StandingRow,
};
use crate::audits::Audited;
use crate::config::Config;
use crate::control::call;

const RECALL: &str = "/api/audit/recall";
const CACHED: &str = "/api/audit/cached";
const STANDING: &str = "/api/audit/standing";
const TOLD: &str = "/api/audit/told";

/// What is remembered.
pub(super) enum Remembered {
    /// By the gateway that runs.
    Beside { directory: PathBuf, scope: ScopeRow },
    /// In the files.
    Alone {
        state: Arc<StateDirectory>,
        scope: Arc<Scope>,
        /// Where the cache lies.
        cache: PathBuf,
    },
}

impl Remembered {
    /// Finds out who has it.
    pub(super) async fn of(config: &Config, scope: Scope) -> anyhow::Result<Self> {
        let nothing = RecallRequest {
            scope: scope.named(),
            keys: Vec::new(),
        };
        let taken = alone::unless_a_gateway_answers(config, RECALL, &nothing).await?;
        Ok(match taken {
            None => Self::Beside {
                directory: config.state.directory.clone(),
                scope: scope.named(),
            },
            Some(state) => Self::Alone {
                state,
                scope: Arc::new(scope),
                cache: config.cache.directory.clone(),
            },
        })
    }

    /// Tells a gateway that runs what the audit came to, for those who look at its page. One that
    /// does not hear it changes nothing about the audit.
    pub(super) async fn tell(&self, audited: &Audited) {
        if let Self::Beside { directory, .. } = self {
            let _ = call(directory, Method::POST, TOLD, Some(audited)).await;
        }
    }

    /// The state directory, where this command has it.
    pub(super) fn held(&self) -> Option<&Arc<StateDirectory>> {
        match self {
            Self::Alone { state, .. } => Some(state),
            Self::Beside { .. } => None,
        }
    }
}

impl Memory for Remembered {
    fn recall<'a>(
        &'a self,
        keys: &'a [ObjectKey],
    ) -> BoxFuture<'a, Result<Vec<Recollection>, Forgetful>> {
        Box::pin(async move {
            match self {
                Self::Beside { directory, scope } => {
                    let request = RecallRequest {
                        scope: scope.clone(),
                        keys: keys.iter().map(|key| key.as_str().to_owned()).collect(),
                    };
                    let rows: Vec<RecollectionRow> = ask(directory, RECALL, &request).await?;
                    Ok(rows.into_iter().map(Recollection::from).collect())
                }
                Self::Alone { state, scope, .. } => {
                    let (state, scope) = (Arc::clone(state), Arc::clone(scope));
                    let keys = keys.to_vec();
                    alone::ask(move || scope.recall(&state, &keys)).await
                }
            }
        })
    }

    fn cached(&self, after: Option<String>) -> BoxFuture<'_, Result<Cached, Forgetful>> {
        Box::pin(async move {
            match self {
                Self::Beside { directory, scope } => {
                    let scope = scope.clone();
                    let request = CachedRequest { scope, after };
                    let row: CachedRow = ask(directory, CACHED, &request).await?;
                    row.read().map_err(Forgetful)
                }
                Self::Alone { scope, cache, .. } => {
                    let (scope, directory) = (Arc::clone(scope), cache.clone());
                    alone::ask(move || cached_in(&directory, &scope, after.as_deref())).await
                }
            }
        })
    }

    fn standing(&self, since: u64) -> BoxFuture<'_, Result<Standing, Forgetful>> {
        Box::pin(async move {
            match self {
                Self::Beside { directory, scope } => {
                    let scope = scope.clone();
                    let request = StandingRequest { scope, since };
                    let row: StandingRow = ask(directory, STANDING, &request).await?;
                    row.read().map_err(Forgetful)
                }
                Self::Alone { state, scope, .. } => {
                    let (state, scope) = (Arc::clone(state), Arc::clone(scope));
                    alone::ask(move || scope.standing(&state, since, None)).await
                }
            }
        })
    }
}

/// What the files of the cache say, which no gateway uses now.
fn cached_in(directory: &Path, scope: &Scope, after: Option<&str>) -> Result<Cached, String> {
    let after = after.map(hex::decode).transpose();
    let after = after.map_err(|error| error.to_string())?;
    match cache::sourced(directory, scope.origin(), after.as_deref()) {
        Ok(sourced) => Ok(scope.cached(sourced)),
        Err(error) if error.is_absence() => Ok(Cached::default()),
        Err(error) => Err(error.to_string()),
    }
}

async fn ask<T: DeserializeOwned>(
    directory: &Path,
    path: &str,
    request: &impl Serialize,
) -> Result<T, Forgetful> {
    let answer = call(directory, Method::POST, path, Some(request)).await;
    let answer = answer.map_err(|error| Forgetful(error.to_string()))?;
    serde_json::from_slice(&answer).map_err(|error| Forgetful(error.to_string()))
}
