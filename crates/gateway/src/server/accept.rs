//! Taking connections from the listeners, whatever the kernel says.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// How long to leave the listeners alone when there is no descriptor or memory for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// A burst of failures is logged once.
const QUIET: Duration = Duration::from_secs(10);

pub(super) struct Acceptor {
    listeners: Vec<TcpListener>,
    /// Who is asked first, so that a busy listener cannot starve the others.
    turn: usize,
    /// When an error was logged last; at the limit, failures and successes take turns.
    logged: Option<Instant>,
}

impl Acceptor {
    pub(super) fn new(listeners: Vec<TcpListener>) -> Self {
        Self {
            listeners,
            turn: 0,
            logged: None,
        }
    }

    /// The next connection. Never gives up.
    pub(super) async fn next(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.accept().await {
                Ok((tcp, peer)) => return (tcp, canonical(peer)),
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
    pub(super) fn last(self) -> Vec<(TcpStream, SocketAddr)> {
        let listeners = self.listeners.into_iter();
        // Not by the runtime, which knows only of those that its last look at the kernel showed.
        listeners
            .filter_map(|listener| listener.into_std().ok())
            .flat_map(|listener| std::iter::from_fn(move || listener.accept().ok()))
            .filter_map(|(tcp, peer)| {
                tcp.set_nonblocking(true).ok()?;
                Some((TcpStream::from_std(tcp).ok()?, canonical(peer)))
            })
            .collect()
    }

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| {
            for _ in 0..self.listeners.len() {
                self.turn = (self.turn + 1) % self.listeners.len();
                if let Poll::Ready(accepted) = self.listeners[self.turn].poll_accept(cx) {
                    return Poll::Ready(accepted);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// An IPv4 client of a dual stack listener is an IPv4 client.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
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
