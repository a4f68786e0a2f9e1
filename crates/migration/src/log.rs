//! An append-only file of sealed frames, in which a torn end is told from damage.
//!
//! Blocking. Knows nothing of what is in the frames.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::frame::{self, HEAD_BYTES, Head, MAX_PAYLOAD_BYTES};

const MAGIC: [u8; 8] = *b"MGMIGRA\n";
const FORMAT: u32 = 2;
/// Magic, format, kind, run, seal.
const HEADER_BYTES: usize = 32;

/// What a log holds; also its file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What is to be copied.
    Plan,
    /// What the target has.
    Target,
    /// What became of it.
    Done,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Target => "target",
            Self::Done => "done",
        }
    }

    fn number(self) -> u32 {
        match self {
            Self::Plan => 1,
            Self::Target => 2,
            Self::Done => 3,
        }
    }
}

/// A log that is open.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    path: PathBuf,
    run: u64,
    end: u64,
    /// A write failed, and what the file holds behind `end` is not known.
    broken: bool,
}

/// What was found where a log should be.
#[derive(Debug)]
pub(crate) enum Found {
    /// A log; what had been torn off is gone.
    Log(Log),
    /// None.
    None,
    /// A file that cannot be believed; it says why.
    Damaged(String),
}

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// Another version wrote it.
    #[error(
        "{}: its format is {format}, and this version knows {FORMAT}; run the version that wrote it, or move the journal away and begin anew",
        path.display()
    )]
    OtherFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
}

impl Log {
    /// Makes an empty log in the place of whatever is there.
    pub(crate) fn create(directory: &Path, kind: Kind, run: u64) -> Result<Self, LogError> {
        let path = directory.join(kind.name());
        let made = || {
            let successor = directory.join(format!(".{}.new", kind.name()));
            let mut file = options().create(true).truncate(true).open(&successor)?;
            file.write_all(&header(kind, run))?;
            file.sync_all()?;
            fs::rename(&successor, &path)?;
            File::open(directory)?.sync_all()?;
            io::Result::Ok(file)
        };
        match made() {
            Ok(file) => Ok(Self {
                file,
                path,
                run,
                end: HEADER_BYTES as u64,
                broken: false,
            }),
            Err(error) => Err(LogError::Io { path, error }),
        }
    }

    /// Opens a log, hands each payload to `take`, and cuts off what a crash has torn.
    pub(crate) fn open(
        directory: &Path,
        kind: Kind,
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Found, LogError> {
        let path = directory.join(kind.name());
        let io = |error| LogError::Io {
            path: path.clone(),
            error,
        };
        let file = match options().open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::None),
            Err(error) => return Err(io(error)),
        };
        let length = file.metadata().map_err(io)?.len();
        let mut first = [0; HEADER_BYTES];
        if length < HEADER_BYTES as u64 {
            return Ok(Found::Damaged("it is shorter than its header".to_owned()));
        }
        file.read_exact_at(&mut first, 0).map_err(io)?;
        let run = match read_header(&first, kind) {
            Ok(run) => run,
            Err(Unread::Format(format)) => {
                return Err(LogError::OtherFormat {
                    path: path.clone(),
                    format,
                });
            }
            Err(Unread::Damaged) => return Ok(Found::Damaged("its header is damaged".to_owned())),
        };
        let mut log = Self {
            file,
            path: path.clone(),
            run,
            end: HEADER_BYTES as u64,
            broken: false,
        };
        let mut frames = log.frames_until(length);
        loop {
            match frames.next_payload().map_err(io)? {
                Next::Payload(payload) => {
                    if let Err(why) = take(payload) {
                        return Ok(Found::Damaged(why));
                    }
                }
                Next::End => break,
                Next::Torn => {
                    let end = frames.at;
                    let rest = length - end;
                    if rest > (HEAD_BYTES + MAX_PAYLOAD_BYTES) as u64
                        || frame::any_in(&rest_of(&log.file, end, rest).map_err(io)?, end)
                    {
                        let why = format!("it is damaged at byte {end}");
                        return Ok(Found::Damaged(why));
                    }
                    break;
                }
            }
        }
        let end = frames.at;
        drop(frames);
        log.end = end;
        if log.end < length {
            log.file.set_len(log.end).map_err(io)?;
            log.file.sync_all().map_err(io)?;
        }
        Ok(Found::Log(log))
    }

    /// To which run it belongs.
    pub(crate) fn run(&self) -> u64 {
        self.run
    }

    /// Appends payloads as one write, durable when this returns.
    pub(crate) fn append<'p>(
        &mut self,
        payloads: impl IntoIterator<Item = &'p [u8]>,
    ) -> Result<(), LogError> {
        let mut bytes = Vec::new();
        for payload in payloads {
            let at = self.end + bytes.len() as u64;
            let framed = frame::frame(payload, at);
            let framed = framed.ok_or_else(|| {
                let what = format!("{} bytes are no payload of a frame", payload.len());
                self.error(io::Error::new(io::ErrorKind::InvalidInput, what))
            })?;
            bytes.extend(framed);
        }
        if self.broken {
            return Err(self.error(io::Error::other("an earlier write failed; begin again")));
        }
        let written = self
            .file
            .write_all_at(&bytes, self.end)
            .and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            self.broken = true;
            let _ = self.file.set_len(self.end);
            return Err(self.error(error));
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Its frames from the first one, as it is now.
    pub(crate) fn frames(&self) -> Frames<'_> {
        self.frames_until(self.end)
    }

    fn frames_until(&self, end: u64) -> Frames<'_> {
        Frames {
            file: &self.file,
            at: HEADER_BYTES as u64,
            end,
            payload: Vec::new(),
        }
    }

    fn error(&self, error: io::Error) -> LogError {
        LogError::Io {
            path: self.path.clone(),
            error,
        }
    }
}

/// A way through a log's frames.
pub(crate) struct Frames<'l> {
    file: &'l File,
    at: u64,
    end: u64,
    payload: Vec<u8>,
}

/// What comes next in a log.
pub(crate) enum Next<'f> {
    Payload(&'f [u8]),
    End,
    /// Something that is no whole, good frame.
    Torn,
}

impl Frames<'_> {
    /// Where the next one begins; given to [`Self::resume`] later.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Goes on where another one was.
    pub(crate) fn resume(mut self, at: u64) -> Self {
        self.at = at.max(self.at);
        self
    }

    pub(crate) fn next_payload(&mut self) -> io::Result<Next<'_>> {
        let left = self.end.saturating_sub(self.at);
        if left == 0 {
            return Ok(Next::End);
        }
        if left < HEAD_BYTES as u64 {
            return Ok(Next::Torn);
        }
        let mut head = [0; HEAD_BYTES];
        self.file.read_exact_at(&mut head, self.at)?;
        let Some(head) = Head::read(&head, self.at) else {
            return Ok(Next::Torn);
        };
        if left - (HEAD_BYTES as u64) < head.payload_bytes as u64 {
            return Ok(Next::Torn);
        }
        self.payload.resize(head.payload_bytes, 0);
        self.file
            .read_exact_at(&mut self.payload, self.at + HEAD_BYTES as u64)?;
        if !head.fits(&self.payload) {
            return Ok(Next::Torn);
        }
        self.at += (HEAD_BYTES + head.payload_bytes) as u64;
        Ok(Next::Payload(&self.payload))
    }
}

fn rest_of(file: &File, from: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut rest = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut rest, from)?;
    Ok(rest)
}

/// For this user alone: keys of private objects are in it.
pub(crate) fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    options
}

fn header(kind: Kind, run: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_be_bytes());
    header[12..16].copy_from_slice(&kind.number().to_be_bytes());
    header[16..24].copy_from_slice(&run.to_be_bytes());
    let seal = xxh3_64(&header[..24]).to_be_bytes();
    header[24..].copy_from_slice(&seal);
    header
}

enum Unread {
    Format(u32),
    Damaged,
}

fn read_header(bytes: &[u8; HEADER_BYTES], kind: Kind) -> Result<u64, Unread> {
    let number =
        |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let is_sealed = xxh3_64(&bytes[..24]).to_be_bytes() == bytes[24..];
    if !is_sealed || bytes[..8] != MAGIC {
        return Err(Unread::Damaged);
    }
    if number(8) != FORMAT {
        return Err(Unread::Format(number(8)));
    }
    let run = bytes[16..24].first_chunk().copied();
    match run {
        Some(run) if number(12) == kind.number() => Ok(u64::from_be_bytes(run)),
        _ => Err(Unread::Damaged),
    }
}
