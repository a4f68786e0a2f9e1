//! Examines the origins and the place the gateway runs in, as a doctor would.
//!
//! | file | what it knows |
//! |---|---|
//! | `ask`, `facts` | what an origin is asked, and what it said |
//! | `judge` | what that means; pure |
//! | `hosts`, `places`, `memory` | the routes' names, the state directory, the memory sum |
//! | `sockets` | the unix sockets to listen on |
//! | `fleet` | the Redis by which gateways tell each other |
//! | `certificates` | who is shown which certificate, and until when |
//! | `challenges` | whether an authority finds what it looks for |
//! | `published` | which of an origin's keys the routes publish; pure |
//! | `canaries` | the keys that a running gateway has learned |
//! | `aside` | how work is left behind that hangs |
//!
//! Writes one object, to an origin that a route promotes to, and deletes it (`probe`). Changes
//! nothing else anywhere, and never contacts a retired origin.

mod aside;
mod ask;
mod canaries;
mod certificates;
mod challenges;
mod facts;
mod finding;
mod fleet;
mod hosts;
mod judge;
mod memory;
mod places;
mod probe;
mod published;
mod sockets;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use object::ObjectKey;
use origin_resolver::{GuardedOrigin, Kind, Names, ReadAs, Unobserved};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use url::Url;

pub use certificates::unusable_certificates;
pub use finding::{Check, Finding, Level};
pub use memory::{Memory, Term};

use crate::clock::unix_now;
use crate::config::{Config, Origin};
use canaries::Learned;
use finding::Findings;

/// How long an examination takes at most.
pub const PATIENCE: Duration = Duration::from_secs(13);

/// What was found.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    /// Each subject in the order of a report, with what was found about it.
    pub examined: Vec<Examined>,
    /// What the process may take.
    pub memory: Memory,
}

/// One subject.
#[derive(Debug, Clone)]
pub struct Examined {
    /// For people: `origin current: bucket "media" at …`.
    pub title: String,
    /// What was found, in the order of the examination.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Every finding.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.examined.iter().flat_map(|examined| &examined.findings)
    }

    /// Whether something does not work.
    pub fn has_problems(&self) -> bool {
        self.findings()
            .any(|finding| finding.level == Level::Problem)
    }
}

/// Examines everything at once and ends within `patience`, whatever hangs.
pub async fn examine(config: &Config, patience: Duration) -> Diagnosis {
    let deadline = Instant::now() + patience;
    let state = config.state.directory.clone();
    let looked = aside::aside(patience / 4, move || {
        let tombstones = state::list_tombstones(&state).map(|list| list.remaining());
        (places::look(&state), canaries::read(&state), tombstones)
    });
    let cache = config.cache.directory.clone();
    let cached = aside::aside(patience / 4, move || places::look(&cache));
    let available = aside::aside(patience / 4, memory::available_bytes);
    let certified = {
        let config = config.clone();
        let now = i64::try_from(unix_now()).unwrap_or(i64::MAX);
        aside::aside(patience / 4, move || certificates::examine(&config, now))
    };
    let sockets = config.server.listen.sockets.clone();
    let listened = aside::aside(patience / 4, move || sockets::look(&sockets));
    let (looked, cached, available, certified, listened) =
        tokio::join!(looked, cached, available, certified, listened);
    let (standing, (learned, about_canaries), tombstones) = match looked {
        Some((standing, canaries, tombstones)) => (Some(standing), canaries, tombstones),
        None => (None, (Learned::new(), Vec::new()), Ok(0)),
    };
    let names = Names::new();
    let origins = config
        .origins
        .iter()
        .map(|origin| examine_origin(config, origin, &learned, &names, deadline));
    let hosts = hosts::examine(config, patience / 2);
    let fleet = fleet::examine(config.fleet.as_ref(), patience / 2);
    let challenges = challenges::examine(config, patience / 2);
    let (mut examined, hosts, fleet, challenges) =
        tokio::join!(join_all(origins), hosts, fleet, challenges);
    examined.extend(config.retired.iter().map(|name| retired(name)));
    let user = places::User::of_this_process();
    let place = |key, path, worst| places::Place { key, path, worst };
    let state = place("state.directory", &*config.state.directory, Level::Problem);
    let mut state = places::judge(state, standing.as_ref(), user);
    state.extend(about_canaries);
    let tombstones = tombstones.unwrap_or_else(|error| {
        let mut unreadable = Findings::about("state.directory");
        unreadable.add(
            Level::Problem,
            Check::Directory,
            error.to_string(),
            "the gateway does not start until they can be read, so that nothing deleted comes back",
        );
        state.extend(unreadable.into_list());
        0
    });
    // Without it everything is served, and paid for, each time.
    let worst = if config.cache.required {
        Level::Problem
    } else {
        Level::Warning
    };
    let cache = place("cache.directory", &*config.cache.directory, worst);
    let cache = places::judge(cache, cached.as_ref(), user);
    let listened = sockets::judge(&config.server.listen.sockets, listened, user);
    let memory = Memory::of(config, tombstones as u64);
    let sum = memory::judge(&memory, available.flatten());
    for (title, findings) in [
        ("unix sockets", listened),
        ("routes", hosts),
        ("TLS", certified.unwrap_or_default()),
        ("challenges", challenges),
        ("fleet", fleet),
        ("webhook", webhook(config)),
        ("state directory", state),
        ("cache directory", cache),
        ("memory", sum),
    ] {
        let title = title.to_owned();
        examined.push(Examined { title, findings });
    }
    examined.retain(|examined| !examined.findings.is_empty());
    Diagnosis { examined, memory }
}

async fn examine_origin(
    config: &Config,
    origin: &Origin,
    learned: &Learned,
    names: &Names,
    deadline: Instant,
) -> Examined {
    let title = format!("origin {}: {}", origin.name(), place(origin));
    let built = origin_resolver::build(&origin.settings, names);
    let absent = random_key(config, origin.name(), "absent");
    let (inner, absent) = match (built, absent) {
        (Ok(inner), Some(absent)) => (inner, absent),
        (built, _) => {
            let (what, remedy) = match built {
                Err(error) => (error.what.into(), error.remedy.into()),
                Ok(_) => ("no random key can be made".to_owned(), String::new()),
            };
            let mut findings = Findings::about(judge::subject(origin.name()));
            findings.add(Level::Problem, Check::State, what, remedy);
            let findings = findings.into_list();
            return Examined { title, findings };
        }
    };
    let observer = Arc::new(Unobserved);
    let tasks = TaskTracker::new();
    let guarded = GuardedOrigin::new(origin.settings.clone(), inner, observer, tasks);
    let learned = learned.get(origin.name()).map_or(&[][..], Vec::as_slice);
    let mut facts = ask::ask(&guarded, &absent, learned, deadline).await;
    let mut routes = config.routes.iter();
    if routes.any(|route| route.promote_to.as_deref() == Some(origin.name()))
        && !facts.round_trips.is_empty()
        && let Some(key) = random_key(config, origin.name(), "probe")
    {
        facts.probed = Some(probe::probe(&guarded, &key, deadline).await);
    }
    let rewrite = &origin.settings.rewrite;
    let published = published::own_prefixes(config, origin.name(), rewrite);
    Examined {
        title,
        findings: judge::judge(origin, &published, &facts),
    }
}

/// Sends nothing: an examination that rings a bell would soon be left out.
fn webhook(config: &Config) -> Vec<Finding> {
    let mut findings = Findings::about("webhook");
    if let Some(webhook) = &config.webhook {
        let shape = webhook.shape.label();
        let what = format!("alerts are sent ({shape}); media-gateway webhook test tries it");
        findings.ok(Check::State, what);
    }
    findings.into_list()
}

fn retired(name: &str) -> Examined {
    let mut findings = Findings::about(judge::subject(name));
    findings.ok(Check::State, "retired: not contacted");
    Examined {
        title: format!("origin {name}"),
        findings: findings.into_list(),
    }
}

/// A key that nobody can have uploaded, where the routes' own keys are: access is often granted
/// by prefix.
fn random_key(config: &Config, origin: &str, what: &str) -> Option<ObjectKey> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok()?;
    let prefix = published::a_published_prefix(config, origin);
    ObjectKey::parse(&format!("{prefix}{what}-{}", hex::encode(random))).ok()
}

/// Where an origin is and how it is read, without anything secret.
fn place(origin: &Origin) -> String {
    match &origin.settings.kind {
        Kind::S3(s3) => {
            let read = match (s3.read, &s3.credentials) {
                (ReadAs::Signed, _) => "signed",
                (ReadAs::Anonymous, Some(_)) => "anonymous, keys for the rest",
                (ReadAs::Anonymous, None) => "anonymous",
            };
            format!(
                "bucket {:?} at {} ({read})",
                s3.bucket,
                without_secrets(&s3.endpoint)
            )
        }
        Kind::Http(http) => format!("web server {}", without_secrets(&http.url)),
        Kind::Filesystem(directory) => format!("directory {}", directory.root.display()),
    }
}

fn without_secrets(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
