//! Writes the state as one file.
//!
//! Tombstones and ledger are each of one moment, and both go on being used meanwhile. Where the
//! ledger cannot be used the rest is written, and the file says what is not in it.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use object::ObjectKey;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Counts;
use super::line::{FORMAT, Header, Line, VERSION};
use crate::directory::StateDirectory;
use crate::ledger::{Snapshot, Tally, TransferError};
use crate::tombstones::{LastActions, TombstoneError, last_actions};

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// How much of each kind.
    pub counts: Counts,
    /// Why the ledger and the rehearsal saves are not in it.
    pub without_ledger: Option<String>,
}

/// Why no whole file was written. What was written has no last line, and is refused by an import.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The tombstones cannot be read.
    #[error(transparent)]
    Tombstones(#[from] TombstoneError),
    /// The ledger failed on the way.
    #[error("{0}")]
    Ledger(String),
    /// The file cannot be written.
    #[error("the export cannot be written: {0}")]
    Write(#[source] io::Error),
}

/// Writes all that must survive. Waits for the disk and for the writer.
///
/// # Errors
/// The file is not whole.
pub fn export(state: &StateDirectory, to: impl Write) -> Result<Exported, ExportError> {
    let mut content = Content {
        actions: last_actions(state.path())?,
        canaries: state.canaries(),
        out: Hashing::new(to),
    };
    let mut began = false;
    let written = state.ledger().snapshot(|snapshot| {
        began = true;
        let tally = snapshot.tally()?;
        Ok(content.write(Some((snapshot, tally)), None))
    });
    match written {
        Ok(exported) => exported,
        Err(TransferError::Ledger(down)) if !began => content.write(None, Some(down.to_string())),
        Err(TransferError::Ledger(down)) => Err(ExportError::Ledger(down.to_string())),
        Err(TransferError::Other(error)) => Err(ExportError::Write(error)),
    }
}

struct Content<W: Write> {
    actions: Option<LastActions>,
    canaries: BTreeMap<String, Vec<ObjectKey>>,
    out: Hashing<W>,
}

impl<W: Write> Content<W> {
    fn write(
        &mut self,
        ledger: Option<(&Snapshot<'_>, Tally)>,
        without_ledger: Option<String>,
    ) -> Result<Exported, ExportError> {
        let (tombstones, removals) = self.actions.as_ref().map_or((0, 0), LastActions::counts);
        let tally = ledger
            .as_ref()
            .map_or(Tally::default(), |(_, tally)| *tally);
        let counts = Counts {
            tombstones,
            removals,
            canaries: self.canaries.values().map(|keys| keys.len() as u64).sum(),
            ledger: tally.entries,
            saves: tally.saves,
            save_totals: tally.beyond,
        };
        let out = &mut self.out;
        out.line(&Header {
            format: FORMAT.to_owned(),
            version: VERSION,
            counts,
            without_ledger: without_ledger.clone(),
        })?;
        if let Some(actions) = &mut self.actions {
            actions.each(|record| out.line(&Line::from(record)))?;
        }
        for (origin, keys) in &self.canaries {
            for key in keys {
                out.line(&Line::Canary {
                    origin: origin.clone(),
                    key: key.as_str().to_owned(),
                })?;
            }
        }
        if let Some((snapshot, _)) = ledger {
            let mut failed = None;
            let read = snapshot.each(&mut |row| {
                out.line(&Line::from(row)).map_err(|error| {
                    failed = Some(error);
                    io::Error::other("the export cannot be written")
                })
            });
            match (failed, read) {
                (Some(error), _) => return Err(error),
                (None, Err(trouble)) => return Err(ExportError::Ledger(trouble.to_string())),
                (None, Ok(())) => {}
            }
        }
        out.end()?;
        Ok(Exported {
            counts,
            without_ledger,
        })
    }
}

/// Counts and hashes the lines that it writes.
struct Hashing<W: Write> {
    out: BufWriter<W>,
    line: Vec<u8>,
    lines: u64,
    hash: Sha256,
}

impl<W: Write> Hashing<W> {
    fn new(out: W) -> Self {
        Self {
            out: BufWriter::new(out),
            line: Vec::new(),
            lines: 0,
            hash: Sha256::new(),
        }
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), ExportError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)
            .map_err(|error| ExportError::Write(error.into()))?;
        self.line.push(b'\n');
        self.hash.update(&self.line);
        self.lines += 1;
        self.out.write_all(&self.line).map_err(ExportError::Write)
    }

    fn end(&mut self) -> Result<(), ExportError> {
        let end = Line::End {
            lines: self.lines,
            sha256: hex::encode(self.hash.finalize_reset()),
        };
        self.line(&end)?;
        self.out.flush().map_err(ExportError::Write)
    }
}
