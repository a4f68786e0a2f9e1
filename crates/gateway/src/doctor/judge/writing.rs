//! What a probe object says of the origin that promotions go to.

use super::remedy;
use crate::config::Origin;
use crate::doctor::facts::Facts;
use crate::doctor::finding::{Check, Findings, Level};
use crate::doctor::probe::Probed;

pub(super) fn judge(origin: &Origin, facts: &Facts, findings: &mut Findings) {
    let (what, remedy) = match &facts.probed {
        None => return,
        Some(Probed::Fine) => {
            let what = "an object was written, read back as the route reads, and deleted";
            findings.ok(Check::Writing, what);
            return;
        }
        Some(Probed::Refused(error)) => (
            format!("nothing can be written: {error}"),
            remedy::of_writing(origin),
        ),
        Some(Probed::Unreadable(what)) => (
            format!("what is written cannot be read as the route reads: {what}"),
            "set write_acl = \"public-read\", or read = \"signed\", or let the bucket's policy give its objects to everybody",
        ),
        Some(Probed::Left { key, why }) => (
            format!("the object {key:?} was written and cannot be deleted: {why}"),
            "delete it by hand, and grant the keys s3:DeleteObject: a copy that fails must be removed again",
        ),
    };
    findings.add(Level::Problem, Check::Writing, what, remedy);
}
