//! What operators and monitoring ask, on a listener of its own.
//!
//! Never on the viewers' listener. What changes something asks `authority` first. What people look
//! at is `page`'s.

mod auditing;
mod authority;
mod exchange;
mod keeping;
mod lending;
mod migrating;
mod migrations;
mod purge;
mod rehearsal;
mod reload;
mod tombstones;
mod withdrawn;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{DefaultBodyLimit, FromRef, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;

use crate::app::App;
use crate::audits::Audits;
use crate::explain::explain;
use crate::live::Live;
use crate::migrations::Migrations;
use crate::page::{self, Snapshot, Watched};
use crate::reloading::Reloading;
use object::ObjectKey;

pub(crate) use authority::{Authority, NotAdmitted, Token};
pub(crate) use keeping::{CacheReport, VerifyReport};
pub(crate) use purge::{PurgeReport, PurgeRequest, drop_copies};
pub(crate) use tombstones::{
    TombstoneReport, TombstoneRequest, TombstoneRow, borrowed, bury, record, rows,
};
pub(crate) use withdrawn::withdrawn_page;

/// The longest body of a changing call, in bytes: some ten thousand keys.
const LONGEST_REQUEST: usize = 16 * 1024 * 1024;

/// What the admin listener answers from, whatever becomes of the configuration.
#[derive(Clone)]
pub(crate) struct Operated {
    pub(crate) live: Arc<Live>,
    /// Whether viewers' connections are accepted.
    pub(crate) accepting: Arc<AtomicBool>,
    pub(crate) reloading: Arc<Reloading>,
    /// What migrations have told of themselves.
    pub(crate) migrations: Arc<Migrations>,
    /// What audits have told of themselves.
    pub(crate) audits: Arc<Audits>,
    /// What the page remembers.
    pub(crate) watched: Arc<Watched>,
}

/// The same for one request.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) app: Arc<App>,
    pub(crate) accepting: Arc<AtomicBool>,
    pub(crate) migrations: Arc<Migrations>,
}

impl FromRef<Operated> for Admin {
    fn from_ref(operated: &Operated) -> Self {
        Self {
            app: operated.live.app(),
            accepting: Arc::clone(&operated.accepting),
            migrations: Arc::clone(&operated.migrations),
        }
    }
}

/// Everything the admin listener and the control socket answer.
pub(crate) fn router(operated: Operated, authority: Authority) -> Router {
    let mut router = Router::new();
    let mut page = Router::new();
    if matches!(authority, Authority::Token(_)) {
        // Its forms bring the token themselves.
        page = page::router(operated.clone(), authority.clone());
    } else {
        router = router
            .route("/api/cache", get(keeping::stat))
            .route("/api/cache/verify", post(keeping::verify))
            .route("/api/ledger", get(exchange::ledger))
            .route(
                "/api/state",
                get(exchange::export)
                    .post(exchange::import)
                    .layer(DefaultBodyLimit::disable()),
            )
            .route("/api/migration/recall", post(migrating::recall))
            .route("/api/migration/learn", post(migrating::learn))
            .route("/api/budget/lend", post(lending::lend))
            .route("/api/budget/return", post(lending::take_back))
            .route("/api/budget/turns", post(lending::turns))
            .route("/api/audit/recall", post(auditing::recall))
            .route("/api/audit/standing", post(auditing::standing))
            .route("/api/audit/cached", post(auditing::cached))
            .route("/api/audit/told", post(auditing::told));
    }
    router
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/api/explain", get(explain_url))
        .route("/api/status", get(status))
        .route("/api/purge", post(purge::purge))
        .route(
            "/api/tombstones",
            get(tombstones::list)
                .put(tombstones::add)
                .delete(tombstones::remove),
        )
        .route("/api/reload", post(reload::reload))
        .route(
            "/api/migrations",
            get(migrations::list).post(migrations::tell),
        )
        .route("/api/withdrawn", get(withdrawn::list))
        .route(
            "/api/rehearsal",
            get(rehearsal::list).delete(rehearsal::forget),
        )
        .layer(DefaultBodyLimit::max(LONGEST_REQUEST))
        .layer(middleware::from_fn_with_state(
            authority,
            authority::authorise,
        ))
        .with_state(operated)
        .merge(page)
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    let cache = admin.app.keeping.as_ref().map(|keeping| &keeping.cache);
    admin.app.refresh_metrics();
    (kind, admin.app.metrics.text(cache)).into_response()
}

/// Origins that are down do not matter: answering for them is what the gateway is for.
async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.accepting.load(Ordering::Relaxed) {
        (StatusCode::OK, "accepting\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    }
}

#[derive(Deserialize)]
struct Asked {
    url: String,
}

async fn explain_url(State(admin): State<Admin>, Query(asked): Query<Asked>) -> Response {
    let gone = |space: &str, key: &ObjectKey| admin.app.is_gone(space, key);
    match explain(&admin.app, &gone, &|_, _| None, &asked.url).await {
        Ok(explanation) => Json(explanation).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// What the page shows.
async fn status(State(operated): State<Operated>) -> Json<Snapshot> {
    Json(page::snapshot(&operated).await)
}
