//! The way of one request: route, key, origins, HTTP semantics, body.
//!
//! Decides nothing itself: which route, `routes`; what must stay gone, `state`; where the bytes
//! are, `cache` and the origins behind it; what a header means, `http`; what an object is called,
//! `describe`. It only puts them in order.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache::{Held, Passing, Refused, Served};
use futures_util::future::Either;
use futures_util::stream;
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use http_body::Body as _;
use hyper::body::Incoming;
use object::{ByteRange, Extent, ObjectBody, ObjectKey, Part, RangeRequest};

use crate::address::logged;
use crate::answer::{Answer, Going, Reply, reply};
use crate::app::{App, Route, Unlocated};
use crate::event::Event;
use crate::http::conditions::{self, Condition, Current};
use crate::http::range::{self, RangeHeader};
use crate::http::request;
use crate::http::respond::{self, CacheResult, Context, Refusal, Representation};
use crate::located::Located;
use crate::routes::{is_published, key_of};
use crate::server::Peer;
use crate::webroot::{CHALLENGES, NoAnswer};

/// A client is told to come back after this, if no origin said when.
pub(crate) const RETRY_AFTER_SECONDS: u64 = 5;
const LONGEST_RETRY_SECONDS: u64 = 120;
/// An object that changes while it is answered is looked up anew, so often in all.
const ATTEMPTS: u32 = 3;

/// A reply that is there, or one that somebody has to bring something for.
pub(crate) type Answering = Either<Ready<Reply>, Pin<Box<dyn Future<Output = Reply> + Send>>>;

/// Answers one request: at once where that needs nothing but what is in memory.
pub(crate) fn serve(app: Arc<App>, peer: Peer, request: Request<Incoming>) -> Answering {
    let (parts, incoming) = request.into_parts();
    let client = peer
        .client
        .and_then(|client| logged(client, app.client_addresses));
    let mut event = Event::begin(&parts, client, &app.access);
    let has_body = !incoming.is_end_stream();
    drop(incoming);
    let answered = match examine(&app, peer, &parts, has_body, &mut event) {
        Ok(Wanted::Object(route, key)) => {
            let viewer = Viewer::new(&app, &route, &key, &parts);
            if let Some(answered) = viewer.at_once(&parts.method, &mut event) {
                answered
            } else {
                return Either::Right(Box::pin(async move {
                    let viewer = Viewer::new(&app, &route, &key, &parts);
                    let answered = viewer.answer(&parts.method, &mut event).await;
                    reply(&app, peer, &parts, answered, event)
                }));
            }
        }
        Ok(Wanted::Challenge(token, proof)) => {
            return Either::Right(Box::pin(async move {
                let answered = challenge(&app, &token, proof, &parts.method).await;
                reply(&app, peer, &parts, answered, event)
            }));
        }
        Ok(Wanted::Nothing(head)) => Ok(Answer::without_body(head)),
        Err(refusal) => Err(refusal),
    };
    Either::Left(ready(reply(&app, peer, &parts, answered, event)))
}

/// What a request asks for.
enum Wanted {
    Object(Arc<Route>, ObjectKey),
    /// What was laid for an authority, by its token.
    Challenge(String, Option<Bytes>),
    /// Only what may be asked.
    Nothing(http::response::Parts),
}

fn examine(
    app: &App,
    peer: Peer,
    parts: &Parts,
    has_body: bool,
    event: &mut Event,
) -> Result<Wanted, Refusal> {
    let asked = request::examine(parts)?;
    if has_body {
        return Err(Refusal::BodyNotAllowed);
    }
    if parts.method == Method::OPTIONS {
        return Ok(Wanted::Nothing(respond::preflight()));
    }
    if (app.edge.webroot.is_some() || app.lasting.tls.is_some())
        && !peer.secure
        && let Some(token) = asked.path.strip_prefix(CHALLENGES)
    {
        let proof = app
            .lasting
            .tls
            .as_ref()
            .and_then(|tls| tls.shown.proofs().text(token));
        if proof.is_some() || app.edge.webroot.is_some() {
            return Ok(Wanted::Challenge(token.to_owned(), proof));
        }
    }
    let path = ObjectKey::decode(asked.path).map_err(Refusal::BadKey)?;
    let Some(place) = app.table.find(asked.host.as_deref(), &path) else {
        app.metrics.unrouted.inc();
        return Err(Refusal::Misdirected {
            host: asked.host.unwrap_or_default().into_owned(),
            path: asked.path.to_owned(),
        });
    };
    let route = &app.routes[place.route];
    event.routed(route);
    if let Some(location) = app.edge.instead_of(peer, parts, asked.host.as_deref()) {
        return Err(Refusal::ByHttps(location));
    }
    let key = key_of(&route.config, place.rest).map_err(Refusal::BadKey)?;
    if !is_published(&route.config, &key) {
        route.metrics.refused.inc();
        return Err(Refusal::KeyOutside);
    }
    Ok(Wanted::Object(Arc::clone(route), key))
}

/// What was laid, here or by another program, for an authority that wants to know who answers here.
async fn challenge(
    app: &App,
    token: &str,
    proof: Option<Bytes>,
    method: &Method,
) -> Result<Answer, Refusal> {
    let permit = app.permit()?;
    let text = match (proof, &app.edge.webroot) {
        (Some(proof), _) => proof,
        (None, None) => return Err(Refusal::NotFound),
        (None, Some(webroot)) => webroot.answer(token).await.map_err(|none| match none {
            NoAnswer::Absent => Refusal::NotFound,
            NoAnswer::Busy => Refusal::TooManyBodies,
        })?,
    };
    let head = respond::challenge(text.len());
    if *method == Method::HEAD {
        return Ok(Answer::without_body(head));
    }
    let going = Going {
        length: Some(text.len() as u64),
        body: ObjectBody::new(stream::iter([Ok(text)])),
        permit,
    };
    Ok(Answer {
        head,
        body: Some(going),
    })
}

/// One request for one object.
pub(crate) struct Viewer<'a> {
    pub(crate) app: &'a Arc<App>,
    pub(crate) route: &'a Arc<Route>,
    pub(crate) key: &'a ObjectKey,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: Option<&'a str>,
}

/// Why an answer did not come about.
enum Failed {
    /// The object has changed since it was looked up: look it up anew.
    Changed,
    /// The object has none of the bytes.
    Beyond { total: u64, origin: Arc<str> },
    /// For good.
    Refused(Refusal),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Changed => Self::Changed,
            Refused::Unknown { retry_after } => Self::Refused(unavailable(retry_after)),
        }
    }
}

impl<'a> Viewer<'a> {
    fn new(app: &'a Arc<App>, route: &'a Arc<Route>, key: &'a ObjectKey, parts: &'a Parts) -> Self {
        Self {
            app,
            route,
            key,
            headers: &parts.headers,
            query: parts.uri.query(),
        }
    }
}

impl Viewer<'_> {
    async fn answer(&self, method: &Method, event: &mut Event) -> Result<Answer, Refusal> {
        self.unless_gone()?;
        let answered = if *method == Method::HEAD {
            self.head(event).await
        } else {
            self.get(event).await
        };
        // What was deleted meanwhile is not sent; what is deleted from now on finds the body and
        // cuts it.
        self.unless_gone()?;
        answered.or_else(|failed| self.settle(failed, event))
    }

    pub(crate) fn unless_gone(&self) -> Result<(), Refusal> {
        if self.app.is_gone(&self.route.space, self.key) {
            return Err(Refusal::Gone);
        }
        Ok(())
    }

    /// HEAD has every header of a GET; a Range header means nothing to it (RFC 9110 section 14.2).
    async fn head(&self, event: &mut Event) -> Result<Answer, Failed> {
        let mut located = self.locate(Part::Head, event).await?;
        if let Located::Held(held) = &mut located {
            held.foresee().await;
        }
        let what = self.represent(&mut located, None).await?;
        let context = self.context(&located, event);
        let head = unless_condition(self.headers, &context, &what)
            .unwrap_or_else(|| respond::ok(&context, &what));
        Ok(Answer::without_body(head))
    }

    async fn get(&self, event: &mut Event) -> Result<Answer, Failed> {
        // Before an origin is asked: what waits for origins is bounded by what may be sent.
        let permit = self.app.permit()?;
        for _ in 0..ATTEMPTS {
            match self.get_once(event).await {
                Ok((head, body)) => {
                    let body = body.map(|(body, length)| Going {
                        body,
                        length,
                        permit,
                    });
                    return Ok(Answer { head, body });
                }
                Err(Failed::Changed) => {}
                Err(failed) => return Err(failed),
            }
        }
        Err(Failed::Changed)
    }

    /// An answer with all of an object's bytes.
    pub(crate) fn sending(
        &self,
        head: http::response::Parts,
        body: ObjectBody,
        length: u64,
    ) -> Result<Answer, Refusal> {
        let body = Going {
            body,
            length: Some(length),
            permit: self.app.permit()?,
        };
        Ok(Answer {
            head,
            body: Some(body),
        })
    }

    /// What is answered where there is nothing to send.
    fn settle(&self, failed: Failed, event: &mut Event) -> Result<Answer, Refusal> {
        match failed {
            Failed::Changed => Err(unavailable(None)),
            Failed::Refused(refusal) => Err(refusal),
            Failed::Beyond { total, origin } => {
                event.served_by(Arc::clone(&origin));
                let context = Context {
                    cache_control: &self.route.config.cache_control,
                    cache: CacheResult::Miss,
                    age_seconds: None,
                    origin: self.app.origin_header.then_some(origin),
                };
                Ok(Answer::without_body(respond::unsatisfiable(
                    &context, total,
                )))
            }
        }
    }

    async fn get_once(&self, event: &mut Event) -> Result<Begun, Failed> {
        let mut wanted = match range::parse(self.headers) {
            RangeHeader::Single(range) => Part::Range(range),
            RangeHeader::Whole => Part::Whole,
            RangeHeader::Unsatisfiable => Part::Range(RangeRequest::Suffix { length: 0 }),
        };
        // Conditions are settled before a byte of the body is asked for; most of them end here.
        let mut located = if conditions::any(self.headers) || is_nothing(wanted) {
            let mut located = self.locate(Part::Head, event).await?;
            let what = self.represent(&mut located, None).await?;
            let context = self.context(&located, event);
            if let Some(head) = unless_condition(self.headers, &context, &what) {
                return Ok((head, None));
            }
            if !conditions::range_stands(self.headers, &current(&what)) {
                wanted = Part::Whole;
            }
            if let (true, Some(total)) = (is_nothing(wanted), located.total()) {
                return Ok((respond::unsatisfiable(&context, total), None));
            }
            located
        } else {
            self.locate(wanted, event).await?
        };
        if matches!(&located, Located::Passing(passing) if passing.extent() == Extent::None) {
            located = self.locate(wanted, event).await?;
            if !self.range_still_stands(&mut located).await? {
                wanted = Part::Whole;
                located = self.locate(wanted, event).await?;
            }
        }
        match located {
            Located::Held(held) => self.send_held(held, wanted, event).await,
            Located::Passing(passing) => self.send_passing(passing, wanted, event).await,
        }
    }

    /// The object may have changed since its head was looked at for `If-Range`.
    async fn range_still_stands(&self, located: &mut Located) -> Result<bool, Refusal> {
        if !self.headers.contains_key(http::header::IF_RANGE) {
            return Ok(true);
        }
        let what = self.represent(located, None).await?;
        Ok(conditions::range_stands(self.headers, &current(&what)))
    }

    /// Finds the object; `part` is what is begun to be brought where nobody holds it.
    async fn locate(&self, part: Part, event: &mut Event) -> Result<Located, Failed> {
        let (answer, trail) = self.app.open(self.route, self.key, part).await;
        if let Some(trail) = trail {
            event.asked(&trail);
        }
        match answer {
            Ok(located) => {
                event.served_by(located.origin());
                event.cached(located.result());
                Ok(located)
            }
            Err(Unlocated::Beyond { total, origin }) => Err(Failed::Beyond { total, origin }),
            Err(Unlocated::Missing) => Err(Refusal::NotFound.into()),
            Err(Unlocated::Gone) => Err(Refusal::Gone.into()),
            Err(Unlocated::Unknown { retry_after }) => Err(unavailable(retry_after).into()),
        }
    }

    async fn send_held(
        &self,
        mut held: Box<Held>,
        wanted: Part,
        event: &mut Event,
    ) -> Result<Begun, Failed> {
        let total = held.total();
        let range = match wanted {
            Part::Range(asked) => asked.resolve(total),
            Part::Head | Part::Whole => Some(ByteRange::whole(total)),
        };
        let Some(range) = range else {
            let context = self.context(&Located::Held(held), event);
            return Ok((respond::unsatisfiable(&context, total), None));
        };
        let begun = held.begin(range, wanted).await;
        let bytes = begun.inspect_err(|_| event.cached(CacheResult::Miss))?;
        if held.served() == Served::Stale {
            self.route.metrics.stale.inc();
        }
        let mut located = Located::Held(held);
        let what = self.represent(&mut located, None).await?;
        let context = self.context(&located, event);
        let parts = match wanted {
            Part::Range(_) => respond::partial(&context, &what, range),
            Part::Head | Part::Whole => {
                let parts = respond::ok(&context, &what);
                self.prepare(&located, &parts.headers);
                parts
            }
        };
        Ok((parts, Some((bytes, Some(range.length())))))
    }

    /// Sends what is not kept: as a 206 if it is the range that was asked for, even where that is
    /// the whole. An origin may also bring the whole in a range's stead; that is a 200.
    async fn send_passing(
        &self,
        mut passing: Box<Passing>,
        wanted: Part,
        event: &mut Event,
    ) -> Result<Begun, Failed> {
        let first = self.first_of(&mut passing).await?;
        let mut located = Located::Passing(passing);
        let what = self.represent(&mut located, first.as_deref()).await?;
        let context = self.context(&located, event);
        let meant = match (wanted, located.total()) {
            (Part::Range(asked), Some(total)) => asked.resolve(total),
            _ => None,
        };
        let (head, length) = match (meant, located.extent()) {
            (Some(meant), Some(Extent::Bytes(range))) if meant == range => {
                let head = respond::partial(&context, &what, range);
                (head, Some(range.length()))
            }
            _ => (respond::ok(&context, &what), located.total()),
        };
        let body = match located {
            Located::Passing(passing) => passing.into_body(),
            Located::Held(_) => ObjectBody::empty(),
        };
        Ok((head, Some((body, length))))
    }

    pub(crate) fn context(&self, located: &Located, event: &mut Event) -> Context<'_> {
        let cache = located.result();
        event.cached(cache);
        Context {
            cache_control: &self.route.config.cache_control,
            cache,
            age_seconds: located.age_seconds(),
            origin: self.app.origin_header.then(|| located.origin()),
        }
    }
}

/// The head of an answer, and its body with the length where that is known.
type Begun = (http::response::Parts, Option<(ObjectBody, Option<u64>)>);

/// `bytes=-0` and the like: no byte of any object.
fn is_nothing(wanted: Part) -> bool {
    wanted == Part::Range(RangeRequest::Suffix { length: 0 })
}

fn unavailable(retry_after: Option<Duration>) -> Refusal {
    Refusal::Unavailable {
        retry_after_seconds: retry_after
            .map_or(RETRY_AFTER_SECONDS, |wait| wait.as_secs())
            .clamp(1, LONGEST_RETRY_SECONDS),
    }
}

fn unless_condition(
    headers: &HeaderMap,
    context: &Context<'_>,
    what: &Representation,
) -> Option<http::response::Parts> {
    match conditions::evaluate(headers, &current(what)) {
        Condition::Proceed => None,
        Condition::NotModified => Some(respond::not_modified(context, what)),
        Condition::PreconditionFailed => Some(respond::precondition_failed(context, what)),
    }
}

fn current(what: &Representation) -> Current<'_> {
    Current {
        etag: what.etag.as_deref(),
        last_modified: what.last_modified,
    }
}
