//! `check`: the configuration, the origins, and Misskey's side of it.

mod examination;

use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use super::cli::{CheckArguments, Global};
use super::misskey::{self, Comparison, Form, MisskeyConfig};
use super::report::{self, print_json, say};
use crate::config::{Config, Loaded, Problem};
use crate::doctor::{self, Diagnosis, Finding, Memory};

pub(super) async fn run(global: &Global, arguments: CheckArguments) -> anyhow::Result<ExitCode> {
    let Loaded { config, warnings } = match report::load_or_report(global) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let misskey = match &arguments.misskey_config {
        Some(file) => Some(look_at_misskey(&config, file)?),
        None => None,
    };
    let diagnosis = if arguments.offline {
        None
    } else {
        Some(doctor::examine(&config, doctor::PATIENCE).await)
    };
    let is_healthy = !diagnosis.as_ref().is_some_and(Diagnosis::has_problems);
    // As `nginx -t`, also where nothing but the configuration is looked at.
    let unusable = doctor::unusable_certificates(&config);
    let ok = is_healthy && unusable.is_empty() && misskey.as_ref().is_none_or(Misskey::fits);
    let file = global.file().display().to_string();
    if global.json {
        print_json(&Report {
            ok,
            file: &file,
            problems: &unusable,
            warnings: &warnings,
            findings: diagnosis.as_ref().map(|found| found.findings().collect()),
            memory: diagnosis.as_ref().map(|found| &found.memory),
            misskey: misskey.as_ref(),
        });
    } else {
        report::print_findings(&file, &unusable, &warnings, false);
        if let Some(diagnosis) = &diagnosis {
            examination::print(diagnosis);
        }
        if let Some(misskey) = &misskey {
            print_misskey(misskey);
        }
    }
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    file: &'a str,
    problems: &'a [Problem],
    warnings: &'a [Problem],
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Vec<&'a Finding>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<&'a Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    misskey: Option<&'a Misskey>,
}

/// What Misskey's configuration says beside ours.
#[derive(Serialize)]
struct Misskey {
    comparisons: Vec<Comparison>,
    forms: Vec<Form>,
}

impl Misskey {
    fn fits(&self) -> bool {
        self.comparisons.iter().all(|comparison| comparison.fits)
    }
}

fn look_at_misskey(config: &Config, file: &std::path::Path) -> anyhow::Result<Misskey> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let misskey = MisskeyConfig::parse(&text).with_context(|| format!("cannot use {shown}"))?;
    Ok(Misskey {
        comparisons: misskey::compare(&misskey, config),
        forms: config
            .routes
            .iter()
            .map(|route| misskey::form(config, route))
            .collect(),
    })
}

fn print_misskey(misskey: &Misskey) {
    for comparison in &misskey.comparisons {
        let word = if comparison.fits { "fits" } else { "DIFFERS" };
        say(&format!("\n{}: {word}", comparison.what));
        say(&format!("  Misskey: {}", comparison.misskey));
        say(&format!("  gateway: {}", comparison.gateway));
        if !comparison.remedy.is_empty() {
            say(&format!("  remedy:  {}", comparison.remedy));
        }
    }
    for form in &misskey.forms {
        say(&format!(
            "\nMisskey's control panel, Object Storage (オブジェクトストレージ), for the route \"{}\":\n",
            form.route
        ));
        let mut table = comfy_table::Table::new();
        table
            .load_style(comfy_table::presets::NOTHING)
            .set_header(["field", "欄", "value"]);
        for field in &form.values {
            table.add_row([field.english, field.japanese, field.value.as_str()]);
        }
        say(&format!("{table}"));
        for note in &form.notes {
            say(&format!("  note: {note}"));
        }
    }
}
