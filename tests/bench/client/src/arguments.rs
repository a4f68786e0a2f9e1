//! The words of the command line, as names with values.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::Context;

/// Names with values.
pub(crate) struct Arguments(BTreeMap<String, String>);

impl Arguments {
    /// From words such as `count=10`.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let pairs = words.map(|word| {
            let (name, value) = word
                .split_once('=')
                .with_context(|| format!("{word:?} is not NAME=VALUE"))?;
            Ok((name.to_owned(), value.to_owned()))
        });
        Ok(Self(pairs.collect::<anyhow::Result<_>>()?))
    }

    /// A value that may be left out.
    pub(crate) fn get<T: FromStr>(&self, name: &str) -> anyhow::Result<Option<T>> {
        self.0
            .get(name)
            .map(|value| {
                let parsed = value.parse().ok();
                parsed.with_context(|| format!("{name}={value} cannot be read"))
            })
            .transpose()
    }

    /// A value that may not.
    pub(crate) fn need<T: FromStr>(&self, name: &str) -> anyhow::Result<T> {
        self.get(name)?
            .with_context(|| format!("{name}= is missing"))
    }
}
