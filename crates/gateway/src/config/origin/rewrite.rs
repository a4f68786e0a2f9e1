//! An origin's own layout.
//!
//! Two keys of a route must never become one key of an origin: the second would answer with the
//! first one's bytes, and a copy would overwrite it.

use origin_resolver::RewriteRule;

use super::raw::RawRewrite;
use crate::config::findings::Findings;
use crate::config::problem::Problem;

pub(super) fn check(path: &str, rules: &[RawRewrite], findings: &mut Findings) -> Vec<RewriteRule> {
    let mut checked: Vec<RewriteRule> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("{path}.rewrite[{index}]");
        let (Some(from), Some(to)) = (&rule.from, &rule.to) else {
            findings.refuse(Problem::new(
                path,
                "a rule needs both its halves",
                "write { from = \"misskey/\", to = \"m/\" }",
            ));
            continue;
        };
        if let Some(reason) = [from, to]
            .into_iter()
            .find_map(|prefix| unfit_prefix(prefix))
        {
            findings.refuse(
                Problem::new(path, reason, "write how keys begin, such as \"misskey/\"")
                    .with_value(format!("{from} -> {to}")),
            );
            continue;
        }
        if let Some(earlier) = checked
            .iter()
            .find(|earlier| from.starts_with(&*earlier.from))
        {
            findings.refuse(
                Problem::new(
                    format!("{path}.from"),
                    format!(
                        "never reached: the earlier rule from \"{}\" takes these keys",
                        earlier.from
                    ),
                    "put the longer prefix first, or remove one rule",
                )
                .with_value(from),
            );
        } else if let Some(earlier) = checked
            .iter()
            .find(|earlier| to.starts_with(&*earlier.to) || earlier.to.starts_with(to.as_str()))
        {
            findings.refuse(
                Problem::new(
                    format!("{path}.to"),
                    format!(
                        "overlaps the target \"{}\" of the rule from \"{}\": two keys could become one",
                        earlier.to, earlier.from
                    ),
                    "give each rule a target of its own, none the beginning of another",
                )
                .with_value(to),
            );
        }
        checked.push(RewriteRule {
            from: from.as_str().into(),
            to: to.as_str().into(),
        });
    }
    checked
}

/// Why no key can begin so, if none can.
pub(in crate::config) fn unfit_prefix(prefix: &str) -> Option<&'static str> {
    // The last segment may go on, so only the finished ones can be "." or "..".
    let finished = prefix.rsplit_once('/').map_or("", |(finished, _)| finished);
    if prefix.contains(['\0', '\\']) {
        Some("no key holds a NUL or a backslash")
    } else if finished
        .split('/')
        .any(|segment| matches!(segment, "." | ".."))
    {
        Some("no key holds a \".\" or \"..\" segment")
    } else if prefix.len() >= object::MAX_KEY_BYTES {
        Some("no key is that long")
    } else {
        None
    }
}
