//! The command.

use std::process::ExitCode;

use clap::Parser;
use gateway::commands::{self, Cli};

fn main() -> ExitCode {
    match commands::run(Cli::parse()) {
        Ok(exit) => exit,
        Err(error) => {
            commands::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
