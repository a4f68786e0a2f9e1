//! The two buckets and the directory, and the switching of them.
//!
//! A bucket that is off refuses connections at the same address; the directory is moved away, as
//! a volume that was not mounted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;
use test_servers::Keys;
use test_servers::s3::S3;

use crate::media::FILES;

/// Where a file can live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Current,
    Old,
    Disk,
}

impl Place {
    pub(crate) const ALL: [Self; 3] = [Self::Current, Self::Old, Self::Disk];

    /// The origin's name; a bucket's own name too.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Old => "old",
            Self::Disk => "disk",
        }
    }
}

/// All three, filled.
#[derive(Debug)]
pub(crate) struct Origins {
    current: S3,
    old: S3,
    directory: TempDir,
}

impl Origins {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir().context("no temporary directory")?;
        let bucket = |place: Place| {
            let at = directory.path().join(place.name());
            fs::create_dir(&at).with_context(|| format!("cannot make {}", at.display()))?;
            let server = S3::start_in(&at, Keys::default())?;
            server.create_bucket(place.name())?;
            anyhow::Ok(server)
        };
        let this = Self {
            current: bucket(Place::Current)?,
            old: bucket(Place::Old)?,
            directory,
        };
        this.fill().await?;
        Ok(this)
    }

    async fn fill(&self) -> anyhow::Result<()> {
        let disk = self.disk();
        fs::create_dir(&disk).context("cannot make the directory")?;
        fs::write(disk.join(".media-gateway"), "").context("cannot mark the directory")?;
        for file in FILES {
            for home in file.homes {
                if let Some(server) = self.bucket(*home) {
                    let bucket = server.client(home.name())?;
                    bucket
                        .put(&file.key(), file.content_type, file.bytes)
                        .await?;
                } else {
                    let path = disk.join(file.key());
                    fs::create_dir_all(path.parent().unwrap_or(&disk))?;
                    fs::write(&path, file.bytes).with_context(|| path.display().to_string())?;
                }
            }
        }
        Ok(())
    }

    /// The server behind a place; the directory has none.
    pub(crate) fn bucket(&self, place: Place) -> Option<&S3> {
        match place {
            Place::Current => Some(&self.current),
            Place::Old => Some(&self.old),
            Place::Disk => None,
        }
    }

    /// The directory's path while it is on.
    pub(crate) fn disk(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    /// A place for the gateway's own files, beside the origins.
    pub(crate) fn room(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn is_on(&self, place: Place) -> bool {
        match self.bucket(place) {
            Some(server) => server.is_running(),
            None => self.disk().exists(),
        }
    }

    pub(crate) async fn switch(&self, place: Place, on: bool) -> anyhow::Result<()> {
        if on == self.is_on(place) {
            return Ok(());
        }
        let away = self.directory.path().join("disk-away");
        match (self.bucket(place), on) {
            (Some(server), true) => server.restart(),
            (Some(server), false) => {
                server.stop().await;
                Ok(())
            }
            (None, true) => Ok(fs::rename(away, self.disk())?),
            (None, false) => Ok(fs::rename(self.disk(), away)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_place_can_be_switched_off_and_on_again() {
        let origins = Origins::start().await.unwrap();
        for place in Place::ALL {
            for on in [false, true, true] {
                origins.switch(place, on).await.unwrap();
                assert_eq!(origins.is_on(place), on, "{}", place.name());
            }
        }
        assert!(origins.disk().join("media/dusk.jpg").exists());
    }
}
