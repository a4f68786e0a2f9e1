//! `config-schema`: what `config/schema.json` must be.

use std::process::ExitCode;

use super::report::say;
use crate::config::schema_json;

#[expect(clippy::unnecessary_wraps, reason = "every command has this shape")]
pub(super) fn run() -> anyhow::Result<ExitCode> {
    say(schema_json().trim_end());
    Ok(ExitCode::SUCCESS)
}
