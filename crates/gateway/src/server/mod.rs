//! The listeners: connections within their limits, timeouts, and an end that loses no download.
//!
//! Knows nothing of routes or objects, and of certificates only who shows them. `axum::serve` is not used because it sets no timers, puts
//! no cap on connections, and its drain has no end.

mod accept;
mod body;
mod clients;
mod connection;
mod handed;
mod handshake;
mod heads;
mod io;
mod listen;
mod pace;
mod phase;
mod preamble;
mod requests;
mod rules;
mod streams;
mod talk;
#[cfg(test)]
mod tests;
mod transport;
mod unix;
mod watch;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use body::{Ended, OnEnd, Outgoing, Sent};
pub(crate) use handed::Place as Listening;
pub use handed::{Handed, HandedError};
pub use listen::{connection_cap, raise_descriptor_limit};
pub use requests::{BoxError, Peer, Service};
pub use rules::Changeable;
pub(crate) use unix::{Standing, look};

use crate::config::{Limits, Proxies};
use accept::{Acceptor, At, Listener};
use clients::Place;
use connection::{Accepted, End, Shared, shown};
use unix::Bound;

const TAKEN: &str = "the runtime takes a listener that does not block";
/// How long aborted connections are waited for.
const AFTER_ABORT: Duration = Duration::from_secs(1);

/// Bound listeners that do not accept yet.
pub struct Server {
    listeners: Vec<TcpListener>,
    sockets: Vec<Bound>,
    /// Those whose connections begin with TLS.
    tls: Option<(Vec<TcpListener>, TlsAcceptor)>,
    rules: Changeable,
}

/// What became of the connections that were open when the server was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// They came to their end.
    pub finished: usize,
    /// They were cut at the deadline.
    pub aborted: usize,
}

impl Server {
    /// Binds every address that was not handed over; an error names the one that failed.
    ///
    /// `connections` will hold how many are open.
    pub fn bind(
        addresses: &[SocketAddr],
        limits: &Limits,
        connections: Arc<AtomicUsize>,
        handed: &mut Handed,
    ) -> std::io::Result<Self> {
        Ok(Self {
            listeners: listen::bind_all(addresses, handed)?,
            sockets: Vec::new(),
            tls: None,
            rules: Changeable::new(limits, connections),
        })
    }

    /// Binds these addresses as well, for connections that begin with TLS. They share everything
    /// with the others: limits, places and the end.
    pub fn with_tls(
        mut self,
        addresses: &[SocketAddr],
        acceptor: TlsAcceptor,
        handed: &mut Handed,
    ) -> std::io::Result<Self> {
        self.tls = Some((listen::bind_all(addresses, handed)?, acceptor));
        Ok(self)
    }

    /// Binds these unix sockets as well, with this mode, for connections without TLS.
    pub fn with_sockets(mut self, paths: &[PathBuf], mode: u32) -> std::io::Result<Self> {
        let sockets = paths.iter().map(|path| unix::bind(path, mode));
        self.sockets = sockets.collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Holds each client to `limits.connections_per_client`. Who connects is the client, or a
    /// trusted proxy that says in `X-Forwarded-For` who is: what it brings beyond the limit is
    /// answered 503, other connections beyond it are closed.
    #[must_use]
    pub fn limiting_clients(self, proxies: Proxies) -> Self {
        let limits = Arc::clone(&self.rules.rules().limits);
        self.rules.change(&limits, Some(proxies));
        self
    }

    /// What may change while it serves.
    pub fn changeable(&self) -> Changeable {
        self.rules.clone()
    }

    /// The addresses with the ports that the system chose.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        listen::addresses_of(&self.listeners)
    }

    /// The paths of the unix sockets.
    pub fn socket_paths(&self) -> impl Iterator<Item = &Path> {
        self.sockets.iter().map(|socket| socket.file.path())
    }

    /// The same of those for TLS.
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        let listeners = self.tls.as_ref().map(|(listeners, _)| &**listeners);
        listen::addresses_of(listeners.unwrap_or_default())
    }

    /// Serves until `stop`, then closes the listeners, lets requests in flight finish, and after
    /// `drain`, as it is then, cuts what is left.
    pub async fn run(
        self,
        service: impl Service,
        stop: CancellationToken,
        drain: impl Fn() -> Duration,
    ) -> Drained {
        let (tasks, abort) = (TaskTracker::new(), CancellationToken::new());
        // However this future ends, its connections end with it.
        let _abort = abort.clone().drop_guard();
        let ends = Arc::new(Ends::default());
        let mut acceptor = Acceptor::new(listening(self.listeners, self.sockets, self.tls));
        let begin = |accepted: Accepted| {
            let peer = accepted.peer.map(|peer| peer.ip());
            let rules = self.rules.rules();
            let client = rules.clients.as_ref();
            let Ok(client) = client.map_or(Ok(Place::default()), |clients| clients.connected(peer))
            else {
                let client = peer.map(shown);
                tracing::debug!(client, "closed: the client has too many connections");
                return;
            };
            let shared = Shared {
                limits: Arc::clone(&rules.limits),
                tasks: tasks.clone(),
                stop: stop.clone(),
                abort: abort.clone(),
                clients: rules.clients.clone(),
            };
            let (service, ends) = (service.clone(), Arc::clone(&ends));
            let open = self.rules.place();
            tasks.spawn(async move {
                let _held = (open, client);
                let stop = shared.stop.clone();
                match connection::serve(accepted, service, shared).await {
                    End::Aborted => ends.aborted.fetch_add(1, Ordering::Relaxed),
                    End::Finished if stop.is_cancelled() => {
                        ends.finished.fetch_add(1, Ordering::Relaxed)
                    }
                    End::Finished => 0,
                };
            });
        };
        let accept = async {
            loop {
                self.rules.room().await;
                begin(acceptor.next().await);
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = accept => {}
        }
        for accepted in acceptor.last() {
            if self.rules.has_room() {
                begin(accepted);
            }
        }
        tasks.close();
        if tokio::time::timeout(drain(), tasks.wait()).await.is_err() {
            abort.cancel();
            // A service that blocks its thread cannot be ended, and must not hold us up.
            let _ = tokio::time::timeout(AFTER_ABORT, tasks.wait()).await;
        }
        Drained {
            finished: ends.finished.load(Ordering::Relaxed),
            aborted: ends.aborted.load(Ordering::Relaxed),
        }
    }
}

/// The listeners as the runtime looks after them.
fn listening(
    plain: Vec<TcpListener>,
    sockets: Vec<Bound>,
    tls: Option<(Vec<TcpListener>, TlsAcceptor)>,
) -> Vec<Listener> {
    let plain = plain.into_iter().map(|listener| (listener, None));
    let tls = tls.into_iter().flat_map(|(listeners, acceptor)| {
        let listeners = listeners.into_iter();
        listeners.map(move |listener| (listener, Some(acceptor.clone())))
    });
    let tcp = plain.chain(tls).map(|(listener, tls)| Listener {
        at: At::Tcp(tokio::net::TcpListener::from_std(listener).expect(TAKEN)),
        tls,
    });
    let sockets = sockets
        .into_iter()
        .map(|Bound { listener, file }| Listener {
            at: At::Unix(
                tokio::net::UnixListener::from_std(listener).expect(TAKEN),
                file,
            ),
            tls: None,
        });
    tcp.chain(sockets).collect()
}

/// How the connections ended that were open when the server was stopped.
#[derive(Debug, Default)]
struct Ends {
    finished: AtomicUsize,
    aborted: AtomicUsize,
}
