//! How far migrations are: what they tell, and what they have told.
//!
//! Told with the token, or over the control socket; read by whoever may see the status.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Admin;
use crate::migrations::{MigrationStatus, Told};

pub(super) async fn tell(State(admin): State<Admin>, Json(told): Json<Told>) -> Response {
    let is_known = |name: &str| admin.app.origins.iter().any(|one| one.name() == name);
    for name in [&told.from, &told.to] {
        if !is_known(name) {
            let why = format!("this gateway has no origin \"{}\"\n", name.escape_debug());
            return (StatusCode::BAD_REQUEST, why).into_response();
        }
    }
    admin.migrations.tell(told, Instant::now());
    Json(()).into_response()
}

pub(super) async fn list(State(admin): State<Admin>) -> Json<Vec<MigrationStatus>> {
    Json(admin.migrations.status(Instant::now()))
}
