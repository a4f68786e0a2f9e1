//! The JSON schema that editors use, made from the raw configuration.

use serde_json::{Map, Value};

use super::raw::Raw;

/// The schema as it is checked in, with a newline at its end.
pub fn schema_json() -> String {
    let mut schema = schemars::schema_for!(Raw).to_value();
    if let Value::Object(root) = &mut schema {
        root.insert("title".to_owned(), "media-gateway".into());
    }
    let schema = sorted(without_null(schema));
    let mut text = serde_json::to_string_pretty(&schema).expect("a JSON value can be printed");
    text.push('\n');
    text
}

/// TOML has no null: an optional key is absent.
fn without_null(value: Value) -> Value {
    match value {
        Value::Object(mut object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type") != Some(&"null".into()));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    object.extend(only);
                }
            }
            object.retain(|key, value| key != "default" || !value.is_null());
            let entries = object.into_iter();
            Value::Object(
                entries
                    .map(|(key, value)| (key, without_null(value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_null).collect()),
        other => other,
    }
}

/// In the order of the keys, whichever map the JSON library was built with.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<(String, Value)> = object.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            let entries = entries.into_iter().map(|(key, value)| (key, sorted(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
