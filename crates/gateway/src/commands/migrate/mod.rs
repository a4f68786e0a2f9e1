//! `migrate`: copies everything from one origin to another.
//!
//! Exit status 0 when the target has all it should have, 1 when something is missing there or
//! differs, 2 when it could not be done.

mod account;
mod arguments;
mod inventory;
mod remembered;
mod shown;
mod telling;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use migration::{End, Journal, Migration, Named, Options, Pattern, Report, Selection, Shard};
use object::ObjectKey;
use origin_resolver::{GuardedOrigin, Kind, Names};
use tokio_util::task::TaskTracker;

use super::cli::Global;
use super::digest::digest;
use super::leases::{Granted, Leases};
use super::report::{self, complain, print_json};
use super::rows::{self, Source};
use crate::app::guard_origins;
use crate::clock::unix_now;
use crate::config::{self, Config};
use crate::routes::Routes;
use crate::targets::{Otherwise, targets};
pub use arguments::{MigrateArguments, Verification};
use remembered::Remembered;
use telling::Telling;

/// It could not be done.
const UNABLE: u8 = 2;

pub(super) async fn run(global: &Global, arguments: MigrateArguments) -> anyhow::Result<ExitCode> {
    let Ok(loaded) = report::load_or_report(global) else {
        return Ok(ExitCode::from(UNABLE));
    };
    match Box::pin(migrate(&loaded.config, arguments)).await {
        Ok(report) => {
            if global.json {
                print_json(&report);
            } else {
                account::print(&report);
            }
            Ok(if report.shortfall.is_some() {
                ExitCode::from(UNABLE)
            } else if report.is_complete() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Err(error) => {
            complain(&format!("error: {error:#}"));
            Ok(ExitCode::from(UNABLE))
        }
    }
}

async fn migrate(config: &Config, arguments: MigrateArguments) -> anyhow::Result<Report> {
    let MigrateArguments { from, to, .. } = &arguments;
    if from == to {
        bail!("--from and --to name the same origin");
    }
    let source = configured(config, from)?;
    let target = configured(config, to)?;
    let wanted = Wanted::of(&arguments)?;
    if matches!(source.settings.kind, Kind::Http(_)) && !wanted.is_named() {
        bail!(
            "the origin \"{from}\" is a web server and cannot be listed; name its keys with --keys FILE, or with Misskey's rows and without --referenced-only"
        );
    }
    if target.writing.is_none() && !arguments.dry_run {
        bail!(
            "the origin \"{to}\" cannot be written: a directory needs writable = true, a bucket its keys"
        );
    }
    let mut options = options(config, &arguments)?;
    match &wanted {
        Wanted::Rows(rows) => options.named = Some(inventory::to_be_listed(rows)?),
        Wanted::Keys(file) => options.named = Some(named(config, file, arguments.all_keys)?),
        Wanted::Referenced(rows) => {
            options.referenced = Some(rows::referenced(config, rows).await?);
        }
        Wanted::Listed => {}
    }
    let directory = journal_directory(config, &arguments);
    let journal = journal(&directory, options.scope()).await?;
    if let (Wanted::Rows(rows), Some(named)) = (&wanted, &mut options.named) {
        let all_keys = arguments.all_keys;
        let file = inventory::take(config, rows, all_keys, &directory, &journal).await?;
        named.file = Arc::new(file);
    }
    let remembered = Remembered::of(config, from, to).await?;
    let telling = Telling::of(config, &arguments, &remembered)?;
    let leases = Leases::of(config, remembered.held());
    let origins = guard_origins(config, &Names::new(), &TaskTracker::new(), |name| {
        leases.observer(name)
    })?;
    leases.pace(&origins);
    let (reading, comparing) = (leases.budget(from).await?, leases.budget(to).await?);
    let left = |granted: &Option<Granted>| granted.as_ref().map(|granted| granted.left_bytes);
    options.egress_left = (left(&reading), left(&comparing));
    let budget = |granted: Option<Granted>| granted.map(|granted| granted.budget);
    let source_end = end(&origins, from)?.within(budget(reading));
    let target_end = end(&origins, to)?.within(budget(comparing));
    let migration = Migration::new(source_end, target_end, options, Arc::new(remembered));
    let progress = Arc::clone(migration.progress());
    let report = tokio::select! {
        report = migration.run(journal) => report,
        () = shown::show(&progress) => unreachable!("it shows until it is dropped"),
        () = telling.go_on(&progress) => unreachable!("it tells until it is dropped"),
    };
    telling.end(&progress, &report).await;
    leases.settle().await;
    Ok(report?)
}

/// Where the keys come from.
enum Wanted {
    /// What the source lists.
    Listed,
    /// Of that, what is referenced.
    Referenced(Source),
    /// What a file names.
    Keys(PathBuf),
    /// What rows name.
    Rows(Source),
}

impl Wanted {
    fn of(arguments: &MigrateArguments) -> anyhow::Result<Self> {
        let rows = Source::of(&arguments.rows)?;
        let keys = arguments.keys.clone();
        if arguments.referenced_only {
            let Some(rows) = rows.or(keys.map(Source::Keys)) else {
                bail!(
                    "--referenced-only needs to know what is referenced: add --misskey-config FILE, --misskey-url-file FILE, --meisskey-export FILE or --keys FILE"
                );
            };
            return Ok(Self::Referenced(rows));
        }
        Ok(match (keys, rows) {
            (Some(file), _) => Self::Keys(file),
            (None, Some(rows)) => Self::Rows(rows),
            (None, None) => Self::Listed,
        })
    }

    /// Whether both origins are asked for each key, and nothing is listed.
    fn is_named(&self) -> bool {
        matches!(self, Self::Keys(_) | Self::Rows(_))
    }
}

fn configured<'c>(config: &'c Config, name: &str) -> anyhow::Result<&'c config::Origin> {
    if let Some(origin) = config.origin(name) {
        return Ok(origin);
    }
    if config.retired.iter().any(|retired| **retired == *name) {
        bail!("the origin \"{name}\" is retired and is never contacted");
    }
    let known: Vec<_> = config.origins.iter().map(config::Origin::name).collect();
    bail!(
        "there is no origin \"{name}\" in the configuration; there are: {}",
        known.join(", ")
    );
}

fn end(origins: &[Arc<GuardedOrigin>], name: &str) -> anyhow::Result<End> {
    let origin = origins.iter().find(|origin| origin.name() == name);
    let origin = origin.with_context(|| format!("there is no origin \"{name}\""))?;
    Ok(End::new(Arc::clone(origin)))
}

fn options(config: &Config, arguments: &MigrateArguments) -> anyhow::Result<Options> {
    let published = if arguments.all_keys {
        None
    } else {
        Some(published(config, &arguments.from, &arguments.to)?)
    };
    Ok(Options {
        selection: Selection {
            prefix: arguments.prefix.clone(),
            exclude: arguments
                .exclude
                .iter()
                .map(|text| Pattern::new(text))
                .collect(),
            published,
            shard: arguments.shard.unwrap_or(Shard::WHOLE),
        },
        named: None,
        referenced: None,
        lost: arguments.lost,
        max_withdrawn: arguments.max_withdrawn,
        verify: arguments.verify.into(),
        jobs: arguments.jobs.into(),
        bandwidth: arguments.max_bandwidth,
        egress_left: (None, None),
        dry_run: arguments.dry_run,
    })
}

/// What the routes of either origin publish.
fn published(config: &Config, from: &str, to: &str) -> anyhow::Result<Vec<String>> {
    let of = |route: &&config::Route| {
        let mut origins = route.origins.iter();
        origins.any(|one| **one == *from || **one == *to)
    };
    let routes: Vec<_> = config.routes.iter().filter(of).collect();
    if routes.is_empty() {
        bail!(
            "no route asks \"{from}\" or \"{to}\", so nothing says which keys are published; add --all-keys to copy everything"
        );
    }
    let mut keys = Vec::new();
    for route in routes {
        if route.keys.is_empty() {
            keys.push(String::new());
        }
        keys.extend(route.keys.iter().cloned());
    }
    keys.sort();
    keys.dedup();
    Ok(keys)
}

/// The keys of a file; URLs mean what the routes say.
fn named(config: &Config, file: &Path, all_keys: bool) -> anyhow::Result<Named> {
    let digest = digest(file).with_context(|| format!("{}: cannot be read", file.display()))?;
    let (table, routes) = (Routes::new(&config.routes), config.routes.clone());
    let read = move |line: &str| {
        if all_keys && !line.contains("://") {
            return ObjectKey::parse(line).map_err(|error| error.to_string());
        }
        let routes: Vec<_> = routes.iter().collect();
        let found = targets(&table, &routes, line, Otherwise::Key);
        let found = found.map_err(|error| error.to_string())?;
        // On whichever route, a key is spelled alike.
        let first = found.into_iter().next();
        first
            .map(|target| target.key)
            .ok_or_else(|| "it names nothing".to_owned())
    };
    let opened = File::open(file);
    let opened = opened.with_context(|| format!("{}: cannot be read", file.display()))?;
    Ok(Named {
        name: file.display().to_string().into(),
        file: Arc::new(opened),
        digest,
        read: Arc::new(read),
        may_be_absent: false,
    })
}

async fn journal(directory: &Path, scope: String) -> anyhow::Result<Journal> {
    let directory = directory.to_owned();
    let opened =
        tokio::task::spawn_blocking(move || Journal::open(&directory, &scope, unix_now())).await?;
    Ok(opened?)
}

fn journal_directory(config: &Config, arguments: &MigrateArguments) -> PathBuf {
    let MigrateArguments {
        from, to, shard, ..
    } = arguments;
    let shard = match shard.map(Shard::parts) {
        Some((number, of)) => format!("-{number}of{of}"),
        None => String::new(),
    };
    let journals = config.state.directory.join("journals");
    journals.join(format!("migrate-{from}-{to}{shard}"))
}
