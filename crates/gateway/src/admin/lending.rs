//! Bytes and requests for the commands that read beside the gateway.
//!
//! Answered on the control socket only.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Admin;
use crate::lending::{LendRequest, ReturnRequest, TurnsRequest};

/// A gateway that stops does not wait longer for those who wait.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

pub(super) async fn lend(State(admin): State<Admin>, Json(request): Json<LendRequest>) -> Response {
    let Some(keeping) = &admin.app.keeping else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    if !note(&admin, &request.origin, request.read) {
        return unknown();
    }
    match admin.app.allowances.lend(&keeping.state, &request).await {
        Ok(lent) => Json(lent).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

pub(super) async fn take_back(
    State(admin): State<Admin>,
    Json(request): Json<ReturnRequest>,
) -> Response {
    if !note(&admin, &request.origin, request.read) {
        return unknown();
    }
    admin.app.allowances.take_back(&request);
    Json(()).into_response()
}

pub(super) async fn turns(
    State(admin): State<Admin>,
    Json(request): Json<TurnsRequest>,
) -> Response {
    let mut origins = admin.app.origins.iter();
    let Some(origin) = origins.find(|origin| origin.name() == request.origin) else {
        return unknown();
    };
    let lent = tokio::time::timeout(LONGEST_WAIT, origin.lend_turns(request.most));
    Json(lent.await.unwrap_or(0)).into_response()
}

/// Notes what a command has read, if the origin is known.
fn note(admin: &Admin, origin: &str, read: u64) -> bool {
    let is_known = admin.app.origins.iter().any(|one| one.name() == origin);
    if is_known {
        admin.app.metrics.read_beside(origin, read);
    }
    is_known
}

fn unknown() -> Response {
    let why = "the running gateway does not know this origin; have it read this configuration (media-gateway reload)\n";
    (StatusCode::BAD_REQUEST, why).into_response()
}
