//! `deletions`: keys that are held and that no row of Misskey names any more.
//!
//! Reports, unless `--apply` asks for tombstones. Where nothing can be said for certain it does
//! nothing and ends with 2: half a listing, no rows at all, more than the brake allows.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use anyhow::Context;
use http::Method;
use serde::Serialize;
use state::StateDirectory;

use super::cli::{DeletionsArguments, Global};
use super::report::{self, complain, print_json, printable, say};
use super::rows::Source;
use super::tombstone;
use crate::admin::TombstoneRequest;
use crate::app::App;
use crate::clock::unix_now;
use crate::config::Config;
use crate::control::{CallError, stream};
use crate::deletions::{
    Age, Held, LedgerKey, OriginHolds, Rowless, Tally, chosen, decide, tombstoned,
};
use crate::rows::Names;

/// Keys that are shown to people.
const SHOWN: usize = 100;
/// Keys that are tombstoned together.
const TOGETHER: usize = 1000;
const REASON: &str = "no row names it";
/// The brake, or nothing can be said.
const UNDECIDED: u8 = 2;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    origins: Vec<OriginHolds>,
    ledger: LedgerHolds,
    /// Rows of uploads, or lines of the file.
    rows: u64,
    #[serde(flatten)]
    tally: Tally,
    /// Of a hundred.
    percent_without_row: f64,
    keys: Vec<Rowless>,
    /// How many of them are tombstoned now.
    applied: usize,
    /// Why not, or not all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

#[derive(Default, Serialize)]
struct LedgerHolds {
    keys: u64,
    /// Why it was left out, or what is behind this.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<String>,
}

pub(super) async fn run(
    global: &Global,
    arguments: DeletionsArguments,
) -> anyhow::Result<ExitCode> {
    let config = match report::load_or_report(global) {
        Ok(loaded) => loaded.config,
        Err(exit) => return Ok(exit),
    };
    let mut report = match examine(&config, &arguments).await {
        Ok(report) => report,
        Err(error) => {
            complain(&format!("error: {error:#}; nothing was changed"));
            return Ok(ExitCode::from(UNDECIDED));
        }
    };
    let exit = if report.tally.exceeds(arguments.max) {
        let (some, all) = (report.tally.without_row, report.tally.held);
        let percent = report.percent_without_row;
        report.refused = Some(format!(
            "{} of {} keys have no row ({percent:.1} %): restored or wrong database? More than --max {} is not believed",
            grouped(some),
            grouped(all),
            arguments.max,
        ));
        ExitCode::from(UNDECIDED)
    } else if arguments.apply {
        apply(&config, &arguments, &mut report).await
    } else {
        ExitCode::SUCCESS
    };
    if global.json {
        print_json(&report);
    } else {
        print(&report, arguments.apply);
    }
    if let Some(why) = &report.refused {
        complain(&format!("error: {why}"));
    }
    Ok(exit)
}

/// Where the rows are: the command line says one of them.
fn source(arguments: &DeletionsArguments) -> anyhow::Result<Source> {
    if let Some(file) = &arguments.keys {
        return Ok(Source::Keys(file.clone()));
    }
    Source::of(&arguments.rows)?.context("say where the rows are")
}

async fn examine(config: &Config, arguments: &DeletionsArguments) -> anyhow::Result<Report> {
    let app = App::for_looking(config)?;
    let routes = chosen(&app, &arguments.routes).map_err(anyhow::Error::msg)?;
    let source = source(arguments)?;
    // Before hundreds of pages are listed for nothing.
    source.reach().await?;
    let age = Age {
        now: unix_now(),
        min_seconds: arguments.min_age.as_secs(),
    };
    let mut held = Held::new(&routes, age)?;
    let origins = held.list().await?;
    let ledger = add_ledger(config, &app, &mut held).await;
    let knows_nothing = ledger.keys == 0 && origins.iter().all(|one| one.left_out.is_some());
    if knows_nothing {
        let why = origins.iter().filter_map(|one| one.left_out.as_deref());
        let why: Vec<_> = why.chain(ledger.left_out.as_deref()).collect();
        anyhow::bail!(
            "no origin can be listed, and the ledger knows no key: {}",
            why.join("; ")
        );
    }
    // Only now: a row that was made meanwhile protects its object.
    let mut names = Names::new(&app);
    let rows = source.read(|reference| names.reference(reference));
    let rows = rows.await?;
    let gone = tombstoned(&app, &config.state.directory)?;
    let (tally, keys) = decide(held.done(), gone, names.done())?;
    Ok(Report {
        origins,
        ledger,
        rows,
        percent_without_row: tally.percent(),
        tally,
        keys,
        applied: 0,
        refused: None,
    })
}

/// What the ledger knows besides; from the running gateway, which holds it.
async fn add_ledger(config: &Config, app: &App, held: &mut Held<'_>) -> LedgerHolds {
    let directory = &config.state.directory;
    let mut lines = Lines::default();
    let streamed = stream(
        directory,
        Method::GET,
        "/api/ledger",
        None::<&()>,
        |chunk| {
            lines.take(&chunk, |line| {
                if let Ok(known) = serde_json::from_slice::<LedgerKey>(line) {
                    let is_known = held.add_known(&known).map_err(io::Error::other)?;
                    return Ok(Some(is_known));
                }
                serde_json::from_slice::<u64>(line)?;
                Ok(None)
            })
        },
    );
    match streamed.await {
        Ok(()) if lines.ended => LedgerHolds {
            keys: lines.known,
            left_out: None,
        },
        Ok(()) => left_out(lines.known, "the running gateway could not read all of it"),
        Err(CallError::NotRunning(socket)) => {
            let spaces = app.routes.iter().map(|route| &route.space);
            match StateDirectory::open(directory, spaces) {
                Ok(state) => ledger_here(app, &state, held),
                Err(error) => left_out(0, format!("{}; {error}", CallError::NotRunning(socket))),
            }
        }
        Err(error) => left_out(lines.known, error),
    }
}

fn ledger_here(app: &App, state: &StateDirectory, held: &mut Held<'_>) -> LedgerHolds {
    let mut keys = 0;
    for origin in &app.origins {
        for row in state.ledger().iter(origin.name()) {
            let (key, entry) = match row {
                Ok(row) => row,
                Err(down) => return left_out(keys, down),
            };
            let known = LedgerKey {
                origin: origin.name().to_owned(),
                key: key.as_str().to_owned(),
                verified: entry.verified,
            };
            match held.add_known(&known) {
                Ok(is_known) => keys += u64::from(is_known),
                Err(error) => return left_out(keys, error),
            }
        }
    }
    LedgerHolds {
        keys,
        left_out: None,
    }
}

fn left_out(keys: u64, why: impl Display) -> LedgerHolds {
    LedgerHolds {
        keys,
        left_out: Some(why.to_string()),
    }
}

/// Lines that come in pieces.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    /// Keys of the routes.
    known: u64,
    /// The last line has come.
    ended: bool,
}

impl Lines {
    /// `each` says whether the line is of a route, and nothing of the last one.
    fn take(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(&[u8]) -> io::Result<Option<bool>>,
    ) -> io::Result<()> {
        self.rest.extend_from_slice(chunk);
        let mut begin = 0;
        while let Some(length) = self.rest[begin..].iter().position(|byte| *byte == b'\n') {
            match each(&self.rest[begin..begin + length])? {
                Some(is_known) => self.known += u64::from(is_known),
                None => self.ended = true,
            }
            begin += length + 1;
        }
        self.rest.drain(..begin);
        Ok(())
    }
}

/// Tombstones them, a thousand at a time.
async fn apply(config: &Config, arguments: &DeletionsArguments, report: &mut Report) -> ExitCode {
    for (space, keys) in by_space(&report.keys) {
        let of_space = config
            .routes
            .iter()
            .filter(|route| *route.cache_space == *space);
        let routes = of_space.map(|route| route.name.to_string());
        let chosen = |name: &String| arguments.routes.is_empty() || arguments.routes.contains(name);
        let routes: Vec<_> = routes.filter(chosen).collect();
        for some in keys.chunks(TOGETHER) {
            let request = TombstoneRequest {
                keys: some.iter().map(|one| one.key.clone()).collect(),
                reason: REASON.to_owned(),
                erase: false,
                routes: routes.clone(),
            };
            match tombstone::carry_out(config, Method::PUT, request).await {
                Ok(_) => report.applied += some.len(),
                Err(error) => {
                    report.refused = Some(format!(
                        "{} of {} keys were tombstoned, then: {error:#}",
                        grouped(report.applied as u64),
                        grouped(report.tally.without_row)
                    ));
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    ExitCode::SUCCESS
}

/// They are sorted by space.
fn by_space(keys: &[Rowless]) -> Vec<(String, Vec<Rowless>)> {
    keys.chunk_by(|a, b| a.space == b.space)
        .map(|some| (some[0].space.to_string(), some.to_vec()))
        .collect()
}

fn print(report: &Report, applies: bool) {
    for origin in &report.origins {
        let place = format!("{}/{}", origin.route, origin.origin);
        if let Some(why) = &origin.left_out {
            say(&format!("{place}: left out: {}", printable(why)));
            continue;
        }
        let unfit = match origin.unfit {
            0 => String::new(),
            some => format!(", and {} names that are no keys", grouped(some)),
        };
        let (keys, young) = (grouped(origin.keys), grouped(origin.too_young));
        say(&format!(
            "{place}: {keys} keys, {young} of them too young{unfit}"
        ));
    }
    match &report.ledger.left_out {
        Some(why) => say(&format!("ledger: left out: {}", printable(why))),
        None => say(&format!("ledger: {} keys", grouped(report.ledger.keys))),
    }
    say(&format!("rows: {}", grouped(report.rows)));
    let Tally {
        held,
        named,
        too_young,
        without_row,
        tombstoned,
    } = report.tally;
    say(&format!(
        "{} keys are held: {} have a row, {} are too young, {} have none ({:.1} %); {} more are tombstoned already",
        grouped(held),
        grouped(named),
        grouped(too_young),
        grouped(without_row),
        report.percent_without_row,
        grouped(tombstoned)
    ));
    for Rowless { space, key } in report.keys.iter().take(SHOWN) {
        say(&format!("  {space}: {}", printable(key)));
    }
    if let Some(more) = report.keys.len().checked_sub(SHOWN + 1) {
        say(&format!(
            "  and {} more; --json lists all",
            grouped(more as u64 + 1)
        ));
    }
    match (applies, report.keys.is_empty()) {
        (_, true) => {}
        (true, false) => say(&format!(
            "{} keys were tombstoned",
            grouped(report.applied as u64)
        )),
        (false, false) => say("nothing was changed; with --apply these keys are tombstoned"),
    }
}

/// `40,120`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_groups_of_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (2311, "2,311"),
            (40_120_000, "40,120,000"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn lines_are_whole_however_they_are_cut() {
        let whole = b"one\n\ntwo\n3\n";
        for size in 1..=whole.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for chunk in whole.chunks(size) {
                let each = |line: &[u8]| {
                    seen.push(line.to_vec());
                    Ok((line != b"3").then_some(line == b"two"))
                };
                lines.take(chunk, each).unwrap();
            }
            assert_eq!(seen, [&b"one"[..], b"", b"two", b"3"]);
            assert_eq!((lines.known, lines.ended), (1, true));
        }
    }
}
