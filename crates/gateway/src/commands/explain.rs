//! `explain URL`: how a URL is answered, and why.

use std::process::ExitCode;

use comfy_table::{Table, presets};
use http::Method;
use object::ObjectKey;
use state::{StateDirectory, read_canaries};
use url::form_urlencoded;

use super::cli::Global;
use super::report::{self, complain, print_json, say};
use crate::admin::rows;
use crate::app::App;
use crate::config::Config;
use crate::control::{CallError, call};
use crate::explain::{Explanation, HeldCopy, WithdrawnKey, explain};
use crate::withdrawals::Known;

pub(super) async fn run(global: &Global, url: &str) -> anyhow::Result<ExitCode> {
    let config = match report::load_or_report(global) {
        Ok(loaded) => loaded.config,
        Err(exit) => return Ok(exit),
    };
    let explanation = match ask(&config, url).await? {
        Some(explanation) => explanation,
        None => alone(&config, url).await?,
    };
    if global.json {
        print_json(&explanation);
    } else {
        print(&explanation, &config.retired);
    }
    Ok(ExitCode::SUCCESS)
}

/// What the running gateway says, which alone knows its hints and copies.
async fn ask(config: &Config, url: &str) -> anyhow::Result<Option<Explanation>> {
    let query: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("url", url)
        .finish();
    let path = format!("/api/explain?{query}");
    match call(&config.state.directory, Method::GET, &path, None::<&()>).await {
        Ok(answer) => Ok(Some(serde_json::from_slice(&answer)?)),
        Err(CallError::NotRunning(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Without a gateway the origins are asked from here.
async fn alone(config: &Config, url: &str) -> anyhow::Result<Explanation> {
    let app = App::for_looking(config)?;
    let directory = &config.state.directory;
    app.restore_canaries(read_canaries(directory));
    let spaces: Vec<_> = app.routes.iter().map(|route| &*route.space).collect();
    let tombstones = rows(directory).unwrap_or_else(|error| {
        complain(&format!("warning: {error}"));
        Vec::new()
    });
    let gone = |space: &str, key: &ObjectKey| {
        tombstones.iter().any(|row| {
            let applies = row.space == space || !spaces.contains(&&*row.space);
            applies && row.key == key.as_str()
        })
    };
    let state = remembered(config);
    let ledger = |places: &[Box<str>], key: &ObjectKey| {
        let ledger = state.as_ref()?.ledger();
        let known = places.iter().map(|name| Known::from(ledger.get(name, key)));
        let known = known.collect();
        ledger.is_up().then_some(known)
    };
    Ok(explain(&app, &gone, &ledger, url).await?)
}

/// The state directory, if there is one: a look makes none.
fn remembered(config: &Config) -> Option<StateDirectory> {
    let directory = &config.state.directory;
    if !directory.is_dir() {
        return None;
    }
    let spaces = config.routes.iter().map(|route| &*route.cache_space);
    match StateDirectory::open(directory, spaces) {
        Ok(state) => Some(state),
        Err(error) => {
            complain(&format!(
                "warning: what the application has deleted cannot be told: {error}"
            ));
            None
        }
    }
}

fn print(explanation: &Explanation, retired: &[Box<str>]) {
    say(&format!("URL     {}", explanation.url));
    if let Some(route) = &explanation.route {
        say(&format!("route   {route}"));
    }
    if let Some(key) = &explanation.key {
        say(&format!("key     {key:?}"));
    }
    if let Some(hint) = &explanation.hint {
        say(&format!("hint    {hint} had it lately and is asked first"));
    }
    if let Some(held) = &explanation.held {
        let HeldCopy {
            origin,
            length,
            age_seconds,
            stale,
        } = held;
        let stale = if *stale {
            ", and is checked while it is used"
        } else {
            ""
        };
        say(&format!(
            "cache   {length} bytes from {origin}, confirmed {age_seconds} s ago{stale}"
        ));
    }
    if let Some(withdrawn) = &explanation.withdrawn {
        let since = withdrawn.since.map_or_else(
            || "now".to_owned(),
            |since| format!("since {}", report::time(since)),
        );
        let WithdrawnKey { origin, means, .. } = withdrawn;
        say(&format!("gone    from {origin} {since}; {means}"));
    }
    if !explanation.origins.is_empty() {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header([
            "\norigin",
            "\nits key",
            "\nverdict",
            "\ntook",
            "\nwhy",
        ]);
        for origin in &explanation.origins {
            let why = match (&origin.what, origin.length) {
                (Some(what), _) => what.clone(),
                (None, Some(length)) => format!(
                    "{length} bytes, {}",
                    origin.content_type.as_deref().unwrap_or("no type")
                ),
                (None, None) => String::new(),
            };
            table.add_row([
                origin.origin.clone(),
                origin.own_key.clone().unwrap_or_default(),
                match &origin.reason {
                    Some(reason) => format!("{} ({reason})", origin.verdict),
                    None => origin.verdict.clone(),
                },
                format!("{} ms", origin.milliseconds),
                why,
            ]);
        }
        say(&format!("{table}"));
    }
    for name in retired {
        say(&format!("{name}: retired, not contacted"));
    }
    say(&format!(
        "\nanswer  {}: {}",
        explanation.status, explanation.because
    ));
}
