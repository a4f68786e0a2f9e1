//! What was compared, how, when and by whom, for whoever asks later why it was switched off.
//!
//! One JSON file with the same in words. Never over another file, and only where it is safe.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use migration::audit::Report;
use serde::Serialize;

use super::account;
use crate::commands::report::time;

#[derive(Serialize)]
struct Certificate<'r> {
    /// The same in words.
    text: Vec<String>,
    version: &'static str,
    began: String,
    ended: String,
    /// The SHA-256 of the file of keys, where they came from one.
    keys_sha256: Option<String>,
    report: &'r Report,
}

/// Writes it, and brings it onto the disk.
///
/// # Errors
/// There is such a file, or none can be written.
pub(super) fn write(
    file: &Path,
    report: &Report,
    keys: Option<[u8; 32]>,
    ended: u64,
) -> io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let (began, ended) = (time(report.began), time(ended));
    let mut text = vec![format!(
        "media-gateway {version} compared \"{}\" with what remains, from {began} to {ended}",
        report.origin
    )];
    text.extend(account::text(report));
    text.extend(how());
    let certificate = Certificate {
        text,
        version,
        began,
        ended,
        keys_sha256: keys.map(hex::encode),
        report,
    };
    let mut bytes = serde_json::to_vec_pretty(&certificate).map_err(io::Error::other)?;
    bytes.push(b'\n');
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(file)?;
    file.write_all(&bytes)?;
    file.sync_all()
}

fn how() -> [String; 4] {
    [
        "by checksum: equal lengths and equal checksums, as both origins list or tell them",
        "by digest: equal lengths and equal SHA-256 sums, as the ledger knows them of both",
        "as copies: equal lengths, and the copy was verified when it was made",
        "by reading: both were read and all bytes are equal",
    ]
    .map(str::to_owned)
}
