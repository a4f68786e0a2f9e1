//! The service as a connection sees it: every request is counted, knows its peer, and keeps a
//! panic to itself.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::clients::{Clients, Full, Place};
use super::watch::{InFlight, Watch};
use crate::http::respond::{Refusal, refuse};

/// Who has connected and how, in a request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// The client's address, or that of the proxy in front.
    pub address: SocketAddr,
    /// Who asks: whom a trusted proxy names, or else who has connected.
    pub client: IpAddr,
    /// Whether TLS ends here for it.
    pub secure: bool,
}

pub(super) struct Requests<S> {
    pub(super) service: S,
    pub(super) peer: Peer,
    pub(super) watch: Arc<Watch>,
    pub(super) stop: CancellationToken,
    pub(super) clients: Option<Arc<Clients>>,
}

impl<S> hyper::service::Service<Request<Incoming>> for Requests<S>
where
    S: tower::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Counted>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let multiplexed = request.version() == Version::HTTP_2;
        let in_flight = self.watch.request(multiplexed);
        let mut peer = self.peer;
        let place = match &self.clients {
            Some(clients) => {
                let (client, place) = clients.asked(peer.address.ip(), request.headers());
                peer.client = client;
                place
            }
            None => Ok(Place::default()),
        };
        request.extensions_mut().insert(peer);
        let service = self.service.clone();
        let stop = self.stop.clone();
        Box::pin(async move {
            let (mut response, place) = match place {
                Ok(place) => {
                    let answer = AssertUnwindSafe(service.oneshot(request)).catch_unwind();
                    let response = answer.await.unwrap_or_else(|_| {
                        tracing::error!("a request panicked and was answered 500");
                        Ok(internal_error())
                    });
                    let Ok(response) = response;
                    (response, place)
                }
                Err(Full) => (too_many(request.method()), Place::default()),
            };
            if !multiplexed && stop.is_cancelled() {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok(response.map(|body| Counted {
                body,
                in_flight,
                _place: place,
                handed_out_bytes: 0,
                broken: None,
            }))
        })
    }
}

/// The client has as many answers on their way as it may have.
fn too_many(method: &Method) -> Response<Body> {
    let (head, text) = refuse(&Refusal::TooManyBodies);
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => Body::from(text),
    };
    Response::from_parts(head, body)
}

fn internal_error() -> Response<Body> {
    let mut response = Response::new(Body::from("internal error\n"));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response's body, which counts as a request in flight until it is dropped.
pub(super) struct Counted {
    body: Body,
    in_flight: InFlight,
    /// The client's, until it has its answer.
    _place: Place,
    handed_out_bytes: usize,
    /// What broke the body off, until the client has been sent what came before.
    broken: Option<axum::Error>,
}

impl Counted {
    /// Hands the error over once the head and all frames before have left. With it, hyper forgets
    /// what it has not written yet, and the client would see a connection that says nothing.
    fn break_off(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        ready!(self.in_flight.poll_flushed(cx));
        self.in_flight.broke_off();
        Poll::Ready(self.broken.take().map(Err))
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        this.in_flight
            .taken(std::mem::take(&mut this.handed_out_bytes));
        if this.broken.is_some() {
            return this.break_off(cx);
        }
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut this.body).poll_frame(cx)));
        let frame = if let Ok(polled) = polled {
            ready!(polled)
        } else {
            tracing::error!("a body panicked and was broken off");
            this.body = Body::empty();
            Some(Err(axum::Error::new("the body panicked")))
        };
        match &frame {
            Some(Ok(frame)) => {
                this.handed_out_bytes = frame.data_ref().map_or(0, Bytes::len);
                this.in_flight.handed_out();
            }
            Some(Err(_)) => {
                this.broken = frame.and_then(Result::err);
                return this.break_off(cx);
            }
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
