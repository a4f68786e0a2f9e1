//! A directory: the right volume, its space, and whether its files can be read. Pure.

use bytesize::ByteSize;
use origin_resolver::{FilesystemSettings, RootReport};

use crate::config::{Origin, Writing};
use crate::doctor::facts::Facts;
use crate::doctor::finding::{Check, Findings, Level};

/// What a directory's answers are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// There are none.
    Unusable,
    /// It may be the mount point of a volume that is not there: absences do not count.
    Unmarked,
    /// As much as any origin's.
    Trusted,
}

pub(super) fn judge(
    origin: &Origin,
    settings: &FilesystemSettings,
    facts: &Facts,
    findings: &mut Findings,
) -> Root {
    let root = settings.root.display();
    match &facts.root {
        None => {
            findings.add(
                Level::Problem,
                Check::Reachable,
                format!("{root} did not answer in time"),
                "look whether its disk hangs (dmesg, mount)",
            );
            Root::Unusable
        }
        Some(Err(error)) => {
            findings.add(
                Level::Problem,
                Check::Reachable,
                format!("{root} cannot be read: {error}"),
                "look whether the volume is mounted, in the container too, and who may read it",
            );
            Root::Unusable
        }
        Some(Ok(report)) => {
            judge_space(origin, report, findings);
            judge_permissions(settings, report, findings);
            judge_marker(origin.name(), settings, report, findings)
        }
    }
}

fn judge_marker(
    name: &str,
    settings: &FilesystemSettings,
    report: &RootReport,
    findings: &mut Findings,
) -> Root {
    if settings.marker.is_empty() {
        findings.add(
            Level::Warning,
            Check::Marker,
            "turned off: a volume that is not mounted is told only by an empty directory",
            format!("set a marker and make it with: media-gateway origin init {name}"),
        );
        return Root::Trusted;
    }
    if report.marker_present {
        findings.ok(Check::Marker, format!("{} is there", settings.marker));
        return Root::Trusted;
    }
    findings.add(
        Level::Problem,
        Check::Marker,
        format!(
            "{} is not there, so a file that is missing is answered 503",
            settings.root.join(&*settings.marker).display()
        ),
        format!("if the right volume is mounted: media-gateway origin init {name}"),
    );
    Root::Unmarked
}

fn judge_space(origin: &Origin, report: &RootReport, findings: &mut Findings) {
    let si = |bytes| ByteSize(bytes).display().si();
    let what = format!(
        "device {}:{}, {} free of {}",
        rustix::fs::major(report.device),
        rustix::fs::minor(report.device),
        si(report.free_bytes),
        si(report.total_bytes),
    );
    let least = match origin.writing {
        Some(Writing::Filesystem { min_free_bytes }) => min_free_bytes,
        Some(Writing::S3 { .. }) | None => 0,
    };
    if report.free_bytes < least {
        findings.add(
            Level::Warning,
            Check::Disk,
            format!("{what}, less than min_free ({})", si(least)),
            "make room, or lower min_free",
        );
    } else {
        findings.ok(Check::Disk, what);
    }
}

fn judge_permissions(settings: &FilesystemSettings, report: &RootReport, findings: &mut Findings) {
    if let Some(unreadable) = &report.unreadable {
        findings.add(
            Level::Problem,
            Check::Permissions,
            format!("some files cannot be read and are unknown, not missing: {unreadable}"),
            format!(
                "run the gateway as the files' owner, or let its group read them: chmod -R g+rX {}",
                settings.root.display()
            ),
        );
    } else if report.entries_sampled == 0 {
        findings.add(
            Level::Warning,
            Check::Permissions,
            "there is no file to try",
            "look whether the right volume is mounted",
        );
    } else {
        findings.ok(
            Check::Permissions,
            format!("{} entries tried, all readable", report.entries_sampled),
        );
    }
}
