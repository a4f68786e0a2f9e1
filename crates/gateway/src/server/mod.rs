//! The listeners: connections within their limits, timeouts, and an end that loses no download.
//!
//! Knows nothing of routes or objects. `axum::serve` is not used because it sets no timers, puts
//! no cap on connections, and its drain has no end.

mod accept;
mod body;
mod clients;
mod connection;
mod heads;
mod io;
mod listen;
mod pace;
mod phase;
mod requests;
mod streams;
#[cfg(test)]
mod tests;
mod watch;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use ipnet::IpNet;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use body::{Ended, object_body};
pub use listen::{connection_cap, raise_descriptor_limit};
pub use requests::Peer;

use crate::config::Limits;
use accept::Acceptor;
use clients::{Clients, Place};
use connection::{End, Shared};

/// How long aborted connections are waited for.
const AFTER_ABORT: Duration = Duration::from_secs(1);

/// Bound listeners that do not accept yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    limits: Limits,
    connections: Arc<AtomicUsize>,
    clients: Option<Arc<Clients>>,
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
    /// Binds every address; an error names the one that failed.
    ///
    /// `connections` will hold how many are open.
    pub fn bind(
        addresses: &[SocketAddr],
        limits: &Limits,
        connections: Arc<AtomicUsize>,
    ) -> std::io::Result<Self> {
        let listeners = addresses.iter().map(|address| listen::bind(*address));
        Ok(Self {
            listeners: listeners.collect::<Result<_, _>>()?,
            limits: limits.clone(),
            connections,
            clients: None,
        })
    }

    /// Holds each client to `limits.connections_per_client`. Who connects is the client, or a
    /// trusted proxy that says in `X-Forwarded-For` who is: what it brings beyond the limit is
    /// answered 503, other connections beyond it are closed.
    #[must_use]
    pub fn limiting_clients(mut self, trusted_proxies: &[IpNet]) -> Self {
        let most = self.limits.connections_per_client;
        self.clients = Some(Clients::new(trusted_proxies, most));
        self
    }

    /// The addresses with the ports that the system chose.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.listeners.iter().map(TcpListener::local_addr);
        addresses
            .map(|address| address.expect("a bound socket has an address"))
            .collect()
    }

    /// Serves until `stop`, then closes the listeners, lets requests in flight finish, and after
    /// `drain` cuts what is left.
    pub async fn run<S>(self, service: S, stop: CancellationToken, drain: Duration) -> Drained
    where
        S: tower::Service<
                Request<Incoming>,
                Response = Response<axum::body::Body>,
                Error = Infallible,
            > + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let shared = Shared {
            limits: Arc::new(self.limits),
            tasks: TaskTracker::new(),
            stop,
            abort: CancellationToken::new(),
            clients: self.clients,
        };
        // However this future ends, its connections end with it.
        let _abort = shared.abort.clone().drop_guard();
        let ends = Arc::new(Ends::default());
        let listeners = self.listeners.into_iter();
        let mut acceptor = Acceptor::new(
            listeners
                .map(|listener| {
                    tokio::net::TcpListener::from_std(listener)
                        .expect("the runtime takes a listener that does not block")
                })
                .collect(),
        );
        let places = Arc::new(Semaphore::new(
            shared.limits.connections.min(Semaphore::MAX_PERMITS),
        ));

        let begin = |tcp, peer: SocketAddr, place| {
            let client = shared.clients.as_ref();
            let Ok(client) =
                client.map_or(Ok(Place::default()), |clients| clients.connected(peer.ip()))
            else {
                tracing::debug!(%peer, "closed: the client has too many connections");
                return;
            };
            let open = Open::new(&self.connections);
            let (service, shared, ends) = (service.clone(), shared.clone(), Arc::clone(&ends));
            shared.tasks.clone().spawn(async move {
                let _held = (place, open, client);
                let stop = shared.stop.clone();
                match connection::serve(tcp, peer, service, shared).await {
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
                let place = Arc::clone(&places).acquire_owned().await;
                let place = place.expect("nobody closes the semaphore");
                let (tcp, peer) = acceptor.next().await;
                begin(tcp, peer, place);
            }
        };
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => {}
            () = accept => {}
        }
        for (tcp, peer) in acceptor.last() {
            if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
                begin(tcp, peer, place);
            }
        }
        shared.tasks.close();
        if tokio::time::timeout(drain, shared.tasks.wait())
            .await
            .is_err()
        {
            shared.abort.cancel();
            // A service that blocks its thread cannot be ended, and must not hold us up.
            let _ = tokio::time::timeout(AFTER_ABORT, shared.tasks.wait()).await;
        }
        Drained {
            finished: ends.finished.load(Ordering::Relaxed),
            aborted: ends.aborted.load(Ordering::Relaxed),
        }
    }
}

/// How the connections ended that were open when the server was stopped.
#[derive(Debug, Default)]
struct Ends {
    finished: AtomicUsize,
    aborted: AtomicUsize,
}

/// Counts one connection while it is open.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
