//! `reload`: has the running gateway read its configuration anew.

use std::process::ExitCode;

use http::Method;

use super::cli::Global;
use super::report::{self, complain, print_json, say};
use crate::config::Rejected;
use crate::control::{CallError, call};
use crate::reloading::Reloaded;

pub(super) async fn run(global: &Global) -> anyhow::Result<ExitCode> {
    // Says what is wrong without troubling the gateway, which would say the same.
    let config = match report::load_or_report(global) {
        Ok(loaded) => loaded.config,
        Err(exit) => return Ok(exit),
    };
    let file = global.file().display().to_string();
    let directory = &config.state.directory;
    let answer = match call(directory, Method::POST, "/api/reload", None::<&()>).await {
        Ok(answer) => answer,
        Err(CallError::Refused(why)) => {
            match serde_json::from_str::<Rejected>(&why) {
                Ok(rejected) => report::print_rejected(&file, &rejected, global.json),
                Err(_) => complain(&format!("error: {why}")),
            }
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(error.into()),
    };
    let reloaded: Reloaded = serde_json::from_slice(&answer)?;
    if global.json {
        print_json(&reloaded);
        return Ok(ExitCode::SUCCESS);
    }
    for change in &reloaded.changed {
        say(change);
    }
    if reloaded.changed.is_empty() {
        say("nothing has changed");
    }
    for key in &reloaded.needs_restart {
        complain(&format!(
            "warning: {key} has changed, and holds from the next start on"
        ));
    }
    Ok(ExitCode::SUCCESS)
}
