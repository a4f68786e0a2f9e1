//! What a migration that runs beside the gateway asks of it, and tells it.
//!
//! Answered on the control socket only: while the gateway runs, it alone has the ledger.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use object::ObjectKey;
use serde::Serialize;
use state::StateDirectory;

use super::Admin;
use crate::app::App;
use crate::clock::unix_now;
use crate::migrating::{Ends, LearnRequest, RecallRequest, RecalledRow};

pub(super) async fn recall(
    State(admin): State<Admin>,
    Json(request): Json<RecallRequest>,
) -> Response {
    let RecallRequest { from, to, keys } = request;
    let keys: Result<Vec<_>, _> = keys.iter().map(|key| ObjectKey::parse(key)).collect();
    let keys = match keys {
        Ok(keys) => keys,
        Err(error) => return refused(&error.to_string()),
    };
    with_state(&admin, &from, &to, move |ends, state| {
        let rows = ends
            .recall(state, &keys)?
            .into_iter()
            .map(RecalledRow::from);
        Ok(rows.collect::<Vec<_>>())
    })
    .await
}

pub(super) async fn learn(
    State(admin): State<Admin>,
    Json(request): Json<LearnRequest>,
) -> Response {
    let LearnRequest { from, to, copies } = request;
    let copies: Result<Vec<_>, _> = copies.iter().map(crate::migrating::CopyRow::read).collect();
    let copies = match copies {
        Ok(copies) => copies,
        Err(error) => return refused(&error),
    };
    with_state(&admin, &from, &to, move |ends, state| {
        ends.learn(state, &copies, unix_now())
            .map_err(|error| error.to_string())
    })
    .await
}

/// Works with the state where that may wait for the disk.
async fn with_state<T: Serialize + Send + 'static>(
    admin: &Admin,
    from: &str,
    to: &str,
    work: impl FnOnce(&Ends, &StateDirectory) -> Result<T, String> + Send + 'static,
) -> Response {
    let Some(keeping) = &admin.app.keeping else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let Some(ends) = ends(&admin.app, from, to) else {
        return refused(
            "the running gateway does not know these origins; have it read this configuration (media-gateway reload)",
        );
    };
    let state = Arc::clone(&keeping.state);
    match tokio::task::spawn_blocking(move || work(&ends, &state)).await {
        Ok(Ok(done)) => Json(done).into_response(),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Both origins, if the running gateway has them: one that it does not know may be another
/// application's, with other tombstones.
fn ends(app: &App, from: &str, to: &str) -> Option<Ends> {
    let knows = |name: &str| app.origins.iter().any(|origin| origin.name() == name);
    let routes = app.routes.iter().map(|route| &route.config);
    (knows(from) && knows(to)).then(|| Ends::of(from, to, routes))
}

fn refused(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
}
