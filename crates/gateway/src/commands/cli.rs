//! The command line, as clap reads it and as `--help` teaches it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand};
use migration::Share;

use super::rows::Rows;

/// Where the configuration is looked for, in this order.
const DEFAULT_FILES: [&str; 2] = ["config/gateway.toml", "/etc/media-gateway/gateway.toml"];

/// Serves media under URLs that never change, from wherever the files are.
///
/// A media URL that other servers have seen is written down there for ever. media-gateway
/// answers it by asking an ordered list of origins (the current bucket, the old bucket, a
/// directory) until one has the file. So storage can be switched, moved or retired, and no URL
/// changes and none turns into a false 404.
#[derive(Debug, Parser)]
#[command(
    name = "media-gateway",
    version,
    propagate_version = true,
    after_help = FIRST_STEPS,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

const FIRST_STEPS: &str = "\
First steps:
  1. media-gateway check --offline          is the configuration right?
  2. media-gateway check                    can the origins be reached, and what do they hold?
  3. media-gateway serve                    serve
  4. media-gateway explain URL              why is this URL answered as it is?

Each command explains itself: media-gateway COMMAND --help";

/// What every command takes.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// The configuration file [default: config/gateway.toml, then
    /// /etc/media-gateway/gateway.toml].
    ///
    /// Environment variables such as MEDIA_GATEWAY_SERVER__LISTEN are laid over it: two
    /// underscores stand between the levels of the file.
    #[arg(long, global = true, value_name = "FILE", env = "MEDIA_GATEWAY_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Report as JSON on standard output, for scripts.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl Global {
    /// The file that was named, else the first default that exists, else the first default.
    pub(super) fn file(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| {
            let mut defaults = DEFAULT_FILES.iter().map(PathBuf::from);
            let first = defaults.next().expect("there are two");
            if first.exists() {
                return first;
            }
            defaults.find(|file| file.exists()).unwrap_or(first)
        })
    }
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve media.
    ///
    /// Runs until SIGTERM or SIGINT, then accepts nothing new and lets running downloads finish
    /// (server.drain, 60 s). Starts with every origin and the network down: what cannot be told
    /// is answered 503 with Retry-After, never 404.
    #[command(after_help = "\
Examples:
  media-gateway serve
  media-gateway serve --config /etc/media-gateway/gateway.toml
  MEDIA_GATEWAY_SERVER__LISTEN=127.0.0.1:8080 media-gateway serve

Where a supervisor started it, such as systemd, it says when it is ready, reloads and stops
(NOTIFY_SOCKET, WATCHDOG_USEC), and takes listening sockets from it (LISTEN_FDS).

Exit status: 0 after a drained stop, 1 if it could not start; with NOTIFY_SOCKET, 78 if that is
because of the configuration, so that trying again is no use.")]
    Serve,
    /// Check the configuration and examine the origins.
    ///
    /// Reads the configuration and reports every problem at once, each with its place, its
    /// reason and what to do. Then examines each origin as a doctor would. With --offline only
    /// the configuration is read, as `nginx -t` does.
    #[command(after_help = "\
Examples:
  media-gateway check --offline
  media-gateway check --offline --json | jq '.problems[].path'
  media-gateway check --misskey-config /srv/misskey/.config/default.yml

Exit status: 0 fine (warnings included), 1 problems.")]
    Check(CheckArguments),
    /// Say how a URL is answered, and why.
    ///
    /// Shows the route, the key, what each origin calls that key, what it says and how long it
    /// took, and what a viewer would be answered.
    #[command(after_help = "\
Examples:
  media-gateway explain https://media.example.com/misskey/0b3c.webp
  media-gateway explain --json https://media.example.com/misskey/0b3c.webp

Exit status: 0 whatever the answer is.")]
    Explain {
        /// The whole URL as a viewer asks it.
        url: String,
    },
    /// Prepare an origin.
    #[command(subcommand)]
    Origin(OriginCommand),
    /// Drop copies from the cache; the objects stay at their origins.
    ///
    /// From the moment it returns nothing that was held before is answered with, and no download
    /// that was under way brings it back. Prints how many objects were held, and the bytes they
    /// took on the disk. What must stay gone everywhere is for `tombstone`.
    #[command(after_help = "\
Examples:
  media-gateway purge https://media.example.com/misskey/0b3c.webp
  media-gateway purge /misskey/0b3c.webp misskey/0b3d.webp
  media-gateway purge --prefix misskey/thumbnail-
  media-gateway purge --all --yes

Exit status: 0 purged, 1 not.")]
    Purge(PurgeArguments),
    /// Make keys stay gone: 410, whatever any origin or cache still holds.
    #[command(subcommand)]
    Tombstone(TombstoneCommand),
    /// Copy everything from one origin to another.
    ///
    /// Lists both, says what differs, and copies what the target lacks: never what must stay gone,
    /// never over what somebody else has written there. May be killed at any moment and goes on
    /// when it is run again. Run it until it reports 0 new.
    ///
    /// With Misskey's rows (--misskey-config, --misskey-url-file, --meisskey-export; one of them)
    /// the keys that they name are the inventory, and nothing is listed; with --referenced-only
    /// too, the source is listed, and of that only what they name is copied. --prefix, --exclude,
    /// --shard and --all-keys narrow or widen each of these. The same file or database goes on with
    /// the same run.
    #[command(after_help = "\
Examples:
  media-gateway migrate --from old --to current --dry-run
  media-gateway migrate --from old --to current --max-bandwidth '12 MB/s'
  media-gateway migrate --from old --to disk --verify read --exclude '*thumbnail-*'
  media-gateway migrate --from old --to current --referenced-only \
    --misskey-config /srv/misskey/.config/default.yml
  media-gateway migrate --from web --to current --misskey-url-file /run/secrets/misskey-db

Exit status: 0 all copied, 1 something failed or differs, 2 it could not be done.")]
    Migrate(Box<super::MigrateArguments>),
    /// Find keys that are held and that no row of Misskey names any more.
    ///
    /// Misskey deletes from its current bucket only, and tells nobody. This lists what the origins
    /// hold below the published keys, and what the ledger knows; then it reads which keys the rows
    /// of the database name, and reports the difference. With --apply these keys are tombstoned:
    /// 410, whatever any origin or cache still holds. At the origins nothing is deleted.
    ///
    /// In doubt a key stays: what is younger than --min-age or has no age, what any row names as a
    /// key, a file or a URL, under whatever host. If more than --max has no row, the database is
    /// probably an old copy or another one, and nothing is done. An origin that cannot be listed is
    /// left out. What was tombstoned by mistake comes back with `tombstone remove`.
    ///
    /// A listing costs one request for each thousand keys. The database is read in one read-only
    /// transaction; give it a role of its own with SELECT on drive_file, emoji, "user",
    /// avatar_decoration, announcement, ad and meta.
    #[command(after_help = "\
Examples:
  media-gateway deletions --misskey-config /srv/misskey/.config/default.yml
  media-gateway deletions --misskey-url-file /run/secrets/misskey-db --route media --apply
  media-gateway deletions --meisskey-export drive-files.jsonl
  media-gateway deletions --keys keys.txt --min-age 30d --max 0.5% --json | jq '.keys[].key'

The URL's form is postgres://reader:password@host:5432/misskey. A file of --keys has one key or URL
on each line: all that must stay.

Exit status: 0 reported, or applied; 1 not all could be applied; 2 nothing can be said, or more
than --max has no row: then nothing was done.")]
    Deletions(DeletionsArguments),
    /// Say whether an origin may be switched off.
    ///
    /// Lists the origin and those that remain on its routes, and looks for a proof that each
    /// published object stands there: equal checksums, equal digests, or a copy that was verified
    /// when it was made. An equal length alone proves nothing. What must stay gone needs no home.
    /// It also stands against it that something was written there lately, that only this origin
    /// could give a key as it rehearsed, that only the cache still has what came from it, or that a
    /// route needs it. Writes nothing anywhere, and reads no object without --max-egress.
    ///
    /// With Misskey's rows (--misskey-config, --misskey-url-file, --meisskey-export; one of them,
    /// and not --keys) an object that no row names needs no home, and is counted as unreferenced;
    /// one that a row names has not been deleted, whatever the ledger says. Rows whose object is
    /// at no origin are listed apart. A web server is asked for each key that a row names.
    #[command(after_help = "\
Examples:
  media-gateway audit old
  media-gateway audit old --sample 200                     a first look; never safe
  media-gateway audit old --max-egress '20 GB'             read what nothing else proves
  media-gateway audit old --misskey-config /srv/misskey/.config/default.yml
  media-gateway audit old --certificate old-2026-11-28.json
  media-gateway audit old --json | jq -r '.blockers[].key'

Exit status: 0 it may be switched off, 1 it must not, 2 nobody can tell (at best, with --sample).")]
    Audit(Box<super::AuditArguments>),
    /// Look at the cache.
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Carry what must survive to another machine.
    #[command(subcommand)]
    State(StateCommand),
    /// Try the webhook that alerts go to.
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Have the running gateway read its configuration anew; the same as SIGHUP.
    ///
    /// Routes, origins and their states, limits, secrets and the log level change without a
    /// request failing. What only a restart can change is named and left. A configuration that
    /// cannot be used changes nothing. A gateway also notices by itself that its files have changed.
    #[command(after_help = "\
Examples:
  media-gateway reload
  docker compose exec media-gateway media-gateway reload

Exit status: 0 the file holds, 1 it cannot be used and the one before holds.")]
    Reload,
    /// Ask the running gateway whether it is alive; for container health checks.
    ///
    /// GETs /healthz from the admin listener of the same configuration and waits 5 s at most.
    /// Origins that are down do not matter.
    #[command(after_help = "\
Examples:
  media-gateway health
  healthcheck: { test: [\"CMD\", \"media-gateway\", \"health\"] }      # compose.yaml

Exit status: 0 alive, 1 not.")]
    Health,
    /// Print a completion script for a shell.
    #[command(after_help = "\
Examples:
  media-gateway completions bash > /etc/bash_completion.d/media-gateway
  media-gateway completions fish > ~/.config/fish/completions/media-gateway.fish")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    #[command(after_help = "\
Examples:
  media-gateway man | man -l -
  media-gateway man --directory /usr/local/share/man/man1")]
    Man {
        /// Write one page for each command into this directory instead.
        #[arg(long, value_name = "DIRECTORY")]
        directory: Option<PathBuf>,
    },
    /// Print the JSON schema of the configuration.
    #[command(hide = true)]
    ConfigSchema,
}

/// What `check` takes.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Read the configuration only; contact nobody.
    #[arg(long)]
    pub offline: bool,
    /// Compare with Misskey's own configuration (.config/default.yml) and print the values for
    /// its object storage form, in English and Japanese.
    ///
    /// Bucket, base URL and prefix are compared where the file holds them (v10 and meisskey);
    /// since v11 Misskey keeps them in its database, and only the values for the form are
    /// printed.
    #[arg(long, value_name = "FILE")]
    pub misskey_config: Option<PathBuf>,
}

/// What `purge` takes.
#[derive(Debug, Args)]
pub struct PurgeArguments {
    /// URLs, paths that begin with a slash, or keys.
    #[arg(required_unless_present_any = ["prefix", "all"])]
    pub paths: Vec<String>,
    /// Everything whose URL, path or key begins so.
    #[arg(long, value_name = "PREFIX", conflicts_with = "all")]
    pub prefix: Option<String>,
    /// Every copy there is; needs --yes.
    #[arg(long, conflicts_with = "paths")]
    pub all: bool,
    /// Yes, that is meant.
    #[arg(long, requires = "all")]
    pub yes: bool,
}

/// What can be done about keys that must stay gone.
#[derive(Debug, Subcommand)]
pub enum TombstoneCommand {
    /// Make keys stay gone.
    ///
    /// Durable when it returns. Running responses are cut, copies are dropped, and no origin
    /// brings the key back. A URL means one route; a key, byte for byte, each route that
    /// publishes it.
    ///
    /// With --erase the objects are deleted as well, with all their versions, at every origin of
    /// these routes that the gateway may write (a bucket with keys, a directory with writable =
    /// true), and the files of the cache are removed before it returns. It prints one line for
    /// each place, and says where something is left: an origin that did not answer or refused, or
    /// one that cannot be written and still has the object. Retired origins are never asked.
    /// Given again, it tries again.
    #[command(after_help = "\
Examples:
  media-gateway tombstone add https://media.example.com/misskey/0b3c.webp --reason \"court order\"
  media-gateway tombstone add --from deleted-keys.txt
  media-gateway tombstone add misskey/0b3c.webp --reason \"court order\" --erase

Exit status: 0 gone everywhere asked, 1 not, or places are left.")]
    Add(TombstoneAdd),
    /// Let keys be served again, if an origin has them.
    Remove(TombstoneRemove),
    /// List the keys that must stay gone, with time and reason.
    List,
}

/// What `tombstone add` takes.
#[derive(Debug, Args)]
pub struct TombstoneAdd {
    /// URLs, or keys byte for byte.
    #[arg(required_unless_present = "from")]
    pub keys: Vec<String>,
    /// A file with one URL or key on each line.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Why, for whoever reads the list.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Delete the objects at every origin that can be written, all versions. There is no way
    /// back.
    #[arg(long)]
    pub erase: bool,
}

/// What `tombstone remove` takes.
#[derive(Debug, Args)]
pub struct TombstoneRemove {
    /// URLs, or keys byte for byte.
    #[arg(required_unless_present = "from")]
    pub keys: Vec<String>,
    /// A file with one URL or key on each line.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

/// What `deletions` takes.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true).args([
    "misskey_config", "misskey_url_file", "meisskey_export", "keys",
]))]
pub struct DeletionsArguments {
    #[command(flatten)]
    pub(super) rows: Rows,
    /// A file with the keys that have a row, one on each line.
    #[arg(long, value_name = "FILE", conflicts_with = "rows")]
    pub(super) keys: Option<PathBuf>,
    /// Only these routes; all, if none is named.
    #[arg(long = "route", value_name = "NAME")]
    pub(super) routes: Vec<String>,
    /// Younger keys stay: an object may be there before its row.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = humantime::parse_duration)]
    pub(super) min_age: Duration,
    /// The brake: how much of what is held may have no row.
    #[arg(long, value_name = "SHARE", default_value = "1%")]
    pub(super) max: Share,
    /// Tombstone them.
    #[arg(long)]
    pub(super) apply: bool,
}

/// What can be looked at in the cache.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Say how much it holds.
    Stat,
    /// Read every copy again, check it, and remove what is damaged.
    ///
    /// Takes as long as the disk needs to read it all. Damage costs no viewer anything: each read
    /// is checked before a byte leaves.
    #[command(after_help = "\
Exit status: 0 no damage, 1 damage found (and removed), or it could not be looked at.")]
    Verify,
}

/// What can be done with the state.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Write tombstones, ledger, rehearsal saves and canaries into one file.
    ///
    /// Works while the gateway serves. Keep the file where the server's fire does not reach.
    #[command(after_help = "\
Examples:
  media-gateway state export /backup/media-gateway-state.jsonl

Exit status: 0 exported, 1 not.")]
    Export {
        /// The file to write; `-` is standard output.
        file: PathBuf,
    },
    /// Take over what another gateway has exported; what is known here stays.
    ///
    /// Works while the gateway serves: running downloads of what must stay gone are cut.
    #[command(after_help = "\
Examples:
  media-gateway state import /backup/media-gateway-state.jsonl

Exit status: 0 imported, 1 not.")]
    Import {
        /// The file to read; `-` is standard input.
        file: PathBuf,
    },
}

/// What can be done with the webhook.
#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Send one message that says that it is a test, and say whether it was taken.
    ///
    /// Sent by this command itself, from where it runs, whether a gateway runs or not. Tries once.
    #[command(after_help = "\
Examples:
  media-gateway webhook test
  docker compose exec gateway media-gateway webhook test

Exit status: 0 the receiver has taken it, 1 it has not, or there is no webhook.")]
    Test,
}

/// What can be done to an origin.
#[derive(Debug, Subcommand)]
pub enum OriginCommand {
    /// Mark a directory as the one that is meant.
    ///
    /// Shows the device, the size and the free space of the directory's file system, and writes
    /// the marker file. While the marker is absent (the disk is not mounted, the path is wrong)
    /// nothing there is believed to be missing, so no false 404 comes of it.
    #[command(after_help = "\
Examples:
  media-gateway origin init disk
  docker compose exec gateway media-gateway origin init disk

Exit status: 0 marked (also if it was already), 1 not.")]
    Init {
        /// The origin's name in the configuration.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
