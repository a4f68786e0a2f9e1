//! The origins that a route names: in its order, for promotion and for uploads.

use super::check::Checker;
use crate::config::problem::Problem;
use crate::config::suggest;

impl Checker<'_> {
    /// The names of those that may be asked.
    pub(super) fn origins(&mut self, listed: &[String]) -> Vec<Box<str>> {
        let key = self.at("origins");
        if listed.is_empty() {
            self.findings.refuse(Problem::new(
                key,
                "a route needs an origin",
                "write origins = [\"…\"] with names of [origins.…] tables",
            ));
            return Vec::new();
        }
        let mut usable: Vec<Box<str>> = Vec::new();
        let mut all_are_retired = true;
        for (index, name) in listed.iter().enumerate() {
            let path = format!("{key}[{index}]");
            if listed[..index].contains(name) {
                self.findings.refuse(
                    Problem::new(path, "listed twice", "remove one of the two").with_value(name),
                );
                continue;
            }
            all_are_retired &= self.origins.is_retired(name);
            if !self.origins.knows(name) {
                if !self.findings.is_unreadable(&format!("origins.{name}")) {
                    self.unknown_origin(path, name);
                }
            } else if self.origins.get(name).is_some() {
                usable.push(name.as_str().into());
            }
        }
        if all_are_retired {
            self.findings.refuse(
                Problem::new(
                    key,
                    "every origin of this route is retired, so it could answer nothing",
                    "list one that is not, or remove the route",
                )
                .with_value(listed.join(", ")),
            );
        }
        usable
    }

    fn unknown_origin(&mut self, path: String, name: &str) {
        let names: Vec<&str> = self.origins.names().collect();
        let remedy = if names.is_empty() {
            format!("add a table [origins.{name}]")
        } else {
            suggest::instead_of(name, &names)
        };
        self.findings
            .refuse(Problem::new(path, "there is no origin of this name", remedy).with_value(name));
    }

    /// An origin that must be one of the route's and take part.
    pub(super) fn target(
        &mut self,
        key: &str,
        written: Option<String>,
        listed: &[String],
    ) -> Option<Box<str>> {
        let name = written?;
        let path = self.at(key);
        if !self.origins.knows(&name) {
            if !self.findings.is_unreadable(&format!("origins.{name}")) {
                self.unknown_origin(path, &name);
            }
            return None;
        }
        let (reason, remedy) = if !listed.contains(&name) {
            (
                "this origin is not one of the route's",
                format!(
                    "add \"{name}\" to origins, or name one of: {}",
                    listed.join(", ")
                ),
            )
        } else if self.origins.is_retired(&name) {
            (
                "this origin is retired and is never contacted",
                "name one that is not".to_owned(),
            )
        } else {
            return Some(name.into());
        };
        self.findings
            .refuse(Problem::new(path, reason, remedy).with_value(name));
        None
    }

    /// Refuses to promote to what cannot be written or is about to go.
    pub(super) fn must_be_writable(&mut self, name: &str) {
        let Some(origin) = self.origins.get(name) else {
            return;
        };
        if origin.writing.is_none() {
            self.findings.refuse(
                Problem::new(
                    self.at("promote_to"),
                    "this origin cannot be written to",
                    "give it keys (s3) or writable = true (filesystem), or name another",
                )
                .with_value(name),
            );
        } else if origin.settings.state == origin_resolver::OriginState::Rehearsal {
            self.findings.refuse(
                Problem::new(
                    self.at("promote_to"),
                    "this origin rehearses its retirement, so nothing more should go there",
                    "name an active one",
                )
                .with_value(name),
            );
        }
    }
}
