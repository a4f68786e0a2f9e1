//! From a file and the environment to the raw configuration, with every unreadable value named.
//!
//! Deserialising stops at its first error, and an operator wants them all. So the value at fault
//! is noted and taken out, and the rest is tried again, until it reads.

use std::ffi::OsString;
use std::fmt::Write as _;

use figment::Figment;
use figment::error::Kind;
use figment::providers::Serialized;
use figment::value::{Dict, Value};
use serde::Deserialize;

use super::environment::{self, Environment, Override};
use super::findings::Findings;
use super::problem::{HIDDEN, Problem, Rejected};
use super::raw::Raw;
use super::{places, suggest, urls};

/// Keys whose values never appear anywhere.
const SECRETS: [&str; 4] = [
    "token",
    "access_key_id",
    "secret_access_key",
    // An address written where the section belongs.
    "webhook",
];

/// What could be read, and what could not.
pub(super) fn read(
    file: &str,
    text: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Raw, Findings), Rejected> {
    let environment = environment::read(variables);
    let mut document = places::read(file, text).map_err(rejected)?;
    for item in &environment.overrides {
        document.places.insert(item.path.join("."), item.place());
    }
    let mut findings = Findings::new(document.places);
    let mut value = merge(&document.table, &environment).map_err(rejected)?;
    note_environment(&environment, &mut findings);

    let mut second_readings: Vec<&Override> = environment.overrides.iter().collect();
    loop {
        let error = match Raw::deserialize(&value) {
            Ok(raw) => return Ok((raw, findings)),
            Err(error) => error,
        };
        let from_environment = second_readings
            .iter()
            .position(|item| item.path == error.path)
            .map(|index| second_readings.swap_remove(index));
        if let Some(other) = from_environment.and_then(Override::second_reading)
            && let Some(node) = find(&mut value, &error.path)
            && let Ok(other) = Value::serialize(other)
        {
            *node = other;
            continue;
        }
        let path = display_path(&value, &error.path);
        findings.refuse_unreadable(unreadable(
            &path,
            &error.kind,
            find(&mut value, &error.path),
        ));
        if !remove(&mut value, &error.path) {
            // Nothing left to take out: the rest cannot be looked at.
            return Err(findings.into());
        }
    }
}

fn rejected(problems: Vec<Problem>) -> Rejected {
    Rejected {
        problems,
        ..Rejected::default()
    }
}

/// The file below, the environment above.
fn merge(table: &toml::Table, environment: &Environment) -> Result<Value, Vec<Problem>> {
    let mut figment = Figment::from(Serialized::defaults(table));
    for item in &environment.overrides {
        let key = item.path.join(".");
        figment = figment.merge(Serialized::default(&key, item.first_reading()));
    }
    figment
        .extract::<Dict>()
        .map(Value::from)
        .map_err(|error| vec![Problem::new("", error.to_string(), "correct the value")])
}

fn note_environment(environment: &Environment, findings: &mut Findings) {
    for problem in &environment.problems {
        findings.refuse(problem.clone());
    }
    if !environment.kubernetes.is_empty() {
        findings.warn(Problem::new(
            "",
            format!(
                "ignored environment variables that look as if Kubernetes had made them for a Service: {}",
                environment.kubernetes.join(", ")
            ),
            "set `enableServiceLinks: false` in the pod, or give the Service another name",
        ));
    }
}

/// Says what is wrong with a value that the raw configuration does not take.
fn unreadable(path: &str, kind: &Kind, value: Option<&mut Value>) -> Problem {
    let last = path.rsplit('.').next().unwrap_or(path);
    let shown = value.and_then(|value| shown(last, value));
    let problem = match kind {
        Kind::UnknownField(name, expected) => {
            return Problem::new(path, "unknown key", suggest::instead_of(name, expected));
        }
        Kind::UnknownVariant(name, expected) => Problem::new(
            path,
            "not one of the choices",
            suggest::instead_of(name, expected),
        ),
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => Problem::new(
            path,
            "not a value of the kind that this key takes",
            format!("write {}", plain(expected)),
        ),
        Kind::Message(message) => Problem::new(path, message.clone(), "correct the value"),
        other => Problem::new(path, other.to_string(), "correct the value"),
    };
    match shown {
        Some(shown) => problem.with_value(shown),
        None => problem,
    }
}

/// Serde's words for what it expected, in the operator's.
fn plain(expected: &str) -> String {
    match expected {
        "a string" | "string" => "text in quotes".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list such as [\"a\", \"b\"]".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other if other.starts_with('u') && other[1..].parse::<u8>().is_ok() => {
            "a whole number, zero or more".to_owned()
        }
        "usize" => "a whole number, zero or more".to_owned(),
        other => other.to_owned(),
    }
}

fn shown(key: &str, value: &Value) -> Option<String> {
    if SECRETS.contains(&key) {
        return Some(HIDDEN.to_owned());
    }
    match value {
        Value::String(_, text) => Some(urls::without_secrets(text)),
        Value::Bool(_, value) => Some(value.to_string()),
        Value::Num(_, number) => number
            .to_i128()
            .map(|number| number.to_string())
            .or_else(|| number.to_f64().map(|number| number.to_string())),
        _ => None,
    }
}

/// `routes[0].url` for `routes`, `0`, `url`.
fn display_path(root: &Value, path: &[String]) -> String {
    let mut text = String::new();
    let mut at = Some(root);
    for part in path {
        match at {
            Some(Value::Array(_, items)) => {
                let _ = write!(text, "[{part}]");
                at = part.parse().ok().and_then(|index: usize| items.get(index));
            }
            other => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(part);
                at = match other {
                    Some(Value::Dict(_, dict)) => dict.get(part),
                    _ => None,
                };
            }
        }
    }
    text
}

fn find<'v>(root: &'v mut Value, path: &[String]) -> Option<&'v mut Value> {
    path.iter().try_fold(root, |value, part| match value {
        Value::Dict(_, dict) => dict.get_mut(part),
        Value::Array(_, items) => items.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Takes a value out; of a list, the whole list, so that the others keep their places.
fn remove(root: &mut Value, path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    match find(root, parents) {
        Some(Value::Dict(_, dict)) => dict.remove(last).is_some(),
        _ => remove(root, parents),
    }
}
