//! The page that operators look at, and what answers for it.
//!
//! Rendered here from a [`snapshot::Snapshot`]; works without script, asks nobody else, and keeps
//! nothing for a key. What changes something needs the token in its form, and never a cookie.
//! Looking asks no origin; only `explain` does.

mod changes;
mod gather;
mod history;
mod labels;
mod numbers;
mod plot;
mod snapshot;
mod stream;
mod view;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use object::ObjectKey;
use serde::Deserialize;

use crate::admin::{Admin, Authority, Operated, withdrawn_page};
use crate::explain::explain;
use view::{ExplainView, Frame, PageView, Tab, WithdrawnRow, WithdrawnView};
use words::Language;

pub(crate) use gather::{Watched, snapshot};
pub(crate) use snapshot::Snapshot;
pub(crate) use stream::Stream;

/// The longest form, in bytes: a key and a reason.
const LONGEST_FORM: usize = 64 * 1024;
/// Withdrawn keys of one page.
const WITHDRAWN: usize = 200;

/// Nothing but our own files, no inline script or style, and no frame around it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Everything under `/` that is not the API.
pub(crate) fn router(operated: Operated, authority: Authority) -> Router {
    let watching = Watching {
        operated,
        authority,
        stream: Arc::new(Stream::new()),
    };
    Router::new()
        .route("/", get(page))
        .route("/events", get(stream::events))
        .route("/explain", get(explain_url))
        .route("/withdrawn", get(withdrawn))
        .route("/purge", get(changes::form_of_purge).post(changes::purge))
        .route(
            "/tombstone",
            get(changes::form_of_tombstone).post(changes::tombstone),
        )
        .route(
            "/page.css",
            get(async || asset(CSS, "text/css; charset=utf-8")),
        )
        .route(
            "/page.js",
            get(async || asset(SCRIPT, "text/javascript; charset=utf-8")),
        )
        .route("/icon.svg", get(async || asset(ICON, "image/svg+xml")))
        .layer(DefaultBodyLimit::max(LONGEST_FORM))
        .layer(axum::middleware::map_response(guarded))
        .with_state(watching)
}

const CSS: &str = include_str!("../../assets/page.css");
const SCRIPT: &str = include_str!("../../assets/page.js");
const ICON: &str = include_str!("../../assets/icon.svg");

/// What the page is answered from.
#[derive(Clone)]
struct Watching {
    operated: Operated,
    authority: Authority,
    stream: Arc<Stream>,
}

impl FromRef<Watching> for Operated {
    fn from_ref(watching: &Watching) -> Self {
        watching.operated.clone()
    }
}

/// Which language is asked for.
#[derive(Debug, Deserialize)]
struct Asked {
    lang: Option<String>,
    /// To explain.
    url: Option<String>,
    /// Behind which withdrawn key.
    after: Option<String>,
}

fn language(asked: Option<&str>, headers: &HeaderMap) -> Language {
    let accepted = headers.get(header::ACCEPT_LANGUAGE);
    Language::of(asked, accepted.and_then(|value| value.to_str().ok()))
}

/// A rendered page.
fn html(status: StatusCode, view: &impl Template) -> Response {
    match view.render() {
        Ok(text) => {
            let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            (status, kind, text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "the page cannot be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn asset(text: &'static str, kind: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// What every answer says to browsers.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Forms of the page say where they come from; nobody else learns its address.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept-Language"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn page(
    State(operated): State<Operated>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let frame = Frame::new(language(asked.lang.as_deref(), &headers), Tab::Overview);
    let snapshot = snapshot(&operated).await;
    html(StatusCode::OK, &PageView::of(frame, &snapshot))
}

async fn explain_url(
    State(operated): State<Operated>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let frame = Frame::new(language(asked.lang.as_deref(), &headers), Tab::Explain);
    let Some(url) = asked.url.filter(|url| !url.is_empty()) else {
        return html(StatusCode::OK, &ExplainView::form(frame, "", None));
    };
    let app = Admin::from_ref(&operated).app;
    let gone = |space: &str, key: &ObjectKey| app.is_gone(space, key);
    match explain(&app, &gone, &|_, _| None, url.trim()).await {
        Ok(explained) => html(StatusCode::OK, &ExplainView::of(frame, &explained)),
        Err(error) => {
            let view = ExplainView::form(frame, &url, Some(&error.why));
            html(StatusCode::BAD_REQUEST, &view)
        }
    }
}

async fn withdrawn(
    State(operated): State<Operated>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let language = language(asked.lang.as_deref(), &headers);
    let frame = Frame::new(language, Tab::Other);
    let app = Admin::from_ref(&operated).app;
    let (status, listed) = match withdrawn_page(app, asked.after, WITHDRAWN).await {
        Ok(report) => {
            let rows = report.withdrawn.into_iter().map(|row| WithdrawnRow {
                route: row.route,
                origin: row.origin,
                key: row.key,
                since: date(row.since),
                followed: row.followed.is_some(),
            });
            let next = report.next.map(|after| {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                query.append_pair("lang", language.code());
                query.append_pair("after", &after);
                query.finish()
            });
            (StatusCode::OK, Ok((rows.collect(), next)))
        }
        Err((status, why)) => (status, Err(why)),
    };
    html(status, &WithdrawnView::of(frame, listed))
}

/// A moment for people, of seconds since 1970.
fn date(seconds: u64) -> String {
    let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(moment).to_string()
}
