//! What `migrate` takes.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use migration::{Shard, Share};
use url::Url;

use crate::commands::rows::Rows;

/// What `migrate` takes.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct MigrateArguments {
    /// The origin that is copied from.
    #[arg(long, value_name = "ORIGIN")]
    pub from: String,
    /// The origin that is copied to; it must be writable.
    #[arg(long, value_name = "ORIGIN")]
    pub to: String,
    /// Only keys that begin so.
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "",
        hide_default_value = true
    )]
    pub prefix: String,
    /// Not keys that match; `*` stands for any characters, slashes too. May be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
    /// Only the keys or URLs of this file, one on each line; nothing is listed, and both origins
    /// are asked for each. With --referenced-only: what must not be left behind.
    #[arg(long, value_name = "FILE", conflicts_with = "rows")]
    pub keys: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) rows: Rows,
    /// List the source, and copy only what a row names: what Misskey has deleted is not brought
    /// along. Without it, and with rows, nothing is listed: both origins are asked for each key
    /// that a row names, which is two requests a key.
    #[arg(long)]
    pub referenced_only: bool,
    /// What was verified at the target and is missing there was lost by it: copy it again. Never
    /// what the gateway has noticed as deleted, nor what must stay gone.
    #[arg(long)]
    pub lost: bool,
    /// The brake: how much of what was verified at the target, where the application deletes, may
    /// be missing there unnoticed before nothing is copied.
    #[arg(long, value_name = "SHARE", default_value = "10%")]
    pub max_withdrawn: Share,
    /// Also what no route publishes.
    #[arg(long)]
    pub all_keys: bool,
    /// Objects that are copied at one time.
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// How fast, all of them together: `12 MB/s`.
    #[arg(long, value_name = "RATE", value_parser = bandwidth)]
    pub max_bandwidth: Option<u64>,
    /// How each copy is verified.
    #[arg(long, value_enum, default_value_t)]
    pub verify: Verification,
    /// Tell the gateway whose admin listener this is how far it is, for its page and
    /// `/api/migrations`: `http://10.0.0.5:9090`. It must have these origins, and admin.token as
    /// here. A gateway with the same state directory is told without asking.
    #[arg(long, value_name = "URL")]
    pub progress_to: Option<Url>,
    /// Only one of several equal shares of the keys, such as `2/4`.
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<Shard>,
    /// List, compare and say what it would cost; copy nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// How a copy is verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Verification {
    /// By what the target says of the bytes it received; costs nothing.
    #[default]
    Checksum,
    /// By reading it again; costs the target's egress.
    Read,
    /// By its length; costs a request.
    Length,
}

impl From<Verification> for migration::Verify {
    fn from(verification: Verification) -> Self {
        match verification {
            Verification::Checksum => Self::Checksum,
            Verification::Read => Self::Read,
            Verification::Length => Self::Length,
        }
    }
}

/// Bytes per second.
fn bandwidth(text: &str) -> Result<u64, String> {
    let size = text.trim().strip_suffix("/s").unwrap_or(text);
    let ByteSize(bytes) = size.trim().parse::<ByteSize>()?;
    if bytes == 0 {
        return Err("nothing would ever be copied".to_owned());
    }
    Ok(bytes)
}

fn shard(text: &str) -> Result<Shard, String> {
    Shard::parse(text).ok_or_else(|| "write it as 2/4: the second of four".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_bytes_a_second_with_or_without_saying_so() {
        assert_eq!(bandwidth("12 MB/s"), Ok(12_000_000));
        assert_eq!(bandwidth("1MiB"), Ok(1 << 20));
        assert!(bandwidth("0").is_err() && bandwidth("fast").is_err());
        assert!(shard("5/4").is_err() && shard("2/4").is_ok());
    }
}
