//! The way of one request: route, key, origins, HTTP semantics, body.
//!
//! Decides nothing itself: which route, `routes`; what must stay gone, `state`; where the bytes
//! are, `cache` and the origins behind it; what a header means, `http`; what an object is called,
//! `describe`. It only puts them in order.

use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache::{Held, Passing, Refused, Served};
use futures_util::future::Either;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use object::{ByteRange, Extent, ObjectBody, ObjectKey, Part, RangeRequest};
use tokio::sync::OwnedSemaphorePermit;

use crate::app::{App, Route, Unlocated};
use crate::event::Event;
use crate::http::conditions::{self, Condition, Current};
use crate::http::range::{self, RangeHeader};
use crate::http::request;
use crate::http::respond::{self, CacheResult, Context, Refusal, Representation};
use crate::located::Located;
use crate::routes::{is_published, key_of};
use crate::server::{Ended, OnEnd, Outgoing, Sent};

/// A client is told to come back after this, if no origin said when.
pub(crate) const RETRY_AFTER_SECONDS: u64 = 5;
const LONGEST_RETRY_SECONDS: u64 = 120;
/// An object that changes while it is answered is looked up anew, so often in all.
const ATTEMPTS: u32 = 3;

/// What is sent to a viewer.
pub(crate) type Reply = Response<Sent<Sending>>;

/// A reply that is there, or one that somebody has to bring something for.
pub(crate) type Answering = Either<Ready<Reply>, Pin<Box<dyn Future<Output = Reply> + Send>>>;

/// Answers one request: at once where that needs nothing but what is in memory.
pub(crate) fn serve(app: Arc<App>, peer: SocketAddr, request: Request<Incoming>) -> Answering {
    let (parts, incoming) = request.into_parts();
    let mut event = Event::begin(&parts.method, &parts.uri, peer);
    let has_body = !incoming.is_end_stream();
    drop(incoming);
    let answered = match examine(&app, &parts, has_body, &mut event) {
        Ok(Wanted::Object(route, key)) => {
            let viewer = Viewer::new(&app, &route, &key, &parts);
            match viewer.at_once(&parts.method, &mut event) {
                Some(answered) => answered,
                None => return Either::Right(Box::pin(wait(app, parts, route, key, event))),
            }
        }
        Ok(Wanted::Nothing(head)) => Ok(Answer::without_body(head)),
        Err(refusal) => Err(refusal),
    };
    Either::Left(ready(reply(answered, &parts.method, event)))
}

/// Answers a request that the cache or the origins must be asked for.
async fn wait(
    app: Arc<App>,
    parts: Parts,
    route: Arc<Route>,
    key: ObjectKey,
    mut event: Event,
) -> Reply {
    let viewer = Viewer::new(&app, &route, &key, &parts);
    let answered = viewer.answer(&parts.method, &mut event).await;
    reply(answered, &parts.method, event)
}

fn reply(answered: Result<Answer, Refusal>, method: &Method, mut event: Event) -> Reply {
    match answered {
        Ok(answer) => answer.into_reply(event),
        Err(refusal) => {
            let (head, text) = respond::refuse(&refusal);
            event.answered(head.status);
            let text = match *method {
                Method::HEAD => Bytes::new(),
                _ => text.into(),
            };
            Response::from_parts(head, Sent::Text(text))
        }
    }
}

/// An answer that is not a refusal.
pub(crate) struct Answer {
    head: http::response::Parts,
    body: Option<Going>,
}

/// A body on its way, within the number of bodies that are sent at one time.
struct Going {
    body: ObjectBody,
    length: Option<u64>,
    permit: OwnedSemaphorePermit,
}

/// What a body leaves when it has ended.
pub(crate) struct Sending {
    event: Event,
    _permit: OwnedSemaphorePermit,
}

impl OnEnd for Sending {
    fn ended(self, ended: Ended) {
        self.event.ended(ended);
    }
}

/// What a request asks for.
enum Wanted {
    Object(Arc<Route>, ObjectKey),
    /// Only what may be asked.
    Nothing(http::response::Parts),
}

fn examine(app: &App, parts: &Parts, has_body: bool, event: &mut Event) -> Result<Wanted, Refusal> {
    let asked = request::examine(parts)?;
    if has_body {
        return Err(Refusal::BodyNotAllowed);
    }
    if parts.method == Method::OPTIONS {
        return Ok(Wanted::Nothing(respond::preflight()));
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
    let key = key_of(&route.config, place.rest).map_err(Refusal::BadKey)?;
    if !is_published(&route.config, &key) {
        route.metrics.refused.inc();
        return Err(Refusal::KeyOutside);
    }
    Ok(Wanted::Object(Arc::clone(route), key))
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
        let permit = self.permit()?;
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

    fn permit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let permit = Arc::clone(&self.app.bodies).try_acquire_owned();
        permit.map_err(|_| Refusal::TooManyBodies)
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
            permit: self.permit()?,
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
        let bytes = held.begin(range, wanted).await?;
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

    fn context(&self, located: &Located, event: &mut Event) -> Context<'_> {
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

impl Answer {
    fn without_body(head: http::response::Parts) -> Self {
        Self { head, body: None }
    }

    fn into_reply(self, mut event: Event) -> Reply {
        event.answered(self.head.status);
        let body = match self.body {
            None => Sent::Text(Bytes::new()),
            Some(Going {
                body,
                length,
                permit,
            }) => {
                let sending = Sending {
                    event,
                    _permit: permit,
                };
                Sent::Object(Outgoing::new(body, length, sending))
            }
        };
        Response::from_parts(self.head, body)
    }
}
