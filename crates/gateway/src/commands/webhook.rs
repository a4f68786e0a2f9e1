//! `webhook test`: whether a message arrives where alerts go.

use std::process::ExitCode;

use serde::Serialize;

use super::cli::Global;
use super::report::{self, complain, print_json, say};
use crate::alerts;

#[derive(Serialize)]
struct Tested {
    ok: bool,
    shape: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

pub(super) async fn test(global: &Global) -> anyhow::Result<ExitCode> {
    let config = match report::load_or_report(global) {
        Ok(loaded) => loaded.config,
        Err(exit) => return Ok(exit),
    };
    let file = global.file().display().to_string();
    let Some(webhook) = &config.webhook else {
        anyhow::bail!(
            "{file}: webhook: there is none, so alerts go nowhere; write [webhook] with url_file and shape"
        );
    };
    let shape = webhook.shape.label();
    let sent = alerts::test(webhook).await;
    let (reason, remedy) = match &sent {
        Ok(()) => (None, None),
        Err(unsent) => (Some(unsent.why.clone()), Some(unsent.remedy)),
    };
    let tested = Tested {
        ok: sent.is_ok(),
        shape,
        reason,
        remedy,
    };
    if global.json {
        print_json(&tested);
    } else if let Err(unsent) = &sent {
        complain(&format!(
            "error: {file}: webhook.url: the message was not taken ({shape}): {}; {}",
            unsent.why, unsent.remedy
        ));
    } else {
        say(&format!("the receiver has taken a test message ({shape})"));
    }
    Ok(match sent {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}
