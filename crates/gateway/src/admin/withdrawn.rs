//! The keys that the application has deleted from its upload origin, a page at a time.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use object::ObjectKey;
use serde::{Deserialize, Serialize};

use super::Admin;
use crate::app::{App, Route};
use crate::routes::is_published;
use crate::withdrawals::{Listed, Page};

/// Rows of one page, where nothing is said.
const LIMIT: usize = 1_000;
/// Rows of one page, at most.
const MOST: usize = 10_000;

/// Which page is wanted.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    /// Of this route only.
    route: Option<String>,
    /// Behind this place: what the page before called `next`.
    after: Option<String>,
    /// So many rows at most.
    limit: Option<usize>,
}

/// One page.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) withdrawn: Vec<Row>,
    /// Where the next page begins; none after the last one.
    pub(crate) next: Option<String>,
}

/// One withdrawn key of one route.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) route: String,
    /// Where it was, and is missing.
    pub(crate) origin: String,
    pub(crate) key: String,
    /// Seconds since 1970.
    pub(crate) since: u64,
    /// Since when it is answered 410 where the route follows, in seconds since 1970.
    pub(crate) followed: Option<u64>,
}

pub(super) async fn list(State(admin): State<Admin>, Query(wanted): Query<Wanted>) -> Response {
    match read(admin.app, wanted).await {
        Ok(report) => Json(report).into_response(),
        Err((status, why)) => (status, format!("{why}\n")).into_response(),
    }
}

/// A page of all routes, for people.
///
/// # Errors
/// The place is none, or the ledger cannot be used.
pub(crate) async fn withdrawn_page(
    app: Arc<App>,
    after: Option<String>,
    limit: usize,
) -> Result<Report, (StatusCode, String)> {
    let wanted = Wanted {
        after,
        limit: Some(limit),
        ..Wanted::default()
    };
    read(app, wanted).await
}

/// The ledger blocks.
async fn read(app: Arc<App>, wanted: Wanted) -> Result<Report, (StatusCode, String)> {
    match tokio::task::spawn_blocking(move || report(&app, &wanted)).await {
        Ok(read) => read,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

fn report(app: &App, wanted: &Wanted) -> Result<Report, (StatusCode, String)> {
    let refused = |why: &str| (StatusCode::BAD_REQUEST, why.to_owned());
    let limit = wanted.limit.unwrap_or(LIMIT).clamp(1, MOST);
    let after = match &wanted.after {
        Some(text) => Some(place(app, text).ok_or_else(|| {
            refused("after is not what a page before called next: route/origin/key")
        })?),
        None => None,
    };
    let mut report = Report::default();
    let begun = after.as_ref().map_or(0, |(index, ..)| *index);
    for (index, route) in app.routes.iter().enumerate().skip(begun) {
        let name = &*route.config.name;
        if wanted.route.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let behind = after.as_ref().filter(|(at, _)| *at == index);
        let behind = behind.map(|(_, place)| place);
        let Page { listed, next } = page(route, behind, limit - report.withdrawn.len())?;
        report
            .withdrawn
            .extend(listed.into_iter().map(|listed| row(name, listed)));
        if let Some((origin, key)) = next {
            report.next = Some(format!("{name}/{origin}/{}", key.as_str()));
            return Ok(report);
        }
    }
    Ok(report)
}

fn page(
    route: &Route,
    after: Option<&(Box<str>, ObjectKey)>,
    limit: usize,
) -> Result<Page, (StatusCode, String)> {
    let Some(withdrawals) = &route.withdrawals else {
        return Ok(Page::default());
    };
    withdrawals
        .page(after, limit, |key| is_published(&route.config, key))
        .map_err(|down| (StatusCode::SERVICE_UNAVAILABLE, down.to_string()))
}

/// The route's index and the place in its list: no name has a slash in it.
fn place(app: &App, text: &str) -> Option<(usize, (Box<str>, ObjectKey))> {
    let mut parts = text.splitn(3, '/');
    let (route, origin, key) = (parts.next()?, parts.next()?, parts.next()?);
    let mut routes = app.routes.iter();
    let index = routes.position(|known| &*known.config.name == route)?;
    Some((index, (origin.into(), ObjectKey::parse(key).ok()?)))
}

fn row(route: &str, listed: Listed) -> Row {
    Row {
        route: route.to_owned(),
        origin: listed.origin.into(),
        key: listed.key.as_str().to_owned(),
        since: listed.withdrawn.since,
        followed: listed.withdrawn.followed,
    }
}
