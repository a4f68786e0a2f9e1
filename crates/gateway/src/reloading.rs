//! Taking over a changed configuration while serving.
//!
//! One at a time: read, checked, put in place, and said. What is wrong leaves everything as it is;
//! what only a restart can change is named and left, and the rest holds.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::admin::Token;
use crate::app::App;
use crate::clock::unix_now;
use crate::config::{Config, Loaded, Problem, Rejected};
use crate::gateway::affordable;
use crate::live::Live;
use crate::log::Level;
use crate::server::Changeable;
use crate::supervisor::Supervisor;
use crate::tls::Certificates;
use crate::watching::{Print, fingerprints};

/// Where a configuration comes from.
#[derive(Clone)]
pub(crate) struct WhereRead {
    /// The file.
    pub(crate) file: PathBuf,
    /// Reads it, with whatever stands above it. Blocks.
    pub(crate) load: fn(&std::path::Path) -> Result<Loaded, Rejected>,
}

/// What became of a reload.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Reloaded {
    /// What holds now and did not before.
    pub(crate) changed: Vec<String>,
    /// Keys that have other values in the file, which hold from the next start on.
    pub(crate) needs_restart: Vec<String>,
    /// What should be looked at.
    pub(crate) warnings: Vec<Problem>,
}

/// Why nothing has changed.
#[derive(Debug)]
pub(crate) enum Unchanged {
    /// The configuration cannot be used.
    Rejected(Rejected),
    /// There is nothing to read.
    WithoutFile,
}

/// What is needed to read the configuration again.
struct From {
    source: WhereRead,
    level: Level,
    /// Is told when it begins and when it ends.
    supervisor: Arc<Supervisor>,
}

/// What a reload changes.
pub(crate) struct Reloading {
    live: Arc<Live>,
    running: ArcSwap<Config>,
    turn: Mutex<()>,
    public: Changeable,
    admin: Changeable,
    token: Token,
    from: OnceLock<From>,
    /// The files as they were when they were read last.
    read: std::sync::Mutex<Vec<Print>>,
}

impl Reloading {
    pub(crate) fn new(
        config: Config,
        live: Arc<Live>,
        (public, admin): (Changeable, Changeable),
    ) -> Arc<Self> {
        Arc::new(Self {
            live,
            token: Arc::new(ArcSwap::from_pointee(config.admin.token.clone())),
            running: ArcSwap::from_pointee(config),
            turn: Mutex::new(()),
            public,
            admin,
            from: OnceLock::new(),
            read: std::sync::Mutex::default(),
        })
    }

    /// Says where the configuration came from, who logs, and who is told. Only the first call has
    /// an effect.
    pub(crate) fn reads(&self, source: WhereRead, level: Level, supervisor: Arc<Supervisor>) {
        self.saw(fingerprints(&self.files_of(&source)));
        let _ = self.from.set(From {
            source,
            level,
            supervisor,
        });
    }

    /// The token that changing calls must show.
    pub(crate) fn token(&self) -> Token {
        Arc::clone(&self.token)
    }

    /// The configuration that holds.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.running.load_full()
    }

    /// How long running downloads may go on at the end.
    pub(crate) fn drain(&self) -> Duration {
        self.running.load().server.drain
    }

    /// The files that the configuration was read from; `None` where it is read from none.
    pub(crate) fn files(&self) -> Option<Vec<PathBuf>> {
        self.from.get()?;
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        Some(read.iter().map(|print| print.file.clone()).collect())
    }

    /// Whether the files are as they were when they were read last.
    pub(crate) fn has_seen(&self, prints: &[Print]) -> bool {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        *read == prints
    }

    /// Reads the configuration and puts it in place; `by` says who wants that.
    pub(crate) async fn reload(&self, by: &str) -> Result<Reloaded, Unchanged> {
        let Some(From {
            source,
            level,
            supervisor,
        }) = self.from.get()
        else {
            return Err(Unchanged::WithoutFile);
        };
        let _turn = self.turn.lock().await;
        supervisor.reloading().await;
        let result = match self.read(source).await {
            Ok((loaded, certificates)) => self.take_over(loaded, certificates, level).await,
            Err(rejected) => Err(rejected),
        };
        self.live.app().metrics.reloaded(result.is_ok());
        match &result {
            Ok(reloaded) => say(by, reloaded),
            Err(rejected) => {
                for problem in &rejected.problems {
                    tracing::error!(%problem, "configuration");
                }
                let problems = rejected.problems.len();
                tracing::error!(
                    by,
                    problems,
                    "the configuration cannot be used, and the one before holds"
                );
            }
        }
        supervisor.reloaded(result.is_ok()).await;
        result.map_err(Unchanged::Rejected)
    }

    async fn read(&self, source: &WhereRead) -> Result<(Loaded, Option<Certificates>), Rejected> {
        let (load, file) = (source.load, source.file.clone());
        let known = self.files_of(source);
        let read = tokio::task::spawn_blocking(move || {
            // Before: what changes while it is read is a change.
            let before = fingerprints(&known);
            let loaded = load(&file);
            let certificates = loaded
                .as_ref()
                .map(|loaded| Certificates::of(&loaded.config));
            let certificates = certificates.unwrap_or(Ok(None));
            let files = match &loaded {
                Ok(loaded) => &loaded.config.files,
                Err(rejected) => &rejected.files,
            };
            let mut prints: Vec<_> = before
                .into_iter()
                .filter(|print| print.file == file || files.contains(&print.file))
                .collect();
            let is_new = |file: &&PathBuf| !prints.iter().any(|print| print.file == **file);
            let new: Vec<_> = files.iter().filter(is_new).cloned().collect();
            prints.extend(fingerprints(&new));
            (loaded, certificates, prints)
        });
        let (loaded, certificates, prints) = read.await.map_err(|_| broken("reading it failed"))?;
        self.saw(prints);
        let loaded = loaded?;
        match certificates {
            Ok(certificates) => Ok((loaded, certificates)),
            Err(problems) => Err(Rejected {
                problems,
                warnings: loaded.warnings,
                files: loaded.config.files,
            }),
        }
    }

    async fn take_over(
        &self,
        loaded: Loaded,
        certificates: Option<Certificates>,
        level: &Level,
    ) -> Result<Reloaded, Rejected> {
        let Loaded {
            mut config,
            mut warnings,
        } = loaded;
        let running = self.running.load_full();
        let needs_restart = config.taken_over(&running)?;
        let mut changed = config.changes_since(&running);
        let config = Arc::new(config);
        let before: Arc<App> = self.live.app();
        let succession = before
            .after(&running, &config)
            .map_err(|error| broken(&error.to_string()))?;
        if let Some(keeping) = &before.keeping {
            let spaces = config.routes.iter().map(|route| &*route.cache_space);
            keeping.state.tombstones().know(spaces);
        }
        succession.begin();
        self.live.becomes(Arc::clone(&succession.next));
        self.running.store(Arc::clone(&config));
        let limits = affordable(&config.server.limits);
        self.public
            .change(&limits, config.server.clients_known_behind());
        self.admin.change(&limits, None);
        if let (Some(tls), Some(certificates)) = (&before.lasting.tls, certificates) {
            let now = i64::try_from(unix_now()).unwrap_or(i64::MAX);
            warnings.extend(certificates.warnings(now));
            changed.extend(certificates.news_since(&tls.shown.now()));
            tls.shown.become_these(certificates);
        }
        self.token.store(Arc::new(config.admin.token.clone()));
        level.set(config.log.level);
        succession.settle(&config, config.server.drain).await;
        Ok(Reloaded {
            changed,
            needs_restart: needs_restart.into_iter().map(str::to_owned).collect(),
            warnings,
        })
    }

    fn files_of(&self, source: &WhereRead) -> Vec<PathBuf> {
        let running = self.running.load();
        let others = running.files.iter().filter(|file| **file != source.file);
        std::iter::once(&source.file)
            .chain(others)
            .cloned()
            .collect()
    }

    fn saw(&self, prints: Vec<Print>) {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = prints;
    }
}

fn broken(reason: &str) -> Rejected {
    let remedy = "look at the log of the gateway";
    Rejected {
        problems: vec![Problem::new("", reason, remedy)],
        ..Rejected::default()
    }
}

fn say(by: &str, reloaded: &Reloaded) {
    let Reloaded {
        changed,
        needs_restart,
        warnings,
    } = reloaded;
    for problem in warnings {
        tracing::warn!(%problem, "configuration");
    }
    if !needs_restart.is_empty() {
        let keys = needs_restart.join(", ");
        tracing::warn!(
            keys,
            "these have changed in the configuration and hold from the next start on"
        );
    }
    let changed = if changed.is_empty() {
        "nothing".to_owned()
    } else {
        changed.join("; ")
    };
    tracing::info!(by, changed, "the configuration was read anew");
}
