//! Keys that stand in a file: both ends are asked for each, and nothing is listed.
//!
//! For sources that cannot be listed, and for lists that somebody else has made. A line that is
//! no key, and a key that the source does not have, are said; nothing is dropped silently.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use object::ObjectKey;
use origin_resolver::Cursor;

use super::planning::{Candidate, Planning};
use crate::end::{self, Asked};
use crate::error::MigrationError;
use crate::migration::Migration;
use crate::options::Named;
use crate::progress::Phase;
use crate::record::{Note, NoteKind, Position, TargetPage};
use crate::selection::Chosen;
use crate::shared::Shared;
use crate::tally::Tally;

/// Lines that are planned together.
const LINES: usize = 500;
/// The longest line: a URL whose key has only characters that are escaped.
const LONGEST_LINE: u64 = 8 * 1024;

pub(super) async fn take(migration: &Migration, journal: &Shared) -> Result<(), MigrationError> {
    let Some(named) = &migration.options.named else {
        return Ok(());
    };
    if journal.look(|journal| journal.standing().target_at.is_some()) {
        let nothing = TargetPage {
            next: None,
            bytes: 0,
            rows: Vec::new(),
        };
        journal
            .work(move |journal| journal.add_target(&nothing))
            .await?;
    }
    migration.progress.enter(Phase::ListingSource);
    let planning = Planning::new(migration, journal.clone(), None);
    while let Some(at) = journal.look(|journal| journal.standing().source_at.clone()) {
        let offset = at.after.and_then(|after| after.as_str().parse().ok());
        let (lines, next) = lines(named, offset.unwrap_or(0)).await?;
        let next = next.map(|offset| Position {
            prefix: 0,
            after: Some(Cursor::new(offset.to_string())),
        });
        plan(migration, &planning, named, lines, next).await?;
    }
    Ok(())
}

/// Some lines of the file from an offset on, and where the next ones begin.
pub(crate) async fn lines(
    named: &Named,
    offset: u64,
) -> Result<(Vec<String>, Option<u64>), MigrationError> {
    let file = Arc::clone(&named.file);
    let read = tokio::task::spawn_blocking(move || read(&file, offset));
    let read = read
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    read.map_err(|error| MigrationError::Named {
        file: named.name.to_string(),
        error,
    })
}

/// A file from an offset on; several may read it at one time.
struct From<'f> {
    file: &'f File,
    at: u64,
}

impl Read for From<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(into, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

fn read(file: &File, offset: u64) -> io::Result<(Vec<String>, Option<u64>)> {
    let mut from = BufReader::new(From { file, at: offset });
    let (mut at, mut lines) = (offset, Vec::new());
    while lines.len() < LINES {
        let mut line = Vec::new();
        let length = Read::take(&mut from, LONGEST_LINE).read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok((lines, None));
        }
        at += length as u64;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\n', '\r']);
        if !line.is_empty() {
            lines.push(line.to_owned());
        }
    }
    Ok((lines, Some(at)))
}

/// What the source said of one line.
enum Line {
    Candidate(Candidate),
    /// It is not wanted, and was not asked for.
    Unwanted(Chosen),
    /// It does not have it.
    Absent(Note),
    /// It could not say, or the line is no key.
    Unknown(Note),
}

async fn plan(
    migration: &Migration,
    planning: &Planning<'_>,
    named: &Named,
    lines: Vec<String>,
    next: Option<Position>,
) -> Result<(), MigrationError> {
    let lines: Vec<Line> = stream::iter(lines)
        .map(|line| ask(migration, named, line))
        .buffered(migration.options.jobs.max(1))
        .collect()
        .await;
    let (mut candidates, mut notes) = (Vec::new(), Vec::new());
    let mut tally = Box::<Tally>::default();
    for line in lines {
        match line {
            Line::Candidate(candidate) => {
                tally.source_requests += 1;
                candidates.push(candidate);
                continue;
            }
            Line::Unwanted(chosen) => tally.unwanted(chosen).add(0),
            Line::Absent(note) => {
                tally.source_requests += 1;
                tally.absent.add(0);
                if !named.may_be_absent {
                    notes.push(note);
                }
            }
            Line::Unknown(note) => {
                tally.source_requests += 1;
                tally.unknown.add(0);
                notes.push(note);
            }
        }
        tally.source.add(0);
    }
    planning.plan_named(candidates, notes, tally, next).await
}

async fn ask(migration: &Migration, named: &Named, line: String) -> Line {
    let key: ObjectKey = match (named.read)(&line) {
        Ok(key) => key,
        Err(why) => return Line::Unknown(Note::new(NoteKind::Unasked, &line, &why)),
    };
    match migration.options.selection.choose(&key) {
        Chosen::Yes => {}
        other => return Line::Unwanted(other),
    }
    let note = |why: &str| Note::new(NoteKind::Unasked, key.as_str(), &why);
    let head = match migration.from.vouched(&key).await {
        Asked::Found(head) => head,
        Asked::Missing => return Line::Absent(note("the source does not have it")),
        Asked::Unknown(failure) => return Line::Unknown(note(&failure.to_string())),
    };
    let Some(seen) = end::seen(&head) else {
        return Line::Unknown(note("the source does not tell its length"));
    };
    let target = match migration.to.head(&key).await {
        Asked::Found(head) => match end::seen(&head) {
            Some(seen) => Some(seen),
            None => return Line::Unknown(note("the target does not tell its length")),
        },
        Asked::Missing => None,
        Asked::Unknown(failure) => return Line::Unknown(note(&failure.to_string())),
    };
    Line::Candidate(Candidate {
        size_bytes: seen.size_bytes,
        etag: end::etag(&head).map(Into::into),
        modified: seen.modified,
        target,
        key,
    })
}
