//! A client's socket that tells the connection's watch what it reads and writes.
//!
//! Two layers, so that both see what is theirs: below TLS the wire, which measures what the kernel
//! takes and ends the connection; above it the text, whose heads are looked at.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

use super::heads::Heads;
use super::transport::Transport;
use super::watch::Watch;

/// How HTTP/2 begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long what a client still sends is thrown away, so that it reads our last words. Of a
/// multiplexed one, which tells us of each piece that it reads, after its last byte.
const LINGER: Duration = Duration::from_secs(1);
/// However much it sends.
const LONGEST_LINGER: Duration = Duration::from_secs(5);

/// What HTTP reads and writes.
pub(super) struct Socket {
    stream: Stream,
    watch: Arc<Watch>,
    heads: Heads,
    /// Was read already, and is read again before anything else.
    back: Bytes,
}

/// What a client begins to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    Http1,
    Http2,
}

/// What begins like this, where that can be told.
fn opening(said: &[u8]) -> Option<Opening> {
    if !PREFACE.starts_with(said) {
        return Some(Opening::Http1);
    }
    (said.len() == PREFACE.len()).then_some(Opening::Http2)
}

/// Known when the connection begins, so that plain ones do not pay for the others.
enum Stream {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
}

impl Socket {
    pub(super) fn plain(wire: Wire) -> Self {
        Self::new(Arc::clone(&wire.watch), Stream::Plain(wire))
    }

    pub(super) fn tls(stream: TlsStream<Wire>) -> Self {
        let watch = Arc::clone(&stream.get_ref().0.watch);
        Self::new(watch, Stream::Tls(Box::new(stream)))
    }

    /// Ready when it can be told what the client speaks, or when it has gone. What this reads is
    /// read again.
    pub(super) fn poll_opening(&mut self, cx: &mut Context<'_>) -> Poll<Opening> {
        if let Stream::Tls(tls) = &self.stream {
            match tls.get_ref().1.alpn_protocol() {
                Some(b"h2") => return Poll::Ready(Opening::Http2),
                Some(b"http/1.1") => return Poll::Ready(Opening::Http1),
                _ => {}
            }
        }
        loop {
            if let Some(opening) = opening(&self.back) {
                return Poll::Ready(opening);
            }
            let mut more = [0; PREFACE.len()];
            let mut more = ReadBuf::new(&mut more[self.back.len()..]);
            let read = ready!(self.poll_read_new(cx, &mut more));
            if read.is_err() || more.filled().is_empty() {
                // HTTP/1 says what there is to say to half a line.
                return Poll::Ready(Opening::Http1);
            }
            self.back = [&*self.back, more.filled()].concat().into();
        }
    }

    /// Puts back what was read of the next request.
    pub(super) fn put_back(&mut self, bytes: Bytes) {
        self.watch.phase(|phase| phase.received(Instant::now()));
        self.back = bytes;
    }

    /// Ready when something came, or the client has gone. Reads nothing.
    pub(super) fn poll_sign(&self, cx: &mut Context<'_>) -> Poll<()> {
        let wire = match &self.stream {
            Stream::Plain(wire) => wire,
            Stream::Tls(tls) => tls.get_ref().0,
        };
        wire.transport.poll_read_ready(cx).map(drop)
    }

    /// Reads what was not read yet.
    fn poll_read_new(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = match &mut self.stream {
            Stream::Plain(wire) => Pin::new(wire).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buf).map(ended_by_fin),
        };
        if buf.filled().len() > before {
            self.heads.inspect(&mut buf.filled_mut()[before..]);
            self.watch.phase(|phase| phase.received(Instant::now()));
        }
        read
    }

    fn new(watch: Arc<Watch>, stream: Stream) -> Self {
        Self {
            stream,
            watch,
            heads: Heads::default(),
            back: Bytes::new(),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.back.is_empty() {
            let length = self.back.len().min(buf.remaining());
            buf.put_slice(&self.back.split_to(length));
            return Poll::Ready(Ok(()));
        }
        self.poll_read_new(cx, buf)
    }
}

/// A client that ends its direction without TLS' own word for it may still want to hear. Nothing
/// that it can have cut short would be believed: a request without its end is none.
fn ended_by_fin(read: io::Result<()>) -> io::Result<()> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        read => read,
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(wire) => Pin::new(wire).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(wire) => Pin::new(wire).poll_write_vectored(cx, slices),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(wire) => wire.is_write_vectored(),
            Stream::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(match &mut self.stream {
            Stream::Plain(wire) => Pin::new(wire).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        })?;
        self.watch.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let broken = self.watch.ends_with_reset();
        match &mut self.stream {
            Stream::Plain(wire) => Pin::new(wire).poll_shutdown(cx),
            // TLS' own farewell would say that the body was whole.
            Stream::Tls(_) if broken => Poll::Ready(Ok(())),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// The connection itself: what passes here is what the network sees.
pub(super) struct Wire {
    transport: Transport,
    watch: Arc<Watch>,
    /// Since when, and until when it is waited for the next byte.
    lingering: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Wire {
    pub(super) fn new(transport: Transport, watch: Arc<Watch>) -> Self {
        transport.tune();
        Self {
            transport,
            watch,
            lingering: None,
        }
    }

    /// Waits until the client has said something, or has gone.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.transport.readable().await
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => self
                .watch
                .phase(|phase| phase.write_blocked(Instant::now())),
            Poll::Ready(Ok(bytes)) => self
                .watch
                .phase(|phase| phase.wrote(Instant::now(), *bytes)),
            Poll::Ready(Err(_)) => {}
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.transport).poll_write(cx, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.transport).poll_write_vectored(cx, slices);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    /// Ends our direction, and then throws away what still comes: a socket closed with bytes
    /// unread is reset, and a reset makes the client lose an answer that it has not read yet.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.transport).poll_shutdown(cx))?;
            this.lingering = Some((Instant::now(), Box::pin(tokio::time::sleep(LINGER))));
        }
        let watch = &this.watch;
        let multiplexed = watch.phase(|phase| phase.is_multiplexed());
        let mut expects_more = multiplexed || watch.phase(|phase| phase.is_receiving());
        let mut scratch = [0; 4096];
        loop {
            if let Some((_, sleep)) = &mut this.lingering
                && sleep.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.transport).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    expects_more = true;
                    if let Some((since, sleep)) = &mut this.lingering
                        && multiplexed
                    {
                        let until = (Instant::now() + LINGER).min(*since + LONGEST_LINGER);
                        sleep.as_mut().reset(until);
                    }
                }
                Poll::Pending if expects_more => return Poll::Pending,
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.watch.ends_with_reset() {
            self.transport.end_with_reset();
        }
    }
}
