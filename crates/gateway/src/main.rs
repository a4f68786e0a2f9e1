//! The command.

use std::process::ExitCode;

use clap::Parser;
use gateway::commands::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    match commands::run(Cli::parse()).await {
        Ok(exit) => exit,
        Err(error) => {
            commands::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
