//! What an origin that rehearses its retirement has saved: keys that nobody else could give.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use state::{LedgerDown, Save, SaveTotals, StateDirectory};

use super::Admin;
use crate::auditing::Scope;

/// Keys of one origin, where nothing is said.
const LIMIT: usize = 1_000;
/// Keys of one origin, at most.
const MOST: usize = 100_000;

/// What is wanted.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    /// Of this origin only.
    origin: Option<String>,
    /// So many keys of each at most.
    limit: Option<usize>,
}

/// One origin that has saved something; whether it still rehearses or not.
#[derive(Debug, Serialize)]
struct Row {
    origin: String,
    /// How many keys there are, once for each reason.
    keys: u64,
    /// Saves of further keys, which are only counted.
    beyond: u64,
    /// The first of the keys, `missing` before `unknown`.
    saves: Vec<SavedKey>,
}

#[derive(Debug, Serialize)]
struct SavedKey {
    key: String,
    /// `missing`: it would have been lost. `unknown`: an active origin was in trouble.
    reason: &'static str,
    /// It needs no home any more, on any route: it became a tombstone, or the application has
    /// deleted it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
    /// Seconds since 1970.
    first: u64,
    /// How often.
    count: u64,
}

pub(super) async fn list(State(admin): State<Admin>, Query(wanted): Query<Wanted>) -> Response {
    let limit = wanted.limit.unwrap_or(LIMIT).min(MOST);
    let Some(origins) = origins(&admin, wanted.origin) else {
        return (StatusCode::BAD_REQUEST, NO_SUCH).into_response();
    };
    let routes = admin.app.routes.iter().map(|route| route.config.clone());
    let routes: Vec<_> = routes.collect();
    answer(&admin, move |state| {
        let scope = |origin: &str| Scope::of(origin, &routes);
        let rows = origins.into_iter();
        let rows = rows.map(|origin| row(state, &scope(&origin), origin, limit));
        let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
        Ok(rows.into_iter().filter(|row| row.keys > 0).collect())
    })
    .await
}

/// A rehearsal begins anew: what was saved until now is forgotten.
pub(super) async fn forget(State(admin): State<Admin>, Query(wanted): Query<Wanted>) -> Response {
    if wanted.origin.is_none() {
        return (StatusCode::BAD_REQUEST, "say which: ?origin=NAME\n").into_response();
    }
    let Some(origins) = origins(&admin, wanted.origin) else {
        return (StatusCode::BAD_REQUEST, NO_SUCH).into_response();
    };
    answer(&admin, move |state| {
        let ledger = state.ledger();
        for origin in &origins {
            ledger.clear_saves(origin)?;
            tracing::info!(origin, "rehearsal saves forgotten");
        }
        Ok(Vec::new())
    })
    .await
}

const NO_SUCH: &str = "the configuration has no such origin, or it is retired\n";

/// All of them, or this one if there is such a one.
fn origins(admin: &Admin, only: Option<String>) -> Option<Vec<String>> {
    let all = admin.app.origins.iter();
    let known: Vec<_> = all.map(|origin| origin.name().to_owned()).collect();
    match only {
        None => Some(known),
        Some(name) => known.contains(&name).then(|| vec![name]),
    }
}

/// The ledger blocks.
async fn answer(
    admin: &Admin,
    work: impl FnOnce(&StateDirectory) -> Result<Vec<Row>, LedgerDown> + Send + 'static,
) -> Response {
    let Some(keeping) = &admin.app.keeping else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let state = Arc::clone(&keeping.state);
    match tokio::task::spawn_blocking(move || work(&state)).await {
        Ok(Ok(rows)) => Json(rows).into_response(),
        Ok(Err(down)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{down}\n")).into_response(),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

fn row(
    state: &StateDirectory,
    scope: &Scope,
    origin: String,
    limit: usize,
) -> Result<Row, LedgerDown> {
    let ledger = state.ledger();
    let SaveTotals { keys, beyond } = ledger.save_totals(&origin)?;
    let saves = ledger.saves(&origin).take(limit);
    let saves = saves.map(|save| {
        let save = save?;
        let gone = !scope.needs_a_home(state, &save.key);
        Ok(SavedKey::new(&save, gone))
    });
    Ok(Row {
        saves: saves.collect::<Result<_, _>>()?,
        origin,
        keys,
        beyond,
    })
}

impl SavedKey {
    fn new(save: &Save, gone: bool) -> Self {
        Self {
            gone,
            key: save.key.as_str().to_owned(),
            reason: save.reason.label(),
            first: save.first,
            count: save.count,
        }
    }
}
