//! Drops copies from the cache. The objects stay at their origins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use cache::{Purge, Purged};
use serde::{Deserialize, Serialize};

use super::Admin;
use crate::app::App;
use crate::fleet::FleetPlace;
use crate::targets::{NoTarget, Otherwise, prefixes, targets};

/// What is to be dropped. At least one of the three.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PurgeRequest {
    /// URLs, paths that begin with a slash, or keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) paths: Vec<String>,
    /// A URL, a path or a beginning of keys: all below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<String>,
    /// Everything.
    #[serde(default)]
    pub(crate) all: bool,
}

/// What was dropped.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct PurgeReport {
    /// Objects that were held.
    pub(crate) objects: u64,
    /// Bytes on the disk that they took.
    pub(crate) bytes: u64,
    /// Whether it is written down. Not so while the disk cannot be used: a restart may then find
    /// what lies there.
    pub(crate) durable: bool,
    /// What became of it at the other gateways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fleet: Vec<FleetPlace>,
}

impl From<Purged> for PurgeReport {
    fn from(purged: Purged) -> Self {
        Self {
            objects: purged.versions,
            bytes: purged.bytes,
            durable: purged.durable,
            fleet: Vec::new(),
        }
    }
}

impl PurgeRequest {
    /// What the cache is told.
    ///
    /// # Errors
    /// Nothing is asked for, or something that no route knows; nothing is dropped then.
    pub(crate) fn purges(&self, app: &App) -> Result<Vec<Purge>, String> {
        if self.all {
            return Ok(vec![Purge::All]);
        }
        if self.paths.is_empty() && self.prefix.is_none() {
            return Err("say what to purge: paths, a prefix, or all".to_owned());
        }
        let routes: Vec<_> = app.routes.iter().map(|route| &route.config).collect();
        let space = |route: usize| Arc::clone(&app.routes[route].space);
        let said = |error: NoTarget| error.to_string();
        let mut purges = Vec::new();
        for path in &self.paths {
            let found = targets(&app.table, &routes, path, Otherwise::PathOrKey).map_err(said)?;
            purges.extend(found.into_iter().map(|target| Purge::Key {
                space: space(target.route),
                key: target.key,
            }));
        }
        if let Some(prefix) = &self.prefix {
            let found = prefixes(&app.table, &routes, prefix).map_err(said)?;
            purges.extend(found.into_iter().map(|target| Purge::Prefix {
                space: space(target.route),
                prefix: target.prefix.into(),
            }));
        }
        Ok(purges)
    }
}

pub(super) async fn purge(
    State(admin): State<Admin>,
    Json(request): Json<PurgeRequest>,
) -> Response {
    let what = match request.purges(&admin.app) {
        Ok(what) => what,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    Json(drop_copies(&admin.app, &what).await).into_response()
}

/// Drops these copies, has the other gateways do it, and says so in the log.
pub(crate) async fn drop_copies(app: &App, what: &[Purge]) -> PurgeReport {
    let purged = match &app.keeping {
        Some(keeping) => keeping.cache.purge_all(what).await,
        None => Purged::NOTHING,
    };
    let mut report = PurgeReport::from(purged);
    tracing::info!(objects = report.objects, bytes = report.bytes, "purged");
    if let Some(fleet) = &app.lasting.fleet {
        report.fleet = fleet.purged(what).await;
    }
    report
}
