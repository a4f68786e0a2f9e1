//! Other gateways that are to know the same of what is gone.

use std::fmt;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::findings::Findings;
use super::problem::{HIDDEN, Problem};
use super::secrets;
use super::values::Secret;
use crate::fleet::is_name;

/// What stands before every key in Redis.
const PREFIX: &str = "media-gateway:";
const LONGEST_PREFIX: usize = 64;

/// `[fleet]` as written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFleet {
    /// The Redis (6.2 or later, or Valkey) by which gateways tell each other of tombstones and
    /// purges: `"redis://user:password@host:6379/0"`, or `rediss://` for TLS. A secret, as it may
    /// hold a password.
    redis: Option<Secret>,
    /// A file that holds the URL, instead of `redis`.
    redis_file: Option<String>,
    /// What stands before every key there, the same at every gateway of a fleet and at nobody
    /// else's. Default `"media-gateway:"`.
    prefix: Option<String>,
    /// What the others call this gateway. Default: the machine's name.
    name: Option<String>,
}

/// Other gateways that are to know the same.
#[derive(Clone)]
pub struct Fleet {
    /// The URL of Redis.
    pub redis: SecretString,
    /// What stands before every key there.
    pub prefix: String,
    /// What the others call this gateway; `None` is the machine's name.
    pub name: Option<String>,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("redis", &HIDDEN)
            .field("prefix", &self.prefix)
            .field("name", &self.name)
            .finish()
    }
}

impl PartialEq for Fleet {
    fn eq(&self, other: &Self) -> bool {
        self.redis.expose_secret() == other.redis.expose_secret()
            && (&self.prefix, &self.name) == (&other.prefix, &other.name)
    }
}

pub(super) fn check(raw: Option<RawFleet>, findings: &mut Findings) -> Option<Fleet> {
    let raw = raw?;
    let key = if raw.redis_file.is_some() {
        "fleet.redis_file"
    } else {
        "fleet.redis"
    };
    let written = raw.redis.is_some() || raw.redis_file.is_some();
    let redis = secrets::read("fleet.redis", raw.redis, raw.redis_file, findings);
    if !written {
        findings.refuse(Problem::new(
            "fleet.redis",
            "a fleet needs a Redis that all its gateways reach",
            "set fleet.redis_file, or remove [fleet]",
        ));
    }
    if let Some(reason) = redis
        .as_ref()
        .and_then(|redis| fault(redis.expose_secret()))
    {
        findings.refuse(
            Problem::new(
                key,
                reason,
                "write it as \"redis://user:password@host:6379/0\", or rediss:// for TLS",
            )
            .with_value(HIDDEN),
        );
    }
    let prefix = raw.prefix.unwrap_or_else(|| PREFIX.to_owned());
    let is_fine = |c: char| c.is_ascii_graphic();
    if prefix.is_empty() || prefix.len() > LONGEST_PREFIX || !prefix.chars().all(is_fine) {
        findings.refuse(
            Problem::new(
                "fleet.prefix",
                "it must be 1 to 64 printable characters without spaces, so that the keys are told from those of others",
                format!("write one such as \"{PREFIX}\", the same at every gateway"),
            )
            .with_value(&prefix),
        );
    }
    if let Some(name) = raw.name.as_ref().filter(|name| !is_name(name)) {
        findings.refuse(
            Problem::new(
                "fleet.name",
                "a name has 1 to 64 letters, digits, dots, hyphens and underscores",
                "write one such as \"web-1\", or leave it out",
            )
            .with_value(name),
        );
    }
    Some(Fleet {
        redis: redis?,
        prefix,
        name: raw.name,
    })
}

/// What is wrong with a URL of Redis. Never repeats any of it.
fn fault(text: &str) -> Option<&'static str> {
    let Ok(url) = Url::parse(text) else {
        return Some("it is no URL; mind that a password's special characters are written as %40");
    };
    match url.scheme() {
        "redis" | "rediss" => {
            let number = url.path().trim_start_matches('/');
            if url.host_str().is_none_or(str::is_empty) {
                Some("it names no host")
            } else if !number.is_empty() && number.parse::<u16>().is_err() {
                Some("what follows the host is no number of a database")
            } else if url.query().is_some() || url.fragment().is_some() {
                Some("it has a query or a fragment, which a URL of a Redis here has not")
            } else {
                None
            }
        }
        "redis+unix" | "unix" => (url.path().len() < 2).then_some("it names no socket"),
        _ => Some("its scheme is none of redis, rediss and redis+unix"),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn checked(fleet: &str) -> Result<Config, String> {
        let rest = "[origins.a]\nkind = \"http\"\nurl = \"https://a.example/\"\n[[routes]]\nurl = \"/\"\norigins = [\"a\"]\n";
        let text = format!("[fleet]\n{fleet}\n{rest}");
        Config::parse("test.toml", &text, [])
            .map(|loaded| loaded.config)
            .map_err(|rejected| {
                let lines: Vec<_> = rejected.problems.iter().map(ToString::to_string).collect();
                lines.join("\n")
            })
    }

    #[test]
    fn a_fleet_needs_a_redis_only_and_never_shows_its_password() {
        for url in [
            "redis://:hush@redis:6379/0",
            "rediss://gateway:hush@redis.example.com",
            "redis+unix:///run/redis.sock?db=1&pass=hush",
        ] {
            let config = checked(&format!("redis = \"{url}\"")).unwrap();
            let fleet = config.fleet.unwrap();
            assert_eq!(fleet.prefix, "media-gateway:");
            assert!(!format!("{fleet:?}").contains("hush"));
        }
    }

    #[test]
    fn what_cannot_be_a_fleet_is_refused_by_its_key_and_without_the_url() {
        for (fleet, key) in [
            ("", "fleet.redis"),
            ("redis = \"hush\"", "fleet.redis"),
            ("redis = \"http://hush@redis/\"", "fleet.redis"),
            ("redis = \"redis://:hush@redis/media\"", "fleet.redis"),
            ("redis = \"redis://:hush@redis/0?x=1\"", "fleet.redis"),
            ("redis = \"redis://redis\"\nprefix = \"\"", "fleet.prefix"),
            (
                "redis = \"redis://redis\"\nprefix = \"a b\"",
                "fleet.prefix",
            ),
            ("redis = \"redis://redis\"\nname = \"a b\"", "fleet.name"),
            ("redis = \"redis://redis\"\nhint = true", "fleet.hint"),
        ] {
            let problems = checked(fleet).unwrap_err();
            assert!(problems.contains(key), "{fleet}: {problems}");
            assert!(!problems.contains("hush"), "{problems}");
        }
    }
}
