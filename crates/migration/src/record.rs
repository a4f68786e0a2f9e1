//! What stands in the frames of a journal.
//!
//! Pure. Golden bytes are pinned below; a change to them raises the format's number in `log`.

use std::time::SystemTime;

use object::ObjectKey;
use origin_resolver::Cursor;

use crate::coding::{Reading, number_to_time, put_option, put_text, shortened, time_to_number};
use crate::difference::{Seen, Written};
use crate::fingerprint::{Fingerprint, Mark};
use crate::table::{VALUE_BYTES, Value};
use crate::tally::Tally;

/// Reasons are for people and need not be longer.
const MOST_REASON_BYTES: usize = 400;

/// Where a listing stands: which of the prefixes, and where in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) prefix: u32,
    pub(crate) after: Option<Cursor>,
}

/// A frame of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlanFrame {
    /// The first one of a run.
    Run {
        /// Seconds since 1970.
        began: u64,
        /// What was asked for; another one is another run.
        scope: Box<str>,
    },
    /// A page of the source's listing, and what came of it.
    Page {
        /// Where to go on; `None` at the end.
        next: Option<Position>,
        tally: Box<Tally>,
        items: Vec<Item>,
        notes: Vec<Note>,
    },
    /// Everything was listed, and fits.
    Ready,
    /// Everything was done; failures are done too.
    Finished,
}

/// An object that is to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: ObjectKey,
    pub(crate) size_bytes: u64,
    /// At the source, quotes included.
    pub(crate) etag: Option<Box<str>>,
    /// At the source, to the second.
    pub(crate) modified: Option<SystemTime>,
    /// The mark of the copy that it takes the place of, in 64 bits.
    pub(crate) replaces: Option<u64>,
}

/// Something that is not copied and that the operator has to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) kind: NoteKind,
    pub(crate) name: Box<str>,
    pub(crate) why: Box<str>,
}

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoteKind {
    /// The target has something else.
    Differs,
    /// No key can name it.
    Unfit,
    /// It was named, and the source could not say whether it has it, or does not have it.
    Unasked,
}

/// A page of the target's listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetPage {
    /// Where to go on; `None` at the end.
    pub(crate) next: Option<Position>,
    pub(crate) bytes: u64,
    pub(crate) rows: Vec<(Fingerprint, Value)>,
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    /// Its number in the plan, from 0.
    pub(crate) number: u64,
    pub(crate) key: Fingerprint,
    pub(crate) outcome: Outcome,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was copied, and verified.
    Copied { written: Written, replaced: bool },
    /// It was not, and the next run tries again.
    Failed {
        /// Its key, for people.
        name: Box<str>,
        why: Box<str>,
    },
    /// It was not, and that is right.
    Left(Left),
}

/// Why something that was planned was rightly not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Somebody else has stored one of that key meanwhile.
    Appeared,
    /// The source does not have it any more, or not for the public.
    Vanished,
    /// It must stay gone.
    Tombstoned,
    /// The application deleted it.
    Withdrawn,
}

impl Left {
    const ALL: [Self; 4] = [
        Self::Appeared,
        Self::Vanished,
        Self::Tombstoned,
        Self::Withdrawn,
    ];
}

impl PlanFrame {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Run { began, scope } => {
                out.push(1);
                out.extend(began.to_be_bytes());
                put_text(&mut out, scope);
            }
            Self::Page {
                next,
                tally,
                items,
                notes,
            } => {
                out.push(2);
                put_position(&mut out, next.as_ref());
                tally.encode(&mut out);
                put_count(&mut out, items.len());
                for item in items {
                    item.encode(&mut out);
                }
                put_count(&mut out, notes.len());
                for note in notes {
                    note.encode(&mut out);
                }
            }
            Self::Ready => out.push(3),
            Self::Finished => out.push(4),
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reading = Reading(bytes);
        let frame = match reading.byte()? {
            1 => Self::Run {
                began: reading.number()?,
                scope: reading.text()?.into(),
            },
            2 => {
                let next = position(&mut reading)?;
                let tally = Box::new(Tally::decode(&reading.array()?));
                let items = many(&mut reading, Item::decode)?;
                let notes = many(&mut reading, Note::decode)?;
                Self::Page {
                    next,
                    tally,
                    items,
                    notes,
                }
            }
            3 => Self::Ready,
            4 => Self::Finished,
            _ => return None,
        };
        reading.is_over().then_some(frame)
    }
}

impl Item {
    fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, self.key.as_str());
        out.extend(self.size_bytes.to_be_bytes());
        put_option(out, self.etag.as_deref());
        out.extend(time_to_number(self.modified).to_be_bytes());
        out.push(u8::from(self.replaces.is_some()));
        out.extend(self.replaces.unwrap_or(0).to_be_bytes());
    }

    fn decode(reading: &mut Reading<'_>) -> Option<Self> {
        Some(Self {
            key: ObjectKey::parse(reading.text()?).ok()?,
            size_bytes: reading.number()?,
            etag: reading.option()?.map(Into::into),
            modified: number_to_time(reading.number()?),
            replaces: {
                let is_some = reading.byte()? == 1;
                let mark = reading.number()?;
                is_some.then_some(mark)
            },
        })
    }
}

impl Note {
    pub(crate) fn new(kind: NoteKind, name: &str, why: &dyn std::fmt::Display) -> Self {
        Self {
            kind,
            name: shortened(name, object::MAX_KEY_BYTES).into(),
            why: shortened(&why.to_string(), MOST_REASON_BYTES).into(),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self.kind {
            NoteKind::Differs => 1,
            NoteKind::Unfit => 2,
            NoteKind::Unasked => 3,
        });
        put_text(out, &self.name);
        put_text(out, &self.why);
    }

    fn decode(reading: &mut Reading<'_>) -> Option<Self> {
        let kind = match reading.byte()? {
            1 => NoteKind::Differs,
            2 => NoteKind::Unfit,
            3 => NoteKind::Unasked,
            _ => return None,
        };
        Some(Self {
            kind,
            name: reading.text()?.into(),
            why: reading.text()?.into(),
        })
    }
}

impl TargetPage {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_position(&mut out, self.next.as_ref());
        out.extend(self.bytes.to_be_bytes());
        put_count(&mut out, self.rows.len());
        for (key, value) in &self.rows {
            out.extend(key.0);
            out.extend(value);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reading = Reading(bytes);
        let page = Self {
            next: position(&mut reading)?,
            bytes: reading.number()?,
            rows: many(&mut reading, |reading| {
                Some((Fingerprint(reading.array()?), reading.array()?))
            })?,
        };
        reading.is_over().then_some(page)
    }
}

impl Done {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.number.to_be_bytes());
        out.extend(self.key.0);
        match &self.outcome {
            Outcome::Copied { written, replaced } => {
                out.push(if *replaced { 2 } else { 1 });
                for number in [written.size_bytes, written.source, written.target] {
                    out.extend(number.to_be_bytes());
                }
            }
            Outcome::Failed { name, why } => {
                out.push(3);
                put_text(out, name);
                put_text(out, shortened(why, MOST_REASON_BYTES));
            }
            Outcome::Left(left) => {
                let at = Left::ALL.iter().position(|one| one == left);
                let at = at.and_then(|at| u8::try_from(at).ok());
                out.push(4 + at.expect("every one is in the list"));
            }
        }
    }

    pub(crate) fn decode(reading: &mut Reading<'_>) -> Option<Self> {
        let (number, key) = (reading.number()?, Fingerprint(reading.array()?));
        let outcome = match reading.byte()? {
            kind @ (1 | 2) => Outcome::Copied {
                written: Written {
                    size_bytes: reading.number()?,
                    source: reading.number()?,
                    target: reading.number()?,
                },
                replaced: kind == 2,
            },
            3 => Outcome::Failed {
                name: reading.text()?.into(),
                why: reading.text()?.into(),
            },
            kind => Outcome::Left(*Left::ALL.get(usize::from(kind.checked_sub(4)?))?),
        };
        Some(Self {
            number,
            key,
            outcome,
        })
    }

    /// All of a frame.
    pub(crate) fn decode_all(bytes: &[u8]) -> Option<Vec<Self>> {
        let mut reading = Reading(bytes);
        let mut all = Vec::new();
        while !reading.is_over() {
            all.push(Self::decode(&mut reading)?);
        }
        Some(all)
    }
}

/// What a table keeps of an object that is there.
pub(crate) fn seen_to_value(seen: Seen) -> Value {
    let mut value = [0; VALUE_BYTES];
    value[..8].copy_from_slice(&seen.size_bytes.to_be_bytes());
    value[8..28].copy_from_slice(&seen.mark.to_bytes());
    value[28..36].copy_from_slice(&time_to_number(seen.modified).to_be_bytes());
    value
}

pub(crate) fn value_to_seen(value: &Value) -> Option<Seen> {
    let mut reading = Reading(value);
    Some(Seen {
        size_bytes: reading.number()?,
        mark: Mark::from_bytes(&reading.array()?),
        modified: number_to_time(reading.number()?),
    })
}

/// What a table keeps of a copy that was made.
pub(crate) fn written_to_value(written: Written) -> Value {
    let mut value = [0; VALUE_BYTES];
    value[..8].copy_from_slice(&written.size_bytes.to_be_bytes());
    value[8..16].copy_from_slice(&written.source.to_be_bytes());
    value[16..24].copy_from_slice(&written.target.to_be_bytes());
    value
}

pub(crate) fn value_to_written(value: &Value) -> Option<Written> {
    let mut reading = Reading(value);
    Some(Written {
        size_bytes: reading.number()?,
        source: reading.number()?,
        target: reading.number()?,
    })
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("a page is read into memory");
    out.extend(count.to_be_bytes());
}

fn many<T>(
    reading: &mut Reading<'_>,
    mut one: impl FnMut(&mut Reading<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let count = reading.count()?;
    (0..count).map(|_| one(reading)).collect()
}

fn put_position(out: &mut Vec<u8>, position: Option<&Position>) {
    out.push(u8::from(position.is_some()));
    if let Some(Position { prefix, after }) = position {
        out.extend(prefix.to_be_bytes());
        put_option(out, after.as_ref().map(Cursor::as_str));
    }
}

#[expect(
    clippy::option_option,
    reason = "the outer one is what cannot be read, the inner one the end of a listing"
)]
fn position(reading: &mut Reading<'_>) -> Option<Option<Position>> {
    match reading.byte()? {
        0 => Some(None),
        1 => Some(Some(Position {
            prefix: reading.count()?,
            after: reading.option()?.map(Cursor::new),
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
