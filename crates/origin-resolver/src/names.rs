//! From host names to addresses, as the machine the gateway runs on would do it.
//!
//! `/etc/hosts`, the servers and search domains of `/etc/resolv.conf` (so Docker's resolver too),
//! and nothing else: there is no silent fallback to a public resolver, which would tell strangers
//! the names of an operator's machines and not know them. Nothing is read before the first
//! question, so a gateway that starts before its network does works when the network does.

mod remembered;
mod system;

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use hickory_resolver::proto::rr::RecordType;
use tokio::time::{Instant, timeout};

use self::remembered::Remembered;
use self::system::{Servers, System};
use crate::IpVersions;

/// For one name, whatever the search domains.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the slower of the two families is waited for (RFC 8305 section 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// One process's knowledge of names; a clone shares it.
#[derive(Clone)]
pub struct Names(Arc<Inner>);

struct Inner {
    system: System,
    remembered: Mutex<Remembered>,
}

impl Names {
    /// Reads nothing yet and needs no runtime.
    pub fn new() -> Self {
        Self::reading("/etc/resolv.conf".into(), "/etc/hosts".into(), 53)
    }

    /// From these files, and from name servers on this port.
    pub(crate) fn reading(resolv_conf: PathBuf, hosts: PathBuf, port: u16) -> Self {
        Self(Arc::new(Inner {
            system: System::new(resolv_conf, hosts, port),
            remembered: Mutex::default(),
        }))
    }

    /// The addresses of a host, IPv4 first: where IPv6 is half configured, as on many a small
    /// server, trying it first costs each connection a third of a second.
    pub(crate) async fn addresses(
        &self,
        host: &str,
        versions: IpVersions,
    ) -> Result<Vec<IpAddr>, NoAddress> {
        let system = self.0.system.current().await;
        let pinned = system.pinned(host, versions);
        if !pinned.is_empty() {
            return Ok(pinned);
        }
        if let Some(known) = self.remembered(|known| known.fresh(host, versions, Instant::now())) {
            return known;
        }
        let found = match &system.servers {
            Ok(servers) => timeout(LOOKUP_TIMEOUT, ask(servers, host, versions))
                .await
                .unwrap_or_else(|_| Err(NoAddress::down("no answer from the name servers"))),
            Err(problem) => Err(NoAddress::down(problem.as_ref())),
        };
        self.remembered(|known| known.learn(host, versions, found, Instant::now()))
    }

    fn remembered<T>(&self, use_it: impl FnOnce(&mut Remembered) -> T) -> T {
        use_it(
            &mut self
                .0
                .remembered
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

/// Addresses, and for how long they are good.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    addresses: Vec<IpAddr>,
    good_for: Duration,
}

/// A name without an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct NoAddress {
    what: Box<str>,
    /// Whether the name servers said so; otherwise they said nothing.
    denied: bool,
}

impl NoAddress {
    fn down(what: impl Into<Box<str>>) -> Self {
        Self {
            what: what.into(),
            denied: false,
        }
    }

    fn denied(host: &str) -> Self {
        Self {
            what: format!("the name {host} does not exist").into(),
            denied: true,
        }
    }
}

/// Asks for each spelling in turn. A server's silence on one is not taken for its denial.
async fn ask(servers: &Servers, host: &str, versions: IpVersions) -> Result<Found, NoAddress> {
    let mut outcome = NoAddress::denied(host);
    for spelling in servers.spellings(host) {
        let v4 = servers.lookup(&spelling, RecordType::A);
        let found = match versions {
            IpVersions::V4 => v4.await,
            IpVersions::Any => both(v4, servers.lookup(&spelling, RecordType::AAAA)).await,
        };
        match found {
            Ok(found) => return Ok(found),
            Err(problem) if !problem.denied => outcome = problem,
            Err(_) => {}
        }
    }
    Err(outcome)
}

/// Both families, without waiting long for the second: some servers never answer for IPv6.
async fn both(
    v4: impl Future<Output = Result<Found, NoAddress>>,
    v6: impl Future<Output = Result<Found, NoAddress>>,
) -> Result<Found, NoAddress> {
    let (v4, v6) = match select(pin!(v4), pin!(v6)).await {
        Either::Left((v4, rest)) => {
            let v6 = second(v4.is_ok(), rest).await;
            (Some(v4), v6)
        }
        Either::Right((v6, rest)) => {
            let v4 = second(v6.is_ok(), rest).await;
            (v4, Some(v6))
        }
    };
    match (v4, v6) {
        (Some(Ok(mut v4)), Some(Ok(v6))) => {
            v4.addresses.extend(v6.addresses);
            v4.good_for = v4.good_for.min(v6.good_for);
            Ok(v4)
        }
        (Some(Ok(one)), _) | (_, Some(Ok(one))) => Ok(one),
        (Some(Err(v4)), Some(Err(v6))) if v4.denied => Err(v6),
        (Some(Err(problem)), _) | (None, Some(Err(problem))) => Err(problem),
        (None, None) => Err(NoAddress::down("no answer from the name servers")),
    }
}

async fn second<T>(first_is_enough: bool, rest: impl Future<Output = T>) -> Option<T> {
    if first_is_enough {
        timeout(RESOLUTION_DELAY, rest).await.ok()
    } else {
        Some(rest.await)
    }
}

#[cfg(test)]
mod tests;
