//! What gateways tell each other, as bytes.
//!
//! Pure. Reading refuses whatever telling would not have written: a Redis that others write to as
//! well must not be able to make anything of this gateway that a gateway could not.

use std::sync::Arc;

use cache::Purge;
use object::{MAX_KEY_BYTES, ObjectKey};
use serde::{Deserialize, Serialize};
use state::{Action, MAX_REASON_BYTES, MAX_SCOPE_BYTES};

use super::link::Entry;

/// How far ahead of this gateway's clock another one's may be.
const AHEAD: u64 = 24 * 60 * 60;

/// The most bytes of one purge that is told; longer ones are told in several.
const MOST_PURGE_BYTES: usize = 16 * 1024;

/// What does not come from a gateway of the fleet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

/// A purge that another gateway tells of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ToldPurge {
    pub(super) member: String,
    pub(super) sequence: u64,
    pub(super) what: Vec<Purge>,
}

/// The state of another gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) name: String,
    /// The number of the last purge that it told of.
    pub(super) sequence: u64,
    /// Milliseconds since 1970, by the clock of Redis.
    pub(super) seen: u64,
    pub(super) news: String,
    pub(super) purges: String,
}

/// The latest time that can be true, as it is compared in Redis.
pub(super) fn latest(now: u64) -> String {
    format!("{:020}", now + AHEAD)
}

/// Field and value in the set of tombstones.
pub(super) fn pair(action: &Action) -> (Vec<u8>, Vec<u8>) {
    let field = [action.scope.as_bytes(), b"\0", &action.key].concat();
    let kind = if action.adds { 2 } else { 1 };
    let value = format!("{:020}{kind}{}", action.time, action.reason);
    (field, value.into_bytes())
}

pub(super) fn action((field, value): &(Vec<u8>, Vec<u8>), now: u64) -> Result<Action, Nonsense> {
    let end = field.iter().position(|byte| *byte == 0).ok_or(Nonsense)?;
    let (scope, key) = (text(&field[..end])?, text(&field[end + 1..])?);
    let value = text(value)?;
    let time = value.get(..20).ok_or(Nonsense)?;
    let (kind, reason) = (value.get(20..21), value.get(21..));
    let adds = match kind {
        Some("2") => true,
        Some("1") => false,
        _ => return Err(Nonsense),
    };
    let time = digits(time)?;
    let reason = reason.ok_or(Nonsense)?;
    if !is_space(scope) || reason.len() > MAX_REASON_BYTES || time > now + AHEAD {
        return Err(Nonsense);
    }
    let key = ObjectKey::parse(key).map_err(|_| Nonsense)?;
    Ok(Action {
        adds,
        time,
        scope: scope.into(),
        key: key.as_str().as_bytes().into(),
        reason: reason.into(),
    })
}

/// What was told of tombstones, and by whom; each alone may be nonsense.
pub(super) fn news(
    entry: &Entry,
    now: u64,
) -> Result<(String, Vec<Result<Action, Nonsense>>), Nonsense> {
    let fields = entry.fields.as_ref().ok_or(Nonsense)?;
    let [name, member, pairs @ ..] = &fields[..] else {
        return Err(Nonsense);
    };
    if name != b"m" || pairs.len() % 2 != 0 {
        return Err(Nonsense);
    }
    let actions = pairs
        .chunks(2)
        .map(|pair| action(&(pair[0].clone(), pair[1].clone()), now));
    Ok((identity(member)?, actions.collect()))
}

pub(super) fn purge(entry: &Entry) -> Result<ToldPurge, Nonsense> {
    let fields = entry.fields.as_ref().ok_or(Nonsense)?;
    match &fields[..] {
        [m, member, s, sequence, p, what] if m == b"m" && s == b"s" && p == b"p" => Ok(ToldPurge {
            member: identity(member)?,
            sequence: digits(text(sequence)?)?,
            what: purges(text(what)?)?,
        }),
        _ => Err(Nonsense),
    }
}

pub(super) fn member((id, value): &(Vec<u8>, Vec<u8>)) -> Result<Member, Nonsense> {
    let mut parts = text(value)?.splitn(5, ' ');
    let mut next = || parts.next().ok_or(Nonsense);
    let (seen, news, purges) = (digits(next()?)?, next()?, next()?);
    let (sequence, name) = (digits(next()?)?, next()?);
    if !is_name(name) {
        return Err(Nonsense);
    }
    Ok(Member {
        id: identity(id)?,
        name: name.to_owned(),
        sequence,
        seen,
        news: news.to_owned(),
        purges: purges.to_owned(),
    })
}

/// The order of what Redis keeps in order; nonsense is before everything.
pub(super) fn place(at: &str) -> (u64, u64) {
    let parts = at.split_once('-');
    let numbers = parts.map(|(time, number)| (time.parse(), number.parse()));
    match numbers {
        Some((Ok(time), Ok(number))) => (time, number),
        _ => (0, 0),
    }
}

/// Whether something can be a gateway's name.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=64).contains(&name.len()) && name.chars().all(allowed)
}

fn is_space(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    (1..=MAX_SCOPE_BYTES).contains(&name.len()) && name.chars().all(allowed)
}

fn identity(bytes: &[u8]) -> Result<String, Nonsense> {
    let is_id = bytes.len() == 32 && bytes.iter().all(u8::is_ascii_hexdigit);
    let id = is_id.then(|| text(bytes)).ok_or(Nonsense)??;
    Ok(id.to_owned())
}

fn digits(text: &str) -> Result<u64, Nonsense> {
    let only_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| only_digits).ok_or(Nonsense)
}

fn text(bytes: &[u8]) -> Result<&str, Nonsense> {
    str::from_utf8(bytes).map_err(|_| Nonsense)
}

/// A purge as it is told.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Told {
    Key(String, String),
    Prefix(String, String),
    Space(String),
    All,
}

/// As they are told: in several where one would be too long.
pub(super) fn told(what: &[Purge]) -> Vec<String> {
    let mut all = Vec::new();
    let mut some = Vec::new();
    let mut length = 0;
    for purge in what {
        if let Purge::Prefix { prefix, .. } = purge
            && prefix.len() > MAX_KEY_BYTES
        {
            // No key begins so.
            continue;
        }
        let one = match purge {
            Purge::Key { space, key } => Told::Key(space.to_string(), key.as_str().to_owned()),
            Purge::Prefix { space, prefix } => Told::Prefix(space.to_string(), prefix.to_string()),
            Purge::Space(space) => Told::Space(space.to_string()),
            Purge::All => Told::All,
        };
        let text = serde_json::to_string(&one).expect("text becomes JSON");
        if length + text.len() > MOST_PURGE_BYTES && !some.is_empty() {
            all.push(format!("[{}]", some.join(",")));
            some.clear();
            length = 0;
        }
        length += text.len();
        some.push(text);
    }
    if !some.is_empty() {
        all.push(format!("[{}]", some.join(",")));
    }
    all
}

fn purges(text: &str) -> Result<Vec<Purge>, Nonsense> {
    let told: Vec<Told> = serde_json::from_str(text).map_err(|_| Nonsense)?;
    let space = |name: String| -> Result<Arc<str>, Nonsense> {
        is_space(&name).then(|| name.into()).ok_or(Nonsense)
    };
    let purge = |told| {
        Ok(match told {
            Told::Key(name, key) => Purge::Key {
                space: space(name)?,
                key: ObjectKey::parse(&key).map_err(|_| Nonsense)?,
            },
            Told::Prefix(name, prefix) => Purge::Prefix {
                space: space(name)?,
                prefix: prefix.into(),
            },
            Told::Space(name) => Purge::Space(space(name)?),
            Told::All => Purge::All,
        })
    };
    told.into_iter().map(purge).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn tombstone(key: &str, reason: &str) -> Action {
        Action {
            adds: true,
            time: NOW,
            scope: "media".into(),
            key: key.as_bytes().into(),
            reason: reason.into(),
        }
    }

    #[test]
    fn a_tombstone_is_read_as_it_was_told() {
        let told = tombstone("//写真 1.png", "court");
        assert_eq!(action(&pair(&told), NOW), Ok(told));
    }

    #[test]
    fn what_no_gateway_writes_is_refused() {
        let good = pair(&tombstone("a", ""));
        let value = |text: &str| (good.0.clone(), text.as_bytes().to_vec());
        for bad in [
            value(""),
            value("2"),
            value(&format!("{NOW:020}3")),
            value(&format!("{:020}2", NOW + AHEAD + 1)),
            value(&format!("+{NOW:019}2")),
            value(&format!("{:020}2{}", NOW, "x".repeat(MAX_REASON_BYTES + 1))),
            (b"media".to_vec(), good.1.clone()),
            (b"media\0".to_vec(), good.1.clone()),
            (b"Me dia\0a".to_vec(), good.1.clone()),
            (b"media\0\xff".to_vec(), good.1.clone()),
        ] {
            assert_eq!(action(&bad, NOW), Err(Nonsense), "{bad:?}");
        }
    }

    #[test]
    fn purges_are_read_as_they_were_told_also_in_several() {
        let key = |n: u32| Purge::Key {
            space: "media".into(),
            key: ObjectKey::parse(&format!("{n}/{}", "k".repeat(500))).unwrap(),
        };
        let mut all: Vec<_> = (0..100).map(key).collect();
        all.push(Purge::All);
        all.push(Purge::Prefix {
            space: "media".into(),
            prefix: "a/".into(),
        });
        let texts = told(&all);
        assert!(texts.len() > 3);
        let longest = texts.iter().map(String::len).max().unwrap();
        assert!(longest < MOST_PURGE_BYTES + 1024, "{longest}");
        let read: Vec<_> = texts
            .iter()
            .flat_map(|text| purges(text).unwrap())
            .collect();
        assert_eq!(read, all);
    }

    #[test]
    fn places_are_in_order_by_number() {
        assert!(place("9-1") < place("10-0"));
        assert!(place("10-9") < place("10-10"));
        assert_eq!(place("$"), (0, 0));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            field in prop::collection::vec(any::<u8>(), 0..40),
            value in prop::collection::vec(any::<u8>(), 0..40),
            text in "\\PC{0,60}",
        ) {
            let pair = (field, value);
            let _ = (action(&pair, NOW), member(&pair), purges(&text), place(&text));
        }
    }
}
