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
mod rules;
mod streams;
#[cfg(test)]
mod tests;
mod watch;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use body::{Ended, OnEnd, Outgoing, Sent};
pub use listen::{connection_cap, raise_descriptor_limit};
pub use requests::{BoxError, Service};
pub use rules::Changeable;

use crate::config::Limits;
use accept::Acceptor;
use clients::Place;
use connection::{End, Shared};

/// How long aborted connections are waited for.
const AFTER_ABORT: Duration = Duration::from_secs(1);

/// Bound listeners that do not accept yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
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
            rules: Changeable::new(limits, connections),
        })
    }

    /// Holds each client to `limits.connections_per_client`. Who connects is the client, or a
    /// trusted proxy that says in `X-Forwarded-For` who is: what it brings beyond the limit is
    /// answered 503, other connections beyond it are closed.
    #[must_use]
    pub fn limiting_clients(self, trusted_proxies: &[IpNet]) -> Self {
        let limits = Arc::clone(&self.rules.rules().limits);
        self.rules.change(&limits, trusted_proxies);
        self
    }

    /// What may change while it serves.
    pub fn changeable(&self) -> Changeable {
        self.rules.clone()
    }

    /// The addresses with the ports that the system chose.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.listeners.iter().map(TcpListener::local_addr);
        addresses
            .map(|address| address.expect("a bound socket has an address"))
            .collect()
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
        let listeners = self.listeners.into_iter();
        let mut acceptor = Acceptor::new(
            listeners
                .map(|listener| {
                    tokio::net::TcpListener::from_std(listener)
                        .expect("the runtime takes a listener that does not block")
                })
                .collect(),
        );
        let begin = |tcp, peer: SocketAddr| {
            let rules = self.rules.rules();
            let client = rules.clients.as_ref();
            let Ok(client) =
                client.map_or(Ok(Place::default()), |clients| clients.connected(peer.ip()))
            else {
                tracing::debug!(%peer, "closed: the client has too many connections");
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
                self.rules.room().await;
                let (tcp, peer) = acceptor.next().await;
                begin(tcp, peer);
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = accept => {}
        }
        for (tcp, peer) in acceptor.last() {
            if self.rules.has_room() {
                begin(tcp, peer);
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

/// How the connections ended that were open when the server was stopped.
#[derive(Debug, Default)]
struct Ends {
    finished: AtomicUsize,
    aborted: AtomicUsize,
}
