//! What is spoken on a connection, and its rest between two requests.
//!
//! Whoever has a page open keeps a connection for a minute, and says nothing. While nothing of a
//! request is here no more is held for it than its socket: no buffer, and nothing of HTTP. Knows
//! no time: when a connection rests, and when it ends, is decided by whoever polls it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWrite;

use super::io::{Opening, Socket};
use super::requests::{BoxError, Requests, Service};
use super::streams::Streams;
use crate::config::Limits;

const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Nobody uploads: one window of the size every peer starts with is enough.
const RECEIVE_WINDOW_BYTES: u32 = 65_535;
/// A peer that vanished is noticed after the interval and the timeout.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams that a client may reset before we have looked at them, and that we reset for its
/// errors: beyond them the connection ends.
const PENDING_RESETS: usize = 20;
const OWN_RESETS: usize = 256;

/// One connection, whatever it speaks.
pub(super) struct Talk<S: Service> {
    state: State<S>,
    requests: Requests<S>,
}

/// What a connection needs to begin to speak.
pub(super) struct Manners<'l> {
    pub(super) limits: &'l Limits,
    pub(super) streams: &'l Streams,
}

type Io = TokioIo<Socket>;

enum State<S: Service> {
    /// The client has not said yet what it speaks.
    New(Socket),
    /// HTTP/1.1, and nothing came since the last request.
    Resting(Socket),
    Http1(Box<http1::Connection<Io, Requests<S>>>),
    Http2(Box<http2::Connection<Io, Requests<S>, Streams>>),
    /// Told to end while nothing was under way.
    Closing(Socket),
    Over,
}

impl<S: Service> Talk<S> {
    /// A connection that has just been made.
    pub(super) fn new(socket: Socket, requests: Requests<S>) -> Self {
        Self {
            state: State::New(socket),
            requests,
        }
    }

    /// Ready when it has ended.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        manners: &Manners<'_>,
    ) -> Poll<Result<(), BoxError>> {
        loop {
            match &mut self.state {
                State::New(socket) => {
                    let opening = ready!(socket.poll_opening(cx));
                    self.begin(opening, manners);
                }
                State::Resting(socket) => {
                    ready!(socket.poll_sign(cx));
                    self.begin(Opening::Http1, manners);
                }
                State::Http1(connection) => {
                    return Pin::new(&mut **connection).poll(cx).map_err(Into::into);
                }
                State::Http2(connection) => {
                    return Pin::new(&mut **connection).poll(cx).map_err(Into::into);
                }
                State::Closing(socket) => {
                    return Pin::new(socket).poll_shutdown(cx).map_err(Into::into);
                }
                State::Over => return Poll::Ready(Ok(())),
            }
        }
    }

    /// No request is taken any more; one that is under way goes on.
    pub(super) fn close(&mut self) {
        match &mut self.state {
            State::Http1(connection) => Pin::new(&mut **connection).graceful_shutdown(),
            State::Http2(connection) => Pin::new(&mut **connection).graceful_shutdown(),
            _ => match self.take() {
                State::New(socket) | State::Resting(socket) => {
                    self.state = State::Closing(socket);
                }
                state => self.state = state,
            },
        }
    }

    /// Whether it holds what only a request needs, and can do without.
    pub(super) fn can_rest(&self) -> bool {
        matches!(self.state, State::Http1(_))
    }

    /// Lets go of all but the socket. Only where nothing is under way. Where the beginning of a
    /// request came with the one before, that is what it goes on with.
    pub(super) fn rest(&mut self, manners: &Manners<'_>) {
        self.state = match self.take() {
            State::Http1(connection) => {
                let http1::Parts { io, read_buf, .. } = connection.into_parts();
                let mut socket = io.into_inner();
                if !read_buf.is_empty() {
                    socket.put_back(read_buf);
                    self.state = State::Resting(socket);
                    return self.begin(Opening::Http1, manners);
                }
                State::Resting(socket)
            }
            state => state,
        };
    }

    fn take(&mut self) -> State<S> {
        std::mem::replace(&mut self.state, State::Over)
    }

    fn begin(&mut self, opening: Opening, manners: &Manners<'_>) {
        let (State::New(socket) | State::Resting(socket)) = self.take() else {
            return;
        };
        let (io, requests) = (TokioIo::new(socket), self.requests.clone());
        self.state = match opening {
            Opening::Http1 => {
                let connection = http1(manners.limits).serve_connection(io, requests);
                State::Http1(Box::new(connection))
            }
            Opening::Http2 => {
                let builder = http2(manners.limits, manners.streams.clone());
                State::Http2(Box::new(builder.serve_connection(io, requests)))
            }
        };
    }
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Who has said all it wants to say may still want to hear; who has gone is noticed when
        // it is written to.
        .half_close(true)
        // It would also run while a connection is idle; the phase does both.
        .header_read_timeout(None)
        // More headers than this are answered 431. It bounds what waits to be written too.
        .max_buf_size(limits.header_bytes);
    builder
}

fn http2(limits: &Limits, streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .initial_stream_window_size(RECEIVE_WINDOW_BYTES)
        .initial_connection_window_size(RECEIVE_WINDOW_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(OWN_RESETS);
    builder
}
