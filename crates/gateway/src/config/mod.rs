//! The configuration: read strictly, checked as a whole, handed on as parsed types.
//!
//! `Raw` (what is written) → check → [`Config`], or every problem at once. Whoever holds a
//! `Config` need not check again. Nothing here contacts an origin or opens a listener; the only
//! files read are the configuration itself and those that hold its secrets. Only this folder
//! sees figment.

mod admin;
mod cache;
mod change;
mod environment;
mod findings;
mod fleet;
mod limits;
mod load;
mod log;
mod name;
mod origin;
mod places;
mod problem;
mod proxies;
mod raw;
mod route;
mod schema;
mod secrets;
mod server;
mod sockets;
mod state;
mod suggest;
mod tls;
mod urls;
mod values;
mod webhook;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use origin_resolver::{Kind, OriginSettings};

pub use admin::Admin;
pub use cache::Cache;
pub use environment::PREFIX as ENVIRONMENT_PREFIX;
pub use fleet::Fleet;
pub use limits::Limits;
pub use log::{AccessForm, AccessLog, ClientAddresses, Log, LogFormat, LogLevel};
pub use origin::{CacheTier, Origin, Writing};
pub use problem::{Place, Problem, Rejected};
pub use proxies::{Proxies, TrustedProxies};
pub use route::{Deletes, Route, RouteUrl};
pub use schema::schema_json;
pub use server::{Listen, Redirect, Server};
pub use state::State;
pub use tls::{Acme, CertificatePair, Certificates, Challenge, Tls};
pub use values::{Budget, Period, Price, Rate};
pub use webhook::{Shape, Visibility, Webhook};

use findings::Findings;
use raw::Raw;

/// A configuration that has been checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where viewers connect.
    pub server: Server,
    /// The listener for operators.
    pub admin: Admin,
    /// What must survive.
    pub state: State,
    /// Copies of what was served.
    pub cache: Cache,
    /// Other gateways that are to know the same of what is gone.
    pub fleet: Option<Fleet>,
    /// Where the operator is told of alerts.
    pub webhook: Option<Webhook>,
    /// What is logged, and how.
    pub log: Log,
    /// Every origin that is not retired, sorted by name.
    pub origins: Vec<Origin>,
    /// The names of those that are.
    pub retired: Vec<Box<str>>,
    /// In the order of the file; never empty.
    pub routes: Vec<Route>,
    /// The files that hold its secrets.
    pub files: Vec<PathBuf>,
}

/// A usable configuration, with what is questionable about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What should be looked at.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Reads and checks a file, with the environment above it.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn load(
        file: &Path,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Loaded, Rejected> {
        let shown = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| Rejected {
            problems: vec![
                Problem::new(
                    "",
                    format!("the configuration cannot be read: {error}"),
                    "name a readable file with --config",
                )
                .with_value(&shown),
            ],
            ..Rejected::default()
        })?;
        Self::parse(&shown, &text, variables)
    }

    /// The same for a text; `file` is only what problems call it.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn parse(
        file: &str,
        text: &str,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Loaded, Rejected> {
        let (raw, mut findings) = load::read(file, text, variables)?;
        let mut config = Self::check(raw, &mut findings);
        if findings.problem_count() > 0 {
            return Err(findings.into());
        }
        config.files = findings.files().to_vec();
        let (_, warnings) = findings.into_parts();
        Ok(Loaded { config, warnings })
    }

    /// What the resolver is built from.
    pub fn origin_settings(&self) -> impl Iterator<Item = &OriginSettings> {
        self.origins.iter().map(|origin| &origin.settings)
    }

    /// The origin of this name, unless it is retired or unknown.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.origins.iter().find(|origin| origin.name() == name)
    }

    fn check(raw: Raw, findings: &mut Findings) -> Self {
        let server = server::check(raw.server, findings);
        let admin = admin::check(raw.admin, findings);
        let state = state::check(raw.state, findings);
        let cache = cache::check(raw.cache.unwrap_or_default(), findings);
        let fleet = fleet::check(raw.fleet, findings);
        let webhook = webhook::check(raw.webhook, findings);
        let origins = origin::check(raw.origins, findings);
        let routes = route::check(raw.routes, &origins, findings);
        let config = Self {
            log: log::check(&raw.log, findings),
            server,
            admin,
            state,
            cache,
            fleet,
            webhook,
            origins: origins.usable,
            retired: origins.retired,
            routes,
            files: Vec::new(),
        };
        config.check_listeners(findings);
        config.check_directories(findings);
        config.check_use_of_origins(&origins.broken, findings);
        config
    }

    fn check_listeners(&self, findings: &mut Findings) {
        let plain = &self.server.listen.addresses;
        let admin = &self.admin.listen;
        server::check_clash("admin.listen", admin, "server.listen", plain, findings);
        if let Some(tls) = &self.server.tls {
            let path = "server.tls.listen";
            server::check_clash(path, &tls.listen, "server.listen", plain, findings);
            server::check_clash(path, &tls.listen, "admin.listen", admin, findings);
        }
    }

    fn check_directories(&self, findings: &mut Findings) {
        let state = &self.state.directory;
        if state::is_within(state, &self.cache.directory) {
            findings.refuse(
                Problem::new(
                    "state.directory",
                    format!(
                        "it lies inside the cache ({}), which anyone may empty; what is deleted would come back",
                        self.cache.directory.display()
                    ),
                    "put it elsewhere, such as /var/lib/media-gateway",
                )
                .with_value(state.display().to_string()),
            );
        }
        for origin in &self.origins {
            let Kind::Filesystem(directory) = &origin.settings.kind else {
                continue;
            };
            for (what, ours) in [("state", state), ("cache", &self.cache.directory)] {
                if state::is_within(ours, &directory.root)
                    || state::is_within(&directory.root, ours)
                {
                    findings.refuse(
                        Problem::new(
                            format!("origins.{}.root", origin.name()),
                            format!(
                                "it and the {what} directory ({}) lie one inside the other; private files could be served",
                                ours.display()
                            ),
                            "keep the directories apart",
                        )
                        .with_value(directory.root.display().to_string()),
                    );
                }
            }
        }
    }

    fn check_use_of_origins(&self, broken: &[Box<str>], findings: &mut Findings) {
        // A route with a problem is not in the list, so its origins would look unused.
        if findings.problem_count() > 0 || !broken.is_empty() {
            return;
        }
        for origin in &self.origins {
            let name = origin.name();
            let is_used = |route: &Route| route.origins.iter().any(|listed| **listed == *name);
            if !self.routes.iter().any(is_used) {
                findings.warn(Problem::new(
                    format!("origins.{name}"),
                    "no route uses this origin",
                    "add it to the origins of a route, or remove it",
                ));
            }
            self.warn_of_loop(origin, findings);
        }
    }

    /// An origin at one of our own URLs would be the gateway asking itself.
    fn warn_of_loop(&self, origin: &Origin, findings: &mut Findings) {
        let (key, url) = match &origin.settings.kind {
            Kind::S3(s3) => ("endpoint", &s3.endpoint),
            Kind::Http(http) => ("url", &http.url),
            Kind::Filesystem(_) => return,
        };
        let own = self
            .routes
            .iter()
            .flat_map(|route| &route.urls)
            .find(|own| {
                own.host
                    .as_deref()
                    .is_some_and(|host| Some(host) == url.host_str())
                    && url.path().starts_with(&own.path)
            });
        // Other ports of the loopback are other programs.
        let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if let Some(own) = own
            && !is_local
        {
            findings.warn(
                Problem::new(
                    format!("origins.{}.{key}", origin.name()),
                    format!("the gateway itself answers at {own}, so it might ask itself"),
                    "name the storage by its own host",
                )
                .with_value(url.to_string()),
            );
        }
    }
}
