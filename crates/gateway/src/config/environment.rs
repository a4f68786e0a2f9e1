//! Which environment variables are configuration, and what they say.
//!
//! `MEDIA_GATEWAY_ORIGINS__CURRENT__BUCKET` is `origins.current.bucket`. A value is text unless
//! the key wants something else, so that a bucket named `2024` or a token of digits stays text;
//! a list is written as in TOML (`["a", "b"]`). The environment is an argument: nothing here
//! reads it.

use std::ffi::OsString;

use super::problem::{Place, Problem};

/// How every variable begins.
pub const PREFIX: &str = "MEDIA_GATEWAY_";

/// Names the file itself; read by the command line, not part of the configuration.
const FILE_VARIABLE: &str = "CONFIG";

/// What the environment adds to the file.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// One value each, in the order of their names.
    pub(super) overrides: Vec<Override>,
    /// Variables with our prefix that are not ours.
    pub(super) kubernetes: Vec<String>,
    /// Variables that cannot be read.
    pub(super) problems: Vec<Problem>,
}

/// One variable that sets one key.
#[derive(Debug)]
pub(super) struct Override {
    pub(super) variable: String,
    pub(super) path: Vec<String>,
    pub(super) text: String,
}

impl Override {
    /// Where a problem with it is to be looked for.
    pub(super) fn place(&self) -> Place {
        Place::Environment {
            variable: self.variable.clone(),
        }
    }

    /// A list or table if it is written as one, else text.
    pub(super) fn first_reading(&self) -> toml::Value {
        let text = self.text.trim();
        let bracketed = (text.starts_with('[') && text.ends_with(']'))
            || (text.starts_with('{') && text.ends_with('}'));
        match self.second_reading() {
            Some(value) if bracketed => value,
            _ => toml::Value::String(self.text.clone()),
        }
    }

    /// What TOML would make of it: a number, `true` or `false`.
    pub(super) fn second_reading(&self) -> Option<toml::Value> {
        let mut table: toml::Table = toml::from_str(&format!("value = {}", self.text)).ok()?;
        if table.len() > 1 {
            return None;
        }
        table.remove("value")
    }
}

/// Sorts the variables.
pub(super) fn read(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Environment {
    let mut environment = Environment::default();
    for (name, value) in variables {
        let Some(name) = name.to_str() else { continue };
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if rest == FILE_VARIABLE {
            continue;
        }
        if is_from_kubernetes(rest) {
            environment.kubernetes.push(name.to_owned());
            continue;
        }
        let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        let refused = |reason, remedy| Problem {
            place: Some(Place::Environment {
                variable: name.to_owned(),
            }),
            ..Problem::new(path.join("."), reason, remedy)
        };
        if !is_path(&path) {
            environment.problems.push(refused(
                "the variable's name is not the name of a key",
                "two underscores stand between the levels, as in MEDIA_GATEWAY_SERVER__LISTEN",
            ));
            continue;
        }
        let Ok(text) = value.into_string() else {
            let problem = refused("not UTF-8", "set it to plain text");
            environment.problems.push(problem);
            continue;
        };
        environment.overrides.push(Override {
            variable: name.to_owned(),
            path,
            text,
        });
    }
    environment
        .overrides
        .sort_by(|a, b| a.variable.cmp(&b.variable));
    environment.kubernetes.sort();
    environment
}

/// Whether these can be the levels of a key: none is empty, and no first one has an underscore.
fn is_path(levels: &[String]) -> bool {
    levels.iter().all(|level| !level.is_empty()) && !levels[0].contains('_')
}

/// Whether Kubernetes makes such a variable for a Service called `media-gateway…`: `SERVICE_HOST`,
/// `SERVICE_PORT_HTTP`, `PORT`, `PORT_8080_TCP_ADDR`, and the same after more of the name. None of
/// ours looks so: each of ours has a table and a key with `__` between them.
fn is_from_kubernetes(rest: &str) -> bool {
    if rest.contains("__") {
        return false;
    }
    let padded = format!("_{rest}_");
    padded.contains("_SERVICE_") || padded.contains("_PORT_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(variables: &[&str]) -> Environment {
        read(variables.iter().map(|name| ((*name).into(), "x".into())))
    }

    #[test]
    fn what_kubernetes_injects_is_not_configuration() {
        let environment = names(&[
            "MEDIA_GATEWAY_PORT",
            "MEDIA_GATEWAY_PORT_8080_TCP",
            "MEDIA_GATEWAY_PORT_8080_TCP_PROTO",
            "MEDIA_GATEWAY_SERVICE_HOST",
            "MEDIA_GATEWAY_SERVICE_PORT_HTTP",
            "MEDIA_GATEWAY_ADMIN_SERVICE_HOST",
            "MEDIA_GATEWAY_ADMIN_PORT",
        ]);
        assert_eq!(environment.kubernetes.len(), 7);
        assert!(environment.overrides.is_empty());
    }

    #[test]
    fn a_name_that_no_key_has_is_a_problem() {
        let environment = names(&[
            "MEDIA_GATEWAY_",
            "MEDIA_GATEWAY_SERVER_LISTEN",
            "MEDIA_GATEWAY_SERVER__",
            "MEDIA_GATEWAY___LISTEN",
        ]);
        assert_eq!(environment.problems.len(), 4);
        assert!(environment.overrides.is_empty());
    }

    #[test]
    fn two_underscores_separate_levels() {
        let environment = names(&["MEDIA_GATEWAY_ORIGINS__MY_SERVICE_X__BUCKET", "HOME"]);
        assert_eq!(
            environment.overrides[0].path,
            ["origins", "my_service_x", "bucket"]
        );
    }
}
