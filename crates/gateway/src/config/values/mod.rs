//! The kinds of values that the file holds, each parsed once.
//!
//! Every one of them is text in the file with its unit in it; a bare number is refused, because
//! nobody can tell seconds from days by looking.

mod duration;
mod one_or_many;
mod price;
mod rate;
mod secret;
mod size;

pub use price::Price;
pub use rate::{Budget, Period, Rate};

pub(super) use duration::Span;
pub(super) use one_or_many::OneOrMany;
pub(super) use rate::ByteRate;
pub(super) use secret::Secret;
pub(super) use size::Size;

/// What a text value needs in order to be read from a file and described in the schema.
pub(super) trait Text: Sized {
    /// What belongs there, after "write …".
    const EXPECTED: &'static str;
    /// The name of the definition in the schema.
    const NAME: &'static str;
    /// What the text looks like, for editors; less strict than [`Self::read`].
    const PATTERN: &'static str;

    /// The value, or nothing if the text is not one.
    fn read(text: &str) -> Option<Self>;
}

macro_rules! from_text {
    ($type:ty) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(<$type as $crate::config::values::Text>::EXPECTED)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        <$type as $crate::config::values::Text>::read(text)
                            .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
                    }
                }
                from.deserialize_str(Visitor)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                <$type as $crate::config::values::Text>::NAME.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": <$type as $crate::config::values::Text>::EXPECTED,
                    "pattern": <$type as $crate::config::values::Text>::PATTERN,
                })
            }
        }
    };
}
use from_text;
