//! What an audit that runs beside the gateway asks of it.
//!
//! Answered on the control socket only: while the gateway runs, it alone has the ledger. Changes
//! nothing.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use object::ObjectKey;
use serde::Serialize;
use state::StateDirectory;

use super::{Admin, Operated};
use crate::auditing::{
    CachedRequest, CachedRow, RecallRequest, RecollectionRow, Scope, ScopeRow, StandingRequest,
    StandingRow,
};
use crate::audits::Audited;

/// An audit has ended.
pub(super) async fn told(
    State(operated): State<Operated>,
    Json(audited): Json<Audited>,
) -> Response {
    operated.audits.tell(audited, Instant::now());
    Json(()).into_response()
}

pub(super) async fn recall(
    State(admin): State<Admin>,
    Json(request): Json<RecallRequest>,
) -> Response {
    let keys: Result<Vec<_>, _> = request
        .keys
        .iter()
        .map(|key| ObjectKey::parse(key))
        .collect();
    let keys = match keys {
        Ok(keys) => keys,
        Err(error) => return refused(&error.to_string()),
    };
    with_state(&admin, &request.scope, move |scope, state| {
        let recalled = scope.recall(state, &keys)?.into_iter();
        Ok(recalled.map(RecollectionRow::from).collect::<Vec<_>>())
    })
    .await
}

pub(super) async fn standing(
    State(admin): State<Admin>,
    Json(request): Json<StandingRequest>,
) -> Response {
    let waiting = admin.app.promotions.as_ref().map_or(0, |all| all.waiting());
    with_state(&admin, &request.scope, move |scope, state| {
        let standing = scope.standing(state, request.since, Some(waiting))?;
        Ok(StandingRow::from(standing))
    })
    .await
}

pub(super) async fn cached(
    State(admin): State<Admin>,
    Json(request): Json<CachedRequest>,
) -> Response {
    let scope = match scope(&admin, &request.scope) {
        Ok(scope) => scope,
        Err(refusal) => return *refusal,
    };
    let Some(keeping) = &admin.app.keeping else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let after = match request.place() {
        Ok(after) => after,
        Err(error) => return refused(&error),
    };
    match keeping.cache.sourced(scope.origin(), after).await {
        Ok(sourced) => Json(CachedRow::from(scope.cached(sourced))).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

/// What is meant, if the running gateway sees it so too.
fn scope(admin: &Admin, wanted: &ScopeRow) -> Result<Scope, Box<Response>> {
    let routes = admin.app.routes.iter().map(|route| &route.config);
    let scope = Scope::of(&wanted.origin, routes);
    if scope.named() == *wanted {
        return Ok(scope);
    }
    Err(Box::new(refused(
        "the running gateway asks other origins on these routes; have it read this \
         configuration (media-gateway reload)",
    )))
}

/// Works with the state where that may wait for the disk.
async fn with_state<T: Serialize + Send + 'static>(
    admin: &Admin,
    wanted: &ScopeRow,
    work: impl FnOnce(&Scope, &StateDirectory) -> Result<T, String> + Send + 'static,
) -> Response {
    let Some(keeping) = &admin.app.keeping else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let scope = match scope(admin, wanted) {
        Ok(scope) => scope,
        Err(refusal) => return *refusal,
    };
    let state = Arc::clone(&keeping.state);
    match tokio::task::spawn_blocking(move || work(&scope, &state)).await {
        Ok(Ok(done)) => Json(done).into_response(),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn refused(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
}
