//! Taking connections from the listeners, whatever the kernel says.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::connection::Accepted;
use super::transport::Transport;
use super::unix::SocketFile;

/// How long to leave the listeners alone when there is no descriptor or memory for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// A burst of failures is logged once.
const QUIET: Duration = Duration::from_secs(10);

/// A listener, and how its connections are spoken to.
pub(super) struct Listener {
    pub(super) at: At,
    /// Where they begin with TLS.
    pub(super) tls: Option<TlsAcceptor>,
}

/// Where connections come from.
pub(super) enum At {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

pub(super) struct Acceptor {
    listeners: Vec<Listener>,
    /// Who is asked first, so that a busy listener cannot starve the others.
    turn: usize,
    /// When an error was logged last; at the limit, failures and successes take turns.
    logged: Option<Instant>,
}

impl Acceptor {
    pub(super) fn new(listeners: Vec<Listener>) -> Self {
        Self {
            listeners,
            turn: 0,
            logged: None,
        }
    }

    /// The next connection. Never gives up.
    pub(super) async fn next(&mut self) -> Accepted {
        loop {
            match self.accept().await {
                Ok((transport, peer)) => {
                    let tls = self.listeners[self.turn].tls.as_ref();
                    return accepted(transport, peer, tls);
                }
                Err(error) if of_one_connection(&error) => {}
                Err(error) => {
                    if self.logged.is_none_or(|logged| logged.elapsed() >= QUIET) {
                        tracing::error!(%error, "cannot accept connections, trying on");
                        self.logged = Some(Instant::now());
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Closes the listeners, and hands over who had connected and was waiting to be taken. The
    /// kernel would reset them.
    pub(super) fn last(self) -> Vec<Accepted> {
        let listeners = self.listeners.into_iter();
        // Not by the runtime, which knows only of those that its last look at the kernel showed.
        let waiting = listeners.flat_map(|Listener { at, tls }| {
            let waiting = waiting_at(at);
            waiting.map(move |(transport, peer)| accepted(transport, peer, tls.as_ref()))
        });
        waiting.collect()
    }

    async fn accept(&mut self) -> io::Result<(Transport, Option<SocketAddr>)> {
        poll_fn(|cx| {
            for _ in 0..self.listeners.len() {
                self.turn = (self.turn + 1) % self.listeners.len();
                if let Poll::Ready(accepted) = self.listeners[self.turn].at.poll_accept(cx) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl At {
    fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(Transport, Option<SocketAddr>)>> {
        match self {
            Self::Tcp(tcp) => tcp
                .poll_accept(cx)
                .map_ok(|(tcp, peer)| (Transport::Tcp(tcp), Some(peer))),
            Self::Unix(unix, _) => unix
                .poll_accept(cx)
                .map_ok(|(unix, _)| (Transport::Unix(unix), None)),
        }
    }
}

/// Closes a listener, and hands over who waits there.
fn waiting_at(at: At) -> Box<dyn Iterator<Item = (Transport, Option<SocketAddr>)>> {
    match at {
        At::Tcp(listener) => {
            let listener = listener.into_std();
            let next = move || listener.as_ref().ok()?.accept().ok();
            Box::new(std::iter::from_fn(next).filter_map(|(tcp, peer)| {
                tcp.set_nonblocking(true).ok()?;
                let tcp = TcpStream::from_std(tcp).ok()?;
                Some((Transport::Tcp(tcp), Some(peer)))
            }))
        }
        At::Unix(listener, file) => {
            // First, so that nobody connects any more.
            drop(file);
            let listener = listener.into_std();
            let next = move || listener.as_ref().ok()?.accept().ok();
            Box::new(std::iter::from_fn(next).filter_map(|(unix, _)| {
                unix.set_nonblocking(true).ok()?;
                let unix = UnixStream::from_std(unix).ok()?;
                Some((Transport::Unix(unix), None))
            }))
        }
    }
}

/// An IPv4 client of a dual stack listener is an IPv4 client.
fn accepted(transport: Transport, peer: Option<SocketAddr>, tls: Option<&TlsAcceptor>) -> Accepted {
    Accepted {
        transport,
        peer: peer.map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port())),
        tls: tls.cloned(),
    }
}

/// The connection failed before it was taken; the listener is well.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
