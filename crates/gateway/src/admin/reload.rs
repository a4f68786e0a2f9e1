//! Reads the configuration anew.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Operated;
use crate::reloading::Unchanged;

pub(super) async fn reload(State(operated): State<Operated>) -> Response {
    match operated.reloading.reload("the admin API").await {
        Ok(reloaded) => Json(reloaded).into_response(),
        Err(Unchanged::Rejected(refused)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Json(refused)).into_response()
        }
        Err(Unchanged::WithoutFile) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "this gateway was not started from a file\n",
        )
            .into_response(),
    }
}
