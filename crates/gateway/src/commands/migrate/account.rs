//! What a migration came to, for people. docs/migration.md says what each line means.

use bytesize::ByteSize;
use migration::{Estimate, Remark, Report, Sum};

use crate::commands::report::{complain, printable, say};

/// Prints the report, and what should be looked at on standard error.
pub(super) fn print(report: &Report) {
    say(&text(report));
    let remarks = &report.remarks;
    for (what, list, count) in [
        ("failed", &remarks.failed, report.results.failed),
        ("differs", &remarks.differs, report.tally.differs.objects),
        ("unfit", &remarks.unfit, report.tally.unfit.objects),
        (
            "not asked",
            &remarks.unasked,
            report.tally.unknown.objects
                + if report.may_be_absent {
                    0
                } else {
                    report.tally.absent.objects
                },
        ),
    ] {
        print_remarks(what, list, count);
    }
    if let Some(shortfall) = &report.shortfall {
        complain(&format!("it does not fit: {shortfall}"));
    }
}

fn print_remarks(what: &str, list: &[Remark], count: u64) {
    for remark in list {
        let (key, why) = (printable(&remark.key), printable(&remark.why));
        complain(&format!("{what}: {key}: {why}"));
    }
    let more = count.saturating_sub(list.len() as u64);
    if more > 0 {
        complain(&format!("{what}: and {more} more"));
    }
}

fn text(report: &Report) -> String {
    let Report {
        from, to, tally, ..
    } = report;
    let begun = if report.resumed { ", gone on with" } else { "" };
    let mut lines = vec![
        format!("from {from} to {to}, run {}{begun}", report.run),
        line("at the source", tally.source),
        line("at the target", report.target),
        line("same", tally.same),
        line("new", tally.new),
    ];
    let some = [
        ("newer", tally.newer),
        ("differs", tally.differs),
        ("tombstoned", tally.tombstoned),
        ("withdrawn", tally.withdrawn),
        ("  unnoticed", tally.unnoticed),
        ("unreferenced", tally.unreferenced),
        ("unpublished", tally.unpublished),
        ("excluded", tally.excluded),
        ("other shards", tally.elsewhere),
        ("unfit", tally.unfit),
        ("absent", tally.absent),
        ("unknown", tally.unknown),
    ];
    let some = some.into_iter().filter(|(_, sum)| sum.objects > 0);
    lines.extend(some.map(|(what, sum)| line(what, sum)));
    lines.push(String::new());
    if report.dry_run {
        lines.extend(costs(report));
    } else {
        lines.extend(results(report));
    }
    lines.join("\n")
}

fn results(report: &Report) -> Vec<String> {
    let results = &report.results;
    let mut lines = vec![line("copied", results.copied)];
    let some = [
        ("failed", results.failed),
        ("appeared", results.appeared),
        ("vanished", results.vanished),
        ("tombstoned", results.tombstoned),
        ("withdrawn", results.withdrawn),
    ];
    let some = some.into_iter().filter(|(_, count)| *count > 0);
    lines.extend(some.map(|(what, count)| row(what, &count.to_string())));
    lines
}

/// What the listing took, and what the copying would.
fn costs(report: &Report) -> Vec<String> {
    let listing = format!(
        "{} requests at the source, {} at the target",
        report.tally.source_requests,
        report.target_pages + report.tally.target_requests
    );
    let mut lines = vec![row("listing", &listing)];
    let all = [&report.estimate].into_iter().chain(&report.alternatives);
    lines.extend(all.flat_map(cost));
    lines
}

fn cost(estimate: &Estimate) -> Vec<String> {
    let source = format!(
        "{} requests, {} out",
        estimate.source_requests,
        size(estimate.source_bytes)
    );
    let target = format!(
        "{} requests that write, {} that read, {} out",
        estimate.target_writes,
        estimate.target_reads,
        size(estimate.target_bytes)
    );
    let mut lines = vec![
        String::new(),
        format!("copying with --verify {}", estimate.verify.label()),
        row("  source", &source),
        row("  target", &target),
    ];
    if let Some(time) = estimate.time() {
        let time = humantime::format_duration(time);
        lines.push(row("  time", &format!("{time} at that bandwidth")));
    }
    lines
}

fn line(what: &str, sum: Sum) -> String {
    row(what, &format!("{:>10} {}", sum.objects, size(sum.bytes)))
}

fn row(what: &str, value: &str) -> String {
    format!("{what:<14} {value}")
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string()
}

#[cfg(test)]
mod tests {
    use migration::{Remarks, Results, Tally, Verify};

    use super::*;

    fn report() -> Report {
        let sum = |objects, bytes| Sum { objects, bytes };
        let tally = Tally {
            source: sum(12, 3_000_000),
            same: sum(10, 1_000_000),
            new: sum(2, 2_000_000),
            put_requests: 2,
            source_requests: 1,
            ..Tally::default()
        };
        Report {
            from: "old".into(),
            to: "current".into(),
            run: 3,
            resumed: true,
            dry_run: false,
            may_be_absent: false,
            target: sum(10, 1_000_000),
            target_pages: 1,
            tally,
            results: Results {
                copied: sum(1, 1_000_000),
                failed: 1,
                ..Results::default()
            },
            estimate: Estimate::new(&tally, Verify::Checksum, Some(1_000_000), true),
            alternatives: vec![Estimate::new(&tally, Verify::Read, None, true)],
            shortfall: None,
            remarks: Remarks::default(),
        }
    }

    #[test]
    fn a_report_says_what_there_was_and_what_became_of_it() {
        let expected = "\
from old to current, run 3, gone on with
at the source          12 3.0 MB
at the target          10 1.0 MB
same                   10 1.0 MB
new                     2 2.0 MB

copied                  1 1.0 MB
failed         1";
        assert_eq!(text(&report()), expected);
    }

    #[test]
    fn a_dry_run_says_what_each_way_of_verifying_would_cost() {
        let dry = Report {
            dry_run: true,
            ..report()
        };
        let expected = "\
listing        1 requests at the source, 1 at the target

copying with --verify checksum
  source       2 requests, 2.0 MB out
  target       2 requests that write, 0 that read, 0 B out
  time         2s at that bandwidth

copying with --verify read
  source       2 requests, 2.0 MB out
  target       2 requests that write, 2 that read, 2.0 MB out";
        let said = text(&dry);
        assert!(said.ends_with(expected), "{said}");
    }
}
