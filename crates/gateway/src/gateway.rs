//! A whole gateway: its state, its listeners, and the way it ends.
//!
//! Binds before it serves, so that a port in use is an error at start; ends by letting running
//! downloads finish.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use origin_resolver::BuildError;
use state::{StateDirectory, StateError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::acme;
use crate::admin::{self, Authority, Operated};
use crate::alerts;
use crate::app::{App, EndOfTls};
use crate::clock::unix_now;
use crate::config::{Config, Limits, Problem};
use crate::control::ControlSocket;
use crate::fleet;
use crate::live::Live;
use crate::log::Level;
use crate::media;
use crate::moved;
use crate::page::Watched;
use crate::promotion;
use crate::reloading::{Reloading, WhereRead};
use crate::server::{
    Drained, Handed, HandedError, Listening, Server, connection_cap, raise_descriptor_limit,
};
use crate::supervisor::Supervisor;
use crate::tls::{Certificates, Shown};

/// How often what was learned is written down.
const KEEP_EVERY: Duration = Duration::from_mins(1);
/// How often what was read from origins is written down: a crash forgets as much.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// How long that may take.
const KEEP_WITHIN: Duration = Duration::from_secs(5);
/// How long what waits to be written may take at the end.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// How long a gateway that starts waits for its fleet.
const HEAR_WITHIN: Duration = Duration::from_secs(2);
/// Monitoring may finish its scrape, and no more.
const ADMIN_DRAIN: Duration = Duration::from_secs(2);

/// A gateway whose listeners are bound.
pub struct Gateway {
    live: Arc<Live>,
    reloading: Arc<Reloading>,
    state: Arc<StateDirectory>,
    public: Server,
    admin: Server,
    control: Option<ControlSocket>,
    background: CancellationToken,
}

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Certificates cannot be used; each file is named.
    #[error("server.tls cannot be used: {}", listed(.0))]
    Certificates(Vec<Problem>),
    /// An origin cannot exist as it is configured.
    #[error(transparent)]
    Origin(#[from] BuildError),
    /// What a supervisor hands over cannot be used.
    #[error(transparent)]
    Handed(#[from] HandedError),
    /// A listener cannot be bound.
    #[error("{key} cannot be used")]
    Listen {
        /// The configuration's key.
        key: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The cache cannot be used, and the configuration requires it.
    #[error("cache.required is true, and {0}")]
    Cache(String),
}

impl Gateway {
    /// Takes the state directory and binds the listeners. Contacts no origin.
    ///
    /// # Errors
    /// The state directory, a certificate, an origin's description or a listener is unusable.
    pub fn bind(config: &Config) -> Result<Self, StartError> {
        Self::bind_or_take(config, Handed::nothing())
    }

    /// The same, with sockets that a supervisor has bound already.
    ///
    /// # Errors
    /// The same, or one of the sockets belongs to no listener of the configuration.
    pub fn bind_or_take(config: &Config, mut handed: Handed) -> Result<Self, StartError> {
        handed.check(&listening(config))?;
        let certificates = Certificates::of(config).map_err(StartError::Certificates)?;
        let spaces = config.routes.iter().map(|route| &*route.cache_space);
        let state = Arc::new(StateDirectory::open(&config.state.directory, spaces)?);
        warn_of_lost_spaces(&state);
        moved::notice(config, &state);
        let connections = Arc::<AtomicUsize>::default();
        let limits = affordable(&config.server.limits);
        let (public, tls) = bind_public(
            config,
            certificates,
            &limits,
            Arc::clone(&connections),
            &mut handed,
        )?;
        let background = CancellationToken::new();
        let app = App::new(
            config,
            connections,
            Arc::clone(&state),
            &TaskTracker::new(),
            &background,
            tls,
        )?;
        app.restore_canaries(state.canaries());
        let admin = Server::bind(&config.admin.listen, &limits, Arc::default(), &mut handed);
        let admin = admin.map_err(unbound("admin.listen"))?;
        // Commands are a convenience; media is served without them too.
        let control = ControlSocket::bind(state.path())
            .map_err(|error| tracing::warn!(%error, "commands cannot reach this gateway"))
            .ok();
        let live = Live::new(app);
        let changeable = (public.changeable(), admin.changeable());
        Ok(Self {
            reloading: Reloading::new(config.clone(), Arc::clone(&live), changeable),
            live,
            state,
            public,
            admin,
            control,
            background,
        })
    }

    /// Says where the configuration was read, so that it can be read again.
    pub(crate) fn read_from(
        &self,
        source: WhereRead,
        level: Level,
        supervisor: Arc<Supervisor>,
    ) -> Arc<Reloading> {
        self.reloading.reads(source, level, supervisor);
        Arc::clone(&self.reloading)
    }

    /// Says in a line how it is doing, now and until it has stopped.
    pub(crate) fn status(&self, stop: CancellationToken) -> impl Fn() -> String + use<> {
        let live = Arc::clone(&self.live);
        let tcp = self.addresses().into_iter().chain(self.tls_addresses());
        let sockets = self
            .sockets()
            .map(|path| format!("unix:{}", path.display()));
        let viewers: Vec<_> = tcp.map(|at| at.to_string()).chain(sockets).collect();
        let operators = self.admin_addresses().into_iter();
        let operators: Vec<_> = operators.map(|at| at.to_string()).collect();
        let (viewers, operators) = (viewers.join(", "), operators.join(", "));
        move || {
            let app = live.app();
            let connections = app.metrics.open_connections();
            if stop.is_cancelled() {
                return format!("Accepting nothing new; connections left: {connections}");
            }
            let down = app.origins.iter().filter(|origin| origin.is_in_trouble());
            let down: Vec<_> = down.map(|origin| origin.name()).collect();
            let origins = if down.is_empty() {
                String::new()
            } else {
                format!("; in trouble: {}", down.join(", "))
            };
            format!(
                "Serving media on {viewers}, operators on {operators}; connections: {connections}{origins}"
            )
        }
    }

    /// Waits until the cache was opened. Where that fails the gateway serves without its disk.
    ///
    /// # Errors
    /// It cannot be used; the message carries the remedy.
    pub async fn cache_opened(&self) -> Result<(), StartError> {
        match &self.live.app().keeping {
            None => Ok(()),
            Some(keeping) => {
                let opened = keeping.cache.first_attempt().await;
                opened.map_err(|error| StartError::Cache(error.to_string()))
            }
        }
    }

    /// Where viewers connect; with the real port where 0 was configured.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.public.local_addresses()
    }

    /// The unix sockets that viewers' proxies connect to.
    pub fn sockets(&self) -> impl Iterator<Item = &Path> {
        self.public.socket_paths()
    }

    /// Where viewers connect by TLS.
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        self.public.tls_addresses()
    }

    /// Where operators connect.
    pub fn admin_addresses(&self) -> Vec<SocketAddr> {
        self.admin.local_addresses()
    }

    /// Serves until `stop`, then lets running downloads finish within the drain time.
    pub async fn run(self, stop: CancellationToken) -> Drained {
        let Self {
            live,
            reloading,
            state,
            public,
            admin,
            control,
            background,
        } = self;
        let _background = background.drop_guard();
        let accepting = Arc::new(AtomicBool::new(false));
        let admin_stop = CancellationToken::new();
        let watched = Arc::new(Watched::new());
        let operated = Operated {
            live: Arc::clone(&live),
            accepting: Arc::clone(&accepting),
            reloading: Arc::clone(&reloading),
            migrations: Arc::default(),
            audits: Arc::default(),
            watched: Arc::clone(&watched),
        };
        let commands = admin::router(operated.clone(), Authority::Socket);
        let router = admin::router(operated, Authority::Token(reloading.token()));
        let answering = Arc::clone(&live);
        let media = move |peer, request| media::serve(answering.app(), peer, request);
        let operators = move |_, request: Request<Incoming>| {
            let router = router.clone();
            Box::pin(async move {
                let answered: Result<Response<Body>, Infallible> =
                    router.oneshot(request.map(Body::new)).await;
                let Ok(response) = answered;
                response
            })
        };
        let serve_media = async {
            stop.run_until_cancelled(hear_of_others(&live)).await;
            accepting.store(!stop.is_cancelled(), Ordering::Relaxed);
            let drain = || reloading.drain();
            let drained = public.run(media, stop.clone(), drain).await;
            admin_stop.cancel();
            drained
        };
        let stopping = async {
            stop.cancelled().await;
            accepting.store(false, Ordering::Relaxed);
        };
        let serve_commands = async {
            if let Some(control) = control {
                control.run(commands, admin_stop.clone()).await;
            }
        };
        let fetch_certificates = async {
            let tls = live.app().lasting.tls.clone();
            if let Some(tls) = tls {
                Box::pin(acme::run(&reloading, &tls.shown, stop.clone())).await;
            }
        };
        let (drained, _, (), (), (), (), (), (), (), ()) = tokio::join!(
            serve_media,
            admin.run(operators, admin_stop.clone(), || ADMIN_DRAIN),
            serve_commands,
            stopping,
            keep(&live, &state, admin_stop.clone()),
            promotion::run(&live, stop.clone()),
            watched.run(&live, stop.clone()),
            fetch_certificates,
            Box::pin(alerts::run(&live, &reloading, &state, stop.clone())),
            Box::pin(fleet::run(&live, stop.clone())),
        );
        close(&live.app(), &state).await;
        drained
    }
}

/// Where a gateway listens.
fn listening(config: &Config) -> Vec<Listening<'_>> {
    let place = |name, key, addresses| Listening {
        name,
        key,
        addresses,
    };
    let tls = config.server.tls.as_ref();
    let tls = tls.map(|tls| place("tls", "server.tls.listen", &*tls.listen));
    [place(
        "media",
        "server.listen",
        &*config.server.listen.addresses,
    )]
    .into_iter()
    .chain(tls)
    .chain([place("admin", "admin.listen", &*config.admin.listen)])
    .collect()
}

/// Waits a moment for what a fleet did while this gateway was away, so that it does not answer with
/// what the others have declared gone. Connections wait for as long; without Redis no longer.
async fn hear_of_others(live: &Live) {
    if let Some(fleet) = &live.app().lasting.fleet
        && !fleet.first_reached(HEAR_WITHIN).await
    {
        tracing::warn!(
            waited = ?HEAR_WITHIN,
            "the fleet was not heard of, so viewers are answered with what this gateway knew"
        );
    }
}

/// The listeners for viewers.
fn bind_public(
    config: &Config,
    certificates: Option<Certificates>,
    limits: &Limits,
    connections: Arc<AtomicUsize>,
    handed: &mut Handed,
) -> Result<(Server, Option<EndOfTls>), StartError> {
    let server = &config.server;
    let listen = &server.listen;
    let public = Server::bind(&listen.addresses, limits, connections, handed);
    let public = public.and_then(|public| public.with_sockets(&listen.sockets, server.socket_mode));
    let mut public = public.map_err(unbound("server.listen"))?;
    if let Some(proxies) = server.clients_known_behind() {
        public = public.limiting_clients(proxies);
    }
    let (Some(tls), Some(certificates)) = (&server.tls, certificates) else {
        return Ok((public, None));
    };
    let now = i64::try_from(unix_now()).unwrap_or(i64::MAX);
    for problem in certificates.warnings(now) {
        tracing::warn!(%problem, "configuration");
    }
    let shown = Shown::new(certificates);
    let public = public
        .with_tls(&tls.listen, shown.acceptor(), handed)
        .map_err(unbound("server.tls.listen"))?;
    let port = public.tls_addresses()[0].port();
    Ok((public, Some(EndOfTls { shown, port })))
}

fn unbound(key: &'static str) -> impl Fn(std::io::Error) -> StartError {
    move |source| StartError::Listen { key, source }
}

fn listed(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("; ")
}

/// Tombstones of a cache space that no route has apply to every route; somebody should know.
fn warn_of_lost_spaces(state: &StateDirectory) {
    for scope in state.tombstones().scopes() {
        if !scope.known {
            tracing::warn!(
                space = &*scope.name,
                tombstones = scope.tombstones,
                "no route has this cache space, so its tombstones apply to every route; give the route that it belonged to cache = \"{}\"",
                scope.name
            );
        }
    }
}

/// Writes down what waits, so that the next start finds everything in order.
async fn close(app: &App, state: &Arc<StateDirectory>) {
    let state = Arc::clone(state);
    let flushed = tokio::task::spawn_blocking(move || state.ledger().flush());
    let closing = async {
        if let Some(keeping) = &app.keeping {
            keeping.cache.close().await;
        }
        flushed.await
    };
    match tokio::time::timeout(CLOSE_WITHIN, closing).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the ledger could not be written down"),
        Ok(Err(_)) | Err(_) => tracing::warn!("the disk did not answer in time at the end"),
    }
}

/// The limits, with as many connections as the process has descriptors for.
pub(crate) fn affordable(limits: &Limits) -> Limits {
    let configured = limits.connections;
    let descriptors = raise_descriptor_limit().unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit on open files cannot be raised");
        1024
    });
    let affordable = connection_cap(configured, descriptors);
    if affordable < configured {
        tracing::warn!(
            configured,
            affordable,
            descriptors,
            "server.limits.connections is more than the limit on open files allows; raise that (ulimit -n, LimitNOFILE=)"
        );
    }
    Limits {
        connections: affordable,
        ..limits.clone()
    }
}

/// Writes down what was learned and what was read, now and then and at the end.
async fn keep(live: &Arc<Live>, state: &Arc<StateDirectory>, stop: CancellationToken) {
    let canaries = Kept {
        what: "learned canaries",
        every: KEEP_EVERY,
        now: || live.app().learned_canaries(),
        write: StateDirectory::keep_canaries,
    };
    let egress = Kept {
        what: "what was read from origins",
        every: COUNT_EVERY,
        now: || live.app().allowances.spent(),
        write: {
            let live = Arc::clone(live);
            move |state: &StateDirectory, _: &_| live.app().allowances.keep(state)
        },
    };
    tokio::join!(
        canaries.until(state.canaries(), state, stop.clone()),
        egress.until(state.egress(), state, stop),
    );
}

/// Something that is written down when it has changed.
struct Kept<N, W> {
    what: &'static str,
    every: Duration,
    now: N,
    write: W,
}

impl<N, W> Kept<N, W> {
    async fn until<T>(self, mut kept: T, state: &Arc<StateDirectory>, stop: CancellationToken)
    where
        N: Fn() -> T,
        T: PartialEq + Clone + Send + 'static,
        W: Fn(&StateDirectory, &T) -> std::io::Result<()> + Clone + Send + 'static,
    {
        loop {
            let pause = tokio::time::sleep(self.every);
            let ending = stop.run_until_cancelled(pause).await.is_none();
            let now = (self.now)();
            if now != kept {
                // Not here: a disk that hangs must hold up neither the listeners nor the end.
                let (state, written, write) = (Arc::clone(state), now.clone(), self.write.clone());
                let write = tokio::task::spawn_blocking(move || write(&state, &written));
                let what = self.what;
                match tokio::time::timeout(KEEP_WITHIN, write).await {
                    Ok(Ok(Ok(()))) => kept = now,
                    Ok(Ok(Err(error))) => {
                        tracing::warn!(%error, what, "something cannot be written down");
                    }
                    Ok(Err(_)) | Err(_) => {
                        tracing::warn!(what, "something cannot be written down in time");
                    }
                }
            }
            if ending {
                return;
            }
        }
    }
}
