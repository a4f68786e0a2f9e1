//! Which keys a route publishes.
//!
//! The only thing between the public and whatever else lies in a bucket that the gateway has
//! keys for.

use super::check::Checker;
use crate::config::origin::unfit_prefix;
use crate::config::problem::Problem;

impl Checker<'_> {
    /// The published prefixes; every key where nothing is listed and nobody signs.
    pub(super) fn keys(
        &mut self,
        written: Option<Vec<String>>,
        key_prefix: &str,
        usable: &[Box<str>],
    ) -> Vec<String> {
        let path = self.at("keys");
        let mut signing = usable
            .iter()
            .filter_map(|name| self.origins.get(name))
            .filter(|origin| origin.signs_its_reads());
        let Some(keys) = written else {
            if let Some(origin) = signing.next() {
                self.findings.refuse(Problem::new(
                    path,
                    format!(
                        "the origin \"{}\" signs its reads, so every file in its bucket would be public",
                        origin.name()
                    ),
                    "list the key prefixes to publish, such as keys = [\"misskey/\"]; [\"\"] is everything",
                ));
            }
            return vec![String::new()];
        };
        if keys.is_empty() {
            self.findings.refuse(Problem::new(
                &path,
                "an empty list publishes nothing",
                "list key prefixes; [\"\"] is everything",
            ));
        }
        let reachable = |key: &str| key.starts_with(key_prefix) || key_prefix.starts_with(key);
        for (index, key) in keys.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if let Some(reason) = unfit_prefix(key) {
                self.findings.refuse(
                    Problem::new(path, reason, "write how keys begin, such as \"misskey/\"")
                        .with_value(key),
                );
            } else if key.is_empty() {
                self.findings.warn(
                    Problem::new(
                        path,
                        "every file in the origins of this route is public, also backups and whatever else lies there",
                        "list the prefixes to publish, such as [\"misskey/\"]",
                    )
                    .with_value(key),
                );
            } else if !reachable(key) {
                self.findings.refuse(
                    Problem::new(
                        path,
                        format!(
                            "no URL of this route leads there: its keys begin with \"{key_prefix}\""
                        ),
                        "keys are the names in the bucket, key_prefix included",
                    )
                    .with_value(key),
                );
            } else if !key.ends_with('/') {
                self.findings.warn(
                    Problem::new(
                        path,
                        format!("publishes every key that begins so, also \"{key}-backup/…\""),
                        format!("write \"{key}/\" if a folder is meant"),
                    )
                    .with_value(key),
                );
            }
        }
        keys
    }
}
