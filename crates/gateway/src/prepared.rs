//! A hit that needs no thought: its bytes are in memory, ours or the kernel's.
//!
//! The head of an answer with the whole object is left with the object's version; the next answer
//! changes its age and nothing else. Refuses whatever has to be thought about: a range, a condition;
//! and makes the head anew where it may come out otherwise: for a route that has changed, or another
//! origin.

use std::sync::{Arc, Weak};

use cache::Held;
use futures_util::FutureExt as _;
use http::response::Parts;
use http::{HeaderMap, Method};
use object::Part;

use crate::answer::Answer;
use crate::app::Route;
use crate::describe::UNREADABLE;
use crate::event::Event;
use crate::http::conditions;
use crate::http::respond::{self, CacheResult, Refusal};
use crate::located::{Located, result_of};
use crate::media::Viewer;

/// The head of a 200 that was a hit.
struct Prepared {
    /// Its types and its Cache-Control are in the head. A route that changes becomes another one.
    route: Weak<Route>,
    origin_header: bool,
    origin: Arc<str>,
    headers: HeaderMap,
}

impl Viewer<'_> {
    /// Leaves the head of a hit for those who come.
    pub(crate) fn prepare(&self, located: &Located, headers: &HeaderMap) {
        let Located::Held(held) = located else {
            return;
        };
        let is_lasting = located.result() == CacheResult::Hit && held.etag().is_some();
        if is_lasting && held.at_hand().is_some() && !self.names_the_file() {
            held.leave(Arc::new(Prepared {
                route: Arc::downgrade(self.route),
                origin_header: self.app.origin_header,
                origin: held.origin(),
                headers: headers.clone(),
            }));
        }
    }

    /// The answer, where nothing has to be waited for or thought about.
    pub(crate) fn at_once(
        &self,
        method: &Method,
        event: &mut Event,
    ) -> Option<Result<Answer, Refusal>> {
        if *method != Method::GET || conditions::is_particular(self.headers) {
            return None;
        }
        let cache = &self.app.keeping.as_ref()?.cache;
        let Route { space, source, .. } = &**self.route;
        let held = cache.at_hand(space, self.key, source)?;
        let body = held.at_hand()?;
        // After the look: what is deleted from now on finds the body and cuts it.
        if let Err(gone) = self.unless_gone() {
            return Some(Err(gone));
        }
        self.app.offer(self.route, self.key, Part::Whole, &held);
        let (total, age, origin) = (held.total(), held.age().as_secs(), held.origin());
        let result = result_of(&held);
        event.served_by(Arc::clone(&origin));
        event.cached(result);
        if result == CacheResult::Stale {
            self.route.metrics.stale.inc();
        }
        let parts = match self.left_with(&held, &origin) {
            Some(prepared) => respond::again(&prepared.headers, result, age),
            None => match self.made_anew(held, event) {
                Ok(parts) => parts,
                Err(refusal) => return Some(Err(refusal)),
            },
        };
        Some(self.sending(parts, body, total))
    }

    /// The head that was left with a version, if it is the one that would be made now.
    fn left_with(&self, held: &Held, origin: &str) -> Option<Arc<Prepared>> {
        let prepared = held.keepsake()?.downcast::<Prepared>().ok()?;
        let fits = std::ptr::eq(prepared.route.as_ptr(), Arc::as_ptr(self.route))
            && prepared.origin_header == self.app.origin_header
            && *prepared.origin == *origin
            && !self.names_the_file();
        fits.then_some(prepared)
    }

    /// The head of a hit, all of whose bytes are at hand; left for the next.
    fn made_anew(&self, held: Held, event: &mut Event) -> Result<Parts, Refusal> {
        let mut located = Located::Held(Box::new(held));
        // The first bytes are all that it could wait for.
        let what = self.represent(&mut located, None).now_or_never();
        let parts = respond::ok(
            &self.context(&located, event),
            &what.unwrap_or(Err(UNREADABLE))?,
        );
        self.prepare(&located, &parts.headers);
        Ok(parts)
    }

    /// Whether the client names the download.
    fn names_the_file(&self) -> bool {
        self.route.config.filename_parameter.is_some() && self.query.is_some()
    }
}
