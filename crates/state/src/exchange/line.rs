//! One line of an exported state.
//!
//! Pure. Reading refuses whatever this version would not have written.

use object::{Digest, ObjectKey};
use serde::{Deserialize, Serialize};

use super::Counts;
use crate::ledger::{By, Entry, Row, Save, SaveReason, Withdrawn};
use crate::tombstones::{Kind, Record};

/// How a file says what it is.
pub(super) const FORMAT: &str = "media-gateway-state";
/// The version of the lines written here.
pub(super) const VERSION: u32 = 1;
/// The longest line: a key and a reason in which each byte is escaped, and room.
pub(super) const MAX_LINE_BYTES: usize = 32 * 1024;

/// The first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) format: String,
    pub(super) version: u32,
    pub(super) counts: Counts,
    /// Why there is no ledger in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) without_ledger: Option<String>,
}

/// As much of the first line as every version has.
#[derive(Debug, Deserialize)]
pub(super) struct AnyHeader {
    pub(super) format: String,
    pub(super) version: u32,
}

/// Every other line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    Tombstone(Action),
    Removal(Action),
    #[serde(rename = "canary")]
    Canary {
        origin: String,
        key: String,
    },
    #[serde(rename = "ledger")]
    Ledger {
        origin: String,
        key: String,
        length: u64,
        digest: Option<String>,
        verified: u64,
        by: String,
        withdrawn: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        followed: Option<u64>,
    },
    #[serde(rename = "save")]
    Save {
        origin: String,
        reason: String,
        key: String,
        first: u64,
        count: u64,
    },
    #[serde(rename = "saves_beyond")]
    SavesBeyond {
        origin: String,
        saves: u64,
    },
    #[serde(rename = "end")]
    End {
        lines: u64,
        sha256: String,
    },
}

/// What was done to one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// In the place of `key`, where that is no UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_hex: Option<String>,
    time: u64,
    reason: String,
}

/// What a line means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Action(OwnedAction),
    Canary(String, ObjectKey),
    Row(Row),
    End { lines: u64, sha256: String },
}

/// An action that outlives its line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OwnedAction {
    kind: Kind,
    time: u64,
    scope: String,
    key: Vec<u8>,
    reason: String,
}

impl OwnedAction {
    pub(super) fn record(&self) -> Record<'_> {
        Record {
            kind: self.kind,
            time: self.time,
            scope: &self.scope,
            key: &self.key,
            reason: &self.reason,
        }
    }
}

impl From<&Record<'_>> for Line {
    fn from(record: &Record<'_>) -> Self {
        let (key, key_hex) = match str::from_utf8(record.key) {
            Ok(key) => (Some(key.to_owned()), None),
            Err(_) => (None, Some(hex::encode(record.key))),
        };
        let action = Action {
            scope: record.scope.to_owned(),
            key,
            key_hex,
            time: record.time,
            reason: record.reason.to_owned(),
        };
        match record.kind {
            Kind::Add => Self::Tombstone(action),
            Kind::Remove => Self::Removal(action),
        }
    }
}

impl From<Row> for Line {
    fn from(row: Row) -> Self {
        match row {
            Row::Entry { origin, key, entry } => Self::Ledger {
                origin: origin.into(),
                key: key.as_str().to_owned(),
                length: entry.length,
                digest: entry.digest.map(|Digest(digest)| hex::encode(digest)),
                verified: entry.verified,
                by: entry.by.label().to_owned(),
                withdrawn: entry.withdrawn.map(|withdrawn| withdrawn.since),
                followed: entry.withdrawn.and_then(|withdrawn| withdrawn.followed),
            },
            Row::Save { origin, save } => Self::Save {
                origin: origin.into(),
                reason: save.reason.label().to_owned(),
                key: save.key.as_str().to_owned(),
                first: save.first,
                count: save.count,
            },
            Row::Beyond { origin, saves } => Self::SavesBeyond {
                origin: origin.into(),
                saves,
            },
        }
    }
}

impl Line {
    /// What the line means, or why it means nothing.
    pub(super) fn check(self) -> Result<Item, String> {
        match self {
            Self::Tombstone(action) => action.check(Kind::Add).map(Item::Action),
            Self::Removal(action) => action.check(Kind::Remove).map(Item::Action),
            Self::Canary { origin, key } => Ok(Item::Canary(origin, object_key(&key)?)),
            Self::Ledger {
                origin,
                key,
                length,
                digest,
                verified,
                by,
                withdrawn,
                followed,
            } => {
                let entry = Entry {
                    length,
                    digest: digest.as_deref().map(parse_digest).transpose()?,
                    verified,
                    by: By::ALL
                        .into_iter()
                        .find(|one| one.label() == by)
                        .ok_or_else(|| format!("nobody verifies as {by:?}"))?,
                    withdrawn: match (withdrawn, followed) {
                        (Some(since), followed) => Some(Withdrawn { since, followed }),
                        (None, None) => None,
                        (None, Some(_)) => {
                            return Err("what is not withdrawn is not followed".to_owned());
                        }
                    },
                };
                Ok(Item::Row(Row::Entry {
                    origin: origin_name(origin)?,
                    key: object_key(&key)?,
                    entry,
                }))
            }
            Self::Save {
                origin,
                reason,
                key,
                first,
                count,
            } => {
                let save = Save {
                    reason: SaveReason::ALL
                        .into_iter()
                        .find(|one| one.label() == reason)
                        .ok_or_else(|| format!("{reason:?} is no reason for a save"))?,
                    key: object_key(&key)?,
                    first,
                    count,
                };
                Ok(Item::Row(Row::Save {
                    origin: origin_name(origin)?,
                    save,
                }))
            }
            Self::SavesBeyond { origin, saves } => Ok(Item::Row(Row::Beyond {
                origin: origin_name(origin)?,
                saves,
            })),
            Self::End { lines, sha256 } => Ok(Item::End { lines, sha256 }),
        }
    }
}

impl Action {
    fn check(self, kind: Kind) -> Result<OwnedAction, String> {
        let key = match (self.key, self.key_hex) {
            (Some(key), None) => key.into_bytes(),
            (None, Some(digits)) => {
                hex::decode(&digits).map_err(|error| format!("key_hex: {error}"))?
            }
            _ => return Err("either key or key_hex must be there".to_owned()),
        };
        let action = OwnedAction {
            kind,
            time: self.time,
            scope: self.scope,
            key,
            reason: self.reason,
        };
        match action.record().check() {
            Ok(()) => Ok(action),
            Err(too_long) => Err(too_long.to_string()),
        }
    }
}

impl Item {
    pub(super) fn count(&self, counts: &mut Counts) {
        match self {
            Self::Action(action) => match action.kind {
                Kind::Add => counts.tombstones += 1,
                Kind::Remove => counts.removals += 1,
            },
            Self::Canary(..) => counts.canaries += 1,
            Self::Row(Row::Entry { .. }) => counts.ledger += 1,
            Self::Row(Row::Save { .. }) => counts.saves += 1,
            Self::Row(Row::Beyond { .. }) => counts.save_totals += 1,
            Self::End { .. } => {}
        }
    }
}

fn object_key(text: &str) -> Result<ObjectKey, String> {
    ObjectKey::parse(text).map_err(|error| error.to_string())
}

fn origin_name(name: String) -> Result<Box<str>, String> {
    if name.len() > usize::from(u16::MAX) {
        return Err("an origin's name cannot be that long".to_owned());
    }
    Ok(name.into())
}

fn parse_digest(digits: &str) -> Result<Digest, String> {
    let mut digest = [0; 32];
    hex::decode_to_slice(digits, &mut digest).map_err(|error| format!("digest: {error}"))?;
    Ok(Digest(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &Line) -> String {
        serde_json::to_string(line).unwrap()
    }

    #[test]
    fn the_lines_are_these_for_ever() {
        let record = Record {
            kind: Kind::Add,
            time: 7,
            scope: "media",
            key: b"//x",
            reason: "court",
        };
        assert_eq!(
            text(&Line::from(&record)),
            r#"{"tombstone":{"scope":"media","key":"//x","time":7,"reason":"court"}}"#
        );
        let record = Record {
            kind: Kind::Remove,
            key: b"\xff",
            ..record
        };
        assert_eq!(
            text(&Line::from(&record)),
            r#"{"removal":{"scope":"media","key_hex":"ff","time":7,"reason":"court"}}"#
        );
        let key = ObjectKey::parse("a").unwrap();
        let entry = Entry {
            length: 3,
            digest: None,
            verified: 7,
            by: By::Serving,
            withdrawn: Some(Withdrawn::since(8)),
        };
        let row = |entry| Row::Entry {
            origin: "current".into(),
            key: key.clone(),
            entry,
        };
        assert_eq!(
            text(&Line::from(row(entry))),
            r#"{"ledger":{"origin":"current","key":"a","length":3,"digest":null,"verified":7,"by":"serving","withdrawn":8}}"#
        );
        let withdrawn = Some(Withdrawn {
            since: 8,
            followed: Some(9),
        });
        assert_eq!(
            text(&Line::from(row(Entry { withdrawn, ..entry }))),
            r#"{"ledger":{"origin":"current","key":"a","length":3,"digest":null,"verified":7,"by":"serving","withdrawn":8,"followed":9}}"#
        );
    }

    #[test]
    fn the_document_shows_what_is_read() {
        let document = include_str!("../../FORMAT.md");
        let mut lines = document.lines().filter(|line| line.starts_with('{'));
        let header: Header = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!((&*header.format, header.version), (FORMAT, VERSION));
        let mut counts = Counts::default();
        for line in lines {
            let line: Line = serde_json::from_str(line).unwrap();
            line.check().unwrap().count(&mut counts);
        }
        assert_eq!(counts, header.counts);
    }

    #[test]
    fn what_no_version_wrote_is_refused_with_its_reason() {
        for (line, reason) in [
            (
                r#"{"tombstone":{"scope":"a","time":1,"reason":""}}"#,
                "either key or key_hex",
            ),
            (
                r#"{"tombstone":{"scope":"a","key_hex":"f","time":1,"reason":""}}"#,
                "key_hex",
            ),
            (r#"{"canary":{"origin":"a","key":"../x"}}"#, "segment"),
            (
                r#"{"ledger":{"origin":"a","key":"a","length":3,"digest":"ab","verified":7,"by":"serving","withdrawn":null}}"#,
                "digest",
            ),
            (
                r#"{"ledger":{"origin":"a","key":"a","length":3,"digest":null,"verified":7,"by":"magic","withdrawn":null}}"#,
                "magic",
            ),
            (
                r#"{"ledger":{"origin":"a","key":"a","length":3,"digest":null,"verified":7,"by":"serving","withdrawn":null,"followed":9}}"#,
                "not withdrawn",
            ),
            (
                r#"{"save":{"origin":"a","reason":"x","key":"a","first":1,"count":1}}"#,
                "no reason",
            ),
        ] {
            let error = serde_json::from_str::<Line>(line)
                .unwrap()
                .check()
                .unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
        let unknown =
            r#"{"save":{"origin":"a","reason":"missing","key":"a","first":1,"count":1,"more":1}}"#;
        assert!(serde_json::from_str::<Line>(unknown).is_err());
        assert!(serde_json::from_str::<Line>(r#"{"wish":{}}"#).is_err());
    }

    #[test]
    fn the_longest_line_is_short_enough() {
        let reason = "\u{1}".repeat(crate::MAX_REASON_BYTES);
        let record = Record {
            kind: Kind::Add,
            time: u64::MAX,
            scope: &"s".repeat(crate::MAX_SCOPE_BYTES),
            key: &[1; object::MAX_KEY_BYTES],
            reason: &reason,
        };
        assert!(text(&Line::from(&record)).len() < MAX_LINE_BYTES);
    }
}
