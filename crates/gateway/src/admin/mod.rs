//! What operators and monitoring ask, on a listener of its own.
//!
//! Never on the viewers' listener. What changes something asks `authority` first.

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
use std::time::Instant;

use axum::extract::{DefaultBodyLimit, FromRef, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::explain::explain;
use crate::live::Live;
use crate::migrations::{MigrationStatus, Migrations};
use crate::reloading::Reloading;
use object::ObjectKey;

pub(crate) use authority::{Authority, Token};
pub(crate) use keeping::{CacheReport, VerifyReport};
pub(crate) use purge::{PurgeReport, PurgeRequest};
pub(crate) use tombstones::{TombstoneReport, TombstoneRequest, TombstoneRow, borrowed, rows};

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
    if matches!(authority, Authority::Socket) {
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
            .route("/api/audit/cached", post(auditing::cached));
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

#[derive(Serialize)]
struct Status {
    version: &'static str,
    origins: Vec<OriginStatus>,
    migrations: Vec<MigrationStatus>,
}

#[derive(Serialize)]
struct OriginStatus {
    name: String,
    state: &'static str,
    up: bool,
    suspect: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found_seconds_ago: Option<u64>,
}

async fn status(State(admin): State<Admin>) -> Json<Status> {
    let origins = admin.app.origins.iter().map(|origin| {
        let standing = origin.standing();
        OriginStatus {
            name: origin.name().to_owned(),
            state: match origin.state() {
                origin_resolver::OriginState::Active => "active",
                origin_resolver::OriginState::Rehearsal => "rehearsal",
            },
            up: standing.up,
            suspect: standing.suspect,
            last_failure: standing.last_failure.map(|failure| failure.to_string()),
            found_seconds_ago: standing.found_ago.map(|ago| ago.as_secs()),
        }
    });
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        origins: origins.collect(),
        migrations: admin.migrations.status(Instant::now()),
    })
}
