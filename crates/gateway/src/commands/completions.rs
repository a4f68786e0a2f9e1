//! `completions SHELL`.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use super::report::say;

#[expect(clippy::unnecessary_wraps, reason = "every command has this shape")]
pub(super) fn run(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "media-gateway", &mut script);
    say(String::from_utf8_lossy(&script).trim_end());
    Ok(ExitCode::SUCCESS)
}
