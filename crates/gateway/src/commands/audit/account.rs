//! What an audit came to, for people: the verdict first, and at the end what to do next.

use bytesize::ByteSize;
use migration::Sum;
use migration::audit::{Against, Blocker, Nowhere, Report, RowsReport, Verdict};

use super::SHOWN;
use crate::audits::Audited;
use crate::commands::report::{printable, time};

/// The verdict in one sentence.
pub(super) fn summary(report: &Report) -> String {
    let Report {
        origin,
        counts,
        proven,
        ..
    } = report;
    let objects = counts.objects.objects;
    match report.verdict {
        Verdict::Safe if objects == 0 => {
            format!("\"{origin}\" may be switched off: nothing that its routes publish is there")
        }
        Verdict::Safe if objects == proven.objects => format!(
            "\"{origin}\" may be switched off: each of {objects} objects is proven elsewhere"
        ),
        Verdict::Safe => format!(
            "\"{origin}\" may be switched off: of {objects} objects {} are proven elsewhere, and \
             the others must stay gone or have no row",
            proven.objects
        ),
        Verdict::NotSafe => format!(
            "\"{origin}\" must not be switched off: {} reasons stand against it",
            report.blocked
        ),
        Verdict::CannotTell => format!(
            "whether \"{origin}\" may be switched off cannot be told: nothing was found that stands \
             against it, and not everything could be looked at"
        ),
    }
}

/// What a gateway is told for its page.
pub(super) fn told(report: &Report) -> Audited {
    let lines = |lines: Vec<String>| lines.into_iter().map(Into::into).collect();
    Audited {
        origin: report.origin.clone(),
        verdict: match report.verdict {
            Verdict::Safe => "safe",
            Verdict::NotSafe => "not_safe",
            Verdict::CannotTell => "cannot_tell",
        }
        .into(),
        objects: report.counts.objects.objects,
        proven: report.proven.objects,
        blocked: report.blocked,
        blockers: lines(report.blockers.iter().take(SHOWN).map(blocker).collect()),
        doubts: lines(report.doubts.iter().take(SHOWN).cloned().collect()),
    }
}

/// Everything, as lines.
pub(super) fn text(report: &Report) -> Vec<String> {
    let mut lines = vec![summary(report), String::new()];
    lines.extend(scope(report));
    lines.extend(counts(report));
    lines.extend(report.rows.iter().flat_map(rows));
    if !report.blockers.is_empty() {
        lines.push(String::new());
        lines.extend(report.blockers.iter().map(blocker));
        let more = report.blocked.saturating_sub(report.blockers.len() as u64);
        if more > 0 {
            lines.push(format!("and {more} more; --json lists all"));
        }
    }
    if !report.doubts.is_empty() {
        lines.push(String::new());
        let doubts = report.doubts.iter();
        lines.extend(doubts.map(|why| format!("not looked at: {}", printable(why))));
    }
    lines.push(String::new());
    lines.extend(next(report).into_iter().map(|step| format!("next: {step}")));
    lines
}

fn scope(report: &Report) -> Vec<String> {
    let routes = report.routes.iter().map(|route| {
        let remaining = match route.remaining.join(", ") {
            none if none.is_empty() => "no other origin".to_owned(),
            some => some,
        };
        format!("route {}: {remaining}", route.name)
    });
    routes.collect()
}

fn counts(report: &Report) -> Vec<String> {
    let counts = &report.counts;
    let rows = [
        ("objects", counts.objects, true),
        ("proven by checksum", counts.by_checksum, false),
        ("proven by digest", counts.by_digest, false),
        ("proven as copies", counts.by_copy, false),
        ("proven by reading", counts.by_reading, false),
        ("tombstoned", counts.tombstoned, false),
        ("withdrawn", counts.withdrawn, false),
        ("deleted", counts.deleted, false),
        ("unreferenced", counts.unreferenced, false),
        ("  only here", counts.unreferenced_only_here, false),
        ("missing", counts.missing, false),
        ("another length", counts.length, false),
        ("another content", counts.content, false),
        ("unproven", counts.unproven, false),
        ("unknown", counts.unknown, false),
        ("young", counts.young, false),
        ("unpublished", counts.unpublished, false),
        ("unfit", counts.unfit, false),
    ];
    let rows = rows
        .into_iter()
        .filter(|(_, sum, always)| *always || sum.objects > 0);
    let mut lines: Vec<_> = rows.map(|(what, sum, _)| row(what, sum)).collect();
    if counts.absent > 0 {
        lines.push(format!("{:<20} {:>10}", "absent", counts.absent));
    }
    lines
}

/// What became of the keys that rows name; and those that nobody has, which are no reason against
/// it: the application may have failed to store them.
fn rows(rows: &RowsReport) -> Vec<String> {
    let counts = [
        ("keys in rows", rows.keys),
        ("  here", rows.here),
        ("  only elsewhere", rows.elsewhere),
        ("  gone for good", rows.gone),
        ("  nowhere", rows.nowhere),
    ];
    let counts = counts.into_iter().enumerate();
    let counts = counts.filter(|(index, (_, count))| *index == 0 || *count > 0);
    let mut lines = vec![String::new()];
    lines.extend(counts.map(|(_, (what, count))| format!("{what:<20} {count:>10}")));
    let listed = rows.nobody_has.iter().take(SHOWN);
    lines.extend(listed.map(|one| {
        let Nowhere { key, row, existed } = one;
        let was = if *existed { "lost" } else { "never seen" };
        format!("nowhere ({was}): {}, {}", printable(key), printable(row))
    }));
    let more = rows.nowhere.saturating_sub(SHOWN as u64);
    if more > 0 {
        lines.push(format!("and {more} more rows; --json lists a thousand"));
    }
    lines
}

fn row(what: &str, sum: Sum) -> String {
    format!("{what:<20} {:>10} {}", sum.objects, size(sum.bytes))
}

fn blocker(blocker: &Blocker) -> String {
    let why = match &blocker.what {
        Against::UploadsTo => "the application writes to it (uploads_to)".to_owned(),
        Against::PromoteTo => "promotions go to it (promote_to)".to_owned(),
        Against::OnlyOrigin => "no other origin remains".to_owned(),
        Against::PromotionsWaiting { waiting } => format!("{waiting} promotions are waiting"),
        Against::Missing => "missing".to_owned(),
        Against::Length { here, there } => {
            format!("another length: {here} bytes here, {there} there")
        }
        Against::Content => "another content".to_owned(),
        Against::Unproven => "unproven: the same length, and nothing that proves more".to_owned(),
        Against::Young { modified: Some(at) } => format!("young: written {}", time(*at)),
        Against::Young { modified: None } => "young: nobody tells when it was written".to_owned(),
        Against::OnlyCached => {
            "only the cache has it: it came from here, and no origin has it any more".to_owned()
        }
        Against::Save { first, count } => format!(
            "rehearsal: only this origin had it, {count} times, first {}",
            time(*first)
        ),
    };
    match (&blocker.route, &blocker.key) {
        (_, Some(key)) => format!("{why}: {}", printable(key)),
        (Some(route), None) => format!("route {route}: {why}"),
        (None, None) => why,
    }
}

/// What to do, for each sort of blocker once.
pub(super) fn next(report: &Report) -> Vec<String> {
    let origin = &report.origin;
    match report.verdict {
        Verdict::Safe => {
            let step = "let it rehearse (state = \"rehearsal\"), audit once more, then set state = \
                        \"retired\"; keep the storage itself for some weeks (docs/retiring.md)";
            return vec![step.to_owned()];
        }
        Verdict::CannotTell => {
            return vec!["see to what could not be looked at, then audit again".to_owned()];
        }
        Verdict::NotSafe => {}
    }
    let mut remaining = report.routes.iter().flat_map(|route| &route.remaining);
    let home = remaining.next().map_or("OTHER", |home| &**home);
    let mut steps = Vec::new();
    for blocker in &report.blockers {
        let step = match blocker.what {
            Against::UploadsTo => {
                "let the application write elsewhere, and name that origin in uploads_to".to_owned()
            }
            Against::PromoteTo => "name another origin in promote_to, or none".to_owned(),
            Against::OnlyOrigin => "give the route another origin".to_owned(),
            Against::PromotionsWaiting { .. } => {
                "wait for the promotions, then audit again".to_owned()
            }
            Against::Missing => format!(
                "media-gateway migrate --from {origin} --to {home}; what must stay gone: \
                 media-gateway tombstone add --from FILE"
            ),
            Against::Length { .. } | Against::Content => {
                "keep the right one of the two: migrate overwrites neither; media-gateway explain \
                 URL shows both"
                    .to_owned()
            }
            Against::Unproven => format!(
                "audit with --max-egress to read and compare them, {} in all; what migrate copies \
                 needs no reading",
                size(report.reading_bytes)
            ),
            Against::Young { .. } => {
                "find out what still writes there, or wait for --quiet-for".to_owned()
            }
            Against::OnlyCached => {
                "take these from the cache (their URLs still give them) and upload them again, or \
                 let them go: media-gateway tombstone add --from FILE"
                    .to_owned()
            }
            Against::Save { .. } => format!(
                "migrate what only \"{origin}\" could give, then audit with --saves-within as the \
                 time since"
            ),
        };
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    steps
}

fn size(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string()
}
