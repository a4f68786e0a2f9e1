//! `man`: the manual page, or one for each command.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

use super::Cli;
use super::report::say;

pub(super) fn run(directory: Option<&Path>) -> anyhow::Result<ExitCode> {
    let command = Cli::command();
    if let Some(directory) = directory {
        clap_mangen::generate_to(command, directory)
            .with_context(|| format!("cannot write manual pages to {}", directory.display()))?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .context("cannot make the manual page")?;
        say(String::from_utf8_lossy(&page).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
