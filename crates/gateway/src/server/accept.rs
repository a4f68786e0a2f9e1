//! Taking connections from the listeners, whatever the kernel says.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::connection::Accepted;

/// How long to leave the listeners alone when there is no descriptor or memory for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// A burst of failures is logged once.
const QUIET: Duration = Duration::from_secs(10);

/// A listener, and how its connections are spoken to.
pub(super) struct Listener {
    pub(super) tcp: TcpListener,
    /// Where they begin with TLS.
    pub(super) tls: Option<TlsAcceptor>,
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
                Ok((tcp, peer)) => {
                    let tls = self.listeners[self.turn].tls.as_ref();
                    return accepted(tcp, peer, tls);
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
        listeners
            .filter_map(|listener| Some((listener.tcp.into_std().ok()?, listener.tls)))
            .flat_map(|(listener, tls)| {
                std::iter::from_fn(move || {
                    let (tcp, peer) = listener.accept().ok()?;
                    Some((tcp, peer, tls.clone()))
                })
            })
            .filter_map(|(tcp, peer, tls)| {
                tcp.set_nonblocking(true).ok()?;
                Some(accepted(TcpStream::from_std(tcp).ok()?, peer, tls.as_ref()))
            })
            .collect()
    }

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| {
            for _ in 0..self.listeners.len() {
                self.turn = (self.turn + 1) % self.listeners.len();
                if let Poll::Ready(accepted) = self.listeners[self.turn].tcp.poll_accept(cx) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// An IPv4 client of a dual stack listener is an IPv4 client.
fn accepted(tcp: TcpStream, peer: SocketAddr, tls: Option<&TlsAcceptor>) -> Accepted {
    Accepted {
        tcp,
        peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
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
