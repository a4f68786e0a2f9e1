//! Several gateways that know the same of what is gone: tombstones and purges travel by Redis.
//!
//! Redis only carries. What must stay gone is in the state directory of each gateway, which is
//! compared with what Redis holds whenever a gateway finds Redis, and a purge is kept by the
//! gateway at which it began: a Redis that hangs, is away, was emptied or holds nonsense takes
//! nothing from anybody, and holds up neither viewers nor the start.

mod comparing;
mod ledger;
pub(crate) mod link;
mod running;
mod session;
mod spread;
mod words;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use cache::Purge;
use serde::{Deserialize, Serialize};
use state::{Action, FleetNotes, StateDirectory};
use tokio::sync::{mpsc, oneshot, watch};

use crate::config;
use crate::metrics::FleetMetrics;

pub(crate) use comparing::AT_ONCE;
pub(crate) use running::run;
pub(crate) use words::is_name;

/// What may wait to be told; more is told when everything is compared.
const MOST_ORDERS: usize = 64;

/// How long whoever changes something waits for the others.
const ANSWERED_WITHIN: Duration = Duration::from_secs(4);

/// What became of a change at one place of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct FleetPlace {
    /// Which: a gateway's name, or `redis`.
    pub(crate) place: String,
    /// Why it is not done there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) left: Option<String>,
}

impl FleetPlace {
    fn redis(left: Option<String>) -> Self {
        Self {
            place: "redis".to_owned(),
            left,
        }
    }

    /// The gateway of this machine does not run, so it tells nobody yet.
    pub(crate) fn not_running() -> Self {
        Self::redis(Some(
            "no gateway runs here; the others are told when it starts".to_owned(),
        ))
    }

    /// As it is printed.
    pub(crate) fn line(&self) -> String {
        match &self.left {
            None => format!("fleet: {}: done", self.place),
            Some(why) => format!("fleet: {}: left: {why}", self.place),
        }
    }

    /// How many are not done.
    pub(crate) fn left(all: &[Self]) -> usize {
        all.iter().filter(|place| place.left.is_some()).count()
    }
}

type Reply = oneshot::Sender<Vec<FleetPlace>>;

/// Something the others have to be told.
enum Order {
    Tombstones(Vec<Action>, Reply),
    /// Purges that were noted.
    Purges(Reply),
}

impl Order {
    fn answer(self, places: Vec<FleetPlace>) {
        let (Self::Tombstones(_, reply) | Self::Purges(reply)) = self;
        // Whoever asked may have gone.
        let _ = reply.send(places);
    }
}

/// How a gateway stands in its fleet.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FleetStatus {
    /// What the others call it.
    pub(crate) name: String,
    /// Whether it and its fleet know the same of what is gone.
    pub(crate) up: bool,
    /// For how long that has been so, or not been so.
    pub(crate) since_seconds: u64,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
    /// Other gateways that are known.
    pub(crate) members: u64,
    /// Changes that wait to be told.
    pub(crate) orders_waiting: usize,
    /// Whether something was not told, so that everything will be compared.
    pub(crate) behind: bool,
}

/// This gateway's part in its fleet.
pub(crate) struct Fleet {
    config: config::Fleet,
    name: String,
    state: Arc<StateDirectory>,
    notes: Mutex<FleetNotes>,
    /// One writes the notes at a time.
    writing: Mutex<()>,
    orders: mpsc::Sender<Order>,
    waiting: Mutex<Option<mpsc::Receiver<Order>>>,
    /// Something was not told, so that everything has to be compared.
    behind: AtomicBool,
    /// Why Redis is not of use at the moment.
    trouble: ArcSwap<Option<String>>,
    /// Whether it is of use, and since when.
    reached: watch::Sender<(bool, Instant)>,
    metrics: FleetMetrics,
}

impl Fleet {
    /// Contacts nothing. Reads what the state directory has of it.
    pub(crate) fn new(
        config: config::Fleet,
        state: Arc<StateDirectory>,
        metrics: FleetMetrics,
    ) -> Arc<Self> {
        let mut notes = state.fleet().unwrap_or_default();
        if notes.member.is_empty() {
            notes.member = new_identity();
        }
        let (orders, waiting) = mpsc::channel(MOST_ORDERS);
        Arc::new(Self {
            name: config.name.clone().unwrap_or_else(host_name),
            config,
            state,
            notes: Mutex::new(notes),
            writing: Mutex::default(),
            orders,
            waiting: Mutex::new(Some(waiting)),
            behind: AtomicBool::new(false),
            trouble: ArcSwap::from_pointee(Some("it was not reached yet".to_owned())),
            reached: watch::Sender::new((false, Instant::now())),
            metrics,
        })
    }

    /// Tells the others of tombstones that were added or removed here.
    pub(crate) async fn buried(&self, actions: Vec<Action>) -> Vec<FleetPlace> {
        if actions.is_empty() {
            return Vec::new();
        }
        self.order(|reply| Order::Tombstones(actions, reply)).await
    }

    /// Notes a purge, so that it is told however long Redis is away, and tells the others.
    pub(crate) async fn purged(self: &Arc<Self>, what: &[Purge]) -> Vec<FleetPlace> {
        let texts = words::told(what);
        if texts.is_empty() {
            return Vec::new();
        }
        ledger::note(&mut self.notes(), texts);
        self.keep_notes().await;
        self.order(Order::Purges).await
    }

    /// Whether this gateway and its fleet know the same.
    pub(crate) fn is_up(&self) -> bool {
        self.reached.borrow().0
    }

    /// Returns once it knew for the first time what the others know, or after this long; whether
    /// it does.
    pub(crate) async fn first_reached(&self, within: Duration) -> bool {
        let mut reached = self.reached.subscribe();
        let known = tokio::time::timeout(within, reached.wait_for(|(up, _)| *up)).await;
        known.is_ok_and(|known| known.is_ok())
    }

    /// How it stands, for people to look at.
    pub(crate) fn status(&self) -> FleetStatus {
        let (up, since) = *self.reached.borrow();
        FleetStatus {
            name: self.name.clone(),
            up,
            since_seconds: since.elapsed().as_secs(),
            trouble: self.trouble.load().as_ref().clone().filter(|_| !up),
            members: self.metrics.known_members(),
            orders_waiting: MOST_ORDERS - self.orders.capacity(),
            behind: self.behind.load(Ordering::Acquire),
        }
    }

    /// This gateway and its fleet know the same, or no longer.
    fn is_reached(&self, up: bool) {
        self.metrics.is(up);
        self.reached.send_if_modified(|(was, since)| {
            let changed = *was != up;
            if changed {
                (*was, *since) = (up, Instant::now());
            }
            changed
        });
    }

    /// Everything is to be compared with what Redis holds.
    pub(crate) fn compare(&self) {
        self.behind.store(true, Ordering::Release);
    }

    async fn order(&self, order: impl FnOnce(Reply) -> Order) -> Vec<FleetPlace> {
        let (reply, answer) = oneshot::channel();
        if self.orders.try_send(order(reply)).is_ok()
            && let Ok(Ok(places)) = tokio::time::timeout(ANSWERED_WITHIN, answer).await
        {
            return places;
        }
        self.compare();
        vec![self.untold()]
    }

    /// The others are not told yet, and will be.
    fn untold(&self) -> FleetPlace {
        let why = self.trouble.load();
        let why = why.as_deref().unwrap_or("it is busy");
        FleetPlace::redis(Some(format!(
            "{why}; the others are told once Redis can be used"
        )))
    }

    fn notes(&self) -> MutexGuard<'_, FleetNotes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what is noted.
    async fn keep_notes(self: &Arc<Self>) {
        let fleet = Arc::clone(self);
        let kept = tokio::task::spawn_blocking(move || {
            let _turn = fleet.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let notes = fleet.notes().clone();
            fleet.state.keep_fleet(&notes)
        });
        if let Ok(Err(error)) = kept.await {
            tracing::warn!(%error, "what this gateway knows of its fleet cannot be written down");
        }
    }
}

/// Notes purges where no gateway runs, so that the others are told when it starts. Blocks.
///
/// # Errors
/// It cannot be written down.
pub(crate) fn note_purges(state: &StateDirectory, what: &[Purge]) -> std::io::Result<()> {
    let mut notes = state.fleet().unwrap_or_default();
    if notes.member.is_empty() {
        notes.member = new_identity();
    }
    ledger::note(&mut notes, words::told(what));
    state.keep_fleet(&notes)
}

fn new_identity() -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    hex::encode(random)
}

/// What the machine calls itself, as far as that can be a name here.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Some(name.trim().to_owned())
        .filter(|name| is_name(name))
        .unwrap_or_else(|| "gateway".to_owned())
}
