//! Whether an origin still holds what it is known to hold. Pure.

use origin_resolver::Canary;

use crate::config::Origin;
use crate::doctor::facts::{Facts, Heard};
use crate::doctor::finding::{Check, Findings, Level};

pub(super) fn judge(origin: &Origin, facts: &Facts, findings: &mut Findings) {
    let learns = origin.settings.canary == Canary::Auto;
    if facts.canaries.is_empty() {
        findings.add(
            Level::Notice,
            Check::Canary,
            "none known yet: it learns from what it serves",
            "",
        );
        return;
    }
    let total = facts.canaries.len();
    let is_found = |heard: &Heard| matches!(heard, Heard::Found);
    let lost: Vec<String> = facts
        .canaries
        .iter()
        .filter(|(_, heard)| !is_found(heard))
        .map(|(key, heard)| format!("{:?} {}", key.as_str(), word(heard)))
        .collect();
    let found = total - lost.len();
    let lost = lost.join(", ");
    if found == total {
        let whose = if learns { "learned" } else { "configured" };
        findings.ok(Check::Canary, format!("{found} {whose}, all found"));
    } else if found == 0 {
        findings.add(
            Level::Problem,
            Check::Canary,
            format!("not one of {total} is found: {lost}"),
            "look whether this is the storage that is meant; until one is found, nothing is believed to be missing here",
        );
    } else if learns {
        findings.add(
            Level::Notice,
            Check::Canary,
            format!("{found} of {total} learned are found; {lost}"),
            "nothing, if those files were deleted",
        );
    } else {
        findings.add(
            Level::Warning,
            Check::Canary,
            format!("{found} of {total} configured are found; {lost}"),
            "name files in canary that will always be there",
        );
    }
}

fn word(heard: &Heard) -> String {
    match heard {
        Heard::Found => "is found".to_owned(),
        Heard::Missing => "is missing".to_owned(),
        Heard::Forbidden => "is forbidden".to_owned(),
        Heard::Failed(failure) => format!("is unknown ({})", failure.reason),
    }
}
