//! The service as a connection sees it: every request is counted, knows its peer, and keeps a
//! panic to itself.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use super::clients::{Clients, Full, Place};
use super::watch::{InFlight, Watch};
use crate::http::respond::{Refusal, refuse};

/// What answers requests: at once, or when it has what it needs.
///
/// The future can be moved: one that waits is boxed by whoever makes it, and one that does not wait
/// costs no memory of its own.
pub trait Service: Clone + Send + 'static {
    /// The answer on its way.
    type Answering: Future<Output = Response<Self::Body>> + Send + Unpin + 'static;
    /// The bodies of its answers; the server makes its own refusals of bytes.
    type Body: HttpBody<Data = Bytes, Error: Into<BoxError>> + From<Bytes> + Send + Unpin + 'static;

    /// Begins to answer a request.
    fn answer(&self, peer: Peer, request: Request<Incoming>) -> Self::Answering;
}

/// Why a body broke off.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<S, F, B> Service for S
where
    S: Fn(Peer, Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + Unpin + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + From<Bytes> + Send + Unpin + 'static,
{
    type Answering = F;
    type Body = B;

    fn answer(&self, peer: Peer, request: Request<Incoming>) -> F {
        self(peer, request)
    }
}

/// Who has connected and how.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// The client's address, or that of the proxy in front; none of a unix socket.
    pub address: Option<SocketAddr>,
    /// Who asks: whom a trusted proxy names, or else who has connected.
    pub client: Option<IpAddr>,
    /// Whether TLS ends here for it.
    pub secure: bool,
    /// Whether the end of its connection can be told from a break. A unix socket only ends.
    pub can_be_reset: bool,
}

#[derive(Clone)]
pub(super) struct Requests<S> {
    pub(super) service: S,
    pub(super) peer: Peer,
    pub(super) watch: Arc<Watch>,
    pub(super) stop: CancellationToken,
    pub(super) clients: Option<Arc<Clients>>,
}

impl<S: Service> hyper::service::Service<Request<Incoming>> for Requests<S> {
    type Response = Response<Counted<S::Body>>;
    type Error = Infallible;
    type Future = Answering<S>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let multiplexed = request.version() == Version::HTTP_2;
        let in_flight = self.watch.request(multiplexed);
        let mut peer = self.peer;
        let place = match &self.clients {
            Some(clients) => {
                let (client, place) =
                    clients.asked(peer.address.map(|address| address.ip()), request.headers());
                peer.client = client;
                place
            }
            None => Ok(Place::default()),
        };
        let (stage, place) = match place {
            Ok(place) => {
                let begin = AssertUnwindSafe(|| self.service.answer(peer, request));
                (
                    catch_unwind(begin).map_or(Stage::Panicked, Stage::Asked),
                    place,
                )
            }
            Err(Full) => (Stage::Full(request.into_parts().0.method), Place::default()),
        };
        Answering {
            stage,
            counted: Some((in_flight, place)),
            stop: (!multiplexed).then(|| self.stop.clone()),
        }
    }
}

enum Stage<F> {
    Asked(F),
    /// The client has as many answers on their way as it may have.
    Full(Method),
    Panicked,
}

/// A request until its response begins.
pub(super) struct Answering<S: Service> {
    stage: Stage<S::Answering>,
    counted: Option<(InFlight, Place)>,
    /// Ends the connection behind its answer; a multiplexed one is told in another way.
    stop: Option<CancellationToken>,
}

impl<S: Service> Future for Answering<S> {
    type Output = Result<Response<Counted<S::Body>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut response = match &mut this.stage {
            Stage::Asked(answering) => {
                let polled = AssertUnwindSafe(|| Pin::new(answering).poll(cx));
                match catch_unwind(polled) {
                    Ok(polled) => ready!(polled),
                    Err(_) => internal_error(),
                }
            }
            Stage::Full(method) => too_many(method),
            Stage::Panicked => internal_error(),
        };
        if this
            .stop
            .as_ref()
            .is_some_and(CancellationToken::is_cancelled)
        {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        let (in_flight, place) = this.counted.take().expect("a future ends once");
        Poll::Ready(Ok(response.map(|body| Counted {
            body: Some(body),
            in_flight,
            _place: place,
            handed_out_bytes: 0,
            broken: None,
        })))
    }
}

/// The client has as many answers on their way as it may have.
fn too_many<B: From<Bytes>>(method: &Method) -> Response<B> {
    let (head, text) = refuse(&Refusal::TooManyBodies);
    let text = match *method {
        Method::HEAD => Bytes::new(),
        _ => text.into(),
    };
    Response::from_parts(head, text.into())
}

fn internal_error<B: From<Bytes>>() -> Response<B> {
    tracing::error!("a request panicked and was answered 500");
    let mut response = Response::new(Bytes::from_static(b"internal error\n").into());
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
pub(super) struct Counted<B> {
    /// `None` once it has panicked.
    body: Option<B>,
    in_flight: InFlight,
    /// The client's, until it has its answer.
    _place: Place,
    handed_out_bytes: usize,
    /// What broke the body off, until the client has been sent what came before.
    broken: Option<BoxError>,
}

impl<B> Counted<B> {
    /// Hands the error over once the head and all frames before have left. With it, hyper forgets
    /// what it has not written yet, and the client would see a connection that says nothing.
    fn break_off(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        ready!(self.in_flight.poll_flushed(cx));
        self.in_flight.broke_off();
        Poll::Ready(self.broken.take().map(Err))
    }
}

impl<B> HttpBody for Counted<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        this.in_flight
            .taken(std::mem::take(&mut this.handed_out_bytes));
        if this.broken.is_some() {
            return this.break_off(cx);
        }
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx)));
        let frame = if let Ok(polled) = polled {
            ready!(polled).map(|frame| frame.map_err(Into::into))
        } else {
            tracing::error!("a body panicked and was broken off");
            this.body = None;
            Some(Err("the body panicked".into()))
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
        self.broken.is_none() && self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}
