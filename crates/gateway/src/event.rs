//! One wide event for each request: logged and counted once, when its last byte is sent, or when
//! the client has gone.
//!
//! A request that never gets as far as an answer is still accounted for: dropping the event
//! reports it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{Method, StatusCode, Uri};

use crate::access::{self, Access, Line, Quoted};
use crate::app::Route;
use crate::config::AccessForm;
use crate::http::respond::CacheResult;
use crate::server::Ended;

/// What is known of one request; reports itself when dropped.
pub(crate) struct Event {
    began: Instant,
    method: Method,
    uri: Uri,
    /// As much of it as is logged.
    client: Option<IpAddr>,
    route: Option<Arc<Route>>,
    origin: Option<Arc<str>>,
    cache: CacheResult,
    trail: String,
    answered: Option<(StatusCode, Instant)>,
    ended: Option<Ended>,
    access: Arc<Access>,
    quoted: Option<Box<Quoted>>,
}

impl Event {
    pub(crate) fn begin(parts: &Parts, client: Option<IpAddr>, access: &Arc<Access>) -> Self {
        Self {
            began: Instant::now(),
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            access: Arc::clone(access),
            quoted: access.quote(parts),
            client,
            route: None,
            origin: None,
            cache: CacheResult::Bypass,
            trail: String::new(),
            answered: None,
            ended: None,
        }
    }

    pub(crate) fn routed(&mut self, route: &Arc<Route>) {
        self.route = Some(Arc::clone(route));
    }

    /// Origins were asked, perhaps not for the first time.
    pub(crate) fn asked(&mut self, trail: &str) {
        if !self.trail.is_empty() && !trail.is_empty() {
            self.trail.push(' ');
        }
        self.trail.push_str(trail);
    }

    /// What the cache did for the answer.
    pub(crate) fn cached(&mut self, result: CacheResult) {
        self.cache = result;
    }

    pub(crate) fn served_by(&mut self, origin: Arc<str>) {
        self.origin = Some(origin);
    }

    /// The answer's head is on its way.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.answered = Some((status, Instant::now()));
    }

    /// The answer's body ended.
    pub(crate) fn ended(mut self, ended: Ended) {
        self.ended = Some(ended);
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        let now = Instant::now();
        let all = now.duration_since(self.began);
        let (status, first) = match self.answered {
            Some((status, at)) => (Some(status), at.duration_since(self.began)),
            None => (None, all),
        };
        let bytes = self.ended.as_ref().map_or(0, |ended| ended.bytes);
        let complete = self.ended.as_ref().is_none_or(|ended| ended.complete);
        let error = self.ended.as_ref().and_then(|ended| ended.error.as_ref());
        let complete = complete && status.is_some();
        if let (Some(route), Some(status)) = (&self.route, status) {
            route.metrics.answered(&self.method, status, self.cache);
            route.metrics.timed(self.cache, first, all, bytes);
        }
        let went_well = complete && !status.is_some_and(|status| status.is_server_error());
        let form = self.access.form(went_well);
        match form {
            None => return,
            Some(AccessForm::Log | AccessForm::None) => {}
            Some(AccessForm::Combined | AccessForm::Json) => {
                let line = Line {
                    time: jiff::Timestamp::now().to_string(),
                    method: self.method.as_str(),
                    path: self.uri.path(),
                    status: status.map(|status| status.as_u16()),
                    bytes,
                    seconds: all.as_secs_f64(),
                    first_byte_seconds: first.as_secs_f64(),
                    route: self.route.as_ref().map(|route| &*route.config.name),
                    origin: self.origin.as_deref(),
                    cache: self.cache.metrics_label(),
                    asked: &self.trail,
                    client: self.client,
                    complete,
                    error: error.map(ToString::to_string),
                };
                access::write(&line, self.quoted.as_deref());
                return;
            }
        }
        tracing::info!(
            target: "access",
            method = self.method.as_str(),
            path = self.uri.path(),
            status = status.map(|status| status.as_u16()),
            bytes,
            seconds = all.as_secs_f64(),
            first_byte_seconds = first.as_secs_f64(),
            route = self.route.as_ref().map(|route| &*route.config.name),
            origin = self.origin.as_deref(),
            cache = self.cache.metrics_label(),
            asked = self.trail.as_str(),
            client = self.client.map(tracing::field::display),
            complete,
            error = error.map(tracing::field::display),
            "request"
        );
    }
}
