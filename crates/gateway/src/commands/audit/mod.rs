//! `audit`: may an origin be switched off?
//!
//! Exit status 0 when it is safe, 1 when something stands against it, 2 when nobody can tell.
//! Changes nothing at any origin, and nothing in the state directory but what was read of
//! `max_egress`.

mod account;
mod arguments;
mod certificate;
mod remembered;
mod rows;

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, bail};
use migration::audit::{Against, Audit, Options, Report, Route, Verdict};
use migration::{End, Named};
use object::ObjectKey;
use origin_resolver::{GuardedOrigin, Names};
use serde::Serialize;
use tokio_util::task::TaskTracker;

use super::cli::Global;
use super::digest::digest;
use super::leases::Leases;
use super::report::{self, complain, print_json, say};
use super::rows::Source;
use crate::app::guard_origins;
use crate::auditing::Scope;
use crate::clock::unix_now;
use crate::config::{self, Config};
use crate::routes::Routes;
use crate::targets::{Otherwise, targets};
pub use arguments::AuditArguments;
use remembered::Remembered;

/// Nobody can tell.
const UNABLE: u8 = 2;
/// Keys that are asked for at one time.
const JOBS: usize = 16;
/// Blockers of each sort that people are shown.
const SHOWN: usize = 20;

/// What `--json` prints.
#[derive(Serialize)]
struct JsonReport<'r> {
    summary: String,
    next: Vec<String>,
    #[serde(flatten)]
    report: &'r Report,
}

/// What `--json` prints where the audit did not come to its end.
#[derive(Serialize)]
struct Unable {
    verdict: Verdict,
    summary: String,
}

pub(super) async fn run(global: &Global, arguments: AuditArguments) -> anyhow::Result<ExitCode> {
    let Ok(loaded) = report::load_or_report(global) else {
        return Ok(ExitCode::from(UNABLE));
    };
    let report = match audit(&loaded.config, &arguments, global.json).await {
        Ok(report) => report,
        Err(error) => {
            let summary = format!(
                "whether \"{}\" may be switched off cannot be told: {error:#}",
                arguments.origin
            );
            complain(&format!("error: {summary}"));
            if global.json {
                let verdict = Verdict::CannotTell;
                print_json(&Unable { verdict, summary });
            }
            return Ok(ExitCode::from(UNABLE));
        }
    };
    if global.json {
        print_json(&JsonReport {
            summary: account::summary(&report),
            next: account::next(&report),
            report: &report,
        });
    } else {
        say(&account::text(&report).join("\n"));
    }
    Ok(match report.verdict {
        Verdict::Safe => ExitCode::SUCCESS,
        Verdict::NotSafe => ExitCode::FAILURE,
        Verdict::CannotTell => ExitCode::from(UNABLE),
    })
}

async fn audit(
    config: &Config,
    arguments: &AuditArguments,
    all_blockers: bool,
) -> anyhow::Result<Report> {
    let name = &*arguments.origin;
    is_configured(config, name)?;
    if let Some(file) = arguments
        .certificate
        .as_deref()
        .filter(|file| file.exists())
    {
        bail!("{}: there is such a file already", file.display());
    }
    let scope = Scope::of(name, &config.routes);
    if scope.routes.is_empty() {
        bail!("no route asks it, so nothing says which of its keys matter");
    }
    let homes = scope.homes.clone();
    let memory = Arc::new(Remembered::of(config, scope.clone()).await?);
    let leases = Leases::of(config, memory.held());
    let origins = guard_origins(config, &Names::new(), &TaskTracker::new(), |name| {
        leases.observer(name)
    })?;
    leases.pace(&origins);
    let origin = end(&origins, &leases, name).await?;
    let source = Source::of(&arguments.rows)?;
    if arguments.keys.is_none() && source.is_none() && !origin.is_listable() {
        bail!(
            "a web server cannot be listed; name its keys with --keys FILE, or with Misskey's rows"
        );
    }
    let mut ends = Vec::with_capacity(homes.len());
    for home in &homes {
        ends.push(end(&origins, &leases, home).await?);
    }
    let named = match &arguments.keys {
        Some(file) => Some(named(&scope, file)?),
        None => None,
    };
    let keys_sha256 = named.as_ref().map(|named| named.digest);
    let rows = match &source {
        Some(source) => Some(rows::read(config, source, arguments.max_unreferenced).await?),
        None => None,
    };
    // What cannot be listed is asked for each key of the rows.
    let of_rows = rows.as_ref().filter(|_| !origin.is_listable());
    let named = named.or(of_rows.map(|rows| rows.keys.clone()));
    let options = Options {
        quiet_for: arguments.quiet_for,
        saves_within: arguments.saves_within,
        named,
        rows,
        sample: arguments.sample.map(|sample| sample.get() as usize),
        seed: getrandom::u64().unwrap_or(0),
        max_egress: arguments.max_egress.unwrap_or(0),
        jobs: JOBS,
        most_blockers: if all_blockers { usize::MAX } else { SHOWN },
    };
    let routes = scope
        .routes
        .iter()
        .map(|route| as_seen(route, name, &homes))
        .collect();
    let remembered = Arc::clone(&memory);
    let audit = Audit::new(origin, ends, routes, options, memory, SystemTime::now());
    let report = audit.run().await;
    leases.settle().await;
    let report = report?;
    remembered.tell(&account::told(&report)).await;
    if let Some(file) = &arguments.certificate {
        if report.verdict == Verdict::Safe {
            certificate::write(file, &report, keys_sha256, unix_now())
                .with_context(|| format!("{}: cannot be written", file.display()))?;
        } else {
            complain("no certificate was written: it is written only for what is safe");
        }
    }
    Ok(report)
}

fn is_configured(config: &Config, name: &str) -> anyhow::Result<()> {
    if config.origin(name).is_some() {
        return Ok(());
    }
    if config.retired.iter().any(|retired| **retired == *name) {
        bail!(
            "it is retired and is never contacted; to look at it, set its state to \"rehearsal\""
        );
    }
    let known: Vec<_> = config.origins.iter().map(config::Origin::name).collect();
    bail!("there is no such origin; there are: {}", known.join(", "));
}

async fn end(origins: &[Arc<GuardedOrigin>], leases: &Leases, name: &str) -> anyhow::Result<End> {
    let origin = origins.iter().find(|origin| origin.name() == name);
    let origin = origin.with_context(|| format!("there is no origin \"{name}\""))?;
    let granted = leases.budget(name).await?;
    Ok(End::new(Arc::clone(origin)).within(granted.map(|granted| granted.budget)))
}

/// A route as the audit of one of its origins sees it.
fn as_seen(route: &config::Route, origin: &str, homes: &[Box<str>]) -> Route {
    let place = |name: &str| homes.iter().position(|home| **home == *name);
    let is_on_it = |name: &str| route.origins.iter().any(|one| **one == *name);
    let mut roles = Vec::new();
    if *route.uploads_to == *origin {
        roles.push(Against::UploadsTo);
    }
    if route.promote_to.as_deref() == Some(origin) {
        roles.push(Against::PromoteTo);
    }
    Route {
        name: route.name.clone(),
        keys: route.keys.clone(),
        homes: route
            .origins
            .iter()
            .filter_map(|name| place(name))
            .collect(),
        uploads: place(&route.uploads_to).filter(|_| is_on_it(&route.uploads_to)),
        roles,
    }
}

/// The keys of a file; URLs mean what the routes say.
fn named(scope: &Scope, file: &Path) -> anyhow::Result<Named> {
    let cannot = || format!("{}: cannot be read", file.display());
    let digest = digest(file).with_context(cannot)?;
    let (table, routes) = (Routes::new(&scope.routes), scope.routes.clone());
    let read = move |line: &str| -> Result<ObjectKey, String> {
        if !line.contains("://") {
            return ObjectKey::parse(line).map_err(|error| format!("{line:?}: {error}"));
        }
        let routes: Vec<_> = routes.iter().collect();
        let found = targets(&table, &routes, line, Otherwise::Key);
        // On whichever route, a key is spelled alike.
        let first = found.map_err(|error| error.to_string())?.into_iter().next();
        first
            .map(|target| target.key)
            .ok_or_else(|| format!("{line:?}: it names nothing"))
    };
    Ok(Named {
        name: file.display().to_string().into(),
        file: Arc::new(File::open(file).with_context(cannot)?),
        digest,
        read: Arc::new(read),
        may_be_absent: false,
    })
}
