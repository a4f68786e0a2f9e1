//! The connection to Redis, and the scripts that are all that is ever asked there.
//!
//! The only file that sees the `redis` crate. Every answer has a time limit; what is longer than
//! it may be is left in Redis by the scripts and never comes here. Never shows the URL, which may
//! hold a password.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Value};
use secrecy::{ExposeSecret, SecretString};

/// How long Redis may take for a connection or an answer.
const WITHIN: Duration = Duration::from_secs(1);

/// What every gateway asks ten times a second: what is new after two places, who is there, and
/// whether the set of tombstones is still the one that was compared. Says that this one is there.
const TICK: &str = include_str!("tick.lua");
/// Puts tombstones in the set where they are newer than what it holds, and tells of them.
const TELL: &str = include_str!("tell.lua");
/// A part of the set of tombstones.
const SCAN: &str = include_str!("scan.lua");
/// Tells of a purge.
const PURGE: &str = "return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'm', ARGV[2], 's', ARGV[3], 'p', ARGV[4])";

/// The purges that Redis keeps for those who are away.
const KEPT_PURGES: usize = 2000;

/// Why Redis is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unlinked {
    /// The URL is none.
    #[error("fleet.redis is no URL of a Redis")]
    Url,
    /// It refuses, or cannot be reached.
    #[error("{0}")]
    Refused(String),
    /// It did not answer in time.
    #[error("it does not answer within a second")]
    Silent,
}

impl From<RedisError> for Unlinked {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            Self::Silent
        } else {
            Self::Refused(error.to_string())
        }
    }
}

/// The names of what a fleet has in Redis.
#[derive(Debug)]
struct Names {
    members: String,
    news: String,
    purges: String,
    epoch: String,
    tombstones: String,
}

/// A connection.
pub(crate) struct Link {
    connection: MultiplexedConnection,
    names: Names,
}

/// What is new.
#[derive(Debug, Default)]
pub(super) struct Tick {
    /// Changes when the set of tombstones was lost.
    pub(super) epoch: Vec<u8>,
    /// How many keys the set of tombstones has.
    pub(super) tombstones: u64,
    /// The oldest news that is kept.
    pub(super) first_news: String,
    /// Identity and state of each gateway.
    pub(super) members: Vec<(Vec<u8>, Vec<u8>)>,
    /// Tombstones that were added or removed.
    pub(super) news: Vec<Entry>,
    /// Purges.
    pub(super) purges: Vec<Entry>,
    /// Milliseconds since 1970, by the clock of Redis.
    pub(super) now: u64,
}

/// Something that was told; without fields where it is too long.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at: String,
    pub(super) fields: Option<Vec<Vec<u8>>>,
}

/// A part of the set.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Where the next one begins; `"0"` after the last.
    pub(super) cursor: String,
    /// Field and value.
    pub(super) pairs: Vec<(Vec<u8>, Vec<u8>)>,
    /// How many were too long.
    pub(super) refused: u64,
}

/// Who asks, and from where on.
pub(super) struct Standing<'a> {
    pub(super) member: &'a str,
    pub(super) name: &'a str,
    /// The number of its last purge that was told.
    pub(super) sequence: u64,
    /// The last news that were taken over; `"$"` asks for the newest only.
    pub(super) news: &'a str,
    pub(super) purges: &'a str,
    /// Whether to say that this gateway is there.
    pub(super) beat: bool,
    /// A name for the set, should it have none.
    pub(super) epoch: &'a str,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// Redis cannot be reached, refuses, or takes too long.
    pub(crate) async fn open(url: &SecretString, prefix: &str) -> Result<Self, Unlinked> {
        let client = Client::open(url.expose_secret()).map_err(|_| Unlinked::Url)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(WITHIN))
            .set_response_timeout(Some(WITHIN));
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        let connection = tokio::time::timeout(WITHIN, connecting)
            .await
            .map_err(|_| Unlinked::Silent)??;
        let named = |what: &str| format!("{prefix}{what}");
        Ok(Self {
            connection,
            names: Names {
                members: named("members"),
                news: named("news"),
                purges: named("purges"),
                epoch: named("epoch"),
                tombstones: named("tombstones"),
            },
        })
    }

    pub(super) async fn tick(&mut self, who: &Standing<'_>) -> Result<Tick, Unlinked> {
        let mut command = redis::cmd("EVAL");
        command.arg(TICK).arg(5);
        for key in [
            &self.names.members,
            &self.names.news,
            &self.names.purges,
            &self.names.epoch,
            &self.names.tombstones,
        ] {
            command.arg(key);
        }
        let beat = if who.beat { "1" } else { "0" };
        command.arg(who.member);
        command.arg(format!("{} {}", who.sequence, who.name));
        for argument in [who.news, who.purges, beat, who.epoch] {
            command.arg(argument);
        }
        let answer: Value = command.query_async(&mut self.connection).await?;
        tick_of(answer).ok_or_else(nonsense)
    }

    /// Adds to the set what is newer than what it holds. Where it is announced, returns the place
    /// among the news.
    pub(super) async fn tell(
        &mut self,
        member: &str,
        latest: &str,
        announce: bool,
        pairs: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<String, Unlinked> {
        let mut command = redis::cmd("EVAL");
        command.arg(TELL).arg(2);
        command.arg(&self.names.tombstones).arg(&self.names.news);
        command.arg(latest).arg(member).arg(u8::from(announce));
        for (field, value) in pairs {
            command.arg(&field[..]).arg(&value[..]);
        }
        let answer: Value = command.query_async(&mut self.connection).await?;
        text(answer).ok_or_else(nonsense)
    }

    pub(super) async fn purge(
        &mut self,
        member: &str,
        sequence: u64,
        what: &str,
    ) -> Result<String, Unlinked> {
        let mut command = redis::cmd("EVAL");
        command.arg(PURGE).arg(1).arg(&self.names.purges);
        command.arg(KEPT_PURGES).arg(member).arg(sequence).arg(what);
        let answer: Value = command.query_async(&mut self.connection).await?;
        text(answer).ok_or_else(nonsense)
    }

    pub(super) async fn scan(&mut self, cursor: &str) -> Result<Part, Unlinked> {
        let mut command = redis::cmd("EVAL");
        command.arg(SCAN).arg(1).arg(&self.names.tombstones);
        command.arg(cursor);
        let answer: Value = command.query_async(&mut self.connection).await?;
        part_of(answer).ok_or_else(nonsense)
    }

    /// Says that this gateway will not be there any more.
    pub(super) async fn leave(&mut self, member: &str) -> Result<(), Unlinked> {
        let mut command = redis::cmd("HDEL");
        command.arg(&self.names.members).arg(member);
        let _: Value = command.query_async(&mut self.connection).await?;
        Ok(())
    }

    /// What a doctor looks at: the version, and what Redis does when its memory is full.
    ///
    /// # Errors
    /// It does not say.
    pub(crate) async fn nature(&mut self) -> Result<Nature, Unlinked> {
        let command = redis::cmd("INFO");
        let text: String = command.query_async(&mut self.connection).await?;
        let of = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        Ok(Nature {
            version: of("redis_version").unwrap_or("unknown").to_owned(),
            eviction: of("maxmemory_policy").unwrap_or("unknown").to_owned(),
            limited: of("maxmemory").is_some_and(|bytes| bytes != "0"),
        })
    }
}

/// What Redis is.
#[derive(Debug)]
pub(crate) struct Nature {
    pub(crate) version: String,
    pub(crate) eviction: String,
    /// Whether its memory has a limit.
    pub(crate) limited: bool,
}

impl Nature {
    /// Whether it knows all that is asked of it.
    pub(crate) fn is_new_enough(&self) -> bool {
        let mut numbers = self
            .version
            .split('.')
            .map(|part| part.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6_u32, 2_u32)
    }

    /// Whether it may drop what a fleet keeps there.
    pub(crate) fn forgets(&self) -> bool {
        self.eviction.starts_with("allkeys")
    }
}

fn nonsense() -> Unlinked {
    Unlinked::Refused("it answers something that is no answer".to_owned())
}

fn tick_of(answer: Value) -> Option<Tick> {
    let mut parts = list(answer)?.into_iter();
    Some(Tick {
        now: text(parts.next()?)?.parse().ok()?,
        epoch: bytes(parts.next()?)?,
        tombstones: text(parts.next()?)?.parse().ok()?,
        first_news: text(parts.next()?)?,
        members: pairs(parts.next()?)?,
        news: entries(parts.next()?)?,
        purges: entries(parts.next()?)?,
    })
}

fn part_of(answer: Value) -> Option<Part> {
    let mut parts = list(answer)?.into_iter();
    Some(Part {
        cursor: text(parts.next()?)?,
        pairs: pairs(parts.next()?)?,
        refused: text(parts.next()?)?.parse().ok()?,
    })
}

fn entries(value: Value) -> Option<Vec<Entry>> {
    let entry = |value| {
        let mut parts = list(value)?.into_iter();
        let at = text(parts.next()?)?;
        let fields = match parts.next() {
            Some(Value::Array(fields)) => {
                Some(fields.into_iter().map(bytes).collect::<Option<_>>()?)
            }
            _ => None,
        };
        Some(Entry { at, fields })
    };
    list(value)?.into_iter().map(entry).collect()
}

fn pairs(value: Value) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let flat: Vec<Vec<u8>> = list(value)?.into_iter().map(bytes).collect::<Option<_>>()?;
    let pair = |pair: &[Vec<u8>]| Some((pair.first()?.clone(), pair.get(1)?.clone()));
    flat.chunks(2).map(pair).collect()
}

fn list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(list) => Some(list),
        _ => None,
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        Value::Int(number) => Some(number.to_string().into_bytes()),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}
