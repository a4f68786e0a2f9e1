//! A client's socket that tells the connection's watch what it reads and writes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::heads::Heads;
use super::watch::Watch;

/// Bytes that the kernel holds unsent; more wait in the body's source.
const UNSENT_BYTES: u32 = 64 * 1024;
/// How long what a client still sends is thrown away, so that it reads our last words.
const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Socket {
    tcp: TcpStream,
    watch: Arc<Watch>,
    heads: Heads,
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(tcp: TcpStream, watch: Arc<Watch>) -> Self {
        // Without these it is slower or bigger, and works.
        let _ = tcp.set_nodelay(true);
        let _ = SockRef::from(&tcp).set_tcp_notsent_lowat(UNSENT_BYTES);
        Self {
            tcp,
            watch,
            heads: Heads::default(),
            lingering: None,
        }
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

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heads.inspect(&mut buf.filled_mut()[before..]);
            self.watch.phase(|phase| phase.received(Instant::now()));
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.tcp).poll_flush(cx))?;
        self.watch.flushed();
        Poll::Ready(Ok(()))
    }

    /// Ends our direction, and then throws away what still comes: a socket closed with bytes
    /// unread is reset, and a reset makes the client lose an answer that it has not read yet.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.tcp).poll_shutdown(cx))?;
            this.lingering = Some(Box::pin(tokio::time::sleep(LINGER)));
        }
        let mut expects_more = this.watch.phase(|phase| phase.is_receiving());
        let mut scratch = [0; 4096];
        loop {
            if let Some(sleep) = &mut this.lingering
                && sleep.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.tcp).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => expects_more = true,
                Poll::Pending if expects_more => return Poll::Pending,
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.watch.ends_with_reset() {
            // It frees what the kernel holds for a reader that does not read.
            let _ = self.tcp.set_zero_linger();
        }
    }
}
