//! A text, or a list of them: `"a"` or `["a", "b"]`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// What was written, in its order.
#[derive(Debug, Clone)]
pub(in crate::config) struct OneOrMany {
    /// Every text.
    pub(in crate::config) items: Vec<String>,
    /// Whether brackets stood around it.
    pub(in crate::config) is_list: bool,
}

impl OneOrMany {
    /// The path of an item: that of the key itself where there was no list.
    pub(in crate::config) fn path(&self, key: &str, index: usize) -> String {
        if self.is_list {
            format!("{key}[{index}]")
        } else {
            key.to_owned()
        }
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text in quotes, or a list of such")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany {
                    items: vec![text.to_owned()],
                    is_list: false,
                })
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(OneOrMany {
                    items,
                    is_list: true,
                })
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for OneOrMany {
    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" } },
            ]
        })
    }
}
