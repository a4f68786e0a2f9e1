//! The commands: what they are called, what they say about themselves, and who carries them out.
//!
//! One file each. A command prints what it found and returns how it ended; only what could not
//! be carried out at all is an error. Only `report` writes to standard output and error.

mod alone;
mod audit;
mod cache;
mod check;
mod cli;
mod completions;
mod config_schema;
mod deletions;
mod digest;
mod explain;
mod health;
mod leases;
mod man;
mod migrate;
mod misskey;
mod origin;
mod purge;
mod reload;
mod report;
mod rows;
mod serve;
mod state;
mod tombstone;
mod turns;
mod webhook;

use std::process::ExitCode;

use anyhow::Context;

pub use audit::AuditArguments;
pub use cli::{
    CacheCommand, CheckArguments, Cli, Command, DeletionsArguments, OriginCommand, PurgeArguments,
    StateCommand, TombstoneAdd, TombstoneCommand, TombstoneRemove, WebhookCommand,
};
pub use migrate::{MigrateArguments, Verification};
pub use misskey::{Comparison, Form, FormValue, MisskeyConfig, compare, form};
pub use report::{complain, load, print_rejected};
pub use rows::Rows;

use crate::server::Handed;

/// Carries out what the command line says.
///
/// Makes the runtime itself: what a supervisor hands over is taken before anything is opened here.
///
/// # Errors
/// What kept the command from being carried out.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let handed = match cli.command {
        Command::Serve => Handed::of_environment()?,
        _ => Handed::nothing(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the system has no room for the threads of the program")?;
    runtime.block_on(carry_out(cli, handed))
}

async fn carry_out(cli: Cli, handed: Handed) -> anyhow::Result<ExitCode> {
    let Cli { global, command } = cli;
    match command {
        Command::Serve => serve::run(&global, handed).await,
        Command::Check(arguments) => check::run(&global, arguments).await,
        Command::Explain { url } => explain::run(&global, &url).await,
        Command::Origin(OriginCommand::Init { name }) => origin::init(&global, &name),
        Command::Purge(arguments) => purge::run(&global, arguments).await,
        Command::Tombstone(command) => tombstone::run(&global, command).await,
        Command::Migrate(arguments) => Box::pin(migrate::run(&global, *arguments)).await,
        Command::Deletions(arguments) => Box::pin(deletions::run(&global, arguments)).await,
        Command::Audit(arguments) => Box::pin(audit::run(&global, *arguments)).await,
        Command::Cache(command) => cache::run(&global, command).await,
        Command::State(command) => state::run(&global, command).await,
        Command::Webhook(WebhookCommand::Test) => webhook::test(&global).await,
        Command::Reload => reload::run(&global).await,
        Command::Health => health::run(&global).await,
        Command::Completions { shell } => completions::run(shell),
        Command::Man { directory } => man::run(directory.as_deref()),
        Command::ConfigSchema => config_schema::run(),
    }
}
