//! Keys that must stay gone: added, removed, listed.
//!
//! An addition is answered when it is durable and every running response was cut; one that also
//! erases, when every origin has answered.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use object::ObjectKey;
use serde::{Deserialize, Serialize};
use state::{Action, MAX_REASON_BYTES, StateDirectory, TombstoneError, list_tombstones};

use super::Admin;
use crate::app::{App, Keeping};
use crate::erasing::{Erasure, erase_at_origins, erase_copies, publishing};
use crate::fleet::FleetPlace;
use crate::routes::is_published;
use crate::targets::{Otherwise, Target, targets};

/// Keys that must stay gone, or no longer.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TombstoneRequest {
    /// URLs, or keys byte for byte.
    pub(crate) keys: Vec<String>,
    /// Why, for whoever reads the list.
    #[serde(default)]
    pub(crate) reason: String,
    /// Whether the objects are deleted at the origins too.
    #[serde(default)]
    pub(crate) erase: bool,
    /// Only on these routes; then each text is a key, also where it looks like a URL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) routes: Vec<String>,
}

/// What was done, place by place.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct TombstoneReport {
    pub(crate) places: Vec<TombstonePlace>,
    /// What became of it at the other gateways.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) fleet: Vec<FleetPlace>,
}

/// One key in one cache space.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct TombstonePlace {
    pub(crate) space: String,
    pub(crate) key: String,
    /// `gone`, or `open` where the tombstone was removed.
    pub(crate) state: String,
    /// Where it was to be erased, and what became of it there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) erasures: Vec<Erasure>,
}

/// One tombstone, as it is listed.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct TombstoneRow {
    pub(crate) space: String,
    pub(crate) key: String,
    /// Seconds since 1970.
    pub(crate) time: u64,
    pub(crate) reason: String,
}

impl TombstoneRequest {
    /// The places that are meant, each once.
    ///
    /// # Errors
    /// A text means nothing here, or the reason is too long; nothing is done then.
    pub(crate) fn places(&self, app: &App) -> Result<Places, String> {
        if self.reason.len() > MAX_REASON_BYTES {
            return Err(format!(
                "a reason cannot be longer than {MAX_REASON_BYTES} bytes"
            ));
        }
        let mut places = Places::new();
        for text in &self.keys {
            for Target { route, key } in self.targets(app, text)? {
                let place = (Arc::clone(&app.routes[route].space), key);
                // What was never to be seen is not deleted by mistake.
                if self.erase && publishing(app, &place.0, &place.1).next().is_none() {
                    return Err(format!(
                        "{text:?}: no route publishes it, so it is not erased"
                    ));
                }
                if !places.contains(&place) {
                    places.push(place);
                }
            }
        }
        if places.is_empty() {
            return Err("say which keys".to_owned());
        }
        Ok(places)
    }

    fn targets(&self, app: &App, text: &str) -> Result<Vec<Target>, String> {
        let routes: Vec<_> = app.routes.iter().map(|route| &route.config).collect();
        if self.routes.is_empty() {
            let found = targets(&app.table, &routes, text, Otherwise::Key);
            return found.map_err(|error| error.to_string());
        }
        let key = ObjectKey::parse(text).map_err(|error| format!("{text:?}: {error}"))?;
        let named = |name: &str| self.routes.iter().any(|wanted| wanted == name);
        let meant = routes
            .iter()
            .enumerate()
            .filter(|(_, route)| named(&route.name));
        let found: Vec<_> = meant
            .filter(|(_, route)| is_published(route, &key))
            .map(|(route, _)| Target {
                route,
                key: key.clone(),
            })
            .collect();
        if found.is_empty() {
            return Err(format!("{text:?}: none of these routes publishes it"));
        }
        Ok(found)
    }
}

impl TombstoneReport {
    pub(crate) fn of(places: &[(Arc<str>, ObjectKey)], state: &str) -> Self {
        let place = |(space, key): &(Arc<str>, ObjectKey)| TombstonePlace {
            space: space.to_string(),
            key: key.as_str().to_owned(),
            state: state.to_owned(),
            erasures: Vec::new(),
        };
        Self {
            places: places.iter().map(place).collect(),
            fleet: Vec::new(),
        }
    }

    /// The same with what became of each at every origin, and of its copies here.
    pub(crate) async fn erased(
        app: &App,
        places: &[(Arc<str>, ObjectKey)],
        copies: Vec<Erasure>,
    ) -> Self {
        let mut report = Self::of(places, "gone");
        let at_origins = erase_at_origins(app, places).await;
        let told = at_origins.into_iter().zip(copies);
        for (place, (mut erasures, copy)) in report.places.iter_mut().zip(told) {
            erasures.push(copy);
            place.erasures = erasures;
        }
        report
    }

    /// The same with what became of it at the other gateways.
    pub(crate) fn told(mut self, fleet: Vec<FleetPlace>) -> Self {
        self.fleet = fleet;
        self
    }

    /// How many places still have something.
    pub(crate) fn left(&self) -> usize {
        let erasures = self.places.iter().flat_map(|place| &place.erasures);
        erasures.filter(|erasure| erasure.is_left()).count()
    }
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unburied {
    /// What was asked for means nothing here.
    #[error("{0}")]
    Asked(String),
    /// There is no state directory.
    #[error("this gateway keeps no state")]
    Stateless,
    /// It could not be made durable.
    #[error(transparent)]
    Failed(#[from] TombstoneError),
}

impl Unburied {
    /// What it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Asked(_) => StatusCode::BAD_REQUEST,
            Self::Stateless => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Unburied {
    fn into_response(self) -> Response {
        (self.status(), format!("{self}\n")).into_response()
    }
}

/// Lets keys stay gone, durably, and drops their copies, here and at the other gateways. Erases
/// nothing.
///
/// # Errors
/// Nothing was changed.
pub(crate) async fn bury(
    admin: &Admin,
    request: TombstoneRequest,
) -> Result<(Places, Vec<FleetPlace>), Unburied> {
    let (places, keeping, news) = change(admin, request, true).await?;
    keeping.cache.erase(&places).await;
    tracing::info!(places = places.len(), "tombstones added");
    let fleet = tell(admin, news).await;
    Ok((places, fleet))
}

pub(super) async fn add(
    State(admin): State<Admin>,
    Json(request): Json<TombstoneRequest>,
) -> Response {
    if !request.erase {
        return match bury(&admin, request).await {
            Ok((places, fleet)) => {
                Json(TombstoneReport::of(&places, "gone").told(fleet)).into_response()
            }
            Err(refusal) => refusal.into_response(),
        };
    }
    match change(&admin, request, true).await {
        Ok((places, keeping, news)) => {
            let copies = Erasure::of_cache(erase_copies(&keeping.cache, &places).await);
            let copies = vec![copies; places.len()];
            let fleet = tell(&admin, news).await;
            let report = TombstoneReport::erased(&admin.app, &places, copies).await;
            let (places, left) = (places.len(), report.left());
            tracing::info!(places, left, "tombstones added, and objects erased");
            Json(report.told(fleet)).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

pub(super) async fn remove(
    State(admin): State<Admin>,
    Json(request): Json<TombstoneRequest>,
) -> Response {
    if request.erase {
        let refusal = "what is erased cannot be brought back: erase goes with PUT\n";
        return (StatusCode::BAD_REQUEST, refusal).into_response();
    }
    match change(&admin, request, false).await {
        Ok((places, _, news)) => {
            tracing::info!(places = places.len(), "tombstones removed");
            let fleet = tell(&admin, news).await;
            Json(TombstoneReport::of(&places, "open").told(fleet)).into_response()
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// Has the other gateways do what was done here.
async fn tell(admin: &Admin, news: Vec<Action>) -> Vec<FleetPlace> {
    match &admin.app.lasting.fleet {
        Some(fleet) => fleet.buried(news).await,
        None => Vec::new(),
    }
}

pub(super) async fn list(State(admin): State<Admin>) -> Response {
    let Some(keeping) = &admin.app.keeping else {
        return Json(Vec::<TombstoneRow>::new()).into_response();
    };
    let directory = keeping.state.path().to_owned();
    match on_disk(move || rows(&directory)).await {
        Ok(rows) => Json(rows).into_response(),
        Err(error) => failed(&error),
    }
}

/// Every tombstone of a state directory, as it is written there.
///
/// # Errors
/// They cannot be read; the message carries the remedy.
pub(crate) fn rows(directory: &std::path::Path) -> Result<Vec<TombstoneRow>, TombstoneError> {
    list_tombstones(directory)?
        .map(|tombstone| {
            let tombstone = tombstone?;
            Ok(TombstoneRow {
                space: tombstone.scope.into(),
                key: String::from_utf8_lossy(&tombstone.key).into_owned(),
                time: tombstone.time,
                reason: tombstone.reason.into(),
            })
        })
        .collect()
}

/// As the state directory takes them.
pub(crate) fn borrowed(places: &[(Arc<str>, ObjectKey)]) -> Vec<(&str, &[u8])> {
    places
        .iter()
        .map(|(space, key)| (&**space, key.as_str().as_bytes()))
        .collect()
}

/// Keys, each in a cache space.
pub(crate) type Places = Vec<(Arc<str>, ObjectKey)>;

/// Does it for all places of a request, durably, and returns what other gateways have to be told.
async fn change(
    admin: &Admin,
    request: TombstoneRequest,
    adds: bool,
) -> Result<(Places, &Keeping, Vec<Action>), Unburied> {
    let places = request.places(&admin.app).map_err(Unburied::Asked)?;
    let keeping = admin.app.keeping.as_ref().ok_or(Unburied::Stateless)?;
    let (state, reason) = (Arc::clone(&keeping.state), request.reason);
    let in_fleet = admin.app.lasting.fleet.is_some();
    let durable = places.clone();
    let news = on_disk(move || record(&state, in_fleet, adds, &borrowed(&durable), &reason))
        .await
        .inspect_err(|error| tracing::error!(%error, "tombstones"))?;
    Ok((places, keeping, news))
}

/// Writes down what is done to keys, and returns what other gateways have to be told. Blocks.
///
/// # Errors
/// Nothing was recorded.
pub(crate) fn record(
    state: &StateDirectory,
    in_fleet: bool,
    adds: bool,
    keys: &[(&str, &[u8])],
    reason: &str,
) -> Result<Vec<Action>, TombstoneError> {
    let tombstones = state.tombstones();
    if in_fleet {
        return tombstones.act(adds, keys, reason);
    }
    if adds {
        tombstones.add(keys, reason)?;
    } else {
        tombstones.remove(keys, reason)?;
    }
    Ok(Vec::new())
}

/// The state directory blocks.
async fn on_disk<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

fn failed(error: &dyn std::fmt::Display) -> Response {
    tracing::error!(%error, "tombstones");
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}
