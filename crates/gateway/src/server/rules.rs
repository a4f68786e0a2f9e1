//! What of a server may change while it serves: its limits, and whose word is believed.
//!
//! Connections keep the rules that they began with; how many there may be, in all and of one
//! client, holds for those that come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::clients::Clients;
use crate::config::{Limits, Proxies};

/// The rules for the connections to come.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) limits: Arc<Limits>,
    /// Where clients are limited.
    pub(super) clients: Option<Arc<Clients>>,
}

/// A server's rules, to be changed while it runs.
#[derive(Debug, Clone)]
pub struct Changeable {
    rules: Arc<ArcSwap<Rules>>,
    /// Somebody waits for a place, and there may be one.
    room: Arc<Notify>,
    open: Arc<AtomicUsize>,
}

impl Changeable {
    pub(super) fn new(limits: &Limits, open: Arc<AtomicUsize>) -> Self {
        let rules = Rules {
            limits: Arc::new(limits.clone()),
            clients: None,
        };
        Self {
            rules: Arc::new(ArcSwap::from_pointee(rules)),
            room: Arc::default(),
            open,
        }
    }

    /// From now on these hold. Clients are told apart, and limited, where it is known who they
    /// are: behind these proxies, or, where the list is empty, because they connect themselves.
    pub fn change(&self, limits: &Limits, known_behind: Option<Proxies>) {
        let before = self.rules.load();
        let limits = Arc::new(limits.clone());
        let most = limits.connections_per_client;
        let clients = known_behind.map(|proxies| match &before.clients {
            Some(clients) => clients.ruled_by(proxies, most),
            None => Clients::new(proxies, most),
        });
        self.rules.store(Arc::new(Rules { limits, clients }));
        self.room.notify_one();
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Waits for room. Only whoever accepts takes any, so that it stays.
    pub(super) async fn room(&self) {
        while !self.has_room() {
            self.room.notified().await;
        }
    }

    /// Whether one more connection may be open.
    pub(super) fn has_room(&self) -> bool {
        self.open.load(Ordering::Acquire) < self.rules.load().limits.connections
    }

    /// The place of a connection that was accepted.
    pub(super) fn place(&self) -> Open {
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(self.clone())
    }
}

/// The place of one connection while it is open.
pub(super) struct Open(Changeable);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Release);
        self.0.room.notify_one();
    }
}
