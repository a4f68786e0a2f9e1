//! The files that come with the product.

use std::path::{Path, PathBuf};

use gateway::config::{Config, schema_json};

use super::fine;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(directory().join(name)).unwrap()
}

#[test]
fn the_schema_is_the_one_that_the_code_makes() {
    assert!(
        read("schema.json") == schema_json(),
        "config/schema.json is out of date; run:\n  cargo run -p gateway -- config-schema > config/schema.json"
    );
}

#[test]
fn every_example_is_fine_and_warns_of_nothing() {
    let mut count = 0;
    for entry in std::fs::read_dir(directory().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let loaded = fine(&text);
        assert_eq!(loaded.warnings, [], "{}", path.display());
        assert!(text.starts_with("#:schema ../schema.json\n"));
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn the_file_that_is_delivered_works_as_it_is() {
    let text = read("gateway.toml");
    assert!(text.starts_with("#:schema ./schema.json\n"));
    let loaded = fine(&text);
    assert_eq!(loaded.warnings, []);
}

/// `#key = value` and `#[table]`, without a space, are defaults.
fn with_defaults_written_out(text: &str) -> String {
    let is_default = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['))
    };
    text.lines()
        .map(|line| if is_default(line) { &line[1..] } else { line })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_defaults_that_it_shows_are_the_defaults() {
    let text = read("gateway.toml");
    let plain = |text: &str| -> Config { fine(text).config };
    let written_out = with_defaults_written_out(&text);
    assert!(written_out.contains("\nmax_size = "));
    assert_eq!(
        format!("{:#?}", plain(&written_out)),
        format!("{:#?}", plain(&text))
    );
}

#[test]
fn the_examples_inside_it_are_fine_too() {
    let text = with_defaults_written_out(&read("gateway.toml"));
    let is_example = |line: &str| {
        line.strip_prefix("# ").is_some_and(|rest| {
            let word = rest.split(' ').next().unwrap_or_default();
            rest.starts_with("[origins.")
                || rest.starts_with("[server.tls]")
                || rest.starts_with("[fleet]")
                || rest.starts_with("[webhook]")
                || (word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                    && rest[word.len()..].starts_with(" = "))
        })
    };
    let (before, after) = text.split_once("# [server.tls.acme]").unwrap();
    let (_, after) = after.split_once("\n\n").unwrap();
    let text: Vec<&str> = before
        .lines()
        .chain(after.lines())
        .map(|line| if is_example(line) { &line[2..] } else { line })
        // `current` in the file is a public bucket, which nothing can be copied to.
        .filter(|line| !line.starts_with("promote_to"))
        // They are Misskey's, and the address is that of ntfy.
        .filter(|line| !line.starts_with("visibility") && !line.starts_with("recipients"))
        .collect();
    let config = fine(&text.join("\n")).config;
    assert_eq!(config.origins.len(), 4);
    assert!(config.server.tls.is_some());
    assert!(config.fleet.is_some());
    assert!(config.webhook.is_some());
}

#[test]
fn every_key_that_exists_is_in_it() {
    let text = read("gateway.toml");
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).unwrap();
    let mut keys = Vec::new();
    collect_keys(&schema, &mut keys);
    assert!(keys.len() > 70, "{}", keys.len());
    for key in keys
        .iter()
        .filter(|key| !["from", "to"].contains(&key.as_str()))
    {
        let is_there = [
            format!("{key} = "),
            format!("{key}]"),
            format!("{key}."),
            format!("{key};"),
        ]
        .iter()
        .any(|form| text.contains(form.as_str()));
        let in_prose = text.contains(&format!("or {key}"));
        assert!(is_there || in_prose, "{key} is not in config/gateway.toml");
    }
}

fn collect_keys(value: &serde_json::Value, keys: &mut Vec<String>) {
    if let Some(object) = value.as_object() {
        for (name, inner) in object {
            if name == "properties" {
                keys.extend(inner.as_object().unwrap().keys().cloned());
            }
            collect_keys(inner, keys);
        }
    }
}
