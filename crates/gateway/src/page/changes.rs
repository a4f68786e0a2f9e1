//! The forms that change something: dropping copies, and keys that must stay gone.
//!
//! A GET shows what would be done and does nothing. A POST needs the token in its form, compared
//! as for the API, and is refused to pages of other sites.

use axum::Form;
use axum::extract::{FromRef, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use cache::Purge;
use serde::Deserialize;

use super::numbers::{bytes, count};
use super::view::{Confirm, FormView, Frame, Outcome, OutcomeView, Tab};
use super::words::{Words, fill};
use super::{Watching, html, language};
use crate::admin::{Admin, NotAdmitted, PurgeRequest, TombstoneRequest, bury, drop_copies};
use crate::app::App;
use crate::fleet::FleetPlace;

/// What was typed.
#[derive(Deserialize)]
pub(super) struct Typed {
    lang: Option<String>,
    #[serde(default)]
    target: String,
    /// `yes`: everything that begins like it.
    below: Option<String>,
    #[serde(default)]
    reason: String,
    /// Never shown again.
    #[serde(default)]
    token: String,
}

impl Typed {
    fn purge(&self) -> PurgeRequest {
        let target = self.target.trim().to_owned();
        if self.below.is_some() {
            return PurgeRequest {
                prefix: Some(target),
                ..PurgeRequest::default()
            };
        }
        PurgeRequest {
            paths: vec![target],
            ..PurgeRequest::default()
        }
    }

    fn tombstone(&self) -> TombstoneRequest {
        TombstoneRequest {
            keys: vec![self.target.trim().to_owned()],
            reason: self.reason.trim().to_owned(),
            ..TombstoneRequest::default()
        }
    }

    fn frame(&self, headers: &HeaderMap) -> Frame {
        Frame::new(language(self.lang.as_deref(), headers), Tab::Other)
    }
}

pub(super) async fn form_of_purge(
    State(watching): State<Watching>,
    Query(typed): Query<Typed>,
    headers: HeaderMap,
) -> Response {
    form(Confirm::Purge, &watching, &typed, &headers, |app, w| {
        let purges = typed.purge().purges(app)?;
        Ok(purges.iter().map(|purge| place_of(purge, w)).collect())
    })
}

pub(super) async fn form_of_tombstone(
    State(watching): State<Watching>,
    Query(typed): Query<Typed>,
    headers: HeaderMap,
) -> Response {
    form(Confirm::Tombstone, &watching, &typed, &headers, |app, w| {
        let places = typed.tombstone().places(app)?.into_iter();
        let places = places.map(|(space, key)| format!("{} {}", key.as_str(), in_space(&space, w)));
        Ok(places.collect())
    })
}

/// What would be done; where nothing was typed yet, only the form for it.
fn form(
    what: Confirm,
    watching: &Watching,
    typed: &Typed,
    headers: &HeaderMap,
    find: impl FnOnce(&App, &Words) -> Result<Vec<String>, String>,
) -> Response {
    let frame = typed.frame(headers);
    let found = if typed.target.trim().is_empty() {
        Ok(Vec::new())
    } else {
        find(&Admin::from_ref(&watching.operated).app, frame.words())
    };
    let status = match &found {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::BAD_REQUEST,
    };
    let shown = (&*typed.target, typed.below.is_some(), &*typed.reason);
    html(status, &FormView::new(frame, what, shown, found))
}

pub(super) async fn purge(
    State(watching): State<Watching>,
    headers: HeaderMap,
    Form(typed): Form<Typed>,
) -> Response {
    let frame = typed.frame(&headers);
    let w = frame.words();
    if let Err(refusal) = admitted(&watching, &headers, &typed, frame) {
        return *refusal;
    }
    let app = Admin::from_ref(&watching.operated).app;
    let what = match typed.purge().purges(&app) {
        Ok(what) => what,
        Err(why) => return refused(StatusCode::BAD_REQUEST, frame, why),
    };
    let report = drop_copies(&app, &what).await;
    let outcome = Outcome::Done {
        said: fill(w.purged, &[&count(report.objects), &bytes(report.bytes)]),
        but: match FleetPlace::left(&report.fleet) {
            _ if !report.durable => Some(w.purged_weakly),
            0 => None,
            _ => Some(w.fleet_later),
        },
    };
    html(StatusCode::OK, &OutcomeView::of(frame, outcome))
}

pub(super) async fn tombstone(
    State(watching): State<Watching>,
    headers: HeaderMap,
    Form(typed): Form<Typed>,
) -> Response {
    let frame = typed.frame(&headers);
    if let Err(refusal) = admitted(&watching, &headers, &typed, frame) {
        return *refusal;
    }
    let admin = Admin::from_ref(&watching.operated);
    match bury(&admin, typed.tombstone()).await {
        Ok((places, fleet)) => {
            let said = fill(frame.words().tombstoned, &[&count(places.len() as u64)]);
            let but = (FleetPlace::left(&fleet) > 0).then_some(frame.words().fleet_later);
            let outcome = Outcome::Done { said, but };
            html(StatusCode::OK, &OutcomeView::of(frame, outcome))
        }
        Err(why) => refused(why.status(), frame, why.to_string()),
    }
}

fn admitted(
    watching: &Watching,
    headers: &HeaderMap,
    typed: &Typed,
    frame: Frame,
) -> Result<(), Box<Response>> {
    let given = Some(typed.token.trim()).filter(|token| !token.is_empty());
    watching.authority.admits(headers, given).map_err(|why| {
        let w = frame.words();
        let said = match why {
            NotAdmitted::Elsewhere => w.refused_elsewhere,
            NotAdmitted::Off => w.refused_off,
            NotAdmitted::WrongToken | NotAdmitted::WithoutToken => w.refused_token,
        };
        Box::new(refused(why.status(), frame, said.to_owned()))
    })
}

fn refused(status: StatusCode, frame: Frame, why: String) -> Response {
    html(status, &OutcomeView::of(frame, Outcome::Refused(why)))
}

fn place_of(purge: &Purge, w: &Words) -> String {
    match purge {
        Purge::Key { space, key } => format!("{} {}", key.as_str(), in_space(space, w)),
        Purge::Prefix { space, prefix } => {
            format!("{} {prefix} {}", w.everything_below, in_space(space, w))
        }
        Purge::Space(space) => format!("{} {}", w.everything_below, in_space(space, w)),
        Purge::All => w.everything_below.to_owned(),
    }
}

fn in_space(space: &str, w: &Words) -> String {
    fill(w.space, &[space])
}
