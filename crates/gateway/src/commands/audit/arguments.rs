//! What `audit` takes.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use migration::Share;

use crate::commands::rows::Rows;

/// What `audit` takes.
#[derive(Debug, Args)]
pub struct AuditArguments {
    /// The origin that may be switched off.
    pub origin: String,
    /// Only the keys or URLs of this file, one on each line; nothing is listed, and each origin is
    /// asked for each. For a web server, which cannot be listed.
    #[arg(long, value_name = "FILE", conflicts_with = "rows")]
    pub keys: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) rows: Rows,
    /// With rows: how much may be named by none and be nowhere else before that is not believed.
    #[arg(long, value_name = "SHARE", default_value = "10%", requires = "rows")]
    pub max_unreferenced: Share,
    /// An object written less long ago stands against it: something still writes there. `0s` looks
    /// at no times.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = time)]
    pub quiet_for: Duration,
    /// A key that only this origin could give as it rehearsed, within this time, stands against
    /// it. After a migration: the time since.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = time)]
    pub saves_within: Duration,
    /// Look only at so many keys, chosen by chance; then it is never safe, at best not known.
    #[arg(long, value_name = "NUMBER")]
    pub sample: Option<NonZeroU32>,
    /// Read what nothing else proves at both origins and compare it, up to so many bytes read from
    /// buckets and web servers: `20 GB`. Without it nothing is read, and the bytes are said.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_egress: Option<u64>,
    /// Where it is safe, write here what was compared, how and when. Never over another file.
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
}

fn time(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|error| format!("{error}; write it as 24h"))
}

fn size(text: &str) -> Result<u64, String> {
    let ByteSize(bytes) = text.trim().parse()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(time("30d"), Ok(Duration::from_hours(30 * 24)));
        assert_eq!(time("0s"), Ok(Duration::ZERO));
        assert_eq!(size("20 GB"), Ok(20_000_000_000));
        assert!(time("24").is_err() && size("much").is_err());
    }
}
