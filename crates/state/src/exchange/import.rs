//! Merges an exported file into the state.
//!
//! Reads all of it first, to a file without a name: nothing is changed by one that is cut short,
//! damaged, foreign or newer. Each kind is then taken over as a whole or not at all, tombstones
//! first, and a second import of the same file changes nothing.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::line::{AnyHeader, FORMAT, Header, Item, Line, MAX_LINE_BYTES, VERSION};
use super::{Counts, SPOOL};
use crate::directory::StateDirectory;
use crate::files;

/// What became of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// How many were taken over.
    pub taken: u64,
    /// How many were known already, or older than what was.
    pub left: u64,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Keys that must stay gone, and keys that may be served again.
    pub tombstones: Taken,
    /// Keys that prove an origin; those of an origin that has some here are left.
    pub canaries: Taken,
    /// Keys verified at an origin.
    pub ledger: Taken,
    /// Keys that only a rehearsing origin could give.
    pub saves: Taken,
}

/// Why a file was not imported, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is no exported state. Nothing was changed.
    #[error("nothing was imported: this is no file of `media-gateway state export`")]
    Foreign,
    /// Another version wrote it. Nothing was changed.
    #[error(
        "nothing was imported: the file's version is {found}, and this gateway knows {VERSION}; import it with the version that wrote it"
    )]
    OtherVersion {
        /// The version that it says it has.
        found: u32,
    },
    /// It ends before its end. Nothing was changed.
    #[error("nothing was imported: the file is cut short after {lines} lines; copy it again")]
    Truncated {
        /// How many lines there are.
        lines: u64,
    },
    /// It is not what was exported. Nothing was changed.
    #[error("nothing was imported: line {line} of the file is damaged: {what}; copy it again")]
    Damaged {
        /// Which line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// It cannot be read. Nothing was changed.
    #[error("nothing was imported: the file cannot be read: {0}")]
    Read(#[source] io::Error),
    /// There is no room to look through it. Nothing was changed.
    #[error("nothing was imported: the file cannot be kept in {} meanwhile: {source}", directory.display())]
    Spool {
        /// The state directory.
        directory: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// One kind could not be taken over; those before it were.
    #[error(
        "the {kind} were not imported: {what}; what comes before was, and the import can be repeated"
    )]
    Stopped {
        /// Which: tombstones, canaries, ledger entries, rehearsal saves.
        kind: &'static str,
        /// Why.
        what: String,
        /// What was taken over.
        done: Box<Imported>,
    },
}

/// Merges a file into the state, which goes on being used. Of two actions on one key the later
/// one stays. Waits for the disk.
///
/// # Errors
/// Nothing was imported, or not everything.
pub fn import(state: &StateDirectory, from: impl Read) -> Result<Imported, ImportError> {
    let (checked, counts) = check(state.path(), from)?;
    let mut done = Imported::default();
    let stopped = |kind, what: String, done: Imported| ImportError::Stopped {
        kind,
        what,
        done: Box::new(done),
    };

    // What a file does not hold must not be needed here.
    let actions = counts.tombstones + counts.removals;
    if actions > 0 {
        let merged = state.tombstones().merge(|take| {
            checked.each(|item| match item {
                Item::Action(action) => take(&action.record()),
                _ => Ok(()),
            })
        });
        match merged {
            Ok(taken) => done.tombstones = taken_of(taken, actions),
            Err(error) => return Err(stopped("tombstones", error.to_string(), done)),
        }
    }
    if counts.canaries > 0 {
        match merge_canaries(state, &checked) {
            Ok(taken) => done.canaries = taken_of(taken, counts.canaries),
            Err(error) => return Err(stopped("canaries", error.to_string(), done)),
        }
    }
    if counts.ledger > 0 {
        match state.ledger().merge_entries(|take| checked.each_row(take)) {
            Ok(taken) => done.ledger = taken_of(taken, counts.ledger),
            Err(error) => return Err(stopped("ledger entries", error.to_string(), done)),
        }
    }
    if counts.saves + counts.save_totals > 0 {
        match state.ledger().merge_saves(|take| checked.each_row(take)) {
            Ok(taken) => done.saves = taken_of(taken, counts.saves),
            Err(error) => return Err(stopped("rehearsal saves", error.to_string(), done)),
        }
    }
    Ok(done)
}

fn taken_of(taken: u64, all: u64) -> Taken {
    Taken {
        taken,
        left: all.saturating_sub(taken),
    }
}

/// Canaries here are fresher than those of a file; only origins that have none get them.
fn merge_canaries(state: &StateDirectory, checked: &Checked) -> io::Result<u64> {
    let ours = state.canaries();
    let mut merged = ours.clone();
    let mut taken = 0;
    checked.each(|item| {
        if let Item::Canary(origin, key) = item
            && !ours.contains_key(&origin)
        {
            merged.entry(origin).or_default().push(key);
            taken += 1;
        }
        Ok(())
    })?;
    if taken > 0 {
        state.keep_canaries(&merged)?;
    }
    Ok(taken)
}

/// The lines of a whole and right file.
struct Checked(File);

impl Checked {
    fn each(&self, mut take: impl FnMut(Item) -> io::Result<()>) -> io::Result<()> {
        let mut file = &self.0;
        file.rewind()?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        while read_line(&mut lines, &mut line)? {
            take(item(&line).map_err(io::Error::other)?)?;
        }
        Ok(())
    }

    fn each_row(
        &self,
        take: &mut dyn FnMut(crate::ledger::Row) -> io::Result<()>,
    ) -> io::Result<()> {
        self.each(|item| match item {
            Item::Row(row) => take(row),
            _ => Ok(()),
        })
    }
}

/// Reads a file to its end and checks every line.
fn check(directory: &Path, from: impl Read) -> Result<(Checked, Counts), ImportError> {
    let no_room = |source| ImportError::Spool {
        directory: directory.to_owned(),
        source,
    };
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    let mut lines = 0;
    let mut hash = Sha256::new();
    let mut read = |line: &mut Vec<u8>, lines| match read_line(&mut from, line) {
        Ok(true) => Ok(true),
        Ok(false) if line.is_empty() => Ok(false),
        Ok(false) | Err(_) if line.len() > MAX_LINE_BYTES => Err(ImportError::Damaged {
            line: lines + 1,
            what: "it is too long".to_owned(),
        }),
        Ok(false) => Err(ImportError::Truncated { lines }),
        Err(error) => Err(ImportError::Read(error)),
    };

    match read(&mut line, 0) {
        Ok(true) => {}
        Ok(false) => return Err(ImportError::Truncated { lines: 0 }),
        // A file of something else need not have lines.
        Err(ImportError::Truncated { .. }) if is_begun_header(&line) => {
            return Err(ImportError::Truncated { lines: 0 });
        }
        Err(ImportError::Read(error)) => return Err(ImportError::Read(error)),
        Err(_) => return Err(ImportError::Foreign),
    }
    let header = check_header(&line)?;
    let mut kept = BufWriter::new(nameless(directory).map_err(no_room)?);
    let mut found = Counts::default();
    loop {
        hash.update(&line);
        lines += 1;
        if !read(&mut line, lines)? {
            return Err(ImportError::Truncated { lines });
        }
        let damaged = |what: String| ImportError::Damaged {
            line: lines + 1,
            what,
        };
        match item(&line).map_err(damaged)? {
            Item::End {
                lines: count,
                sha256,
            } => {
                if count != lines || sha256 != hex::encode(hash.finalize()) {
                    return Err(damaged(
                        "its sum is not that of the lines before".to_owned(),
                    ));
                }
                if found != header.counts {
                    return Err(damaged("the header counts other lines".to_owned()));
                }
                if read(&mut line, lines + 1).ok() != Some(false) {
                    return Err(damaged("something follows".to_owned()));
                }
                break;
            }
            item => {
                item.count(&mut found);
                kept.write_all(&line).map_err(no_room)?;
            }
        }
    }
    let spool = kept
        .into_inner()
        .map_err(|error| no_room(error.into_error()))?;
    Ok((Checked(spool), found))
}

fn check_header(line: &[u8]) -> Result<Header, ImportError> {
    let any: AnyHeader = serde_json::from_slice(line).map_err(|_| ImportError::Foreign)?;
    if any.format != FORMAT {
        return Err(ImportError::Foreign);
    }
    if any.version != VERSION {
        return Err(ImportError::OtherVersion { found: any.version });
    }
    serde_json::from_slice(line).map_err(|error| ImportError::Damaged {
        line: 1,
        what: error.to_string(),
    })
}

/// Whether bytes are the beginning of a header that was cut.
fn is_begun_header(bytes: &[u8]) -> bool {
    let begin = format!("{{\"format\":\"{FORMAT}\"");
    let length = bytes.len().min(begin.len());
    bytes[..length] == begin.as_bytes()[..length]
}

fn item(line: &[u8]) -> Result<Item, String> {
    serde_json::from_slice::<Line>(line)
        .map_err(|error| error.to_string())?
        .check()
}

/// Reads up to the end of a line, that included; `false` where there is none within the longest
/// line.
fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    from.take(MAX_LINE_BYTES as u64 + 1)
        .read_until(b'\n', line)?;
    Ok(line.last() == Some(&b'\n'))
}

/// A file that ends with this process, however that ends.
fn nameless(directory: &Path) -> io::Result<File> {
    let path = files::successor(directory, SPOOL);
    // An import that was killed, or one that begins at this moment and does not need the name.
    let _ = fs::remove_file(&path);
    let file = files::private().create_new(true).open(&path)?;
    let _ = fs::remove_file(&path);
    Ok(file)
}
